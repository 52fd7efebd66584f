"""The nouns of a sweep: its plan, its levels, what it found, and its events. All of them can go through JSON.

Use them from `tale_core.elasticity`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tale_core import prompts
from tale_core.elasticity_stats import geometric_grid
from tale_core.errors import InputError
from tale_core.i18n import N_, t
from tale_core.probing import Limits, ProbeEvent, Spent
from tale_core.types import Outcome, Question, Sampling, Source

MAX_BUDGET = 20_000
MAX_LEVELS = 40
MAX_REPEATS = 50


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """Everything that decides a sweep, fixed before it starts.

    Attributes:
        question: With its known answer where there is one; without it, answers are not graded.
        budgets: The grid in tokens, given; empty means a geometric grid of `points` budgets from `lowest` to the
            vanilla answer's tokens.
        repeats: Answers under each budget, and of the vanilla and direct prompts; repeat i samples with the seed + i.
        limits: Hard limits of the whole sweep.
        slots: At most so many answers at the same time.
        reuse: Take answers known from earlier sessions instead of paying for them again.
    """

    question: Question
    budgets: tuple[int, ...] = ()
    points: int = 8
    lowest: int = 10
    repeats: int = 3
    template: str = prompts.DEFAULT_TEMPLATE
    sampling: Sampling = field(default_factory=Sampling)
    limits: Limits = field(default_factory=Limits)
    slots: int = 4
    reuse: bool = True
    parent_id: str | None = None

    def validate(self) -> None:
        """Check everything that can be wrong before anything is spent.

        Raises:
            InputError: An empty question, a bad grid, repeats or template.
        """
        if not self.question.text.strip():
            raise InputError(t("The question is empty."), t("Type a question first."))
        self._validate_grid()
        _between(N_("The number of repeats is {given}."), self.repeats, 1, MAX_REPEATS)
        _between(N_("The number of slots is {given}."), self.slots, 1, 1000)
        if self.sampling.max_tokens is not None and self.sampling.max_tokens < 1:
            raise InputError(
                t("max_tokens is {given}.", given=self.sampling.max_tokens), t("Give a whole number from 1.")
            )
        if self.sampling.temperature is not None and not 0 <= self.sampling.temperature <= 2:
            raise InputError(
                t("The temperature is {given}.", given=self.sampling.temperature), t("Give a number from 0 to 2.")
            )
        self.limits.validate()
        prompts.template(self.template)

    def _validate_grid(self) -> None:
        if not self.budgets:
            _between(N_("The number of points is {given}."), self.points, 2, MAX_LEVELS)
            _between(N_("The lowest budget is {given}."), self.lowest, 1, MAX_BUDGET)
        if len(set(self.budgets)) > MAX_LEVELS:
            raise InputError(
                t("{given} budgets were given.", given=len(set(self.budgets))),
                t("At most {n} are allowed; leave some out.", n=MAX_LEVELS),
            )
        for budget in self.budgets:
            if not 1 <= budget <= MAX_BUDGET:
                raise InputError(
                    t("A budget of {budget} tokens was given.", budget=budget),
                    t("Give whole numbers from 1 to {high:,}.", high=MAX_BUDGET),
                )

    def grid(self, vanilla_tokens: float) -> tuple[int, ...]:
        """The budgets in tokens, descending, each once: those given, or from `lowest` to the vanilla answer's."""
        if self.budgets:
            return tuple(sorted(set(self.budgets), reverse=True))
        return geometric_grid(self.lowest, vanilla_tokens, self.points)

    def document(self) -> dict[str, Any]:
        """JSON-safe; `from_document` reads it again."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> SweepPlan:
        """The plan that was written by `document`, also after a trip through JSON."""
        question = document["question"]
        return cls(
            **document
            | {
                "question": Question(**question | {"options": tuple(question["options"])}),
                "budgets": tuple(document["budgets"]),
                "sampling": Sampling(**document["sampling"]),
                "limits": Limits(**document["limits"]),
            }
        )


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """What one level told: a budget, or the vanilla or direct reference.

    Attributes:
        budget: Requested tokens; None for the references.
        repeats: Answers that ended, failed ones included.
        tokens: Actual completion tokens of each repeat, in order (failed answers, and those that a limit of the sweep
            cut, left out); of truncated answers a lower bound of what they would have cost.
        tokens_mean: Their mean; None before the first.
        tokens_low: 95 % bootstrap interval of the mean (one value: the value itself).
        outcomes: How many of each outcome.
        graded: Answers that could be judged right or not (correct, wrong; truncated and unparsed count as not right
            but are shown apart in `outcomes`; errors and ungraded are left out).
        accuracy: Right answers over `graded`; None when nothing was graded. With a Wilson 95 % interval.
        within: Share of answers whose actual tokens stayed within the budget (compliance); None for references. An
            answer truncated before it reached its budget is left out.
    """

    kind: Literal["vanilla", "direct", "budget"]
    budget: int | None
    repeats: int
    tokens: tuple[int, ...]
    tokens_mean: float | None
    tokens_low: float | None
    tokens_high: float | None
    outcomes: dict[Outcome, int]
    graded: int
    accuracy: float | None
    accuracy_low: float | None
    accuracy_high: float | None
    within: float | None


@dataclass(frozen=True, slots=True)
class Rebound:
    """A smaller budget that cost more than a larger one.

    Attributes:
        budget: The smaller budget, whose actual cost is highest among those below `turning`.
        turning: The budget with the lowest mean cost.
        extra_tokens: Mean tokens at `budget` minus mean tokens at `turning`.
        p_value: One-sided permutation test of that difference, corrected for the budgets compared and for the choice of
            the turning point (see `elasticity_stats.rise_p`); None while the sweep runs, and when there is one repeat
            or no variation to judge by.
        significant: p_value below 0.05.
    """

    budget: int
    turning: int
    extra_tokens: float
    p_value: float | None
    significant: bool


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found so far.

    Attributes:
        points: vanilla, direct, then budgets descending; only those with an answer so far.
        ideal_range: (lowest, highest budget) of the paper's W*, or None when no budget keeps the answer right.
        compliance: Share of all budgeted answers within their budget; None before the first.
        finding: One sentence for people.
        complete: Every planned answer is there.
        stop_reason: "running", "done", or the limit that ended it: "limit-calls", "limit-tokens", "limit-cost".
        sources: How many answers are live, simulated, recorded or known from earlier ("cached").
    """

    points: tuple[SweepPoint, ...]
    ideal_range: tuple[int, int] | None
    rebound: Rebound | None
    compliance: float | None
    finding: str
    complete: bool
    stop_reason: str
    spent: Spent
    sources: dict[Source, int] = field(default_factory=dict)

    def document(self) -> dict[str, Any]:
        """JSON-safe; `from_document` reads it again."""
        document = asdict(self)
        for point in document["points"]:
            point["tokens"] = list(point["tokens"])
            point["outcomes"] = {outcome.value: n for outcome, n in point["outcomes"].items()}
        return document | {
            "points": list(document["points"]),
            "ideal_range": list(self.ideal_range) if self.ideal_range else None,
        }

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> SweepResult:
        """The result that was written by `document`, also after a trip through JSON."""
        ideal, rebound = document["ideal_range"], document["rebound"]
        return cls(
            **document
            | {
                "points": tuple(_point_from(p) for p in document["points"]),
                "ideal_range": (ideal[0], ideal[1]) if ideal else None,
                "rebound": Rebound(**rebound) if rebound else None,
                "spent": Spent(**document["spent"]),
            }
        )


def _point_from(document: dict[str, Any]) -> SweepPoint:
    outcomes = {Outcome(name): n for name, n in document["outcomes"].items()}
    return SweepPoint(**document | {"tokens": tuple(document["tokens"]), "outcomes": outcomes})


@dataclass(frozen=True, slots=True)
class SweepProgress:
    """The sweep as it stands after an answer ended; `planned` and `finished` count answers."""

    result: SweepResult
    finished: int
    planned: int


@dataclass(frozen=True, slots=True)
class SweepDone:
    """The sweep ended."""

    result: SweepResult


SweepEvent = ProbeEvent | SweepProgress | SweepDone


def _between(said: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(t(said, given=value), t("Give a whole number from {low} to {high:,}.", low=low, high=high))
