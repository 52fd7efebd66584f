/* Keys of the Label page that are pressed while the next answer is loading are refused, and that is said: a verdict is
   about an answer that was in sight. The page's own buttons do the rest. */

const states = new WeakMap();
const buttons = () => [...document.querySelectorAll(".st-key-label_keys [class*='st-key-label_']")].map((e) => e.className).join();
const running = () => {
  const state = document.querySelector("[data-test-script-state]")?.getAttribute("data-test-script-state");
  return state !== undefined && state !== "notRunning";
};

function pressed(event, one) {
  const key = event.key.toUpperCase();
  if (!one.data.keys.includes(key) || event.ctrlKey || event.metaKey || event.altKey) return;
  if (event.target.closest?.("input, textarea, select, [contenteditable]")) return;
  const there = buttons();
  const waits = there ? there === one.judged && (running() || performance.now() - one.when < 1500) : running();
  if (waits) {
    event.preventDefault();
    event.stopImmediatePropagation();
    one.note.textContent = one.data.refused.replace("{key}", key);
    return;
  }
  one.note.textContent = "";
  one.judged = there;
  one.when = performance.now();
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
  one = { data, note, judged: null, when: 0 };
  const listener = (event) => pressed(event, one);
  window.addEventListener("keydown", listener, true);
  one.leave = () => {
    window.removeEventListener("keydown", listener, true);
    note.remove();
    states.delete(parentElement);
  };
  states.set(parentElement, one);
  return one.leave;
}
