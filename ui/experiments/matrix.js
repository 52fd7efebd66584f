/* Questions x strategies as a grid that one moves in by the arrow keys; Enter, Space or a click opens an answer.
   Every word comes with the data and is set as text. */

const states = new WeakMap();

function element(name, words = "", attributes = {}) {
  const made = document.createElement(name);
  made.textContent = words;
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  return made;
}

function build(data, open) {
  const box = element("div", "", { class: "box" });
  box.style.setProperty("--height", `${data.height}px`);
  const table = element("table", "", { role: "grid", "aria-label": data.words.grid });
  const head = table.createTHead().insertRow();
  head.append(element("th", data.words.question, { scope: "col" }));
  for (const name of data.strategies) head.append(element("th", name, { scope: "col" }));
  const body = table.createTBody();
  const cells = data.cells.map((row, at) => {
    const line = body.insertRow();
    line.append(element("th", `${at + 1}. ${data.questions[at]}`, { scope: "row", title: data.questions[at] }));
    return row.map((cell, column) => {
      const words = cell ? `${at + 1} · ${data.strategies[column]}: ${cell[2]}` : data.words.none;
      const made = element("td", cell ? cell[0] : "–", { class: cell ? cell[1] : "none", title: words, "aria-label": words });
      made.setAttribute("role", "gridcell");
      made.tabIndex = -1;
      if (cell) made.onclick = () => open(at, column);
      line.append(made);
      return made;
    });
  });
  box.append(table);
  return { box, cells, at: 0, column: 0 };
}

function go(one, at, column, focus = true) {
  const row = Math.max(0, Math.min(one.cells.length - 1, at));
  const place = Math.max(0, Math.min(one.cells[row].length - 1, column));
  one.cells[one.at][one.column].tabIndex = -1;
  [one.at, one.column] = [row, place];
  const cell = one.cells[row][place];
  cell.tabIndex = 0;
  if (focus) cell.focus();
}

function mark(one, opened) {
  for (const cell of one.cells.flat()) cell.classList.remove("opened");
  if (opened) one.cells[opened[0]]?.[opened[1]]?.classList.add("opened");
}

const STEPS = { ArrowDown: [1, 0], ArrowUp: [-1, 0], ArrowRight: [0, 1], ArrowLeft: [0, -1], PageDown: [10, 0], PageUp: [-10, 0] };

export default function ({ data, parentElement, setTriggerValue }) {
  let one = states.get(parentElement);
  if (!one || one.id !== data.id) {
    one?.box.remove();
    one = build(data, (at, column) => {
      go(one, at, column);
      mark(one, [at, column]);
      setTriggerValue("opened", [at, column]);
    });
    one.id = data.id;
    one.box.onkeydown = (event) => {
      const step = STEPS[event.key];
      if (step) go(one, one.at + step[0], one.column + step[1]);
      else if (event.key === "Home") go(one, event.ctrlKey ? 0 : one.at, 0);
      else if (event.key === "End") go(one, event.ctrlKey ? one.cells.length : one.at, one.cells[0].length);
      else if (event.key === "Enter" || event.key === " ") one.cells[one.at][one.column].click();
      else return;
      event.preventDefault();
      event.stopPropagation();
    };
    parentElement.append(one.box);
    go(one, 0, 0, false);
    states.set(parentElement, one);
  }
  mark(one, data.opened);
}
