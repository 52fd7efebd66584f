// The lesson as a file: its steps stand one below the other.
bring(document);
document.addEventListener("keydown", (event) => {
  const way = wayOf(event);
  if (!way) return;
  const sections = [...document.querySelectorAll("section")];
  const tops = sections.map((section) => section.getBoundingClientRect().top);
  const to = way > 0 ? tops.findIndex((top) => top > 40) : tops.findLastIndex((top) => top < -40);
  if (to >= 0 || way < 0) {
    event.preventDefault();
    (sections[to] ?? document.querySelector("header")).scrollIntoView();
  }
});
