"""The nouns of a sweep: its plan, its levels, what it found, and its events. All of them can go through JSON.

Use them from `tale_core.elasticity.engine`.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NewType

from tale_core.budgets.kinds import ASKED, Kind, kind
from tale_core.calls.budget_ledger import Limits, Spent
from tale_core.calls.events import CallEvent
from tale_core.calls.record import check_asked
from tale_core.errors import InputError
from tale_core.i18n import N_, t
from tale_core.prompts import messages as prompts
from tale_core.stats import geometric_grid, mean_interval
from tale_core.text import SEPARATORS
from tale_core.types import Level, Outcome, Question, Sampling, Source

MAX_BUDGET = 20_000
MAX_LEVELS = 40
MAX_REPEATS = 50


@dataclass(frozen=True, slots=True)
class SweepPlan:
    """Everything that decides a sweep, fixed before it starts.

    Attributes:
        question: With its known answer where there is one; without it, answers are not graded.
        knob: The kind of budget (`tale_core.budgets.kinds`).
        levels: For kinds whose levels are words, those to ask for, the one that should cost least first.
        budgets: The grid in tokens, given; empty means a geometric grid of `points` budgets from `lowest` to the
            vanilla answer's tokens (for a limit on thinking, those of its thinking).
        repeats: Answers under each budget, and of the vanilla and direct prompts; repeat i samples with the seed + i.
        limits: Hard limits of the whole sweep.
        slots: At most so many answers at the same time.
        reuse: Take answers known from earlier sessions instead of paying for them again.
    """

    question: Question
    knob: str = "asked"
    levels: tuple[str, ...] = ()
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

    def checked(self) -> CheckedSweep:
        """The plan as one that may run: everything that can be wrong is looked at before anything is spent.

        Raises:
            InputError: An empty question, a bad grid, repeats or template.
        """
        check_asked(self.question, self.sampling)
        self._validate_grid()
        _between(N_("The number of repeats is {given}."), self.repeats, 1, MAX_REPEATS)
        _between(N_("The number of slots is {given}."), self.slots, 1, 1000)
        prompts.template(self.template)
        return CheckedSweep(self)

    @property
    def kind(self) -> Kind:
        """The kind of budget.

        Raises:
            InputError: There is none of this name.
        """
        return kind(self.knob)

    @property
    def highest(self) -> int:
        """The largest budget that can be asked for."""
        return MAX_BUDGET if self.kind is ASKED else self.kind.span()[1]

    def _validate_grid(self) -> None:
        if not self.kind.NUMBERS:
            self._validate_levels()
            return
        if self.levels:
            raise InputError(
                t("Levels were given for budgets that are numbers of tokens ({kind}).", kind=self.knob),
                t("Give a grid of numbers instead."),
            )
        if not self.budgets:
            _between(N_("The number of points is {given}."), self.points, 2, MAX_LEVELS)
            _between(N_("The lowest budget is {given}."), self.lowest, 1, self.highest)
        if len(set(self.budgets)) > MAX_LEVELS:
            raise InputError(
                t("{given} budgets were given.", given=len(set(self.budgets))),
                t("At most {n} are allowed; leave some out.", n=MAX_LEVELS),
            )
        for budget in self.budgets:
            if not self.kind.LEAST <= budget <= self.highest:
                raise InputError(
                    t("A budget of {budget} tokens was given.", budget=budget),
                    t("Give whole numbers from {low:,} to {high:,}.", low=self.kind.LEAST, high=self.highest),
                )

    def _validate_levels(self) -> None:
        if self.budgets:
            raise InputError(
                t("A grid of numbers was given for levels that are words ({kind}).", kind=self.knob),
                self.kind.allowed(),
            )
        if not self.levels:
            raise InputError(t("No levels were given."), self.kind.allowed())
        for level in self.levels:
            self.kind.checked(level)

    @property
    def known_grid(self) -> tuple[Level, ...] | None:
        """The levels that are asked for, the largest first; None where the vanilla answer decides."""
        if not self.kind.NUMBERS:
            return tuple(reversed(dict.fromkeys(self.levels)))
        return tuple(sorted(set(self.budgets), reverse=True)) if self.budgets else None

    def grid(self, vanilla_tokens: float) -> tuple[Level, ...]:
        """The levels, the largest first, each once: those given, or from `lowest` to the vanilla answer's tokens."""
        if (known := self.known_grid) is not None:
            return known
        # A provider's floor holds, even where the model uses less than that by itself.
        top = vanilla_tokens if self.kind is ASKED else max(vanilla_tokens, self.lowest)
        return geometric_grid(self.lowest, top, self.points)

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
                "levels": tuple(document.get("levels", ())),
                "budgets": tuple(document["budgets"]),
                "sampling": Sampling(**document["sampling"]),
                "limits": Limits(**document["limits"]),
            }
        )


CheckedSweep = NewType("CheckedSweep", SweepPlan)
"""A plan that `SweepPlan.checked` has passed."""


@dataclass(frozen=True, slots=True)
class SweepPoint:
    """What one level told: a budget, or the vanilla or direct reference.

    Attributes:
        budget: Requested tokens, or the provider's word; None for the references.
        repeats: Answers that ended, failed ones included.
        tokens: Actual completion tokens of each repeat, in order (failed answers, and those that a limit of the sweep
            cut, left out); of truncated answers a lower bound of what they would have cost.
        tokens_mean: Their mean; None before the first.
        tokens_low: 95 % interval of the mean (one value: the value itself).
        outcomes: How many of each outcome.
        graded: Answers that count for `accuracy` (see `tale_core.types.judged`): truncated, unparsed and refused ones
            are not right but are shown apart; failed and ungraded ones are left out.
        accuracy: Right answers over `graded`; None when nothing was graded. With a Wilson 95 % interval.
        within: Share of answers whose tokens, without thinking that is told apart, stayed within the budget
            (compliance); None for references. An answer truncated before it reached its budget is left out.
        visible_tokens_mean: The part of `tokens_mean` that is the answer itself; None when unknown of one of them.
        thinking_tokens_mean: The part that is thinking, likewise.
        refused: Answers that a content filter refused; among `outcomes` they are errors.
        dropped: Answers that were made without the parameter, since the endpoint refuses it.
        held: Mean tokens of what the level is held against (`Kind.held`), where that is known of every answer.
    """

    kind: Literal["vanilla", "direct", "budget"]
    budget: Level | None
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
    visible_tokens_mean: float | None = None
    thinking_tokens_mean: float | None = None
    refused: int = 0
    dropped: int = 0
    held: float | None = None


@dataclass(frozen=True, slots=True)
class Rebound:
    """A smaller budget, or a level that should cost less, that cost more than a larger one.

    Attributes:
        budget: The smaller budget, whose actual cost is highest among those below `turning`.
        turning: The budget with the lowest mean cost.
        extra_tokens: Mean tokens at `budget` minus mean tokens at `turning`.
        p_value: One-sided permutation test of that difference, corrected for the budgets compared and for the choice of
            the turning point (see `tale_core.stats.rise_p`); None while the sweep runs, and when there is one repeat
            or no variation to judge by.
        significant: p_value below 0.05.
    """

    budget: Level
    turning: Level
    extra_tokens: float
    p_value: float | None
    significant: bool


@dataclass(frozen=True, slots=True)
class SweepResult:
    """What a sweep found so far.

    Attributes:
        points: vanilla, direct, then budgets descending (words by the tokens that were measured); only those with an
            answer so far.
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
    tokens = tuple(document["tokens"])
    # Its tokens are stored, so that the interval is today's: of few values it was once too narrow.
    mean = mean_interval(tokens)
    band = {"tokens_low": mean and mean.low, "tokens_high": mean and mean.high}
    return SweepPoint(**document | {"tokens": tokens, "outcomes": outcomes} | band)


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


SweepEvent = CallEvent | SweepProgress | SweepDone


def _between(said: str, value: int, low: int, high: int) -> None:
    if not low <= value <= high:
        raise InputError(t(said, given=value), t("Give a whole number from {low} to {high:,}.", low=low, high=high))


def parse_grid(text: str, *, low: int = 1, high: int = MAX_BUDGET) -> tuple[int, ...]:
    """Budgets from a list as people type it ("200, 100, 50"), descending and without doubles.

    Args:
        text: The list.
        low: The smallest that is allowed.
        high: The largest.

    Raises:
        InputError: Nothing was given, something is no whole number, a budget is out of range, or there are too many.
    """
    parts = [part for part in SEPARATORS.split(text.strip()) if part]
    allowed = t(
        "Give whole numbers from {low:,} to {high:,} with commas between them, such as 200, 100, 50, 20.",
        low=low, high=high,
    )  # fmt: skip
    if not parts:
        raise InputError(t("The list of budgets is empty."), allowed)
    for part in parts:
        if not (part.isascii() and part.isdigit()):
            raise InputError(t("{given!r} is not a whole number of tokens.", given=part[:30]), allowed)
        if len(part) > 9 or not low <= int(part) <= high:
            raise InputError(t("A budget of {given} tokens is out of range.", given=part[:30]), allowed)
    budgets = sorted({int(part) for part in parts}, reverse=True)
    if len(budgets) > MAX_LEVELS:
        raise InputError(t("{given} budgets were given.", given=len(budgets)), t("Give at most {n}.", n=MAX_LEVELS))
    return tuple(budgets)
