"""What a search is asked to do, fixed and checked before it starts; and its document for the store."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal, NewType

from tale_core.budgets.kinds import ASKED, MOST, Kind, kind
from tale_core.calls.budget_ledger import Limits
from tale_core.calls.record import check_asked
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.prompts import messages as prompts
from tale_core.search.modes import MODES, Mode
from tale_core.types import Question, Sampling

Rule = Literal["all", "majority"]
WORD_SAMPLES = 3
WORTH = 20.0
KEPT_WORTH = 60.0
"""Where a budget is kept to and not only asked for, the cost follows it token by token: a finer search pays."""
MAX_SAMPLES = 25


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Everything that decides a search, fixed before it starts.

    Attributes:
        question: With its known answer: a budget is feasible when the answer under it is right.
        knob: The kind of budget (`tale_core.budgets.kinds`).
        levels: For kinds whose levels are words, those to choose from, the one that should cost least first.
        lowest: The smallest number of tokens that may be tried: an endpoint's floor.
        mode: "tale" (default), "paper" or "reference"; words are always bisected.
        samples: Answers asked for under each budget; repeat i samples with the seed plus i.
        rule: A budget counts as right when all its samples are, or more than half of them.
        limits: Hard limits of the whole search.
        start: Where to look first, in tokens (an estimate); None starts from the vanilla answer alone. `tale` only.
        spread: How far the start is off, as the standard deviation of the logarithm: 0.5 means by a factor of 1.6.
        earlier: Optima of earlier searches of this model as shares of their vanilla tokens. `tale` only.
        worth: How many vanilla answers' tokens one may spend to make the final answer 100 % cheaper; the higher, the
            finer the search. `tale` only.
        slots: At most so many answers at the same time.
        reuse: Take answers known from earlier sessions instead of paying for them again.
    """

    question: Question
    knob: str = "asked"
    levels: tuple[str, ...] = ()
    lowest: int = 1
    mode: Mode = "tale"
    template: str = prompts.DEFAULT_TEMPLATE
    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    rule: Rule = "all"
    limits: Limits = field(default_factory=lambda: Limits(max_calls=40))
    start: int | None = None
    spread: float = 0.5
    earlier: tuple[float, ...] = ()
    worth: float = WORTH
    slots: int = 4
    reuse: bool = True
    parent_id: str | None = None

    def checked(self) -> CheckedSearch:
        """The plan as one that may run: everything that can be wrong is looked at before anything is spent.

        Raises:
            InputError: No question or no known answer, an unknown mode, rule or template, a number out of range.
        """
        check_asked(self.question, self.sampling)
        if not (self.question.answer or "").strip():
            raise InputError(
                t("The known answer is missing."),
                t("A search needs it: a budget is good when the answer under it is right."),
            )
        if self.mode not in MODES:
            raise InputError(
                t("There is no search mode {given!r}.", given=self.mode),
                t("Choose one of: {names}.", names=", ".join(MODES)),
            )
        self._validate_knob()
        if self.rule not in ("all", "majority"):
            raise InputError(t("There is no rule {given!r}.", given=self.rule), t("Choose all or majority."))
        if not 1 <= self.samples <= MAX_SAMPLES:
            raise InputError(
                t("{given} samples were asked for.", given=self.samples),
                t("Give a whole number from 1 to {high:,}.", high=MAX_SAMPLES),
            )
        if self.start is not None and not 1 <= self.start <= MOST:
            raise InputError(
                t("The start is {given} tokens.", given=self.start),
                t("Give a whole number from 1 to {high:,}.", high=MOST),
            )
        if not 0 < self.spread <= 5:
            raise InputError(
                t("The spread of the start is {given}.", given=self.spread), t("Give a number above 0, up to 5.")
            )
        if not 0 < self.worth <= 1000:
            raise InputError(
                t("The worth of a saving is {given}.", given=self.worth), t("Give a number above 0, up to 1000.")
            )
        if self.slots < 1:
            raise InputError(t("The number of slots is {given}.", given=self.slots), t("Give a whole number from 1."))
        prompts.template(self.template)
        return CheckedSearch(self)

    @property
    def kind(self) -> Kind:
        """The kind of budget.

        Raises:
            InputError: There is none of this name.
        """
        return kind(self.knob)

    @property
    def way(self) -> tuple[object, ...]:
        """What makes searches of a question the same measurement; where they begin, or how many at a time, does not."""
        return self.knob, self.levels, self.mode, self.template, self.sampling, self.samples, self.rule

    def _validate_knob(self) -> None:
        if self.kind.NUMBERS:
            if self.levels:
                raise InputError(
                    t("Levels were given for budgets that are numbers of tokens ({kind}).", kind=self.knob),
                    t("Leave them out."),
                )
            self.kind.checked(self.lowest)
            return
        if len(set(self.levels)) < 2:
            raise InputError(t("A search needs at least two levels."), self.kind.allowed())
        for level in self.levels:
            self.kind.checked(level)
        if self.mode != "tale" or self.start is not None:
            raise InputError(
                t("Levels that are words ({kind}) are always bisected.", kind=self.knob),
                t("Leave out the mode and the start."),
            )

    @staticmethod
    def usual_samples(levels: tuple[str, ...]) -> int:
        """Answers under each level where nobody says otherwise: the order of words is not known beforehand."""
        return WORD_SAMPLES if levels else 1

    @staticmethod
    def usual_worth(knob: str) -> float:
        """What a saving is worth where nobody says otherwise; see `worth`."""
        return WORTH if knob == ASKED.NAME else KEPT_WORTH

    def document(self) -> dict[str, Any]:
        """JSON-safe; `from_document` reads it."""
        return asdict(self)

    @classmethod
    def from_document(cls, document: dict[str, Any]) -> SearchPlan:
        """The plan of a document that `document` made.

        Raises:
            KeyError, TypeError: It is not one.
        """
        question = dict(document["question"])
        question["options"] = tuple(question["options"])
        nested = {
            "question": Question(**question),
            "sampling": Sampling(**document["sampling"]),
            "limits": Limits(**document["limits"]),
            "earlier": tuple(document["earlier"]),
            "levels": tuple(document.get("levels", ())),
        }
        return cls(**(document | nested))


CheckedSearch = NewType("CheckedSearch", SearchPlan)
"""A plan that `SearchPlan.checked` has passed."""
