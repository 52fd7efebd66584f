"""One question under smaller and smaller budgets: what the first page shows before any model is there.

It is a recorded sweep with one answer a budget. All that is drawn of it is said here, so that the page's script says
nothing of its own.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from tale_core.calls.comparison import compare, race_axis
from tale_core.calls.outcomes import TICKS, outcome_kind
from tale_core.i18n import joined, language, t, tn
from tale_core.lessons import lesson
from tale_core.lessons.recorded import Recording, Tape, in_language
from tale_core.types import CallRecord, Language, Outcome

SHOWN_S = 7.0
"""Seconds that the longer of the two answers takes on the page: its verdict is there within 15, loading and all."""


@dataclass(frozen=True, slots=True)
class Rung:
    """One answer: the one without a budget, or one under a budget.

    Attributes:
        budget: None without one.
        tokens: Output tokens.
    """

    budget: int | None
    tokens: int
    call: CallRecord
    tape: Tape

    @property
    def seconds(self) -> float:
        """How long it took, from the asking."""
        return (self.tape.end_ms - self.tape.start_ms) / 1000


def ladder_recording(spoken: Language | None = None) -> Recording:
    """The recording that the first page shows in a language, the reader's when None.

    Raises:
        InputError: It cannot be read.
    """
    return in_language("ladder", spoken)


def rungs(recording: Recording) -> list[Rung]:
    """Its answers, the one without a budget first and then the budgets from the largest to the smallest."""
    pairs = zip(recording.session.calls, recording.tapes, strict=True)
    found = [
        Rung(c.requested_budget, c.completion_tokens or 0, c, tape)
        for c, tape in pairs
        if c.role in ("vanilla", "probe") and c.repeat_index == 0
    ]
    return sorted(found, key=lambda r: -(r.budget or 1_000_000))


def best(found: list[Rung]) -> int:
    """The place of the right answer under a budget that took the fewest tokens; of several the largest budget's."""
    right = [at for at, r in enumerate(found) if r.budget and r.call.outcome is Outcome.CORRECT]
    return min(right, key=lambda at: (found[at].tokens, at))


def document(recording: Recording) -> dict[str, Any]:
    """All that is drawn and said, JSON-safe.

    `rungs` hold a `tape` (milliseconds and letters of every piece) where they race: the first and the one at `best`.
    """
    found = rungs(recording)
    at = best(found)
    racing = (0, at)
    slowest = max(found[i].seconds for i in racing)
    speed = max(1, round(slowest / SHOWN_S))
    return {
        "id": f"{recording.name}-{language()}",
        "mark": lesson.mark(recording),
        "question": recording.session.question.text,
        "axis": race_axis(found[0].tokens),
        "highest": max(r.tokens for r in found),
        "best": at,
        "speed": speed,
        "words": _words(recording, found, speed),
        "rungs": [
            {
                "budget": r.budget,
                "name": named(r),
                "title": t("Vanilla") if r.budget is None else t("Budget {budget:,}", budget=r.budget),
                "tokens": r.tokens,
                "count": counted(r),
                "color": outcome_kind(r.call.outcome).color,
                "sign": TICKS.get(r.call.outcome, outcome_kind(r.call.outcome).sign),
                "text": r.call.text,
                "added": _added(recording, r),
                "verdict": _verdict(found, at, i),
                "tape": [[p[0], p[1]] for p in r.tape.pieces] if i in racing else [],
                "end": round(r.seconds * 1000),
            }
            for i, r in enumerate(found)
        ],
    }


def counted(rung: Rung) -> str:
    """Its tokens and its outcome, in words."""
    kind = outcome_kind(rung.call.outcome)
    tokens = tn("{n} token", "{n} tokens", rung.tokens)
    return t("{tokens}, {outcome}", tokens=tokens, outcome=t(kind.phrase))


def _added(recording: Recording, rung: Rung) -> str:
    if rung.budget is None:
        return t("Nothing is added to the prompt.")
    return t("Added to the prompt: “{words}”", words=lesson.budget_words(recording, rung.budget))


def _verdict(found: list[Rung], at: int, i: int) -> str:
    """What this rung shows against the answer without a budget, and a rebound where there is one."""
    here, top = found[i], found[at]
    if here.budget is None:
        return t("Without a budget it wrote {tokens}. Ask for less.", tokens=counted(here))
    sentence = compare(found[0].call, here.call, None).sentence
    if i > at and here.tokens > top.tokens:
        more = t(
            "A rebound: asked for {less} it wrote {n}, asked for {more} only {m}.",
            less=here.budget, n=here.tokens, more=top.budget, m=top.tokens,
        )  # fmt: skip
        return joined(sentence, more)
    return sentence


def _words(recording: Recording, found: list[Rung], speed: int) -> dict[str, str]:
    values = {"speed": speed, "machine": recording.made.machine}
    pace = (
        t("{speed} times as fast as it was written, one answer at a time ({machine}).", **values)
        if speed > 1
        else t("As fast as it was written, one answer at a time ({machine}).", **values)
    )
    listing = "; ".join(f"{named(r)}: {counted(r)}" for r in found)
    return {
        "writing": t("about {n} tokens so far", n="{n}"),
        "reading": t("reading the question…"),
        "racing": t("The same question to the same model, twice: which answer is there first?"),
        "slide": t("Slide: ask for fewer and fewer tokens"),
        "asked": t("╌ asked for"),
        "replay": t("Play again"),
        "chart": t("Output tokens under every budget: {rungs}", rungs=listing),
        "about": joined(pace, recording.reason),
    }


def named(rung: Rung) -> str:
    """Its budget, short enough for an axis."""
    return t("none") if rung.budget is None else f"{rung.budget:,}"
