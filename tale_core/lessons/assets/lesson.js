"use strict";
// What moves on the lesson's slides: replays what was recorded; nothing is asked of any other place.
const bring = (root) => {
  const $$ = (selector, within = root) => [...within.querySelectorAll(selector)];
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

    const draw = (follow = running) => {
      for (const tape of tapes) {
        const done = tape.pieces.filter((piece) => piece[0] <= at);
        const text = at >= tape.end ? tape.text : done.map((piece) => piece[1]).join("");
        if (tape.shown !== text) {
          tape.shown = text;
          // Mathematics is set once it is whole, where the page can.
          if (at >= tape.end && typeof setText === "function") setText(tape.pre, text);
          else tape.pre.textContent = text;
          tape.pre.scrollTop = follow ? tape.pre.scrollHeight : 0;
        }
        tape.count.textContent = at >= tape.end ? tape.ended : tape.sofar.replace("#", done.length);
      }
      time.textContent = `${clock(at)} / ${clock(end)}`;
      play.textContent = running ? play.dataset.pause : at >= end ? play.dataset.again : play.dataset.play;
      all.disabled = at >= end;
      deck.parentElement.querySelector("[data-after]")?.classList.toggle("later", at < end);
    };
    const tick = (now) => {
      if (!running || !deck.isConnected) return;
      at = Math.min(end, at + (now - before) * Number(speed.value));
      before = now;
      running = at < end;
      draw(true);  // What was played to its end stays there.
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
    const next = search.querySelector("[data-act]"), told = search.querySelector("[data-told]");
    const words = JSON.parse(search.querySelector("script").textContent);
    let at = last;
    const draw = () => {
      for (const part of $$("[data-step]", search)) part.classList.toggle("later", Number(part.dataset.step) > at);
      told.textContent = words[at];
      search.querySelector("[data-last]").classList.toggle("later", at < last);
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
    box.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      guess.querySelector("details").open = true;
      box.blur();
    });
  }

  for (const sentence of $$("[data-strike] span")) {
    const strike = () => sentence.setAttribute("aria-pressed", sentence.getAttribute("aria-pressed") !== "true");
    sentence.addEventListener("click", strike);
    sentence.addEventListener("keydown", (event) => {
      if (event.key !== "Enter") return;
      event.preventDefault();
      strike();
    });
  }
};
// Where a key goes: 1 to what comes next, -1 back, 0 acts on what is shown; undefined where it is not ours.
const wayOf = (event) => {
  const here = event.composedPath()[0];
  if (here.closest?.("input,select,textarea") || event.altKey || event.ctrlKey || event.metaKey) return undefined;
  if (event.key === " " && here.closest?.("button,summary")) return undefined;
  return { ArrowRight: 1, PageDown: 1, ArrowLeft: -1, PageUp: -1, " ": 0 }[event.key];
};
