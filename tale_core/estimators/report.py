"""What a training found out, as plain numbers that JSON can hold. Imports nothing but the standard library."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Literal

Aim = Literal["median", "upper"]
AIMS: tuple[Aim, ...] = ("median", "upper")
MORE = 50
"""Further searches that the learning curve speaks about."""


@dataclass(frozen=True, slots=True)
class Figure:
    """A number with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class CandidateScore:
    """How well one candidate predicted optima of questions it had not seen.

    What matters in the end, accuracy and all-in tokens of the answers under these budgets, cannot be told from optima:
    an experiment measures it.

    Attributes:
        asks_model: It needs the model's own estimate, which costs a call.
        n: Questions predicted; those without the model's own estimate are left out where it is needed.
        mae_tokens: Mean absolute error of the middle prediction, in tokens (bootstrap).
        error_factor: The middle prediction is off by this factor on (geometric) average; 1 is perfect.
        pinball: Pinball loss at the aimed quantile, of logarithms (bootstrap): candidates are compared by it.
        pinball_tokens: The same loss in tokens.
        coverage: Share of optima inside the 90 % interval (Wilson); None without an interval.
        interval_factor: The interval reaches from the prediction divided by this to the prediction times this.
        spearman: Rank correlation of predictions and optima (bootstrap); None when the predictions do not differ.
        gain: By how much its pinball loss is lower than the constant's on the same questions, as a share of that
            (bootstrap over pairs); above 0 throughout means better beyond noise. None for the constant itself.
        enough: Share of questions whose budget is at least the searched optimum (Wilson).
        mean_budget: Tokens asked for, on average: the price of `enough`.
        setting: The setting that cross-validation chose on all rows.
    """

    name: str
    title: str
    asks_model: bool
    n: int
    folds: int
    mae_tokens: Figure
    error_factor: float
    pinball: Figure
    pinball_tokens: float
    coverage: Figure | None
    interval_factor: float | None
    spearman: Figure | None
    gain: Figure | None
    enough: Figure
    mean_budget: float
    setting: dict[str, float | str]


@dataclass(frozen=True, slots=True)
class LearningPoint:
    """The error of the best learning candidate when it is given only so many searches."""

    rows: int
    error_factor: float


@dataclass(frozen=True, slots=True)
class LearningCurve:
    """How the error falls with more searches.

    Attributes:
        candidate: Title of the candidate it was measured with.
        cut: By which share `MORE` further searches would cut the error, from a power law fitted to the points, with its
            interval (bootstrap over questions; which searches were drawn is not in it). None: fewer than three points.
        words: The same in one sentence.
    """

    candidate: str
    points: tuple[LearningPoint, ...]
    cut: Figure | None
    words: str


@dataclass(frozen=True, slots=True)
class Chance:
    """How far searches of the same question are apart: what no estimator can foresee.

    Attributes:
        questions: Those that were searched more than once; `searches` is how often in all.
        factor: Two searches of one question differ by this factor on (geometric) average.
        share: Part of the spread of optima (variance of logarithms) that lies between searches of the same question
            (one-way analysis of variance; bootstrap over questions).
    """

    questions: int
    searches: int
    factor: float
    share: Figure


@dataclass(frozen=True, slots=True)
class Importance:
    """By how much the average error factor grows when a group of columns is shuffled (1: it does not matter)."""

    group: str
    factor: float


@dataclass(frozen=True, slots=True)
class TopicResidual:
    """How the chosen candidate is off on one topic.

    Attributes:
        ratio: Predicted budget over the optimum, the middle of the topic's questions; above 1 is too high.
    """

    topic: str
    n: int
    ratio: float


@dataclass(frozen=True, slots=True)
class Predicted:
    """One held-out prediction of the chosen candidate, in tokens; low and high are None without an interval."""

    question: str
    optimal: int
    predicted: float
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """Everything a training found out.

    Attributes:
        chosen: Name of the candidate that is used.
        reason: Why, in one or two sentences.
        findings: What else was found out, a sentence each: how far searches differ, what the question tells.
        notes: What was left out and why, in words.
        aim: The quantile that is handed out as the budget.
        smallest, middle, largest: Of the optimal budgets, in tokens.
        chance: How far searches of the same question differ; None where hardly any was searched twice.
        lengths: The same predictors, asked for the vanilla answer's tokens instead, the best first; none where they
            were not.
    """

    kind: str
    model: str
    template: str
    rows: int
    aim: Aim
    chosen: str
    reason: str
    smallest: int
    middle: float
    largest: int
    candidates: tuple[CandidateScore, ...]
    learning_curve: LearningCurve | None = None
    importances: tuple[Importance, ...] = ()
    residuals: tuple[TopicResidual, ...] = ()
    predictions: tuple[Predicted, ...] = ()
    notes: tuple[str, ...] = ()
    chance: Chance | None = None
    lengths: tuple[CandidateScore, ...] = ()
    findings: tuple[str, ...] = ()

    def with_sentences(self, say: Callable[[str], str]) -> TrainingReport:
        """The same report, each of its sentences as `say` says it (`to_stored`, `from_stored` or `in_english`)."""
        curve = self.learning_curve and replace(self.learning_curve, words=say(self.learning_curve.words))
        notes, findings = (tuple(map(say, sentences)) for sentences in (self.notes, self.findings))
        return replace(self, reason=say(self.reason), notes=notes, findings=findings, learning_curve=curve)
