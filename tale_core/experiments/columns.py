"""Every column of an experiment's tables, once: its key, its title, how it is read and where it is shown.

The page, the HTML report, the command line, the JSON of `run` and the exports of single answers all read these lists,
so a new column is one entry here (and its Chinese words). Within a list the order is that of every table; where one
table wants another order, a column has a second entry without a key.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Generic, Literal, NamedTuple, TypeVar

from tale_core.calls.budget_ledger import apart_words, money, part_words
from tale_core.calls.outcomes import OUTCOMES, REFUSED, outcome_counts
from tale_core.experiments.paper import PaperRow
from tale_core.experiments.table import Change, Difference, StrategyRow
from tale_core.i18n import N_, in_english, listed, number, percent, t
from tale_core.stats import Interval
from tale_core.store import UnitFigures
from tale_core.strategies import title_of, tool_of
from tale_core.types import Outcome, Question, SessionRecord

NOTHING = "–"
Row = TypeVar("Row")
Where = Literal["key", "page", "compare", "report", "report outcomes", "terminal"]
"""A table that people read: of the page, of two experiments beside each other, of the report, of the command line."""
Table = list[tuple[str, list[str]]]
"""Titles with their cells, a cell for each row."""


@dataclass(frozen=True, slots=True)
class Shown(Generic[Row]):
    """A column of tables that people read.

    Attributes:
        where: In which of them.
        title: Marked with `N_`; said with `t`.
        say: The cell of a row, in the reader's language.
    """

    where: tuple[Where, ...]
    title: str
    say: Callable[[Row], str]


@dataclass(frozen=True, slots=True)
class Column(Generic[Row]):
    """One column.

    Attributes:
        key: Of the value in JSON, CSV, JSON Lines and Parquet; "" for one that is only shown.
        read: The value of a row; None when it is unknown.
        shown: How tables show it.
        interval: The value is an `Interval`, or None: its ends have keys of their own.
        kind: Of a column of a Parquet file.
        only_if_any: Tables show it only where some row has this.
    """

    key: str
    read: Callable[[Row], Any]
    shown: tuple[Shown[Row], ...] = ()
    interval: bool = False
    kind: Literal["text", "whole", "real"] = "text"
    only_if_any: Callable[[Row], object] | None = None


class Compared(NamedTuple):
    """A row of DIFFERENCE_COLUMNS."""

    strategy: str
    difference: Difference


class Ended(NamedTuple):
    """A row of UNIT_COLUMNS: an ended unit with its experiment and its question."""

    head: SessionRecord
    unit: UnitFigures
    question: Question


def document(columns: Sequence[Column[Row]], row: Row) -> dict[str, Any]:
    """The values of a row by their keys."""
    found: dict[str, Any] = {}
    for column in columns:
        if column.interval:
            mean, low, high = column.read(row) or (None, None, None)
            found |= {column.key: mean, f"{column.key}_low": low, f"{column.key}_high": high}
        elif column.key:
            found[column.key] = column.read(row)
    return found


def table(columns: Sequence[Column[Row]], where: Where, rows: Sequence[Row]) -> Table:
    """What one of the tables shows of rows."""
    return [
        (t(shown.title), [shown.say(row) for row in rows])
        for column in columns
        if column.only_if_any is None or any(map(column.only_if_any, rows))
        for shown in column.shown
        if where in shown.where
    ]


def compared(rows: Sequence[StrategyRow]) -> list[Compared]:
    """The strategies that can be held against vanilla, as rows of DIFFERENCE_COLUMNS."""
    return [Compared(row.strategy, row.against_vanilla) for row in rows if row.against_vanilla is not None]


def _mean(interval: Interval | None) -> str:
    return NOTHING if interval is None else number(interval.mean, ",.1f")


def _ends(interval: Interval | None, factor: float, unit: str) -> str:
    if interval is None:
        return NOTHING
    return f"{interval.low * factor:,.1f}–{interval.high * factor:,.1f}{unit}"


def _within(mean: str, interval: Interval | None, factor: float, unit: str) -> str:
    return mean if interval is None else f"{mean} [{_ends(interval, factor, unit)}]"


def _plain(value: float | None, form: str) -> str:
    return t("unknown") if value is None else _said(value, form)


def _said(value: float, form: str) -> str:
    """A number, or where the form is one of per cent a share, as the pages write it."""
    return number(value * 100, f"{form[:-1]}f") + " %" if form.endswith("%") else number(value, form)


def _plain_mean(interval: Interval | None, form: str) -> str:
    return _plain(interval and interval.mean, form)


def _plain_ends(interval: Interval | None, form: str) -> str:
    if interval is None:
        return ""
    return t("{low} to {high}", low=_said(interval.low, form), high=_said(interval.high, form))


def _of_planned(row: StrategyRow) -> str:
    return t("{n:,} of {planned:,}", n=row.n, planned=row.planned)


def _right(row: StrategyRow) -> str:
    if row.accuracy is None:
        return t("not graded") if row.n else NOTHING
    return t("{share}, n = {n:,}", share=percent(row.accuracy.mean, 1), n=row.graded)


def _plain_right(row: StrategyRow) -> str:
    return "not graded" if row.accuracy is None else f"{percent(row.accuracy.mean, 1)} of {row.graded}"


def _output(row: StrategyRow) -> str:
    if row.output_tokens is None:
        return ""
    return ", ".join([f"{row.output_tokens.mean:.1f}", *apart_words(row.visible_tokens, row.thinking_tokens)])


def _outcomes(row: StrategyRow) -> str:
    """Every outcome by its own name; failed calls are no answers and stand apart."""
    counted = [(kind.word, n) for kind, n in outcome_counts(row.outcomes, refused=row.refused) if n > 0]
    if row.failed:
        counted.append((t("calls failed"), row.failed))
    return listed(t("{n:,} {outcome}", n=n, outcome=word) for word, n in counted) or NOTHING


def _not_read(row: StrategyRow) -> str:
    """Answers that are neither right nor wrong, by their outcomes."""
    read = (Outcome.CORRECT, Outcome.WRONG)
    counted = {outcome.value: _count(row, outcome) for outcome in row.outcomes if outcome not in read}
    return ", ".join(f"{n} {name}" for name, n in {**counted, "refused": row.refused}.items() if n)


def _count(row: StrategyRow, outcome: Outcome) -> int:
    """Answers of an outcome; refusals are told apart and are no failures of the endpoint."""
    return row.outcomes.get(outcome, 0) - (row.refused if outcome is Outcome.ERROR else 0)


def _outcome_column(outcome: Outcome) -> Column[StrategyRow]:
    return _only(("report outcomes",), OUTCOMES[outcome].term, lambda r: str(_count(r, outcome)))


def _tool(row: StrategyRow) -> str | None:
    """Of an adapter that is gone the answers tell."""
    return "calculator" if row.lines else tool_of(row.strategy)


def _shown_tool(row: StrategyRow) -> str:
    return t("a calculator") if _tool(row) else NOTHING


def _saved(apart: Difference | None, name: Literal["output_saving", "all_in_saving"]) -> str:
    """Against vanilla; nothing is said where that cannot be."""
    return NOTHING if apart is None else _share(getattr(apart, name))


def _only(where: tuple[Where, ...], title: str, say: Callable[[Row], str]) -> Column[Row]:
    """A column of tables alone."""
    return Column("", say, (Shown(where, title, say),))


COLUMNS: tuple[Column[StrategyRow], ...] = (
    Column("strategy", lambda r: r.strategy, (
        Shown(("key", "page", "compare"), N_("Strategy"), lambda r: title_of(r.strategy)),
        Shown(("report", "report outcomes", "terminal"), N_("strategy"), lambda r: title_of(r.strategy)),
    )),
    Column("tool", _tool, (
        Shown(("page", "compare", "report", "terminal"), N_("Tool"), _shown_tool),
    ), only_if_any=_tool),
    Column("n", lambda r: r.n, (
        Shown(("report",), N_("answers"), _of_planned),
        Shown(("terminal",), N_("answers"), lambda r: str(r.n)),
    )),
    Column("planned", lambda r: r.planned),
    Column("failed", lambda r: r.failed),
    Column("graded", lambda r: r.graded, (Shown(("report",), N_("graded"), lambda r: str(r.graded)),)),
    Column("right", lambda r: r.right),
    Column("accuracy", lambda r: r.accuracy, (
        Shown(("key",), N_("Right [95 %]"), lambda r: _within(_right(r), r.accuracy, 100, " %")),
        Shown(("page", "compare"), N_("Right"), _right),
        Shown(("page", "compare"), N_("95 % of right"), lambda r: _ends(r.accuracy, 100, " %")),
        Shown(("report",), N_("accuracy"), lambda r: _plain_mean(r.accuracy, ".1%")),
        Shown(("terminal",), N_("right"), _plain_right),
        Shown(("report", "terminal"), "95 %", lambda r: _plain_ends(r.accuracy, ".1%")),
    ), interval=True),
    Column("accuracy_decided", lambda r: r.accuracy_decided, interval=True),
    _only(("page",), N_("Answers"), _of_planned),
    Column("output_tokens", lambda r: r.output_tokens, (
        Shown(("key",), N_("Output tokens [95 %]"), lambda r: _within(_mean(r.output_tokens), r.output_tokens, 1, "")),
        Shown(("page", "compare"), N_("Output tokens"), lambda r: _mean(r.output_tokens)),
        Shown(("page", "compare"), N_("95 % of output"), lambda r: _ends(r.output_tokens, 1, "")),
        Shown(("report",), N_("output tokens"), lambda r: _plain_mean(r.output_tokens, ".1f")),
        Shown(("report",), "95 %", lambda r: _plain_ends(r.output_tokens, ".1f")),
        Shown(("terminal",), N_("output tokens"), _output),
    ), interval=True),
    Column("visible_tokens", lambda r: r.visible_tokens, (
        Shown(("page", "compare", "report"), N_("of which answer"), lambda r: part_words(r.visible_tokens)),
    ), only_if_any=lambda r: r.thinking_tokens),
    Column("thinking_tokens", lambda r: r.thinking_tokens, (
        Shown(("page", "compare", "report"), N_("of which thinking"), lambda r: part_words(r.thinking_tokens)),
    ), only_if_any=lambda r: r.thinking_tokens),
    Column("all_in_tokens", lambda r: r.all_in_tokens, (
        Shown(("page",), N_("All-in tokens"), lambda r: _mean(r.all_in_tokens)),
        Shown(("report",), N_("all-in tokens"), lambda r: _plain_mean(r.all_in_tokens, ".1f")),
        Shown(("report",), "95 %", lambda r: _plain_ends(r.all_in_tokens, ".1f")),
        Shown(("terminal",), N_("all-in tokens"), lambda r: f"{r.all_in_tokens.mean:.1f}" if r.all_in_tokens else ""),
    ), interval=True),
    Column("prompt_tokens", lambda r: r.prompt_tokens),
    Column("cost_usd", lambda r: r.cost_usd, (
        Shown(("page",), N_("Cost a question"), lambda r: money(r.cost_usd) if r.n else NOTHING),
        Shown(("report",), N_("cost"), lambda r: money(r.cost_usd)),
        Shown(("terminal",), N_("cost"), lambda r: money(r.cost_usd) if r.n else ""),
    )),
    Column("latency_s", lambda r: r.latency_s, (
        Shown(("page",), N_("Seconds a question"), lambda r: NOTHING if r.latency_s is None else f"{r.latency_s:.2f}"),
        Shown(("report",), N_("seconds"), lambda r: _plain(r.latency_s, ".2f")),
        Shown(("terminal",), N_("seconds"), lambda r: "" if r.latency_s is None else f"{r.latency_s:.2f}"),
    )),
    Column("calls", lambda r: r.calls),
    Column("reused_calls", lambda r: r.reused),
    Column("estimated_counts", lambda r: r.estimated),
    Column("default_budgets", lambda r: r.defaults),
    Column("labelled", lambda r: r.labelled),
    Column("outcomes", lambda r: {outcome.value: r.outcomes.get(outcome, 0) for outcome in Outcome}, (
        Shown(("page",), N_("What became of them"), _outcomes),
        Shown(("terminal",), "not read", _not_read),
    )),
    *map(_outcome_column, Outcome),
    Column("refused", lambda r: r.refused, (Shown(("report outcomes",), REFUSED.term, lambda r: str(r.refused)),)),
    _only(("report outcomes",), N_("failed calls"), lambda r: str(r.failed)),
    _only(("report outcomes",), N_("default budgets"), lambda r: str(r.defaults)),
    Column("pareto", lambda r: r.pareto, (Shown(("report",), N_("Pareto"), lambda r: t("yes") if r.pareto else ""),)),
    Column("pareto_output", lambda r: r.pareto_output),
    _only(("key",), N_("Output saved"), lambda r: _saved(r.against_vanilla, "output_saving")),
    _only(("key",), N_("All-in saved"), lambda r: _saved(r.against_vanilla, "all_in_saving")),
    Column("against_vanilla", lambda r: asdict(r.against_vanilla) if r.against_vanilla is not None else None),
)  # fmt: skip
"""Of a strategy: the rows of the results."""


def _change(change: Change | None, factor: float) -> str:
    if change is None:
        return t("unknown")
    mean, low, high = (number(value * factor, "+,.1f") for value in (change.mean, change.low, change.high))
    return t("{mean} [{low} to {high}]", mean=mean, low=low, high=high)


def _plain_change(change: Change | None, form: str) -> str:
    if change is None:
        return t("unknown")
    mean, low, high = (_said(value, form) for value in (change.mean, change.low, change.high))
    return t("{mean} ({low} to {high})", mean=mean, low=low, high=high)


def _p(change: Change | None, unknown: str = NOTHING) -> str:
    """The adjusted p."""
    return unknown if change is None or change.p_holm is None else f"{change.p_holm:.2g}"


def _p_alone(change: Change | None) -> str:
    """The p that is not adjusted."""
    return NOTHING if change is None or change.p is None else f"{change.p:.2g}"


def _share(share: float | None) -> str:
    return t("unknown") if share is None else percent(share, 1)


DIFFERENCE_COLUMNS: tuple[Column[Compared], ...] = (
    _only(("page",), N_("Against vanilla"), lambda r: title_of(r.strategy)),
    _only(("compare",), N_("Ours minus theirs"), lambda r: title_of(r.strategy)),
    _only(("report",), N_("strategy"), lambda r: title_of(r.strategy)),
    _only(("page", "compare"), N_("Pairs"), lambda r: f"{r.difference.pairs:,}"),
    _only(("report",), N_("pairs"), lambda r: str(r.difference.pairs)),
    _only(("page", "compare"), N_("Right, points"), lambda r: _change(r.difference.accuracy, 100)),
    _only(("page",), N_("p (right)"), lambda r: _p(r.difference.accuracy)),
    _only(("compare",), N_("p (right)"), lambda r: _p_alone(r.difference.accuracy)),
    _only(("report",), N_("accuracy"), lambda r: _plain_change(r.difference.accuracy, "+.1%")),
    _only(("report",), "p", lambda r: _p(r.difference.accuracy, "")),
    _only(("page",), N_("Only it right / only vanilla"), lambda r: f"{r.difference.better:,} / {r.difference.worse:,}"),
    _only(("page", "compare"), N_("Output tokens"), lambda r: _change(r.difference.output_tokens, 1)),
    _only(("page",), N_("p (output)"), lambda r: _p(r.difference.output_tokens)),
    _only(("page",), N_("Output saved"), lambda r: _share(r.difference.output_saving)),
    _only(("report",), N_("output tokens"), lambda r: _plain_change(r.difference.output_tokens, "+.1f")),
    _only(("report",), "p", lambda r: _p(r.difference.output_tokens, "")),
    _only(("page",), N_("All-in tokens"), lambda r: _change(r.difference.all_in_tokens, 1)),
    _only(("page",), N_("p (all-in)"), lambda r: _p(r.difference.all_in_tokens)),
    _only(("page",), N_("All-in saved"), lambda r: _share(r.difference.all_in_saving)),
    _only(("report",), N_("all-in tokens"), lambda r: _plain_change(r.difference.all_in_tokens, "+.1f")),
    _only(("report",), "p", lambda r: _p(r.difference.all_in_tokens, "")),
    _only(("report",), N_("all-in saving"), lambda r: _plain(r.difference.all_in_saving, ".1%")),
)
"""Of a strategy against vanilla, or against the same one of another experiment. JSON holds a `Difference` whole."""

PAPER_COLUMNS: tuple[Column[PaperRow], ...] = (
    _only(("report",), N_("model"), lambda r: r.model),
    _only(("report",), N_("strategy"), lambda r: title_of(r.strategy)),
    _only(("page",), N_("Strategy"), lambda r: title_of(r.strategy)),
    _only(("page",), N_("Model"), lambda r: r.model),
    _only(("page",), N_("Right"), lambda r: f"{r.accuracy * 100:.2f} %"),
    _only(("report",), N_("accuracy"), lambda r: percent(r.accuracy, 1)),
    _only(("page",), N_("Output tokens"), lambda r: f"{r.output_tokens:,.2f}"),
    _only(("report",), N_("output tokens"), lambda r: f"{r.output_tokens:.1f}"),
    _only(("page",), N_("Cost a question"), lambda r: money(r.cost_usd)),
    _only(("report",), N_("cost"), lambda r: money(r.cost_usd)),
    _only(("page",), N_("Printed in"), lambda r: t("Table {n}", n=r.table)),
    _only(("report",), N_("printed in"), lambda r: t("table {n}", n=r.table)),
)
"""Of what the paper prints for a data set. JSON holds a `PaperRow` whole."""

UNIT_COLUMNS: tuple[Column[Ended], ...] = (
    Column("experiment", lambda r: r.head.id),
    Column("dataset", lambda r: str(r.head.plan.get("dataset", ""))),
    Column("model", lambda r: r.head.model),
    Column("endpoint", lambda r: r.head.endpoint),
    Column("strategy", lambda r: r.unit.strategy),
    Column("position", lambda r: r.unit.position, kind="whole"),
    Column("repeat", lambda r: r.unit.repeat_index, kind="whole"),
    Column("question_id", lambda r: r.question.id),
    Column("question", lambda r: r.question.text),
    Column("known_answer", lambda r: r.question.answer),
    Column("status", lambda r: r.unit.status),
    Column("outcome", lambda r: r.unit.outcome.value if r.unit.outcome is not None else None),
    Column("labelled", lambda r: r.unit.labelled),
    Column("extracted", lambda r: r.unit.extracted),
    Column("finish_reason", lambda r: r.unit.finish_reason),
    Column("budget", lambda r: r.unit.budget, kind="whole"),
    Column("output_tokens", lambda r: r.unit.output_tokens, kind="whole"),
    Column("visible_tokens", lambda r: r.unit.visible_tokens, kind="whole"),
    Column("thinking_tokens", lambda r: r.unit.thinking_tokens, kind="whole"),
    Column("prompt_tokens", lambda r: r.unit.prompt_tokens, kind="whole"),
    Column("completion_tokens", lambda r: r.unit.completion_tokens, kind="whole"),
    Column("all_in_tokens", lambda r: r.unit.all_in_tokens, kind="whole"),
    Column("cost_usd", lambda r: r.unit.cost_usd, kind="real"),
    Column("latency_s", lambda r: r.unit.latency_s, kind="real"),
    Column("calls", lambda r: r.unit.calls, kind="whole"),
    Column("reused_calls", lambda r: r.unit.reused, kind="whole"),
    Column("estimated_counts", lambda r: r.unit.estimated, kind="whole"),
    Column("problem", lambda r: in_english(r.unit.problem)),
    Column("error", lambda r: in_english(r.unit.error)),
)
"""Of every export of single answers: CSV, JSON Lines, Parquet."""
