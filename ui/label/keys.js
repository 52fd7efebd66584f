/* Keys of the Label page that are pressed while the page is being drawn: one about an answer that is in sight waits until
   the page has settled, any other is refused, and that is said. A verdict is about an answer that was read, and no key is
   lost in silence. The buttons' own shortcuts would do on a settled page, but they listen a moment after they are in sight. */

const states = new WeakMap();
const SETTLES_MS = 1500; /* From a press to the start of the run that it causes. */
const places = () => [...document.querySelectorAll(".st-key-label_keys [class*='st-key-label_']")];
const sight = () => places().map((e) => /st-key-\S+/.exec(e.className)[0]).join();
const running = () => document.querySelector("[data-test-script-state]")?.getAttribute("data-test-script-state") !== "notRunning";

function pressed(event, one) {
  const there = sight();
  if (there !== one.answered) one.answered = null; /* Something else was in sight since, the box for a known answer for one. */
  const key = event.key.toUpperCase();
  const name = one.data.keys[key];
  if (!name || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("textarea, select, [contenteditable], input:not([type=checkbox], [type=radio])")) return;
  if (!there && !running()) return; /* Nothing to judge: the box for a known answer, or the end. */
  const answered = there === one.answered && (running() || performance.now() - one.when < SETTLES_MS);
  event.preventDefault();
  event.stopImmediatePropagation();
  if (one.waiting || !there || answered) refuse(one, key);
  else if (!running()) press(one, key, name, there);
  else {
    one.waiting = setInterval(() => {
      if (running()) return;
      stop(one);
      press(one, key, name, there);
    }, 20);
  }
}

function press(one, key, name, there) {
  const button = document.querySelector(`.st-key-label_keys [class*='st-key-label_${name}_'] button`);
  if (sight() !== there || !button) return refuse(one, key);
  if (button.disabled) return;
  took(one, there);
  button.click();
}

function took(one, there) {
  one.note.textContent = "";
  one.answered = there;
  one.when = performance.now();
}

function refuse(one, key) {
  one.note.textContent = one.data.refused.replace("{key}", key);
  one.refused += 1;
  one.note.dataset.refused = one.refused;
}

function stop(one) {
  clearInterval(one.waiting);
  one.waiting = null;
}

export default function ({ data, parentElement }) {
  let one = states.get(parentElement);
  if (one) {
    one.data = data;
    return one.leave;
  }
  const note = document.createElement("p");
  note.setAttribute("role", "status");
  note.style.cssText = "margin:0;font-size:14px;height:22px;overflow:hidden;color:var(--st-yellow-text-color,#8a5a00)";
  parentElement.append(note);
  one = { data, note, answered: null, when: 0, waiting: null, refused: 0 };
  const listener = (event) => pressed(event, one);
  window.addEventListener("keydown", listener, true);
  one.leave = () => {
    stop(one);
    window.removeEventListener("keydown", listener, true);
    note.remove();
    states.delete(parentElement);
  };
  states.set(parentElement, one);
  return one.leave;
}
