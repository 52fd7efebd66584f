/* The first page's recorded race and its slider of budgets. It draws; every word and number comes with the data.
   Texts are set as text and never as markup; mathematics in a whole answer by `setText` of ui/common/mathml.js. */

const states = new WeakMap();

const SHELL = `
  <p class="question"></p>
  <div class="lanes"></div>
  <p class="verdict waiting" aria-live="polite"></p>
  <div class="foot"><span class="slide"></span><span class="asked"></span></div>
  <div class="steps">
    <div class="columns" role="img"></div><div class="axis"></div>
    <input type="range" min="0" step="1">
    <div class="names" aria-hidden="true"></div>
  </div>
  <div class="foot"><button type="button"></button><span class="about"></span></div>`;

const LANE = `
  <div class="top"><span class="name"></span><span class="count"></span></div>
  <div class="bar"><div class="fill"></div><div class="mark" hidden></div></div>
  <div class="added"></div>
  <div class="text" tabindex="0" role="group"></div>`;

function element(name, className, markup = "") {
  const made = document.createElement(name);
  made.className = className;
  made.innerHTML = markup; /* One of the two constants above, or nothing. */
  return made;
}

/* A phone needs more room below each other than a desk; what stands further down is not in sight yet. */
function roomy(root, data) {
  if (!matchMedia("(max-width: 640px)").matches) return data.height;
  for (let e = root.host ?? root; e && !e.classList.contains("st-key-opening"); e = e.parentElement)
    if (Math.abs(e.getBoundingClientRect().height - data.height) < 2) e.style.height = e.style.minHeight = `${data.tall}px`;
  return data.tall;
}

function build(root, data) {
  const all = element("div", "all", SHELL);
  const find = (selector) => all.querySelector(selector);
  all.style.setProperty("--height", `${roomy(root, data)}px`);
  all.style.setProperty("--n", data.rungs.length);
  find(".question").textContent = data.question;
  find(".slide").textContent = data.words.slide;
  find(".asked").textContent = data.words.asked;
  find(".about").textContent = data.words.about;
  find("button").textContent = `↻ ${data.words.replay}`;
  find(".columns").setAttribute("aria-label", data.words.chart);
  const lanes = ["vanilla", "budgeted"].map((role) => {
    const lane = element("div", `lane ${role}`, LANE);
    find(".lanes").append(lane);
    return Object.fromEntries(["name", "count", "fill", "mark", "added", "text"].map((k) => [k, lane.querySelector(`.${k}`)]));
  });
  const range = find("input");
  range.max = data.rungs.length - 1;
  range.value = data.best;
  range.setAttribute("aria-label", data.words.slide);
  const columns = data.rungs.map((rung, at) => {
    const column = element("div", `column ${at ? "budgeted" : "vanilla"}`);
    const [bar, asked, count] = ["i", "u", "b"].map((name) => column.appendChild(document.createElement(name)));
    const share = (tokens) => `${(78 * tokens) / data.highest}%`;
    bar.style.height = share(rung.tokens);
    count.style.bottom = share(Math.max(rung.tokens, rung.budget ?? 0)); /* Above the mark: words never on data. */
    count.className = rung.color;
    count.textContent = `${rung.sign} ${rung.tokens}`;
    asked.hidden = rung.budget === null;
    asked.style.bottom = share(rung.budget ?? 0);
    find(".columns").append(column);
    const name = document.createElement("span");
    name.textContent = rung.name;
    find(".names").append(name);
    return { column, name, at };
  });
  root.append(all);
  return { all, data, lanes, range, columns, verdict: find(".verdict"), button: find("button"), began: null, frame: 0 };
}

function fill(one, lane, rung, { tokens, text, ended }) {
  lane.name.textContent = rung.title;
  lane.fill.style.width = `${Math.min(100, (100 * tokens) / one.data.axis)}%`;
  lane.mark.hidden = rung.budget === null;
  lane.mark.style.left = `${Math.min(100, (100 * (rung.budget ?? 0)) / one.data.axis)}%`;
  lane.added.textContent = rung.added;
  if (!ended) lane.text.textContent = text || "…";
  else if (lane.set !== text) setText(lane.text, text);
  lane.set = ended ? text : null;
  lane.text.setAttribute("aria-label", rung.title);
  lane.count.className = ended ? `count ${rung.color}` : "count going";
  lane.count.textContent = ended
    ? `${rung.sign} ${rung.count}`
    : tokens ? one.data.words.writing.replace("{n}", tokens) : one.data.words.reading;
}

const whole = (rung) => ({ tokens: rung.tokens, text: rung.text, ended: true });

function say(one, sentence, waiting = false) {
  const words = sentence.replaceAll(" %", "\u00a0%");  // No line begins with the sign.
  if (one.verdict.textContent !== words) one.verdict.textContent = words;
  one.verdict.classList.toggle("waiting", waiting);
}

/* The answer of a budget, whole: what the slider's place shows. */
function show(one, at) {
  cancelAnimationFrame(one.frame);
  one.began = null;
  const rung = one.data.rungs[at];
  fill(one, one.lanes[0], one.data.rungs[0], whole(one.data.rungs[0]));
  fill(one, one.lanes[1], rung, whole(rung));
  one.lanes[1].text.scrollTop = 0;
  say(one, rung.verdict);
  mark(one, at);
}

function mark(one, at) {
  one.range.value = at;
  one.range.setAttribute("aria-valuetext", `${one.data.rungs[at].title}: ${one.data.rungs[at].count}`);
  for (const { column, name, at: place } of one.columns) {
    column.classList.toggle("here", place === at);
    name.classList.toggle("here", place === at);
  }
}

/* How far an answer was, so many milliseconds after it was asked for. */
function at(rung, ms) {
  if (ms >= rung.end) return whole(rung);
  let clock = 0, letters = 0, tokens = 0;
  for (const [after, more] of rung.tape) {
    clock += after;
    if (clock > ms) break;
    letters += more;
    tokens += 1;
  }
  return { tokens, text: rung.text.slice(0, letters), ended: false };
}

function race(one) {
  cancelAnimationFrame(one.frame);
  one.began = performance.now();
  mark(one, one.data.best);
  say(one, one.data.words.racing, true);
  const pair = [one.data.rungs[0], one.data.rungs[one.data.best]];
  const end = Math.max(...pair.map((rung) => rung.end));
  const tick = (now) => {
    const ms = (now - one.began) * one.data.speed;
    pair.forEach((rung, i) => {
      fill(one, one.lanes[i], rung, at(rung, ms));
      one.lanes[i].text.scrollTop = one.lanes[i].text.scrollHeight;
    });
    if (ms >= end) show(one, one.data.best);
    else one.frame = requestAnimationFrame(tick);
  };
  one.frame = requestAnimationFrame(tick);
}

export default function ({ data, parentElement }) {
  let one = states.get(parentElement);
  if (one?.data.id === data.id) return one.leave;
  one?.leave();
  one = build(parentElement, data);
  states.set(parentElement, one);
  const still = matchMedia("(prefers-reduced-motion: reduce)").matches;
  one.button.onclick = () => race(one);
  one.range.oninput = () => show(one, Number(one.range.value));
  for (const { column, at: place } of one.columns) column.onclick = () => show(one, place);
  one.lanes.forEach((lane, i) => fill(one, lane, data.rungs[i && data.best], { tokens: 0, text: "", ended: false }));
  mark(one, data.best);
  say(one, data.words.racing, true);
  const seen = new IntersectionObserver((found) => {
    if (!found.some((entry) => entry.isIntersecting)) return;
    seen.disconnect();
    if (still) show(one, data.best);
    else race(one);
  }, { threshold: 0.25 });
  seen.observe(one.all);
  one.leave = () => {
    seen.disconnect();
    cancelAnimationFrame(one.frame);
    one.all.remove();
    states.delete(parentElement);
  };
  return one.leave;
}
