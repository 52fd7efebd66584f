// The lesson on a projector: one slide at a time, turned by keys. It stands above lesson.js, whose functions it calls.
// The slides are HTML that the core has written, every text in it escaped; all other texts are set as text.

const stages = new WeakMap();
const SHELL = `<main></main><div class="bar"><span class="steps"></span><span class="mark"></span><span class="room"></span>
<button type="button" data-way="-1"></button><button type="button" data-way="1"></button><button type="button" data-leave></button></div>`;
const JOIN = `<section class="join" id="join"><div><p class="words"></p><p class="code"></p><p class="address"></p><p class="here"></p></div>
<img alt=""></section>`;

function build(root, data) {
  const stage = document.createElement("div");
  stage.className = "lesson stage";
  stage.innerHTML = SHELL;
  stage.setAttribute("role", "region");
  stage.setAttribute("aria-label", data.words.stage);
  const main = stage.querySelector("main");
  main.innerHTML = (data.join ? JOIN : "") + data.slides;
  root.append(stage);
  const one = { stage, main, root, id: data.id, stops: data.stops, at: -1, n: 0, timer: 0, live: {} };
  for (const button of stage.querySelectorAll("[data-way]")) button.onclick = () => move(one, Number(button.dataset.way));
  stage.querySelector("[data-leave]").onclick = () => one.trigger("leave", true);
  for (const summary of main.querySelectorAll("summary[data-act]")) {
    summary.onclick = (event) => { event.preventDefault(); act(one); };
  }
  bring(main);
  setSentences(main);
  return one;
}

/* The sentences of an answer, each with its mathematics set by `setText` of ui/common/mathml.js. */
function setSentences(place) {
  for (const sentence of place.querySelectorAll(".answer-text span")) {
    setText(sentence, sentence.textContent);
    // A button that is all mathematics has no name for a screen reader: MathML gives none.
    if (sentence.getAttribute("role") === "button" && sentence.querySelector("math"))
      sentence.setAttribute("aria-label", sentence.textContent.trim());
  }
}

const stepOf = (stop) => stop.replace(/-shown$/, "");
const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;

function move(one, way) {
  const at = one.at + way;
  if (!one.mine || at < 0 || at >= one.stops.length) return;
  one.n += 1;
  show(one, at, true);
  one.trigger("moved", { stop: one.stops[at], n: one.n });
}

/* What Space does: plays, reveals, tries the next budget. */
function act(one) {
  const next = one.stops[one.at + 1];
  if (next && stepOf(next) === stepOf(one.stops[one.at])) move(one, 1);
  else one.main.querySelector("section.here [data-act]:not(summary)")?.click();
}

function show(one, at, byKey) {
  const before = one.at < 0 ? "" : stepOf(one.stops[one.at]), step = stepOf(one.stops[at]);
  one.at = at;
  for (const section of one.main.querySelectorAll("section")) section.classList.toggle("here", section.id === step);
  const here = one.main.querySelector("section.here");
  const details = here.querySelector("details[data-shown]");
  if (details) details.open = one.stops[at].endsWith("-shown");
  here.classList.toggle("shown", one.stops[at].endsWith("-shown"));
  one.stage.querySelector(".steps").textContent = here.querySelector(".place span")?.textContent ?? "";
  one.stage.querySelector(".bar .mark").textContent = here.querySelector(".place .mark")?.textContent ?? "";
  for (const button of one.stage.querySelectorAll("[data-way]")) {
    button.disabled = !one.mine || !(at + Number(button.dataset.way) in one.stops);
  }
  one.stage.querySelector(".room").hidden = step === "join";
  if (before === step) return;
  clearInterval(one.timer);
  if (byKey && !still()) begin(one, here);
}

/* A slide that was just turned to plays its answers, or tries its budgets one after the other. */
function begin(one, here) {
  const play = here.querySelector("[data-play]"), search = here.querySelector("[data-search]");
  play?.click();
  if (!search) return;
  const next = search.querySelector("[data-act]");
  next.click();
  one.timer = setInterval(() => {
    if (next.textContent === next.dataset.again) clearInterval(one.timer);
    else next.click();
  }, 1500);
  search.addEventListener("pointerdown", () => clearInterval(one.timer), { once: true });
}

function update(one, data) {
  one.mine = data.mine;
  const { stage, main } = one;
  const [back, next, leave] = stage.querySelectorAll(".bar button");
  back.textContent = "←"; back.setAttribute("aria-label", data.words.back);
  next.textContent = "→"; next.setAttribute("aria-label", data.words.next);
  leave.textContent = data.words.leave; leave.hidden = !data.words.leave;
  stage.querySelector(".room").textContent = data.words.room;
  if (data.join) {
    const join = main.querySelector("#join");
    for (const name of ["words", "code", "address", "here"]) {
      const place = join.querySelector(`.${name}`);
      if (place.textContent !== data.join[name]) place.textContent = data.join[name];
    }
    const picture = join.querySelector("img");
    picture.alt = data.join.alt;
    if (picture.src !== data.join.qr) picture.src = data.join.qr;
  }
  for (const [name, html] of Object.entries(data.live)) {
    if (one.live[name] === html) continue;
    const place = main.querySelector(`[data-live="${name}"]`);
    place.innerHTML = one.live[name] = html;
    setSentences(place);
  }
  const at = one.stops.indexOf(data.stop);
  if (one.at < 0 || (data.n >= one.n && at !== one.at)) show(one, at, one.at >= 0);
  one.n = Math.max(one.n, data.n);
}

export default function ({ data, parentElement, setTriggerValue }) {
  let one = stages.get(parentElement);
  if (one?.id !== data.id) {
    one?.leave();
    one = build(parentElement, data);
    stages.set(parentElement, one);
    const mine = one;
    const keys = (event) => {
      const way = wayOf(event);
      if (way === undefined) return;
      event.preventDefault();
      event.stopPropagation();
      if (way) move(mine, way);
      else act(mine);
    };
    document.addEventListener("keydown", keys, true);
    one.leave = () => {
      document.removeEventListener("keydown", keys, true);
      clearInterval(mine.timer);
      mine.stage.remove();
      stages.delete(parentElement);
    };
  }
  one.trigger = setTriggerValue;
  update(one, data);
  return one.leave;
}
