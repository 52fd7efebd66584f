"""What an experiment is asked to do: questions × strategies × repeats, with everything that decides a number.

A unit is one question answered once by one strategy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields
from typing import Any, NamedTuple, NewType

from tale_core.budgets.kinds import ASKED, kind
from tale_core.calls.budget_ledger import Limits
from tale_core.calls.record import check_sampling
from tale_core.errors import InputError
from tale_core.grading import known_answer
from tale_core.i18n import t
from tale_core.prompts import messages as prompts
from tale_core.strategies import BudgetPredictor, Strategy, Tuned, estimator_key, needs_adapter, strategy
from tale_core.types import Price, Question, Sampling

MAX_REPEATS = 100
MAX_CONCURRENCY = 256
MAX_UNITS = 1_000_000
ROUNDS = 4
"""Answers of each strategy for every call at the same time, before the next adapter has its turn."""
_SAME = ("dataset", "fingerprint", "strategies", "repeats", "template", "knob", "sampling", "estimators")
"""What a resumed experiment must have in common with its beginning: all that decides a number."""


_NEWER = {"knob": ASKED.NAME}
"""What experiments said nothing of that were begun before it could be chosen."""


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
        strategies: Names, see `tale_core.strategies`; each may end in @ and a template.
        repeats: Answers by each strategy to each question; repeat i samples with the seed plus i.
        sampling: Shared by all answers of all strategies.
        template: Prompt template, for strategies without one of their own.
        limits: Hard limits of the whole experiment, what was spent before a resume included.
        concurrency: Calls at the same time, at most.
        start: Calls at the same time at first; None starts at `concurrency`. An endpoint that asks for fewer halves it.
        reuse: Take finished answers of earlier experiments and sessions, marked as cached.
        estimators: Trained ones, by "calibrated" and "regression"; for another template by "calibrated@words".
        resume_of: The experiment to go on with.
        only_failed: Of it, try again what failed and nothing else; not part of what is stored.
    """

    questions: tuple[Question, ...]
    strategies: tuple[str, ...]
    dataset: str = "questions"
    fingerprint: str = ""
    repeats: int = 1
    sampling: Sampling = field(default_factory=Sampling)
    template: str = prompts.DEFAULT_TEMPLATE
    knob: str = ASKED.NAME
    limits: Limits = field(default_factory=Limits)
    concurrency: int = 4
    start: int | None = None
    reuse: bool = True
    estimators: Mapping[str, BudgetPredictor] = field(default_factory=dict)
    resume_of: str | None = None
    only_failed: bool = False

    @property
    def planned(self) -> int:
        """Units in all."""
        return len(self.questions) * self.repeats * len(self.strategies)

    def by_name(self) -> dict[str, Strategy]:
        """The strategies by their full names, in order.

        Raises:
            InputError: One of them is none.
        """
        return {name: strategy(name, self.estimators) for name in self.strategies}

    def checked(self) -> CheckedExperiment:
        """The plan as one that may run: everything is looked at that can be known without a model.

        Raises:
            InputError: Something is missing, doubled or out of range.
        """
        found = self.by_name()
        if not self.questions:
            raise InputError(
                t("The data set {dataset!r} gave no questions.", dataset=self.dataset), t("Check --limit and --offset.")
            )
        if not found or len(found) < len(self.strategies):
            raise InputError(t("Strategies are missing or named twice."), t("Name one or more, each once."))
        if other := next((name for name, s in found.items() if s.name != name), None):
            raise InputError(
                t("{name!r} is not a strategy's full name.", name=other), t("Write {name!r}.", name=found[other].name)
            )
        check_sampling(self.sampling)
        self._check_numbers()
        self._check_questions(found)
        prompts.template(self.template)
        if not kind(self.knob).NUMBERS:
            raise InputError(
                t("The budgets of strategies are numbers, and those of {kind} are words.", kind=self.knob),
                t("Name each level as a strategy of its own: {example}.", example=f"{self.knob}:low"),
            )
        if self.only_failed and self.resume_of is None:
            raise InputError(t("Only what failed was asked for, of no experiment."), t("Name the one to resume."))
        return CheckedExperiment(self)

    def _check_numbers(self) -> None:
        ranges = (("repeats", self.repeats, MAX_REPEATS), ("concurrency", self.concurrency, MAX_CONCURRENCY))
        for name, value, most in ranges:
            if not 1 <= value <= most:
                raise InputError(
                    t("{name} is {value}.", name=name, value=value),
                    t("Give a whole number from 1 to {most}.", most=most),
                )
        if self.start is not None and not 1 <= self.start <= self.concurrency:
            raise InputError(
                t("The experiment would start with {n} calls at a time.", n=self.start), t("Give 1 to the most.")
            )
        if self.sampling.max_tokens is not None and self.sampling.max_tokens < 1:
            message = t("{name} is {value}.", name="max_tokens", value=self.sampling.max_tokens)
            raise InputError(message, t("Give a whole number from 1."))
        if self.planned > MAX_UNITS:
            raise InputError(
                t("{n:,} answers were asked for.", n=self.planned),
                t("Ask for at most {most:,} at a time.", most=MAX_UNITS),
            )

    def _check_questions(self, found: Mapping[str, Strategy]) -> None:
        wants = next((name for name, s in found.items() if s.needs_answer), None)
        for i, question in enumerate(self.questions, start=1):
            if not question.text.strip():
                raise InputError(
                    t("Question {n} of {dataset!r} is empty.", n=i, dataset=self.dataset),
                    t("Give it a text, or leave it out."),
                )
            if wants and known_answer(question) is None:
                raise InputError(
                    t(
                        "The strategy {strategy!r} needs the known answer of each question; question {n} has none.",
                        strategy=wants,
                        n=i,
                    ),
                    t("Leave the strategy out, or give the answers."),
                )

    def check_price(self, price: Price | None, model: str) -> None:
        """Check that a limit on money can be kept.

        Raises:
            InputError: There is one, and the model's price is unknown.
        """
        self.limits.check_price(price, model)

    def check_model(self, model: str) -> None:
        """Check that the model is the one whose adapters are to answer.

        Raises:
            InputError: An adapter belongs to another model.
        """
        for one in self.by_name().values():
            if isinstance(one, Tuned):
                one.check_base(model)

    def units(self) -> Iterator[Unit]:
        """All units, question by question, so that whatever is finished can be compared in pairs.

        With adapters a few questions at a time: the base first, then each adapter. llama.cpp computes answers with the
        same adapter together and those with different ones after each other.
        """
        base = [name for name in self.strategies if not needs_adapter(name)]
        groups = [g for g in (base, *([name] for name in self.strategies if needs_adapter(name))) if g]
        count, step = len(self.questions), 1 if len(groups) == 1 else ROUNDS * self.concurrency
        for first in range(0, count, step):
            for group in groups:
                for position in range(first, min(first + step, count)):
                    for repeat in range(self.repeats):
                        yield from (Unit(position, repeat, name) for name in group)

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
            "knob": self.knob,
            "limits": asdict(self.limits),
            "concurrency": self.concurrency,
            "start": self.start,
            "reuse": self.reuse,
            "estimators": {key: [e.name, e.version] for key, e in sorted(self._used().items())} | self._adapters(),
        }

    def _adapters(self) -> dict[str, list[str]]:
        """Which adapters answer, by content: one trained again is another one."""
        named = (strategy(name) for name in self.strategies if needs_adapter(name))
        return {one.name: [one.name, one.adapter] for one in named if isinstance(one, Tuned)}

    def _used(self) -> dict[str, BudgetPredictor]:
        wanted = {estimator_key(name) for name in self.strategies}
        return {key: e for key, e in self.estimators.items() if key in wanted}

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
            knob=document.get("knob", ASKED.NAME),
            **{name: document[name] for name in plain},
        )

    def check_same(self, stored: Mapping[str, Any]) -> None:
        """Check that this plan goes on with a stored one.

        Raises:
            InputError: They would mix numbers that do not belong together; the message names the difference.
        """
        if stored.get("imported"):
            raise InputError(t("Experiment {id!r} was imported.", id=self.resume_of), t("There is nothing to resume."))
        mine, stored = self.document(), _NEWER | dict(stored)
        stored["sampling"] = asdict(Sampling(**_known(Sampling, stored.get("sampling") or {})))
        for name in _SAME:
            if mine[name] != stored.get(name):
                raise InputError(
                    t(
                        "Experiment {id!r} was begun with {name} {theirs!r}, not {mine!r}.",
                        id=self.resume_of,
                        name=name,
                        theirs=stored.get(name),
                        mine=mine[name],
                    ),
                    t("Resume it as it was, or begin a new experiment."),
                )
        if mine["questions"] != stored.get("questions"):
            raise InputError(
                t(
                    "Experiment {id!r} has {theirs} questions, not {mine}.",
                    id=self.resume_of,
                    theirs=stored.get("questions"),
                    mine=mine["questions"],
                ),
                t("Resume it as it was, or begin a new experiment."),
            )


CheckedExperiment = NewType("CheckedExperiment", ExperimentPlan)
"""A plan that `ExperimentPlan.checked` has passed."""


def _known(kind: Any, values: Mapping[str, Any]) -> dict[str, Any]:
    return {f.name: values[f.name] for f in fields(kind) if f.name in values}
