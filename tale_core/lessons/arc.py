"""What the lesson shows of its one question: every number of it is an answer of one recorded ladder of budgets.

Its search halves the budget, as TALE's does, among the budgets that were recorded, so that each of its answers is a
recorded one and agrees with what the other steps say.
"""

from __future__ import annotations

import itertools
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple

from tale_core.ask.run import AskView
from tale_core.calls.comparison import all_in_tokens, compare
from tale_core.calls.outcomes import OUTCOMES
from tale_core.calls.settling import Settled, sentence_ends, settled_place
from tale_core.i18n import SOURCE, joined, language, t, tn
from tale_core.lessons.ladder import Rung, counted, ladder_recording, rungs
from tale_core.lessons.recorded import Recording, bundled
from tale_core.lessons.replay import whole
from tale_core.stats import break_even
from tale_core.types import Language, Outcome

_NUMBER = re.compile(r"\s*\d+[.)]\s*")
MANY = 1000
"""Questions that the last step counts with."""


@dataclass(frozen=True)
class Arc:
    """The lesson of one language.

    Attributes:
        ladder: The recorded answers to all budgets.
        closed: Two of them as an Ask, whose answer without a budget was closed at its steps.
        rebounds: A ladder in which a smaller budget costs more: this one, or the one of another language.
    """

    ladder: Recording
    closed: Recording
    rebounds: Recording

    @cached_property
    def rungs(self) -> list[Rung]:
        """All answers, the one without a budget first, then from the largest budget to the smallest."""
        return rungs(self.ladder)

    @property
    def vanilla(self) -> Rung:
        """The answer without a budget."""
        return self.rungs[0]

    @cached_property
    def tried(self) -> list[Rung]:
        """The answers of the search in its order, the one without a budget first."""
        return halved(self.rungs)

    @property
    def first(self) -> Rung:
        """The first budget that the search tries."""
        return self.tried[1]

    @property
    def best(self) -> Rung:
        """The cheapest right answer of the search."""
        return cheapest(self.tried)

    @cached_property
    def settled(self) -> Settled:
        """Where the answer without a budget was there already."""
        view = whole(self.closed)
        assert isinstance(view, AskView), self.closed.name
        return view.settled["vanilla"]

    @property
    def borrowed(self) -> bool:
        """No ladder of this language rebounds: the one that is shown is of another."""
        return self.rebounds is not self.ladder

    @property
    def recordings(self) -> tuple[Recording, ...]:
        """Everything that it shows, each once."""
        return tuple({one.name: one for one in (self.ladder, self.closed, self.rebounds)}.values())


def lesson_arc(spoken: Language | None = None) -> Arc:
    """The lesson in a language, the reader's when None; where it has none, the English one.

    Raises:
        InputError: A bundled recording cannot be read.
    """
    spoken, there = spoken or language(), bundled()
    ladder = ladder_recording(spoken)
    closed = there.get(f"lesson-{spoken}") or there[f"lesson-{SOURCE}"]
    return Arc(ladder, closed, ladder if rebound(rungs(ladder)) else ladder_recording(SOURCE))


def halved(found: Sequence[Rung]) -> list[Rung]:
    """The search: of the budgets that were recorded, always the one nearest to half of the one before.

    It begins at half of what the answer without a budget took, and ends with the first answer that is not right or
    costs more than the one before it, or with the smallest budget.
    """
    tried, goal = [found[0]], found[0].tokens / 2
    left = [r for r in found if r.budget]
    while left:
        here = min(left, key=lambda r: abs(math.log((r.budget or 1) / goal)))
        before = tried[-1]
        tried.append(here)
        if here.call.outcome is not Outcome.CORRECT or here.tokens > before.tokens:
            break
        goal = (here.budget or 1) / 2
        left = [r for r in left if (r.budget or 0) < (here.budget or 0)]
    return tried


def cheapest(found: Sequence[Rung]) -> Rung:
    """The right answer with the fewest tokens; of several the one with the largest budget."""
    return min((r for r in found if r.call.outcome is Outcome.CORRECT), key=lambda r: r.tokens)


def rebound(found: Sequence[Rung]) -> tuple[Rung, Rung] | None:
    """The right answer with the fewest tokens, and the smaller budget whose answer took most more; None without one."""
    top = cheapest(found)
    below = [r for r in found if r.budget and top.budget and r.budget < top.budget and r.tokens > top.tokens]
    return (top, max(below, key=lambda r: r.tokens)) if below else None


# What the steps say


def budget_words(arc: Arc) -> str:
    """What the first budget did, outcome and saving."""
    return compare(arc.vanilla.call, arc.first.call, None).sentence


def tried_words(arc: Arc, at: int) -> str:
    """What an answer of the search told."""
    here, before = arc.tried[at], arc.tried[at - 1]
    if not at:
        return t("Without a budget it wrote {tokens}. Ask for less.", tokens=counted(here))
    head = t("Asked for {budget} it wrote {tokens}.", budget=here.budget, tokens=counted(here))
    if here.call.outcome is not Outcome.CORRECT:
        return joined(head, t("Too small: the search ends."))
    if here.tokens > before.tokens:
        return joined(head, t("That is more than before: the search ends."))
    if at == len(arc.tried) - 1:
        return joined(head, t("There is no smaller budget: the search ends."))
    return joined(head, t("About half of it is next."))


def search_words(arc: Arc) -> str:
    """What the search found, and what for."""
    n = len(arc.tried)
    found = t(
        "Found: asked for {budget} it is right with {tokens} tokens instead of {vanilla}.",
        budget=arc.best.budget, tokens=f"{arc.best.tokens:,}", vanilla=f"{arc.vanilla.tokens:,}",
    )  # fmt: skip
    cost = tn("Finding it took {n} answer with {spent} output tokens.",
              "Finding it took {n} answers with {spent} output tokens.", n, spent=f"{spent(arc):,}")  # fmt: skip
    return joined(found, cost)


def rebound_words(arc: Arc) -> str:
    """The rebound with both numbers; where it is another language's, that is said first."""
    found = rebound(rungs(arc.rebounds))
    if found is None:
        return t("No smaller budget cost more than a larger one on this question: no rebound was seen.")
    top, more = found
    words = t(
        "A rebound: asked for {less} it wrote {n}, asked for {more} only {m}.",
        less=more.budget, n=more.tokens, more=top.budget, m=top.tokens,
    )  # fmt: skip
    if not arc.borrowed:
        return words
    return joined(borrowed_words(), words)


def borrowed_words() -> str:
    """Why a rebound is shown in another language."""
    # How they were tried stands in data/README.md.
    return t("Of twenty questions of this language none rebounded beyond chance. This one is in English.")


def needed_words(arc: Arc) -> str:
    """How much of the answer without a budget was needed, beside the shortest right answer."""
    shortest = t(
        "Asked for {budget} tokens, the same model came to the same answer in {tokens}.",
        budget=arc.best.budget, tokens=arc.best.tokens,
    )  # fmt: skip
    return joined(arc.settled.sentence, shortest)


def spent(arc: Arc) -> int:
    """Output tokens of the search."""
    return sum(r.tokens for r in arc.tried)


def cost_words(arc: Arc) -> str:
    """What it means for many questions like this one, and when the search has paid for itself."""
    many = t(
        "{n} such questions: {vanilla} output tokens without a budget, {best} with the best one.",
        n=f"{MANY:,}", vanilla=f"{MANY * arc.vanilla.tokens:,}", best=f"{MANY * arc.best.tokens:,}",
    )  # fmt: skip
    cost, saved = sum(r.tokens for r in arc.tried[1:]), arc.vanilla.tokens - arc.best.tokens
    paid = break_even(cost, saved)
    if paid is None:
        return many
    back = tn(
        "Besides the answer without a budget the search took {cost} tokens, and each answer saves {saved}: "
        "it has paid for itself after {n} more answer.",
        "Besides the answer without a budget the search took {cost} tokens, and each answer saves {saved}: "
        "it has paid for itself after {n} more answers.",
        paid, cost=f"{cost:,}", saved=f"{saved:,}",
    )  # fmt: skip
    return joined(many, back)


class Line(NamedTuple):
    """A row of the table that the lesson ends with."""

    what: str
    output_tokens: str
    all_in_tokens: str
    outcome: str


def summary(arc: Arc) -> list[Line]:
    """The answers of the lesson and what finding the best one cost, a row each."""
    named = ((t("Vanilla"), arc.vanilla), (_asked(arc.first), arc.first), (_asked(arc.best), arc.best))
    lines = [
        Line(name, f"{r.tokens:,}", _number(all_in_tokens(r.call)), OUTCOMES[r.call.outcome].word)
        for name, r in dict(named).items()
    ]
    all_in = [all_in_tokens(r.call) for r in arc.tried]
    every = None if None in all_in else sum(n or 0 for n in all_in)
    asked = tn("Finding it: {n} answer", "Finding it: {n} answers", len(arc.tried))
    return [*lines, Line(asked, f"{spent(arc):,}", _number(every), "–")]


def _asked(rung: Rung) -> str:
    return t("Budget {budget:,}", budget=rung.budget)


def _number(value: int | None) -> str:
    return t("unknown") if value is None else f"{value:,}"


# The sentences of the answer without a budget


class Sentence(NamedTuple):
    """A part of an answer.

    Attributes:
        text: With what stands between it and the next one.
        after: Whether it came after the answer was settled.
    """

    text: str
    after: bool


def sentences(text: str) -> tuple[str, ...]:
    """The text in its sentences and lines, a list's number with its line; together they are the text."""
    ends = [0, *sentence_ends(text), len(text)]
    parts: list[str] = []
    for part in (text[a:b] for a, b in itertools.pairwise(ends)):
        if parts and (not part.strip() or _NUMBER.fullmatch(parts[-1])):
            parts[-1] += part
        else:
            parts.append(part)
    return tuple(parts)


def answer_sentences(arc: Arc) -> tuple[Sentence, ...]:
    """The sentences that a class may strike out: those of the answer without a budget."""
    call = arc.vanilla.call
    place = settled_place(call, arc.settled)
    begins = itertools.accumulate(map(len, sentences(call.text)), initial=0)
    return tuple(Sentence(part, at >= place) for part, at in zip(sentences(call.text), begins, strict=False))


def struck_by(n: int, strikes: Mapping[str, Sequence[int]]) -> list[int]:
    """How many students struck out each of `n` sentences.

    Args:
        n: Sentences.
        strikes: By student.
    """
    return [sum(at in mine for mine in strikes.values()) for at in range(n)]
