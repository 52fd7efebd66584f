"""The columns of an experiment's tables: what the registry holds is what every listing shows."""

from __future__ import annotations

import io

from rich.console import Console

import tale_core.cli.run as terminal
import tale_core.experiments.columns as registry
import ui.experiments.text as page
from tale_core.calls.budget_ledger import Spent
from tale_core.experiments import ExperimentResults, export, html_report, rows_of
from tale_core.experiments.columns import (
    COLUMNS,
    DIFFERENCE_COLUMNS,
    PAPER_COLUMNS,
    UNIT_COLUMNS,
    Column,
    Shown,
    table,
)
from tale_core.store import UnitFigures
from tale_core.types import Outcome

UNITS = [
    UnitFigures(
        position, 0, name, "done", True, Outcome.CORRECT, None, "stop", None, 30, 5, 30, 0.0, 0.1, 1, 0, 0, None, None,
        thinking_tokens=10,
    )
    for position in range(3)
    for name in ("vanilla", "direct")
]  # fmt: skip
ROWS = rows_of(UNITS, ["vanilla", "direct"], planned=3)
FOUND = ExperimentResults("e", "gsm8k", "m", "e", "done", 3, 1, 6, 6, 0, Spent(), ROWS)


def titles(columns, where):
    return [title for title, _ in table(columns, where, ROWS if columns is COLUMNS else ())]


def header(titles):
    return "<tr>" + "".join(f"<th>{title}</th>" for title in titles) + "</tr>"


def printed():
    console = Console(width=300, file=io.StringIO())
    console.print(terminal.results_table(FOUND))
    return console.file.getvalue()


def test_every_listing_shows_what_the_registry_holds():
    assert list(page.main_table(FOUND)) == titles(COLUMNS, "page")
    assert list(page.difference_table(FOUND)) == titles(DIFFERENCE_COLUMNS, "page")
    assert list(page.key_table(FOUND)) == titles(COLUMNS, "key")
    report = html_report.report_html(FOUND)
    for columns, where in (
        (COLUMNS, "report"), (COLUMNS, "report outcomes"), (DIFFERENCE_COLUMNS, "report"), (PAPER_COLUMNS, "report"),
    ):  # fmt: skip
        assert header(titles(columns, where)) in report
    assert [column.header for column in terminal.results_table(FOUND).columns] == titles(COLUMNS, "terminal")
    keys = [column.key for column in COLUMNS if column.key]
    assert [key for key in export.row_document(ROWS[0]) if not key.endswith(("_low", "_high"))] == keys
    assert tuple(column.key for column in UNIT_COLUMNS) == export.UNIT_KEYS


def test_the_key_columns_are_strategy_right_and_output_with_their_intervals_and_both_savings():
    found = page.key_table(FOUND)
    assert list(found) == ["Strategy", "Right [95 %]", "Output tokens [95 %]", "Output saved", "All-in saved"]
    assert found["Output saved"][0] == found["All-in saved"][0] == "–"  # Vanilla itself.
    whole = page.main_table(FOUND)
    assert found["Right [95 %]"] == [f"{r} [{e}]" for r, e in zip(whole["Right"], whole["95 % of right"], strict=True)]


def test_a_new_column_is_one_entry_for_every_listing(monkeypatch):
    everywhere = ("page", "compare", "report", "report outcomes", "terminal")
    speed = Column("speed", lambda row: 42.5, (Shown(everywhere, "Speed", lambda row: "42.5 a second"),))
    for module in (page, html_report, registry, export):  # The command line reads it where it stands.
        monkeypatch.setattr(module, "COLUMNS", (*COLUMNS, speed))
    assert page.main_table(FOUND)["Speed"] == ["42.5 a second"] * 2
    assert html_report.report_html(FOUND).count("<td>42.5 a second</td>") == 4  # Two tables of two strategies.
    assert printed().count("42.5 a second") == 2
    assert [row["speed"] for row in export.experiment_document(FOUND)["rows"]] == [42.5, 42.5]


def test_no_key_of_a_document_is_taken_twice_and_every_outcome_has_a_column():
    for columns in (COLUMNS, UNIT_COLUMNS):
        keys = [column.key for column in columns if column.key]
        assert len(keys) == len(set(keys))
    assert {outcome.value for outcome in Outcome} <= set(titles(COLUMNS, "report outcomes"))
