/* School mathematics in an answer, `\(5 \times 3\)` or `\[\frac{9}{2}\]`, as MathML made of nodes: nothing of the text
   becomes markup. A formula that holds anything else stays as it was written. */

const SIGNS = {
  times: "×", div: "÷", cdot: "·", approx: "≈", neq: "≠", ne: "≠", le: "≤", leq: "≤", ge: "≥", geq: "≥", pm: "±",
  lceil: "⌈", rceil: "⌉", lfloor: "⌊", rfloor: "⌋", pi: "π", circ: "°", implies: "⟹", Rightarrow: "⇒", rightarrow: "→",
  to: "→", quad: "\u2003", ldots: "…", dots: "…", $: "$", "%": "%", "{": "{", "}": "}", ",": "\u2009", " ": "\u00a0",
};
const FORMULA = /\\\(([^]{1,600}?)\\\)|\\\[([^]{1,1200}?)\\\]/g;
const TOKEN = /\\(?:[A-Za-z]+|[^A-Za-z])|\d[\d.,]*\d|[^\s\\]/g;

function node(name, ...children) {
  const made = document.createElementNS("http://www.w3.org/1998/Math/MathML", name);
  made.append(...children);
  return made;
}

/* The formula as a row of nodes; throws where it is not understood. */
function parsed(source) {
  let rest = source;
  const next = () => {
    TOKEN.lastIndex = 0;
    const found = TOKEN.exec(rest);
    rest = found ? rest.slice(found.index + found[0].length) : "";
    return found?.[0];
  };
  const verbatim = () => {
    const found = /^\s*\{([^{}\\]*)\}/.exec(rest);
    if (!found) throw new Error("no plain words");
    rest = rest.slice(found[0].length);
    return node("mtext", found[1]);
  };
  const argument = () => (/^\s*\{/.test(rest) ? (next(), row("}")) : atom(next()));
  function atom(token) {
    if (token === undefined || token === "}" || token === "^" || token === "_") throw new Error("no end");
    if (token === "{") return row("}");
    if (/^\d/.test(token)) return node("mn", token);
    if (token[0] !== "\\") return node(/[\p{L}]/u.test(token) ? "mi" : "mo", token);
    const name = token.slice(1);
    if (name === "frac" || name === "dfrac" || name === "tfrac") return node("mfrac", argument(), argument());
    if (name === "sqrt") return node("msqrt", argument());
    if (name === "text" || name === "mathrm" || name === "textbf" || name === "mathbf") return verbatim();
    if (name === "boxed") {
      const box = node("mrow", argument());
      box.setAttribute("style", "border:1px solid;padding:1px 4px");
      return box;
    }
    if (name === "left" || name === "right") return atom(next());
    if (!(name in SIGNS)) throw new Error(name);
    return node("mo", SIGNS[name]);
  }
  function row(end) {
    const made = node("mrow");
    for (let token = next(); token !== end; token = next()) {
      if (token === "^" || token === "_") {
        if (!made.lastChild) throw new Error("no base");
        const base = made.removeChild(made.lastChild);
        made.append(node(token === "^" ? "msup" : "msub", base, argument()));
      } else made.append(atom(token));
    }
    return made;
  }
  return row(undefined);
}

/* Put an answer into a place, its formulas set. */
function setText(place, text) {
  const parts = [];
  let at = 0;
  for (const found of text.matchAll(FORMULA)) {
    try {
      const math = node("math", parsed(found[1] ?? found[2]));
      if (found[2] !== undefined) math.setAttribute("display", "block");
      parts.push(text.slice(at, found.index), math);
      at = found.index + found[0].length;
    } catch {
      /* It stays as it was written. */
    }
  }
  place.replaceChildren(...parts, text.slice(at));
}
