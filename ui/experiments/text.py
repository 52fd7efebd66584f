"""The words about an experiment: chart title, notes, progress, how to read the chart, the cells of its tables.

Reads results; imports neither plotly nor Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence

from tale_core.experiments.columns import COLUMNS, DIFFERENCE_COLUMNS, PAPER_COLUMNS, compared, table
from tale_core.experiments.import_notes import brief
from tale_core.experiments.paper import PaperRow
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.run import ExperimentView
from tale_core.experiments.text import headline
from tale_core.i18n import joined, listed, percent, t, tn
from tale_core.strategies import title_of
from tale_core.text import duration
from tale_core.types import Outcome

Table = dict[str, list[str]]


def alt_text(found: ExperimentResults, of: str = "") -> str:
    """The chart for people who do not see it."""
    words = [t("Chart of right answers against output tokens. {finding}.", finding=headline(found, of))]
    words += [
        t(
            "{strategy}: {tokens:.0f} tokens, {share} right.",
            strategy=title_of(row.strategy),
            tokens=row.output_tokens.mean,
            share=percent(row.accuracy.mean, 1),
        )
        for row in found.rows[:20]
        if row.output_tokens and row.accuracy
    ]
    return joined(*words)


def legend(found: ExperimentResults) -> str:
    """How to read the chart."""
    front = [title_of(row.strategy) for row in found.rows if row.pareto_output]
    words = [
        t(
            "Up is more accurate, left is cheaper. Bars are 95 % intervals, over questions: of the share of right "
            "answers and of the mean output tokens."
        )
    ]
    if front:
        words.append(
            t(
                "The line is the Pareto front: nothing else is as accurate with as few tokens as {strategies}.",
                strategies=listed(front),
            )
        )
    words.append(t("Estimates and prompts are not in this picture: all-in tokens stand in the table."))
    return joined(*words)


def qualifications(view: ExperimentView) -> list[str]:
    """What a careful reader must know about the finding, each a sentence."""
    found = view.results
    if found is None:
        return []
    notes: list[str] = [] if found.imported is None else brief(found.imported)
    if not found.complete:
        notes.append(
            t("{finished:,} of {planned:,} answers are there.", finished=found.finished, planned=found.planned)
        )
    if found.failed:
        notes.append(t("{n:,} failed at the endpoint: no answers, and not counted as wrong ones.", n=found.failed))
    if refused := sum(row.refused for row in found.rows):
        notes.append(
            tn(
                "{n:,} answer was refused by a content filter: told apart, and not counted as right.",
                "{n:,} answers were refused by a content filter: told apart, and not counted as right.",
                refused,
            )
        )
    if cut := sum(row.outcomes.get(Outcome.TRUNCATED, 0) for row in found.rows):
        notes.append(
            tn(
                "{n:,} answer reached max_tokens: called cut off, not wrong, and not counted as right.",
                "{n:,} answers reached max_tokens: called cut off, not wrong, and not counted as right.",
                cut,
            )
        )
    if found.imported is None and (estimated := sum(row.estimated for row in found.rows)):
        notes.append(
            tn(
                "The token counts of {n:,} call are estimates: the endpoint reported none.",
                "The token counts of {n:,} calls are estimates: the endpoint reported none.",
                estimated,
            )
        )
    if reused := sum(row.reused for row in found.rows):
        notes.append(
            tn(
                "Not paid for now, since known already: {n:,} call, with the original numbers.",
                "Not paid for now, since known already: {n:,} calls, with the original numbers.",
                reused,
            )
        )
    if labelled := sum(row.labelled for row in found.rows):
        notes.append(
            tn(
                "{n} answer was judged on the Label page: that beats the grader.",
                "{n} answers were judged on the Label page: that beats the grader.",
                labelled,
            )
        )
    notes += [
        tn(
            "{strategy}: {n:,} answer under a default budget.",
            "{strategy}: {n:,} answers under a default budget.",
            row.defaults,
            strategy=title_of(row.strategy),
        )
        for row in found.rows
        if row.defaults and found.imported is None
    ]
    if found.questions < 30:
        notes.append(
            tn(
                "With {n:,} question only large differences can be told from chance.",
                "With {n:,} questions only large differences can be told from chance.",
                found.questions,
            )
        )
    return notes


def progress(view: ExperimentView) -> str:
    """How far it is, in words."""
    left = t("time left unknown until the first answer")
    if view.eta_s is not None:
        left = t("about {time} left", time=duration(view.eta_s))
    words = t("{finished:,} of {planned:,} answers, {left}", finished=view.finished, planned=view.planned, left=left)
    if view.concurrency is not None:
        calls = tn("{n} call at a time", "{n} calls at a time", view.concurrency)
        words = t("{words}, {more}", words=words, more=calls)
    if view.failed:
        words = t("{words}, {more}", words=words, more=t("{n:,} failed", n=view.failed))
    return words


def key_table(found: ExperimentResults) -> Table:
    """What one looks for first: how often right, how many tokens, how many saved."""
    return dict(table(COLUMNS, "key", found.rows))


def main_table(found: ExperimentResults) -> Table:
    """The paper's layout: accuracy, output tokens, expense; and beside them all-in tokens and time."""
    return dict(table(COLUMNS, "page", found.rows))


def difference_table(found: ExperimentResults) -> Table:
    """Each strategy minus vanilla on the same questions; empty when vanilla was not asked."""
    rows = compared(found.rows)
    return dict(table(DIFFERENCE_COLUMNS, "page", rows)) if rows else {}


def paper_table(rows: Sequence[PaperRow]) -> Table:
    """What the paper prints for the same data set."""
    return dict(table(PAPER_COLUMNS, "page", rows))
