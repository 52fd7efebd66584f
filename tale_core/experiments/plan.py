"""What an experiment is asked to do: questions × strategies × repeats, with everything that decides a number.

A unit is one question answered once by one strategy. Knows names and limits; knows no client and no store.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple

from tale_core import prompts
from tale_core.errors import InputError
from tale_core.grading import known_answer
from tale_core.spending import Limits
from tale_core.strategies import BudgetPredictor, Strategy, strategy
from tale_core.types import Price, Question, Sampling

MAX_REPEATS = 100
MAX_CONCURRENCY = 256
MAX_UNITS = 1_000_000
_SAME = ("dataset", "fingerprint", "strategies", "repeats", "template", "sampling", "estimators")
"""What a resumed experiment must have in common with its beginning: all that decides a number."""


class Unit(NamedTuple):
    """One question answered once by one strategy."""

    position: int
    repeat: int
    strategy: str

    @property
    def key(self) -> str:
        """Its name inside the experiment, stored with each of its calls."""
        return f"{self.position}/{self.repeat}/{self.strategy}"


@dataclass(frozen=True, slots=True, kw_only=True)
class ExperimentPlan:
    """What to run.

    Attributes:
        questions: In the order they are asked.
        dataset: Name of the data set, for people and results.
        fingerprint: Of its content; "" when unknown.
        strategies: Names, see `tale_core.strategies`; each may end in @ and a wording.
        repeats: Answers by each strategy to each question; repeat i samples with the seed plus i.
        sampling: Shared by all answers of all strategies.
        template: Wording of the prompts, for strategies without one of their own.
        limits: Hard limits of the whole experiment, what was spent before a resume included.
        concurrency: Calls at the same time, at most.
        start: Calls at the same time at first; None starts at `concurrency`. An endpoint that asks for fewer halves it.
        reuse: Take finished answers of earlier experiments and sessions, marked as cached.
        estimators: Trained ones, by "calibrated" and "regression"; for another wording by "calibrated@words".
        resume_of: The experiment to go on with.
    """

    questions: tuple[Question, ...]
    strategies: tuple[str, ...]
    dataset: str = "questions"
    fingerprint: str = ""
    repeats: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    template: str = prompts.DEFAULT_TEMPLATE
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 4
    start: int | None = None
    reuse: bool = True
    estimators: Mapping[str, BudgetPredictor] = field(default_factory=dict)
    resume_of: str | None = None

    @property
    def planned(self) -> int:
        """Units in all."""
        return len(self.questions) * self.repeats * len(self.strategies)

    def validate(self) -> dict[str, Strategy]:
        """The strategies by their full names, in order.

        Raises:
            InputError: Something is missing, doubled or out of range.
        """
        found = {name: strategy(name, self.estimators) for name in self.strategies}
        if not self.questions:
            raise InputError(f"The data set {self.dataset!r} gave no questions.", "Check --limit and --offset.")
        if not found or len(found) < len(self.strategies):
            raise InputError("Strategies are missing or named twice.", "Name one or more, each once.")
        if other := next((name for name, s in found.items() if s.name != name), None):
            raise InputError(f"{other!r} is not a strategy's full name.", f"Write {found[other].name!r}.")
        self._check_numbers()
        self._check_questions(found)
        prompts.template(self.template)
        self.limits.validate()
        return found

    def _check_numbers(self) -> None:
        ranges = (("repeats", self.repeats, MAX_REPEATS), ("concurrency", self.concurrency, MAX_CONCURRENCY))
        for name, value, most in ranges:
            if not 1 <= value <= most:
                raise InputError(f"{name} is {value}.", f"Give a whole number from 1 to {most}.")
        if self.start is not None and not 1 <= self.start <= self.concurrency:
            raise InputError(f"The experiment would start with {self.start} calls at a time.", "Give 1 to the most.")
        if self.sampling.max_tokens is not None and self.sampling.max_tokens < 1:
            raise InputError(f"max_tokens is {self.sampling.max_tokens}.", "Give a whole number from 1.")
        if self.planned > MAX_UNITS:
            raise InputError(f"{self.planned:,} answers were asked for.", f"Ask for at most {MAX_UNITS:,} at a time.")

    def _check_questions(self, found: Mapping[str, Strategy]) -> None:
        wants = next((name for name, s in found.items() if s.needs_answer), None)
        for i, question in enumerate(self.questions, start=1):
            if not question.text.strip():
                raise InputError(f"Question {i} of {self.dataset!r} is empty.", "Give it a text, or leave it out.")
            if wants and known_answer(question) is None:
                raise InputError(
                    f"The strategy {wants!r} needs the known answer of each question; question {i} has none.",
                    "Leave the strategy out, or give the answers.",
                )

    def check_price(self, price: Price | None, model: str) -> None:
        """Check that a limit on money can be kept.

        Raises:
            InputError: There is one, and the model's price is unknown.
        """
        if self.limits.max_cost_usd is not None and price is None:
            raise InputError(
                f"A limit of ${self.limits.max_cost_usd:g} was set, but the price of {model!r} is unknown.",
                "Limit the tokens instead.",
            )

    def units(self) -> Iterator[Unit]:
        """All units, question by question, so that whatever is finished can be compared in pairs."""
        for position in range(len(self.questions)):
            for repeat in range(self.repeats):
                for name in self.strategies:
                    yield Unit(position, repeat, name)

    def document(self) -> dict[str, Any]:
        """The plan as JSON, without its questions, which have rows of their own."""
        return {
            "dataset": self.dataset,
            "fingerprint": self.fingerprint,
            "questions": len(self.questions),
            "strategies": list(self.strategies),
            "repeats": self.repeats,
            "sampling": asdict(self.sampling),
            "template": self.template,
            "limits": asdict(self.limits),
            "concurrency": self.concurrency,
            "start": self.start,
            "reuse": self.reuse,
            "estimators": {key: [e.name, e.version] for key, e in sorted(self._used().items())},
        }

    def _used(self) -> dict[str, BudgetPredictor]:
        return {key: e for key, e in self.estimators.items() if f"tale-{key}" in self.strategies}

    @classmethod
    def from_document(
        cls,
        document: Mapping[str, Any],
        questions: Sequence[Question],
        *,
        estimators: Mapping[str, BudgetPredictor] | None = None,
        resume_of: str | None = None,
    ) -> ExperimentPlan:
        """The plan that a document describes.

        Raises:
            KeyError, TypeError, ValueError: It is no such document.
        """
        plain = ("dataset", "fingerprint", "repeats", "template", "concurrency", "start", "reuse")
        return cls(
            questions=tuple(questions),
            strategies=tuple(document["strategies"]),
            sampling=Sampling(**_known(Sampling, document["sampling"])),
            limits=Limits(**_known(Limits, document["limits"])),
            estimators=estimators or {},
            resume_of=resume_of,
            **{name: document[name] for name in plain},
        )

    def check_same(self, stored: Mapping[str, Any]) -> None:
        """Check that this plan goes on with a stored one.

        Raises:
            InputError: They would mix numbers that do not belong together; the message names the difference.
        """
        mine = self.document()
        for name in _SAME:
            if mine[name] != stored.get(name):
                raise InputError(
                    f"Experiment {self.resume_of!r} was begun with {name} {stored.get(name)!r}, not {mine[name]!r}.",
                    "Resume it as it was, or begin a new experiment.",
                )
        if mine["questions"] != stored.get("questions"):
            raise InputError(
                f"Experiment {self.resume_of!r} has {stored.get('questions')} questions, not {mine['questions']}.",
                "Resume it as it was, or begin a new experiment.",
            )


def _known(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: values[f.name] for f in fields(kind) if f.name in values}
