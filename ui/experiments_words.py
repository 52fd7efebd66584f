"""The words about an experiment: chart title, notes, progress, how to read the chart, the cells of its tables.

Reads results; knows neither plotly nor Streamlit.
"""

from __future__ import annotations

from collections.abc import Sequence

from tale_core.elasticity_stats import Interval
from tale_core.experiments.job import ExperimentView
from tale_core.experiments.paper import PaperRow
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.rows import BASELINE, Change, StrategyRow
from tale_core.experiments.words import SURE
from tale_core.presheet import duration
from tale_core.search_words import money
from tale_core.types import Outcome
from ui.theme import OUTCOMES

NOTHING = "–"
Table = dict[str, list[str]]


def headline(found: ExperimentResults) -> str:
    """The chart's title: what it shows, in the paper's measure."""
    points = [row for row in found.rows if row.output_tokens and row.accuracy]
    if not points:
        return "Output tokens of each way of asking; no answer is graded"
    compared = [row for row in points if row.against_vanilla and row.against_vanilla.output_saving is not None]
    if not compared:
        front = [row.strategy for row in points if row.pareto_output]
        return f"No other gives more for less: {', '.join(front)}"
    saving = [row for row in compared if _output_saving(row) > 0]
    if not saving:
        return f"Nothing uses fewer output tokens than {BASELINE} here"
    kept = [row for row in saving if not surely_worse(row)]
    best = max(kept or saving, key=_output_saving if kept else lambda row: row.accuracy.mean if row.accuracy else 0.0)
    change = best.against_vanilla.accuracy if best.against_vanilla else None
    points_words = "" if change is None else f", {change.mean * 100:+.1f} points right"
    return f"{best.strategy}: {_output_saving(best) * 100:.0f} % fewer output tokens{points_words}"


def _output_saving(row: StrategyRow) -> float:
    return (row.against_vanilla.output_saving or 0.0) if row.against_vanilla else 0.0


def surely_worse(row: StrategyRow) -> bool:
    """Less accurate than vanilla, and not by chance."""
    change = row.against_vanilla.accuracy if row.against_vanilla else None
    return change is not None and change.mean < 0 and change.p_holm is not None and change.p_holm < SURE


def alt_text(found: ExperimentResults) -> str:
    """The chart for people who do not see it."""
    words = [f"Chart of right answers against output tokens. {headline(found)}."]
    for row in found.rows[:20]:
        if row.output_tokens and row.accuracy:
            words.append(f"{row.strategy}: {row.output_tokens.mean:.0f} tokens, {percent(row.accuracy.mean)} right.")
    return " ".join(words)


def legend(found: ExperimentResults) -> str:
    """How to read the chart."""
    front = [row.strategy for row in found.rows if row.pareto_output]
    words = (
        "Up is more accurate, left is cheaper. Bars are 95 % intervals, over questions: of the share of right answers "
        "and of the mean output tokens. "
    )
    if front:
        words += f"The line is the Pareto front: nothing else is as accurate with as few tokens as {', '.join(front)}. "
    return words + "Estimates and prompts are not in this picture: all-in tokens stand in the table."


def qualifications(view: ExperimentView) -> list[str]:
    """What a careful reader must know about the finding, each a sentence."""
    found = view.results
    if found is None:
        return []
    notes: list[str] = []
    if not found.complete:
        notes.append(f"{found.finished:,} of {found.planned:,} answers are there.")
    if found.failed:
        notes.append(f"{found.failed:,} failed at the endpoint: no answers, and not counted as wrong ones.")
    if cut := sum(row.outcomes.get(Outcome.TRUNCATED, 0) for row in found.rows):
        notes.append(f"{_many(cut, 'answer')} reached max_tokens: called cut off, not wrong, and not counted as right.")
    if estimated := sum(row.estimated for row in found.rows):
        notes.append(f"The token counts of {_many(estimated, 'call')} are estimates: the endpoint reported none.")
    if reused := sum(row.reused for row in found.rows):
        notes.append(f"Not paid for now, since known already: {_many(reused, 'call')}, with the original numbers.")
    notes += [
        f"{row.strategy}: {_many(row.defaults, 'answer')} under a default budget." for row in found.rows if row.defaults
    ]
    if found.questions < 30:
        notes.append(f"With {_many(found.questions, 'question')} only large differences can be told from chance.")
    return notes


def percent(share: float) -> str:
    """A share of 1 as people read it."""
    return f"{share * 100:.1f} %"


def _many(count: int, noun: str) -> str:
    return f"{count:,} {noun}{'s' if count != 1 else ''}"


def progress(view: ExperimentView) -> str:
    """How far it is, in words."""
    left = "time left unknown until the first answer" if view.eta_s is None else f"about {duration(view.eta_s)} left"
    words = [f"{view.finished:,} of {view.planned:,} answers, {left}"]
    if view.concurrency is not None:
        words.append(f"{view.concurrency} call{'s' if view.concurrency != 1 else ''} at a time")
    if view.failed:
        words.append(f"{view.failed:,} failed")
    return ", ".join(words)


def main_table(found: ExperimentResults) -> Table:
    """The paper's layout: accuracy, output tokens, expense; and beside them all-in tokens and time."""
    rows = found.rows
    return {
        "Strategy": [row.strategy for row in rows],
        "Right": [_right(row) for row in rows],
        "95 % of right": [_interval(row.accuracy, 100, " %") for row in rows],
        "Answers": [f"{row.n:,} of {row.planned:,}" for row in rows],
        "Output tokens": [_mean(row.output_tokens) for row in rows],
        "95 % of output": [_interval(row.output_tokens, 1, "") for row in rows],
        "All-in tokens": [_mean(row.all_in_tokens) for row in rows],
        "Cost a question": [money(row.cost_usd) if row.n else NOTHING for row in rows],
        "Seconds a question": [NOTHING if row.latency_s is None else f"{row.latency_s:.2f}" for row in rows],
        "What became of them": [_outcomes(row) for row in rows],
    }


def _right(row: StrategyRow) -> str:
    if row.accuracy is None:
        return "not graded" if row.n else NOTHING
    return f"{percent(row.accuracy.mean)}, n = {row.graded:,}"


def _mean(interval: Interval | None) -> str:
    return NOTHING if interval is None else f"{interval.mean:,.1f}"


def _interval(interval: Interval | None, factor: float, unit: str) -> str:
    if interval is None:
        return NOTHING
    return f"{interval.low * factor:,.1f}–{interval.high * factor:,.1f}{unit}"


def _outcomes(row: StrategyRow) -> str:
    """Every outcome by its own name; failed calls are no answers and stand apart."""
    counted = [(OUTCOMES[outcome][0].lower(), n) for outcome, n in row.outcomes.items() if n]
    if row.failed:
        counted.append(("calls failed", row.failed))
    return ", ".join(f"{n:,} {word}" for word, n in counted) or NOTHING


def difference_table(found: ExperimentResults) -> Table:
    """Each strategy minus vanilla on the same questions; empty when vanilla was not asked."""
    compared = [(row.strategy, row.against_vanilla) for row in found.rows if row.against_vanilla is not None]
    if not compared:
        return {}
    differences = [d for _, d in compared]
    return {
        "Against vanilla": [name for name, _ in compared],
        "Pairs": [f"{d.pairs:,}" for d in differences],
        "Right, points": [_change(d.accuracy, 100) for d in differences],
        "p (right)": [_p(d.accuracy) for d in differences],
        "Only it right / only vanilla": [f"{d.better:,} / {d.worse:,}" for d in differences],
        "Output tokens": [_change(d.output_tokens, 1) for d in differences],
        "p (output)": [_p(d.output_tokens) for d in differences],
        "Output saved": [_share(d.output_saving) for d in differences],
        "All-in tokens": [_change(d.all_in_tokens, 1) for d in differences],
        "p (all-in)": [_p(d.all_in_tokens) for d in differences],
        "All-in saved": [_share(d.all_in_saving) for d in differences],
    }


def _change(change: Change | None, factor: float) -> str:
    if change is None:
        return "unknown"
    mean, low, high = (value * factor for value in (change.mean, change.low, change.high))
    return f"{mean:+,.1f} [{low:+,.1f} to {high:+,.1f}]"


def _p(change: Change | None) -> str:
    return NOTHING if change is None or change.p_holm is None else f"{change.p_holm:.2g}"


def _share(share: float | None) -> str:
    return "unknown" if share is None else percent(share)


def paper_table(rows: Sequence[PaperRow]) -> Table:
    """What the paper prints for the same data set."""
    return {
        "Strategy": [row.strategy for row in rows],
        "Model": [row.model for row in rows],
        "Right": [f"{row.accuracy * 100:.2f} %" for row in rows],
        "Output tokens": [f"{row.output_tokens:,.2f}" for row in rows],
        "Cost a question": [money(row.cost_usd) for row in rows],
        "Printed in": [f"Table {row.table}" for row in rows],
    }
