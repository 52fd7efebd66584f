"""What a search is asked to do, fixed and checked before it starts; and its document for the store.

Knows numbers and names; knows no client and no answers.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from tale_core import prompts
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.probing import Limits
from tale_core.search_modes import MODES, Mode
from tale_core.types import Question, Sampling

Rule = Literal["all", "majority"]
MAX_SAMPLES = 25


@dataclass(frozen=True, slots=True)
class SearchPlan:
    """Everything that decides a search, fixed before it starts.

    Attributes:
        question: With its known answer: a budget is feasible when the answer under it is right.
        mode: "tale" (default), "paper" or "reference".
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
    mode: Mode = "tale"
    template: str = prompts.DEFAULT_TEMPLATE
    sampling: Sampling = field(default_factory=Sampling)
    samples: int = 1
    rule: Rule = "all"
    limits: Limits = field(default_factory=lambda: Limits(max_calls=40))
    start: int | None = None
    spread: float = 0.5
    earlier: tuple[float, ...] = ()
    worth: float = 20.0
    slots: int = 4
    reuse: bool = True
    parent_id: str | None = None

    def validate(self) -> None:
        """Check everything that can be wrong before anything is spent.

        Raises:
            InputError: No question or no known answer, an unknown mode, rule or template, a number out of range.
        """
        if not self.question.text.strip():
            raise InputError(t("The question is empty."), t("Type a question first."))
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
        if self.rule not in ("all", "majority"):
            raise InputError(t("There is no rule {given!r}.", given=self.rule), t("Choose all or majority."))
        if not 1 <= self.samples <= MAX_SAMPLES:
            raise InputError(
                t("{given} samples were asked for.", given=self.samples),
                t("Give a whole number from 1 to {high:,}.", high=MAX_SAMPLES),
            )
        if self.start is not None and self.start < 1:
            raise InputError(
                t("The start is {given} tokens.", given=self.start), t("Give a whole number from 1, or none.")
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
        self.limits.validate()
        prompts.template(self.template)

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
        }
        return cls(**(document | nested))
