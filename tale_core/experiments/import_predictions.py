"""Predictions that others made -> a stored experiment, graded again by our grader and marked as imported.

Answers keep the token counts of their file; where it names none they are counted as the paper's repository does.
Nothing that a file does not say is made up: no prompt tokens, no time, no price.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from tale_core.datasets.predictions import Prediction, Predictions
from tale_core.datasets.results import RowProblem, fingerprint
from tale_core.datasets.rows import same_answer
from tale_core.errors import InputError
from tale_core.experiments.create import IMPORTED_TITLE
from tale_core.experiments.import_notes import CAP, ENDPOINT, ImportInfo
from tale_core.experiments.plan import MAX_REPEATS, ExperimentPlan, Unit
from tale_core.grading import equivalent, grade, infer_kind, known_answer
from tale_core.i18n import t
from tale_core.store import ExperimentStore, Store, UnitRecord, new_session_id
from tale_core.types import CallRecord, Message, Question, Role, Sampling, SessionRecord

MAX_NAME = 80
_UNKNOWN = Sampling(temperature=None, top_p=None, seed=None, max_tokens=None)
_ROLES: Mapping[str, Role] = {"direct": "direct", "vanilla": "vanilla"}
Count = Callable[[str], int]


@dataclass(frozen=True, slots=True)
class Imported:
    """What came of an import.

    Attributes:
        problems: Rows that were passed over, the file's name before each reason.
    """

    experiment_id: str
    questions: int
    answers: int
    strategies: tuple[str, ...]
    info: ImportInfo
    problems: tuple[RowProblem, ...]


def import_predictions(
    files: Sequence[Predictions],
    *,
    store: Store,
    model: str,
    dataset: str,
    answers: Iterable[Question] | None = None,
    answers_from: str = "",
    count: Count,
) -> Imported:
    """Store the predictions of some files as one experiment.

    Args:
        files: What they hold.
        store: Where the experiment goes.
        model: Who answered.
        dataset: What it answered, by the name of a data set where there is one.
        answers: Questions of that data set, whose known answers are then used instead of the files'.
        answers_from: Its name.
        count: Tokens of an answer that names none.

    Raises:
        InputError: A name is missing or too long, or no row is left.
        StoreError: It could not be stored; then nothing of it is.
    """
    for what, name in ((t("model"), model), (t("data set"), dataset)):
        if not 1 <= len(name.strip()) <= MAX_NAME:
            raise InputError(t("The {what} has no usable name.", what=what), t("Give 1 to {n} characters.", n=MAX_NAME))
    made = _Import(list(answers) if answers is not None else None, answers_from, count)
    for one in files:
        made.take(one)
    return made.stored(files, store=store, model=model.strip(), dataset=dataset.strip())


@dataclass(slots=True)
class _Import:
    known: list[Question] | None
    answers_from: str
    count: Count
    questions: list[Question] = field(default_factory=list)
    taken: list[tuple[Unit, Prediction]] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    figures: Counter[str] = field(default_factory=Counter)
    _places: dict[tuple[str, ...], int] = field(default_factory=dict)
    _repeats: Counter[tuple[int, str]] = field(default_factory=Counter)
    _of_set: dict[tuple[str, ...], Question] = field(default_factory=dict)
    _said: set[tuple[int, str, str]] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._of_set = {same_question(q): q for q in self.known or ()}

    def take(self, file: Predictions) -> None:
        self.problems += [RowProblem(p.line, f"{file.file}: {p.reason}") for p in file.problems]
        for row in file.rows:
            place = self._place(row.question)
            reason = self._against(row, place)
            if reason is not None:
                self.problems.append(RowProblem(row.line, f"{file.file}: {reason}"))
                continue
            if row.searched and not row.no_optimum and (place, row.strategy, row.text) in self._said:
                continue  # A search copies the vanilla answers that it begins with.
            self._said.add((place, row.strategy, row.text))
            repeat = self._repeats[place, row.strategy]
            self._repeats[place, row.strategy] += 1
            self.taken.append((Unit(place, repeat, row.strategy), row))

    def _place(self, question: Question) -> int:
        """The question's place; a new one gets the data set's known answer, if that is asked for."""
        key = same_question(question)
        if key not in self._places:
            self._places[key] = len(self.questions)
            self.questions.append(self._known(question, key))
        place = self._places[key]
        if known_answer(self.questions[place]) is None and known_answer(question) is not None:
            self.questions[place] = question
        return place

    def _known(self, question: Question, key: tuple[str, ...]) -> Question:
        if self.known is None:
            return question
        ours = self._of_set.get(key)
        if ours is None:
            self.figures["unknown"] += 1
            return question
        theirs, right = known_answer(question), known_answer(ours)
        if theirs and right and equivalent(theirs, right, infer_kind(ours), ours.options) is False:
            self.figures["corrected"] += 1
        return ours

    def _against(self, row: Prediction, place: int) -> str | None:
        """Why a row does not fit those before it; None when it does."""
        there = self.questions[place]
        one, other = known_answer(row.question), known_answer(there)
        if self.known is None and one is not None and (other is None or not same_answer(other, one, there.options)):
            return t("the same question stands before with another known answer")
        if self._repeats[place, row.strategy] >= MAX_REPEATS:
            return t("the same question is answered more than {n} times by one strategy", n=MAX_REPEATS)
        return None

    def stored(self, files: Sequence[Predictions], *, store: Store, model: str, dataset: str) -> Imported:
        if not self.taken:
            raise InputError(t("No prediction is left to import."), t("The rows and their reasons are listed."))
        experiment_id = new_session_id("experiment")
        calls = [self._call(experiment_id, model, unit, row) for unit, row in self.taken]
        info = self._info(files, [call.completion_tokens or 0 for call in calls])
        strategies = tuple(dict.fromkeys(unit.strategy for unit, _ in self.taken))
        plan = ExperimentPlan(
            questions=tuple(self.questions),
            strategies=strategies,
            dataset=dataset,
            fingerprint=fingerprint(self.questions),
            repeats=max(unit.repeat for unit, _ in self.taken) + 1,
            sampling=_UNKNOWN,
            reuse=False,
        )
        record = SessionRecord(
            id=experiment_id,
            kind="experiment",
            question=Question(IMPORTED_TITLE.format(dataset=dataset, questions=len(self.questions)), source=dataset),
            plan=plan.document() | {"imported": info.document()},
            model=model,
            endpoint=ENDPOINT,
            estimator="",
            template=plan.template,
            status="done",
            source="recorded",
        )
        units = [self._unit(experiment_id, unit, row) for unit, row in self.taken]
        ExperimentStore(store).create_ended(record, self.questions, list(zip(calls, units, strict=True)))
        problems = tuple(self.problems)
        return Imported(experiment_id, len(self.questions), len(calls), strategies, info, problems)

    def _unit(self, experiment_id: str, unit: Unit, row: Prediction) -> UnitRecord:
        problem = None
        if row.unread is not None:
            problem = t("the prompt asked for {n} tokens, which is no budget", n=row.unread)
        elif row.no_optimum:
            problem = t("the search found no smaller budget that works; this is the vanilla answer")
        return UnitRecord(
            session_id=experiment_id,
            unit=unit.key,
            position=unit.position,
            strategy=unit.strategy,
            repeat_index=unit.repeat,
            status="done",
            graded=known_answer(self.questions[unit.position]) is not None,
            budget=row.budget,
            problem=problem,
        )

    def _call(self, experiment_id: str, model: str, unit: Unit, row: Prediction) -> CallRecord:
        question = self.questions[unit.position]
        tokens = self.count(row.text) if row.tokens is None else row.tokens
        call = CallRecord(
            session_id=experiment_id,
            role=_ROLES.get(unit.strategy, "budgeted"),
            status="done",
            model=model,
            endpoint=ENDPOINT,
            prompt_template=ENDPOINT,
            prompt_version=0,
            messages=(Message("user", row.prompt),),
            sampling=_UNKNOWN,
            repeat_index=unit.repeat,
            requested_budget=row.budget,
            unit=unit.key,
            step=0,
            text=row.text,
            prompt_tokens=row.prompt_tokens,
            completion_tokens=tokens,
            reasoning_tokens=row.reasoning_tokens,
            usage_estimated=True,
            finish_reason=row.finish,
            source="recorded",
        )
        found = grade(row.text, replace(question, kind=infer_kind(question)), finish_reason=row.finish)
        extraction = found.extraction
        return replace(call, outcome=found.outcome, extracted=extraction.value, extracted_by=extraction.method)

    def _info(self, files: Sequence[Predictions], tokens: list[int]) -> ImportInfo:
        rows = [row for _, row in self.taken]
        shapes = {one.shape for one in files}
        shape = next(iter(shapes)) if len(shapes) == 1 else "both" if "reference" in shapes else "mapped"
        return ImportInfo(
            files=tuple(one.file for one in files),
            shape=shape,
            passed_over=len(self.problems),
            reported=sum(row.tokens is not None for row in rows),
            counted=sum(row.tokens is None for row in rows),
            unread=sum(row.unread is not None for row in rows),
            no_optimum=sum(row.no_optimum for row in rows),
            searched=any(row.searched for row in rows),
            perhaps_cut=sum(n >= CAP for n in tokens) if "reference" in shapes else 0,
            answers_from=self.answers_from if self.known is not None else "",
            corrected=self.figures["corrected"],
            unknown=self.figures["unknown"],
            more=sum(one.more for one in files),
            prompts=sum(row.prompt_tokens is not None for row in rows),
        )


def same_question(question: Question) -> tuple[str, ...]:
    """What makes two questions the same, for a dictionary: text, whatever its spaces, and options in their order."""
    return (" ".join(question.text.split()), *(" ".join(option.split()) for option in question.options))
