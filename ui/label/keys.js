/* Keys of the Label page that are pressed while the page is being drawn: one about an answer that is in sight waits until
   the page has settled, any other is refused, and that is said. A verdict is about an answer that was read, and no key is
   lost in silence. Keys on a settled page go to its own buttons. */

const states = new WeakMap();
const SETTLES_MS = 1500; /* From a press to the start of the run that it causes. */
const places = () => [...document.querySelectorAll(".st-key-label_keys [class*='st-key-label_']")];
const sight = () => places().map((e) => /st-key-\S+/.exec(e.className)[0]).join();
const running = () => document.querySelector("[data-test-script-state]")?.getAttribute("data-test-script-state") !== "notRunning";

function pressed(event, one) {
  const key = event.key.toUpperCase();
  const name = one.data.keys[key];
  if (!name || event.repeat || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("textarea, select, [contenteditable], input:not([type=checkbox], [type=radio])")) return;
  const there = sight();
  const switched = event.target.closest?.("input") != null; /* The page's buttons do not listen while a switch has the focus. */
  const answered = there === one.answered && (running() || performance.now() - one.when < SETTLES_MS);
  if (!running() && !answered && !switched) {
    took(one, there);
    return; /* The page's own button has it. */
  }
  event.preventDefault();
  event.stopImmediatePropagation();
  if (one.waiting || !there || answered) refuse(one, key);
  else {
    one.waiting = setInterval(() => {
      if (running()) return;
      stop(one);
      const button = document.querySelector(`.st-key-label_keys [class*='st-key-label_${name}_'] button`);
      if (sight() !== there || !button) return refuse(one, key);
      took(one, there);
      button.click();
    }, 20);
  }
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
