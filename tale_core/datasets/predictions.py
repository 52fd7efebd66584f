"""Predictions that others made: a file of answers -> `Prediction`s, row by row, with what is wrong told by line.

Three shapes are read. The JSON Lines of the paper's public repository (github.com/GeniusHTX/TALE), whose scripts write

* `inference.py`: `question` (the whole prompt), `ground truth`, `prediction`;
* `TALE-EP.py`: these, `budget_TALE` (-1 where the model's estimate could not be read) and `token_cost`;
* `search_budget.py`: these of a vanilla answer, `question_budget`, `prediction_budget` (both the text "None" where no
  smaller budget worked), `budget`, `budget_list`, `token_list`;
* `TALE-PT.py --eval`: as `inference.py`, the question with no more than a format.

The logs of other evaluation tools (see `logs`). And any table with columns for question and prediction, mapped or of
usual names. Reasons never quote the file.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain, islice
from pathlib import Path, PurePath
from typing import BinaryIO, Literal

from tale_core.datasets.answers import Meaning
from tale_core.datasets.collect import LOOKED_AT, file_meaning
from tale_core.datasets.columns import Columns
from tale_core.datasets.loading import SUFFIXES, _printable, _suffix
from tale_core.datasets.logs import ARCHIVE, Log, Sample, Tool, read_log
from tale_core.datasets.ours import language_of
from tale_core.datasets.prediction_columns import PredictionColumns, find_prediction_columns
from tale_core.datasets.reference_prompts import Unwrapped, unwrap
from tale_core.datasets.results import Row, RowProblem
from tale_core.datasets.rows import BadRow, to_question
from tale_core.datasets.tables import Item, read_table
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.types import FinishReason, Question

Shape = Literal["reference", "mapped", Tool]
PREDICTION_SUFFIXES = (*SUFFIXES, ARCHIVE)

MAX_ROWS = 20_000
"""Rows of one file."""
MAX_BYTES = 20_000_000
MAX_ANSWER = 200_000
"""Characters of a prediction."""
MAX_STRATEGIES = 20
MAX_COUNT = 10_000_000
"""Tokens that a row may name."""
_REFERENCE = ("question", "ground truth", "prediction")
_HARNESS = re.compile(r"samples_(.+?)_\d{4}-\d{2}-\d{2}T.*\.jsonl")
"""How lm-evaluation-harness calls a file of samples, after the task."""
_NOTHING = "None"
"""What the repository's search writes where it has found nothing."""
_NAME = re.compile(r"[\w:.@+ -]{1,60}")
_BY_FILE = (("lora", "tuned:lora"), ("dpo", "tuned:dpo"))
_ASKED = {"direct": "direct", "vanilla": "vanilla", "bare": "bare"}


@dataclass(frozen=True, slots=True)
class Prediction:
    """One answer to one question.

    Attributes:
        line: Where it stands, from 1.
        strategy: How it was asked, by this project's names as far as that can be told.
        text: What the model wrote.
        prompt: What it was asked, as the file says it.
        tokens: Of the answer, as the file says; None when it does not.
        budget: Tokens that the prompt asked for; None when it asked for none, or for a number that is no budget.
        unread: The number in the place of a budget that is none (-1: the estimate could not be read); else None.
        no_optimum: A search found no smaller budget that works: the vanilla answer stands here.
        searched: It comes from a search, which keeps only what was right without a budget.
        prompt_tokens: As the file says, as `reasoning_tokens` (part of `tokens`) and `finish`; None where it does not.
    """

    line: int
    question: Question
    strategy: str
    text: str
    prompt: str
    tokens: int | None = None
    budget: int | None = None
    unread: int | None = None
    no_optimum: bool = False
    searched: bool = False
    prompt_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish: FinishReason | None = None


@dataclass(frozen=True, slots=True)
class Predictions:
    """What one file holds.

    Attributes:
        file: Its name, for messages.
        problems: Rows that were passed over, by line.
        model: Who answered, where the file says it; else "".
        dataset: What was asked, likewise.
        more: Further responses to the same questions that the file holds and that were not taken.
    """

    file: str
    shape: Shape
    rows: tuple[Prediction, ...]
    problems: tuple[RowProblem, ...]
    model: str = ""
    dataset: str = ""
    more: int = 0

    @property
    def strategies(self) -> tuple[str, ...]:
        """In the order in which they come."""
        return tuple(dict.fromkeys(row.strategy for row in self.rows))


def load_predictions(
    path: Path, *, mapping: Mapping[str, str | Sequence[str]] | None = None, strategy: str | None = None
) -> Predictions:
    """Read a file of predictions; see `read_predictions`.

    Raises:
        InputError: As there, or there is no such file.
    """
    shown = repr(str(path)[:200])
    try:
        if not path.is_file():
            raise InputError(t("There is no file {file}.", file=shown), t("Name a file of predictions."))
        with path.open("rb") as stream:
            data = stream.read(MAX_BYTES + 1)
    except (OSError, ValueError) as e:
        raise InputError(t("{file} cannot be read: {why}.", file=shown, why=getattr(e, "strerror", None) or e)) from e
    return read_predictions(path.name, data, mapping=mapping, strategy=strategy)


def read_predictions(
    name: str, data: bytes, *, mapping: Mapping[str, str | Sequence[str]] | None = None, strategy: str | None = None
) -> Predictions:
    """Read the bytes of a file. Nothing is written, and no path is made of `name`.

    Args:
        name: The file's name; its ending says how to read it.
        data: The file.
        mapping: Field -> column, for a file that is not of the repository; see `prediction_columns`.
        strategy: What every row is called; None tells it from the rows.

    Raises:
        InputError: The file as a whole cannot be used, or not a single row of it.
    """
    if len(data) > MAX_BYTES:
        raise InputError(
            t("The file has more than {n:,} bytes.", n=MAX_BYTES), t("Split it; the parts can be imported together.")
        )
    if strategy is not None and not _NAME.fullmatch(strategy):
        raise InputError(
            t("The strategy's name cannot be used."), t("Give 1 to 60 letters, digits, spaces or any of : . @ + - _.")
        )
    shown = PurePath(_printable(name).replace("\\", "/")).name[-80:] or "file"
    reader = _Reader(shown, strategy)
    suffix = _suffix(PurePath(shown), PREDICTION_SUFFIXES)
    log = None if mapping else read_log(data, suffix)
    if log is None:
        return reader.read(io.BytesIO(data), suffix, mapping)
    found, by_name = reader.read_log(log), _HARNESS.fullmatch(shown)
    return replace(found, dataset=by_name.group(1)) if log.tool == "lm-eval" and by_name else found


@dataclass(slots=True)
class _Reader:
    file: str
    strategy: str | None
    rows: list[Prediction] = field(default_factory=list)
    problems: list[RowProblem] = field(default_factory=list)
    names: set[str] = field(default_factory=set)
    meaning: Meaning | None = None

    def read(self, stream: BinaryIO, suffix: str, mapping: Mapping[str, str | Sequence[str]] | None) -> Predictions:
        items = read_table(stream, suffix)
        head = list(islice(items, LOOKED_AT))
        rows = [item for item in head if isinstance(item, Row)]
        there = list(dict.fromkeys(column for row in rows for column in row.values))
        reference = not mapping and all(column in there for column in _REFERENCE)
        columns = None if reference else find_prediction_columns(there, mapping, sample=[row.values for row in rows])
        if columns is not None:
            known = Columns(columns.question, columns.answer, columns.options)
            self.meaning = file_meaning(rows, known, mapping)
        for number, item in enumerate(chain(head, items), start=1):
            self._count(number)
            self._take(item, columns)
        return self._found("reference" if reference else "mapped")

    def read_log(self, log: Log) -> Predictions:
        more = 0
        for number, one in enumerate(log.samples, start=1):
            self._count(number)
            if isinstance(one, RowProblem):
                self.problems.append(one)
                continue
            try:
                self.rows.append(self._of_log(one, log.tool))
                more += one.more
            except BadRow as e:
                self.problems.append(RowProblem(one.line, str(e)))
        return replace(self._found(log.tool), model=log.model, dataset=log.dataset, more=more)

    @staticmethod
    def _count(number: int) -> None:
        if number > MAX_ROWS:
            raise InputError(t("There are more than {n:,} rows.", n=MAX_ROWS), t("Split the file."))

    def _found(self, shape: Shape) -> Predictions:
        if not self.rows:
            first = "; ".join(t("line {n}: {reason}", n=p.line, reason=p.reason) for p in self.problems[:3])
            raise InputError(
                t("No prediction could be read from {file}.", file=self.file), first or t("It has no rows.")
            )
        return Predictions(self.file, shape, tuple(self.rows), tuple(self.problems))

    def _of_log(self, one: Sample, tool: Tool) -> Prediction:
        """The answer of a sample; what the log says of its tokens counts where it is a count."""
        way = re.sub(r"[^\w:.@+ -]", "-", one.way)[:60].strip()
        if one.question is None:
            raise BadRow(t("the question holds more than text"))
        question = _said(one.question, t("question"))
        parts = Unwrapped(question, (), "bare", None, language_of(question))
        return Prediction(
            one.line,
            _question(parts, one.answer, one.options, meaning=one.meaning),
            self._name(way or tool),
            _said(one.text, t("prediction"), empty=True),
            one.prompt[:MAX_ANSWER],
            _count_or_none(one.tokens),
            prompt_tokens=_count_or_none(one.prompt_tokens),
            reasoning_tokens=_count_or_none(one.reasoning_tokens),
            finish=one.finish,
        )

    def _take(self, item: Item, columns: PredictionColumns | None) -> None:
        if isinstance(item, RowProblem):
            self.problems.append(item)
            return
        try:
            found = list(self._of_reference(item) if columns is None else self._mapped(item, columns))
        except BadRow as e:
            self.problems.append(RowProblem(item.line, str(e)))
            return
        self.rows += found

    def _of_reference(self, row: Row) -> Iterator[Prediction]:
        values = row.values
        prompt = _said(values.get("question"), t("question"))
        parts = unwrap(prompt)
        question = _question(parts, values.get("ground truth"))
        text = _said(values.get("prediction"), t("prediction"), empty=True)
        if "prediction_budget" in values:
            yield from self._searched(row, question, prompt, text)
            return
        budget, unread = _budget(values.get("budget_TALE", parts.budget))
        yield Prediction(
            row.line,
            question,
            self._name("tale-zero-shot" if "budget_TALE" in values else self._asked(parts)),
            text,
            prompt,
            _count(values.get("token_cost"), t("token cost")),
            budget,
            unread,
        )

    def _searched(self, row: Row, question: Question, prompt: str, vanilla: str) -> Iterator[Prediction]:
        """The vanilla answer, and the one under the budget that the search has found."""
        whole = Prediction(row.line, question, self._name("vanilla"), vanilla, prompt, searched=True)
        yield whole
        text = _said(row.values.get("prediction_budget"), t("prediction"), empty=True)
        if text.strip() == _NOTHING:
            yield replace(whole, strategy=self._name("oracle"), no_optimum=True)
            return
        asked = _said(row.values.get("question_budget"), t("question"))
        budget, unread = _budget(row.values.get("budget", unwrap(asked).budget))
        found = replace(whole, strategy=self._name("oracle"), text=text, prompt=asked)
        yield replace(found, budget=budget, unread=unread)

    def _mapped(self, row: Row, columns: PredictionColumns) -> Iterator[Prediction]:
        values = row.values
        prompt = _said(values.get(columns.question), t("question"))
        parts = unwrap(prompt)
        cells = [values.get(c) for c in columns.options]
        options = cells[0] if len(cells) == 1 else cells or None
        answer = values.get(columns.answer) if columns.answer else None
        named = values.get(columns.strategy) if columns.strategy else None
        budget, unread = _budget(values.get(columns.budget) if columns.budget else parts.budget)
        yield Prediction(
            row.line,
            _question(
                parts if options is None else parts._replace(options=()),
                answer,
                options,
                meaning=self.meaning,
                column=columns.answer or "",
            ),
            self._name(self._asked(parts) if named is None else _said(named, t("strategy"))),
            _said(values.get(columns.prediction), t("prediction"), empty=True),
            prompt,
            _count(values.get(columns.tokens), t("token count")) if columns.tokens else None,
            budget,
            unread,
        )

    def _asked(self, parts: Unwrapped) -> str:
        if parts.asked == "budgeted":
            return f"fixed:{parts.budget}"
        by_file = next((name for part, name in _BY_FILE if part in self.file.casefold()), "bare")
        return by_file if parts.asked == "bare" else _ASKED[parts.asked]

    def _name(self, found: str) -> str:
        name = self.strategy or found.strip()
        if not _NAME.fullmatch(name):
            raise BadRow(t("the strategy's name cannot be used"))
        if name not in self.names and len(self.names) >= MAX_STRATEGIES:
            raise BadRow(t("it names one strategy more than the {n} that can be compared", n=MAX_STRATEGIES))
        self.names.add(name)
        return name


def _question(
    parts: Unwrapped, answer: object, options: object = None, *, meaning: Meaning | None = None, column: str = ""
) -> Question:
    """The question with its known answer, checked as those of data sets are."""
    known = answer is not None and answer != "" and answer != []
    name = column if known and column not in ("", "question", "options") else "answer"
    values = {"question": parts.text, "options": list(parts.options) or options, name: answer}
    columns = Columns("question", name if known else None, ("options",))
    return to_question(values, columns, source="imported", language=parts.language, meaning=meaning)


def _count_or_none(value: object) -> int | None:
    number = _whole(value)
    return number if number is not None and number >= 0 else None


def _said(value: object, what: str, *, empty: bool = False) -> str:
    """A cell that is to be a text.

    Raises:
        BadRow: It is none, or too long.
    """
    if isinstance(value, int | float) and not isinstance(value, bool):
        value = str(value)
    if not isinstance(value, str) or not (value.strip() or empty):
        raise BadRow(t("there is no {what}", what=what))
    if len(value) > MAX_ANSWER:
        raise BadRow(t("the {what} is longer than {n:,} characters", what=what, n=MAX_ANSWER))
    return value


def _whole(value: object) -> int | None:
    """A whole number, also one that is written as text or as a float; None when it is none."""
    if isinstance(value, str):
        try:
            value = float(value) if len(value) <= 20 else None
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float) or value != value or abs(value) > MAX_COUNT:
        return None
    return int(value) if value == int(value) else None


def _count(value: object, what: str) -> int | None:
    """Tokens, or None where the file names none.

    Raises:
        BadRow: Something else stands there.
    """
    if value is None or value == "":
        return None
    number = _whole(value)
    if number is None or number < 0:
        raise BadRow(t("the {what} is not a whole number from 0", what=what))
    return number


def _budget(value: object) -> tuple[int | None, int | None]:
    """A budget, or a number in its place that is none: -1 stands for an estimate that could not be read.

    Raises:
        BadRow: It is no number.
    """
    if value is None or value == "":
        return None, None
    number = _whole(value)
    if number is None:
        raise BadRow(t("the budget is not a whole number"))
    return (number, None) if number >= 1 else (None, number)


def is_log(name: str, data: bytes) -> bool:
    """Whether a file is a log of another evaluation tool: it needs no mapping.

    Raises:
        InputError: It is one that cannot be read.
    """
    return read_log(data, PurePath(name).suffix.casefold()) is not None


def known_shape(columns: Sequence[str]) -> bool:
    """Whether a file with these columns is of the paper's repository: it needs no mapping."""
    return all(column in columns for column in _REFERENCE)
