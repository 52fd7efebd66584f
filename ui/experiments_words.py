"""The words about an experiment: chart title, notes, progress, how to read the chart, the cells of its tables.

Reads results; knows neither plotly nor Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence

from tale_core.elasticity_stats import Interval
from tale_core.experiments.imported import brief
from tale_core.experiments.job import ExperimentView
from tale_core.experiments.paper import PaperRow
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.rows import BASELINE, Change, StrategyRow
from tale_core.experiments.words import SURE
from tale_core.i18n import joined, listed, t, tn
from tale_core.presheet import duration
from tale_core.spending_words import money
from tale_core.types import Outcome
from ui.theme import OUTCOMES

NOTHING = "–"
Table = dict[str, list[str]]


def headline(found: ExperimentResults) -> str:
    """The chart's title: what it shows, in the paper's measure."""
    points = [row for row in found.rows if row.output_tokens and row.accuracy]
    if not points:
        return t("Output tokens of each way of asking; no answer is graded")
    compared = [row for row in points if row.against_vanilla and row.against_vanilla.output_saving is not None]
    if not compared:
        front = [row.strategy for row in points if row.pareto_output]
        return t("No other gives more for less: {strategies}", strategies=listed(front))
    saving = [row for row in compared if _output_saving(row) > 0]
    if not saving:
        return t("Nothing uses fewer output tokens than {baseline} here", baseline=BASELINE)
    kept = [row for row in saving if not surely_worse(row)]
    best = max(kept or saving, key=_output_saving if kept else lambda row: row.accuracy.mean if row.accuracy else 0.0)
    change = best.against_vanilla.accuracy if best.against_vanilla else None
    facts: dict[str, object] = {"strategy": best.strategy, "share": _output_saving(best) * 100}
    if change is None:
        return t("{strategy}: {share:.0f} % fewer output tokens", **facts)
    facts["points"] = change.mean * 100
    return t("{strategy}: {share:.0f} % fewer output tokens, {points:+.1f} points right", **facts)


def _output_saving(row: StrategyRow) -> float:
    return (row.against_vanilla.output_saving or 0.0) if row.against_vanilla else 0.0


def surely_worse(row: StrategyRow) -> bool:
    """Less accurate than vanilla, and not by chance."""
    change = row.against_vanilla.accuracy if row.against_vanilla else None
    return change is not None and change.mean < 0 and change.p_holm is not None and change.p_holm < SURE


def alt_text(found: ExperimentResults) -> str:
    """The chart for people who do not see it."""
    words = [t("Chart of right answers against output tokens. {finding}.", finding=headline(found))]
    words += [
        t(
            "{strategy}: {tokens:.0f} tokens, {share} right.",
            strategy=row.strategy,
            tokens=row.output_tokens.mean,
            share=percent(row.accuracy.mean),
        )
        for row in found.rows[:20]
        if row.output_tokens and row.accuracy
    ]
    return joined(*words)


def legend(found: ExperimentResults) -> str:
    """How to read the chart."""
    front = [row.strategy for row in found.rows if row.pareto_output]
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
            strategy=row.strategy,
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


def percent(share: float) -> str:
    """A share of 1 as people read it."""
    return f"{share * 100:.1f} %"


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


def main_table(found: ExperimentResults) -> Table:
    """The paper's layout: accuracy, output tokens, expense; and beside them all-in tokens and time."""
    rows = found.rows
    return {
        t("Strategy"): [row.strategy for row in rows],
        t("Right"): [_right(row) for row in rows],
        t("95 % of right"): [_interval(row.accuracy, 100, " %") for row in rows],
        t("Answers"): [t("{n:,} of {planned:,}", n=row.n, planned=row.planned) for row in rows],
        t("Output tokens"): [_mean(row.output_tokens) for row in rows],
        t("95 % of output"): [_interval(row.output_tokens, 1, "") for row in rows],
        t("All-in tokens"): [_mean(row.all_in_tokens) for row in rows],
        t("Cost a question"): [money(row.cost_usd) if row.n else NOTHING for row in rows],
        t("Seconds a question"): [NOTHING if row.latency_s is None else f"{row.latency_s:.2f}" for row in rows],
        t("What became of them"): [_outcomes(row) for row in rows],
    }


def _right(row: StrategyRow) -> str:
    if row.accuracy is None:
        return t("not graded") if row.n else NOTHING
    return t("{share}, n = {n:,}", share=percent(row.accuracy.mean), n=row.graded)


def _mean(interval: Interval | None) -> str:
    return NOTHING if interval is None else f"{interval.mean:,.1f}"


def _interval(interval: Interval | None, factor: float, unit: str) -> str:
    if interval is None:
        return NOTHING
    return f"{interval.low * factor:,.1f}–{interval.high * factor:,.1f}{unit}"


def _outcomes(row: StrategyRow) -> str:
    """Every outcome by its own name; failed calls are no answers and stand apart."""
    counted = [(t(OUTCOMES[outcome][0]).lower(), n) for outcome, n in row.outcomes.items() if n]
    if row.failed:
        counted.append((t("calls failed"), row.failed))
    return listed(t("{n:,} {outcome}", n=n, outcome=word) for word, n in counted) or NOTHING


def difference_table(found: ExperimentResults) -> Table:
    """Each strategy minus vanilla on the same questions; empty when vanilla was not asked."""
    compared = [(row.strategy, row.against_vanilla) for row in found.rows if row.against_vanilla is not None]
    if not compared:
        return {}
    differences = [d for _, d in compared]
    return {
        t("Against vanilla"): [name for name, _ in compared],
        t("Pairs"): [f"{d.pairs:,}" for d in differences],
        t("Right, points"): [_change(d.accuracy, 100) for d in differences],
        t("p (right)"): [_p(d.accuracy) for d in differences],
        t("Only it right / only vanilla"): [f"{d.better:,} / {d.worse:,}" for d in differences],
        t("Output tokens"): [_change(d.output_tokens, 1) for d in differences],
        t("p (output)"): [_p(d.output_tokens) for d in differences],
        t("Output saved"): [_share(d.output_saving) for d in differences],
        t("All-in tokens"): [_change(d.all_in_tokens, 1) for d in differences],
        t("p (all-in)"): [_p(d.all_in_tokens) for d in differences],
        t("All-in saved"): [_share(d.all_in_saving) for d in differences],
    }


def _change(change: Change | None, factor: float) -> str:
    if change is None:
        return t("unknown")
    mean, low, high = (f"{value * factor:+,.1f}" for value in (change.mean, change.low, change.high))
    return t("{mean} [{low} to {high}]", mean=mean, low=low, high=high)


def _p(change: Change | None) -> str:
    return NOTHING if change is None or change.p_holm is None else f"{change.p_holm:.2g}"


def _share(share: float | None) -> str:
    return t("unknown") if share is None else percent(share)


def paper_table(rows: Sequence[PaperRow]) -> Table:
    """What the paper prints for the same data set."""
    return {
        t("Strategy"): [row.strategy for row in rows],
        t("Model"): [row.model for row in rows],
        t("Right"): [f"{row.accuracy * 100:.2f} %" for row in rows],
        t("Output tokens"): [f"{row.output_tokens:,.2f}" for row in rows],
        t("Cost a question"): [money(row.cost_usd) for row in rows],
        t("Printed in"): [t("Table {n}", n=row.table) for row in rows],
    }
