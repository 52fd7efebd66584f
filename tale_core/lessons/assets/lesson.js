"use strict";
// Replays what was recorded, in this file alone: nothing is asked of any other place.
(() => {
  const $$ = (selector, root = document) => [...root.querySelectorAll(selector)];
  const clock = (ms) => `${Math.floor(ms / 60000)}:${String(Math.floor(ms / 1000) % 60).padStart(2, "0")}`;

  for (const deck of $$("[data-deck]")) {
    const tapes = $$("[data-tape]", deck).map((answer) => ({
      pre: answer.querySelector("pre"), count: answer.querySelector("[data-count]"),
      ...JSON.parse(answer.querySelector("script").textContent),
    }));
    const end = Math.max(...tapes.map((tape) => tape.end));
    const play = deck.querySelector("[data-play]"), all = deck.querySelector("[data-all]");
    const speed = deck.querySelector("select"), time = deck.querySelector("[data-time]");
    let at = end, before = 0, running = false;

    const draw = () => {
      for (const tape of tapes) {
        const done = tape.pieces.filter((piece) => piece[0] <= at);
        const text = at >= tape.end ? tape.text : done.map((piece) => piece[1]).join("");
        if (tape.pre.textContent !== text) {
          tape.pre.textContent = text;
          tape.pre.scrollTop = running ? tape.pre.scrollHeight : 0;
        }
        tape.count.textContent = at >= tape.end ? tape.ended : tape.sofar.replace("#", done.length);
      }
      time.textContent = `${clock(at)} / ${clock(end)}`;
      play.textContent = running ? play.dataset.pause : at >= end ? play.dataset.again : play.dataset.play;
      all.disabled = at >= end;
    };
    const tick = (now) => {
      if (!running) return;
      at = Math.min(end, at + (now - before) * Number(speed.value));
      before = now;
      running = at < end;
      draw();
      if (running) requestAnimationFrame(tick);
    };
    play.addEventListener("click", () => {
      running = !running;
      if (running) {
        if (at >= end) at = 0;
        before = performance.now();
        requestAnimationFrame(tick);
      }
      draw();
    });
    all.addEventListener("click", () => { running = false; at = end; draw(); });
    draw();
  }

  for (const search of $$("[data-search]")) {
    const last = Number(search.dataset.search), back = search.querySelector("[data-back]");
    const next = search.querySelector("[data-next]"), told = search.querySelector("p[data-told]");
    let at = last;
    const draw = () => {
      for (const part of $$("[data-step]", search)) part.classList.toggle("later", Number(part.dataset.step) > at);
      const row = search.querySelector(`tr[data-step="${at}"]`);
      told.textContent = row ? row.dataset.told : "";
      back.disabled = at <= 0;
      next.textContent = at >= last ? next.dataset.again : next.dataset.label;
    };
    back.addEventListener("click", () => { at = Math.max(0, at - 1); draw(); });
    next.addEventListener("click", () => { at = at >= last ? 0 : at + 1; draw(); });
    draw();
  }

  for (const guess of $$("[data-guess]")) {
    const actual = Number(guess.dataset.guess), box = guess.querySelector("input");
    const score = guess.querySelector("[data-score]");
    box.addEventListener("input", () => {
      const mine = Number(box.value);
      score.textContent = mine > 0
        ? score.dataset.words.replace("#", Math.round((100 * Math.min(mine, actual)) / Math.max(mine, actual))) : "";
    });
  }

  const sections = $$("section");
  document.addEventListener("keydown", (event) => {
    if (event.target.closest("input,select,textarea,pre") || event.altKey || event.ctrlKey || event.metaKey) return;
    const way = { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1 }[event.key];
    if (!way) return;
    const tops = sections.map((section) => section.getBoundingClientRect().top);
    const to = way > 0 ? tops.findIndex((top) => top > 40) : tops.findLastIndex((top) => top < -40);
    if (to >= 0 || way < 0) {
      event.preventDefault();
      (sections[to] ?? document.querySelector("header")).scrollIntoView();
    }
  });
})();
