"""Which prompt template a model obeys: figures of measured answers, and the rule that chooses.

The rule:
1. Right enough. The share of right answers under the budgets is compared, question by question, with the best share
   that any template reaches without a budget (the reference). A template qualifies when it is at most `tolerance` lower
   and an exact one-sided sign-flip test does not call it worse at 0.1.
2. Of those, one whose answers get shorter with the number asked for ("follows") goes before one that shortens them
   whatever the number ("switch": small models then jump to the answer), and that before one that does nothing ("flat").
3. Of those, the fewest tokens all-in (prompt and answer) under the budgets; of equal ones the earlier in the list.
4. None qualifies, or nothing was right even without a budget, so that no loss could be seen: `paper`, with the reason.

Intervals over the answers of several budgets take them as independent, and say so.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal, NamedTuple

from tale_core.i18n import N_, t
from tale_core.prompts.messages import DEFAULT_TEMPLATE
from tale_core.stats import Interval, mean_interval, wilson
from tale_core.types import Outcome, judged

Curve = Literal["follows", "switch", "flat"]
CURVES: tuple[Curve, ...] = ("follows", "switch", "flat")
"""Best first."""
TOLERANCE = 0.10
"""Share of right answers that a budget may cost, as the default."""
WORSE_P = 0.1
"""A one-sided p below this calls a difference clear."""
SHORTER = 0.9
"""An answer of more than this share of the other's tokens is not called shorter."""
LEAST_QUESTIONS = 4
"""With fewer the exact tests could call nothing clear, so nothing is said about a curve."""
LEAST_KEPT = 2
"""Templates that are measured to the end at least."""


class Answer(NamedTuple):
    """One measured answer; `budget` None is the vanilla one, `question` its number in the plan.

    `visible` is the part of `tokens` that is no thinking; None when unknown: then all is held against a budget.
    """

    question: int
    budget: int | None
    outcome: Outcome
    tokens: int
    prompt_tokens: int
    refused: bool = False
    visible: int | None = None

    @property
    def judged(self) -> bool | None:
        """Right, not right, or not to be counted (None); see `tale_core.types.judged`."""
        return judged(self.outcome, refused=self.refused)

    @property
    def keeps(self) -> bool:
        """Within its budget; without one, as if it were 0."""
        return (self.tokens if self.visible is None else self.visible) <= (self.budget or 0)


Answers = Mapping[str, Sequence[Answer]]
"""By template, in the plan's order."""


@dataclass(frozen=True, slots=True)
class LevelFigures:
    """The answers of one template under one budget, or under all of them.

    Attributes:
        budget: Tokens; None without a budget, and for all budgets together.
        n: Answers that count; truncated, unparsed and refused ones are not right and are shown in `outcomes`.
        refused: Answers that a content filter refused; among `outcomes` they are errors.
        accuracy: Right answers over n with a Wilson 95 % interval; None when nothing could be judged.
        tokens: Mean answer tokens with a 95 % interval; None without an answer.
        all_in: Mean of prompt and answer tokens.
        within: Share of answers within their budget; None without a budget.
    """

    budget: int | None
    n: int
    right: int
    accuracy: Interval | None
    tokens: Interval | None
    all_in: float | None
    within: float | None
    outcomes: Mapping[Outcome, int]
    refused: int = 0


@dataclass(frozen=True, slots=True)
class TemplateFigures:
    """What one template was measured to do.

    Attributes:
        vanilla: Without a budget.
        levels: Under each budget, in the plan's order.
        budgeted: Under all budgets together; its interval takes answers to one question as independent.
        curve: How the length follows the budget (see the rule); None on fewer than LEAST_QUESTIONS questions.
        difference: Share of right answers under the budgets minus the reference's without one, paired by question,
            with a 95 % interval over questions; None when no question was judged under both.
        worse_p: How often chance alone gives a difference as low (exact, one-sided); None with it.
        qualifies: Right enough by the rule.
        dropped_after: Questions after which it was dropped; None when it was measured to the end.
    """

    name: str
    vanilla: LevelFigures
    levels: tuple[LevelFigures, ...]
    budgeted: LevelFigures
    curve: Curve | None
    difference: Interval | None
    worse_p: float | None
    qualifies: bool
    dropped_after: int | None = None


class Verdict(NamedTuple):
    """The template to use and why, in a sentence. `fallback`: none qualified."""

    template: str
    reason: str
    fallback: bool = False


def figures(
    answers: Answers, *, budgets: Sequence[int], tolerance: float, dropped: Mapping[str, int] | None = None
) -> tuple[TemplateFigures, ...]:
    """The figures of every template, compared with the reference of `reference`."""
    dropped = dropped or {}
    known = answers.get(reference(answers) or "", ())
    return tuple(_figures(name, found, known, budgets, tolerance, dropped.get(name)) for name, found in answers.items())


def reference(answers: Answers) -> str | None:
    """The template with the most right vanilla answers, of those asked without a budget most often; None before any."""
    judged = {name: [a for a in found if a.budget is None and a.judged is not None] for name, found in answers.items()}
    most = max(map(len, judged.values()), default=0)
    full = {name: sum(a.judged is True for a in found) for name, found in judged.items() if found}
    full = {name: right for name, right in full.items() if len(judged[name]) == most}
    return max(full, key=lambda name: full[name], default=None)


def choose(found: Sequence[TemplateFigures]) -> Verdict:
    """The template that the rule chooses among those measured to the end."""
    finalists = [f for f in found if f.dropped_after is None and f.qualifies and f.budgeted.all_in is not None]
    if not finalists or not _any_right(found):
        return Verdict(DEFAULT_TEMPLATE, _none_words(found), fallback=True)
    best = min(finalists, key=lambda f: (CURVES.index(f.curve or "flat"), f.budgeted.all_in))
    return Verdict(best.name, _best_words(best))


def kept(found: Sequence[TemplateFigures], *, budgets: Sequence[int], tolerance: float, answers: Answers) -> list[str]:
    """The templates worth measuring further: the better half (rounded up, two at least), in their order.

    Halfway the rule's tests would tell little, so the order is that of the means alone: templates that are right enough
    first, as the rule orders them; then the others, the least loss of right answers first.
    """

    def order(f: TemplateFigures) -> tuple[float, int, float]:
        loss = 1.0 if f.difference is None else -f.difference.mean
        curve = CURVES.index(_curve(answers[f.name], budgets, clear=_shorter_mean))
        all_in = math.inf if f.budgeted.all_in is None else f.budgeted.all_in
        return (round(loss, 9) if loss > tolerance + 1e-9 else -1.0), curve, all_in

    best = sorted(found, key=order)[: max(LEAST_KEPT, math.ceil(len(found) / 2))]
    return [f.name for f in found if f in best]


def sign_flip_p(differences: Iterable[Fraction]) -> float:
    """One-sided p of paired differences being below 0: how many flips of signs give a sum as low. Exact.

    Differences of 0 say nothing and are left out; with nothing left, p is 1.
    """
    clear = [d for d in differences if d]
    sums: Counter[Fraction] = Counter({Fraction(0): 1})
    for d in clear:
        flipped: Counter[Fraction] = Counter()
        for s, count in sums.items():
            flipped[s + d] += count
            flipped[s - d] += count
        sums = flipped
    observed = sum(clear, Fraction(0))
    as_low: int = sum(count for s, count in sums.items() if s <= observed)
    return as_low / (1 << len(clear))


def _figures(
    name: str,
    found: Sequence[Answer],
    known: Sequence[Answer],
    budgets: Sequence[int],
    tolerance: float,
    dropped_after: int | None,
) -> TemplateFigures:
    budgeted = [a for a in found if a.budget is not None]
    losses = _differences(budgeted, known)
    difference = mean_interval(tuple(map(float, losses)))
    p = sign_flip_p(losses) if losses else None
    return TemplateFigures(
        name=name,
        vanilla=_level(None, [a for a in found if a.budget is None]),
        levels=tuple(_level(b, [a for a in budgeted if a.budget == b]) for b in budgets),
        budgeted=_level(None, budgeted),
        curve=_curve(found, budgets, clear=_shorter)
        if len({a.question for a in budgeted}) >= LEAST_QUESTIONS
        else None,
        difference=difference,
        worse_p=p,
        qualifies=difference is not None and p is not None and difference.mean >= -tolerance - 1e-9 and p >= WORSE_P,
        dropped_after=dropped_after,
    )


def _level(budget: int | None, found: Sequence[Answer]) -> LevelFigures:
    counted = [right for a in found if (right := a.judged) is not None]
    asked = [a for a in found if a.budget is not None]
    return LevelFigures(
        budget=budget,
        n=len(counted),
        right=sum(counted),
        accuracy=wilson(sum(counted), len(counted)),
        tokens=mean_interval(tuple(float(a.tokens) for a in found)),
        all_in=sum(a.tokens + a.prompt_tokens for a in found) / len(found) if found else None,
        within=sum(a.keeps for a in asked) / len(asked) if asked else None,
        outcomes=Counter(a.outcome for a in found),
        refused=sum(a.refused for a in found),
    )


def _differences(budgeted: Sequence[Answer], known: Sequence[Answer]) -> list[Fraction]:
    """Share of right answers under the budgets minus the reference's, for each question judged under both."""
    vanilla = {a.question: right for a in known if a.budget is None and (right := a.judged) is not None}
    by_question: dict[int, list[bool]] = {}
    for a in budgeted:
        if (right := a.judged) is not None and a.question in vanilla:
            by_question.setdefault(a.question, []).append(right)
    return [Fraction(sum(rights), len(rights)) - vanilla[q] for q, rights in sorted(by_question.items())]


Pairs = Sequence[tuple[float, float]]


def _curve(found: Sequence[Answer], budgets: Sequence[int], *, clear: Callable[[Pairs], bool]) -> Curve:
    tokens = {(a.question, a.budget): a.tokens for a in found}
    questions = sorted({a.question for a in found})

    def pairs(less: Iterable[int], more: int | None) -> Pairs:
        """Mean tokens under the budgets `less`, and tokens under `more`, of each question that has them all."""
        small = list(less)
        whole = [q for q in questions if all((q, b) in tokens for b in (*small, more))]
        return [(sum(tokens[q, b] for b in small) / len(small), float(tokens[q, more])) for q in whole]

    if clear(pairs([min(budgets)], max(budgets))):
        return "follows"
    return "switch" if clear(pairs(budgets, None)) else "flat"


def _shorter_mean(pairs: Pairs) -> bool:
    return bool(pairs) and math.fsum(a for a, _ in pairs) <= SHORTER * math.fsum(b for _, b in pairs)


def _shorter(pairs: Pairs) -> bool:
    """The first of each pair is shorter: by a tenth on average, and by a one-sided sign test."""
    shorter, longer = sum(a < b for a, b in pairs), sum(a > b for a, b in pairs)
    n = shorter + longer
    p = sum(math.comb(n, k) for k in range(shorter, n + 1)) / (1 << n)
    return _shorter_mean(pairs) and p < WORSE_P


def _any_right(found: Sequence[TemplateFigures]) -> bool:
    return any(f.vanilla.right for f in found)


_CURVE_WORDS: dict[Curve, str] = {
    "follows": N_("its answers get shorter with the number asked for"),
    "switch": N_("a budget shortens its answers, but the number makes no clear difference"),
    "flat": N_("its answers do not clearly respond to a budget"),
}


_EARLIER = (
    N_("No answer could be judged, so the paper's wording stays."),
    N_(
        "Every wording loses too many right answers under a budget, so the paper's stays; the least loss is {points} "
        "points ({name})."
    ),
)
"""Reasons as files of earlier versions hold them."""


def _best_words(best: TemplateFigures) -> str:
    under, plain = best.budgeted, best.vanilla
    assert under.accuracy is not None and under.tokens is not None  # It qualifies, so it was judged.
    found = {"right": under.right, "n": under.n, "tokens": f"{under.tokens.mean:.0f}"}
    curve = t(_CURVE_WORDS[best.curve or "flat"])
    if plain.tokens is None:
        return t("Under a budget {right} of {n} answers are right with {tokens} tokens on average; {curve}.",
                 **found, curve=curve)  # fmt: skip
    return t(
        "Under a budget {right} of {n} answers are right with {tokens} tokens on average instead of {before} without "
        "one; {curve}.",
        **found,
        before=f"{plain.tokens.mean:.0f}",
        curve=curve,
    )


def _none_words(found: Sequence[TemplateFigures]) -> str:
    judged = [f for f in found if f.difference is not None]
    if not judged:
        return t("No answer could be judged, so the paper's prompt template stays.")
    if not _any_right(found):
        return t("No question was answered right even without a budget, so no loss can be seen and the paper's stays.")
    best = max(judged, key=lambda f: f.difference.mean if f.difference else -math.inf)
    assert best.difference is not None
    return t(
        "Every prompt template loses too many right answers under a budget, so the paper's stays; the least loss is "
        "{points} points ({name}).",
        points=f"{-100 * best.difference.mean:.0f}",
        name=best.name,
    )
