"""The words about a trained estimator: each chart's finding, how to read it, and its data as a table's cells.

Reads reports, which may come from a file of somebody else: any number may be missing its meaning, any text is hostile.
Knows neither plotly nor Streamlit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tale_core.estimators import features
from tale_core.estimators.predictor import Kind
from tale_core.estimators.report import Aim, CandidateScore, Figure, Predicted, TopicResidual, TrainingReport
from tale_core.estimators.rows import MIN_ROWS, TrainingRow

Table = dict[str, list[str]]
MOST_TOPICS = 20
MOST_FEATURES = 12
MOST_ROWS = 200
"""Rows of a table of predictions: those that are furthest off."""
_MOST_CANDIDATES = 20
_DRAWN = (1e-6, 1e7)
_ENOUGH_OF_A_TOPIC = 5
_SLIGHT = 1.1
KINDS: dict[Kind, str] = {
    "regression": "From the question alone (regression)",
    "calibrated": "From the model's own estimate (calibrated)",
}
AIMS: dict[Aim, str] = {
    "median": "The middle: half of the questions would need less",
    "upper": "Enough for nine questions out of ten",
}
ESTIMATED = "finished searches with its own estimate of the same question"


def how_many(rows: Sequence[TrainingRow], kind: Kind) -> str:
    """How much there is to learn from, beside what is needed."""
    own = sum(row.zero_shot is not None for row in rows)
    found = f"{len(rows):,} search{'es' if len(rows) != 1 else ''} found an optimum"
    if kind == "calibrated":
        have = "have" if own != 1 else "has"
        return f"{found}, and {own:,} of them {have} the model's own estimate; {MIN_ROWS} are needed."
    return f"{found}; {MIN_ROWS} are needed."


def chosen(report: TrainingReport) -> CandidateScore | None:
    """The figures of the candidate that is used."""
    return next((c for c in report.candidates if c.name == report.chosen), None)


def drawable(value: float | None) -> bool:
    """A number of tokens, or a factor, that a logarithmic axis can show."""
    return value is not None and _DRAWN[0] <= value <= _DRAWN[1]  # Holds for no nan either.


def predictions(report: TrainingReport) -> list[Predicted]:
    """Those that can be drawn."""
    return [p for p in report.predictions if drawable(p.optimal) and drawable(p.predicted)]


def predicted_title(report: TrainingReport) -> str:
    """The finding of predicted against searched."""
    score = chosen(report)
    if report.chosen == "constant" or score is None:
        return f"One budget for all, while optima lie from {report.smallest:,} to {report.largest:,} tokens"
    return f"The predicted budget is off by a factor of {score.error_factor:.2f} on average"


def predicted_caption(report: TrainingReport) -> str:
    """How to read predicted against searched."""
    score, words = chosen(report), []
    words.append(
        "Each dot is a question that the predictor had not seen: its searched optimum against the budget predicted for "
        "it, in tokens, both on logarithmic scales. On the dashed line they are equal."
    )
    if score is not None and score.coverage is not None:
        words.append(f"Bars are 90 % intervals; {share(score.coverage)} of {score.n:,} optima lie inside.")
    else:
        words.append("There are too few searches for intervals.")
    if report.aim == "upper":
        words.append("Drawn is the middle prediction; handed out is a higher one, meant to be enough for nine of ten.")
    return " ".join(words)


def predicted_table(report: TrainingReport) -> Table:
    """Predictions, the furthest off first."""
    rows = sorted(predictions(report), key=lambda p: -abs(math.log(p.predicted / p.optimal)))[:MOST_ROWS]
    return {
        "Question": [p.question for p in rows],
        "Searched": [f"{p.optimal:,}" for p in rows],
        "Predicted": [f"{p.predicted:,.0f}" for p in rows],
        "90 % interval": [f"{p.low:,.0f}–{p.high:,.0f}" if _both(p) else "none" for p in rows],
        "Factor": [f"× {p.predicted / p.optimal:.2f}" for p in rows],
    }


def _both(one: Predicted) -> bool:
    return drawable(one.low) and drawable(one.high)


def topics(report: TrainingReport) -> list[TopicResidual]:
    """Those that are drawn: the most frequent."""
    return [r for r in report.residuals if drawable(r.ratio)][:MOST_TOPICS]


def topics_title(report: TrainingReport) -> str:
    """The finding of residuals by topic; topics with few questions are not judged."""
    known = [r for r in topics(report) if r.n >= _ENOUGH_OF_A_TOPIC]
    if not known:
        return "Too few questions of every topic to tell where it is off"
    worst = max(known, key=lambda r: abs(math.log(r.ratio)))
    if max(worst.ratio, 1 / worst.ratio) <= _SLIGHT:
        return f"No topic with {_ENOUGH_OF_A_TOPIC} questions or more is off by more than 10 %"
    return f"Furthest off: “{_short(worst.topic)}”, × {worst.ratio:.2f} of the optimum (n = {worst.n:,})"


def topics_caption(report: TrainingReport) -> str:
    """How to read residuals by topic."""
    left = len(report.residuals) - len(topics(report))
    more = f" The {MOST_TOPICS} most frequent topics; {left:,} more are left out." if left > 0 else ""
    return (
        "Predicted budget over searched optimum, the middle of a topic's questions; at × 1 it is neither too high nor "
        f"too low. There is no interval: a topic with few questions may be off by chance.{more}"
    )


def topics_table(report: TrainingReport) -> Table:
    """Residuals by topic."""
    rows = topics(report)
    return {
        "Topic": [_short(r.topic, 60) for r in rows],
        "Questions": [f"{r.n:,}" for r in rows],
        "Predicted over searched": [f"× {r.ratio:.2f}" for r in rows],
    }


def importances(report: TrainingReport) -> list[tuple[str, float]]:
    """Groups of features with the factor by which the error grows, the largest first."""
    found = [(i.group, i.factor) for i in report.importances if drawable(i.factor)]
    return sorted(found, key=lambda pair: -pair[1])[:MOST_FEATURES]


def features_title(report: TrainingReport) -> str:
    """The finding of which features matter."""
    group, factor = importances(report)[0]
    if factor < 1.01:
        return "No group of features matters alone"
    return f"“{_short(group)}” matters most: shuffled, the error is × {factor:.2f}"


def features_caption() -> str:
    """How to read which features matter."""
    groups = "; ".join(f"{name}: {', '.join(columns)}" for name, columns in features.GROUPS.items())
    return (
        "By how much the average error factor grows when these columns are shuffled among unseen questions; × 1 means "
        f"that they do not matter. Groups that tell the same hide each other. wording: words and letters; {groups}."
    )


def no_features(report: TrainingReport) -> str:
    """Why there is nothing to say about features."""
    if report.chosen == "constant":
        return "Which features matter: none, since every question gets the same budget."
    return "Which features matter: only the model's own estimate is read."


def features_table(report: TrainingReport) -> Table:
    """Which features matter."""
    rows = importances(report)
    return {"Features": [_short(g, 60) for g, _ in rows], "Error when shuffled": [f"× {f:.3f}" for _, f in rows]}


def points(report: TrainingReport) -> list[tuple[int, float]]:
    """Searches and error factor of the learning curve."""
    curve = report.learning_curve
    found = [] if curve is None else [(p.rows, p.error_factor) for p in curve.points]
    return sorted((rows, error) for rows, error in found if drawable(rows) and drawable(error))


def curve_caption(report: TrainingReport) -> str:
    """How to read the learning curve."""
    what = report.learning_curve.candidate if report.learning_curve else ""
    return (
        f"By which factor {_short(what, 60)} is off on unseen questions when it learns from only so many searches; × 1 "
        "would be perfect. What more searches would bring is drawn on from these points."
    )


def curve_table(report: TrainingReport) -> Table:
    """The learning curve."""
    rows = points(report)
    return {"Searches": [f"{n:,}" for n, _ in rows], "Factor off": [f"× {f:.3f}" for _, f in rows]}


def comparison(report: TrainingReport) -> Table:
    """All candidates on the same folds, the best first."""
    rows = report.candidates[:_MOST_CANDIDATES]
    kept = [f"{_short(c.title, 60)}{' (used)' if c.name == report.chosen else ''}" for c in rows]
    return {
        "Predictor": kept,
        "n": [f"{c.n:,}" for c in rows],
        "Off by, tokens": [span(c.mae_tokens, ",.0f") for c in rows],
        "Factor off": [f"× {c.error_factor:.2f}" for c in rows],
        "Pinball loss, log": [span(c.pinball, ".3f") for c in rows],
        "Inside 90 % interval": [share(c.coverage) if c.coverage else "none" for c in rows],
        "Rank correlation": [span(c.spearman, ".2f") if c.spearman else "none" for c in rows],
        "Enough": [share(c.enough) for c in rows],
        "Mean budget, tokens": [f"{c.mean_budget:,.0f}" for c in rows],
        "Loss below constant's": [share(c.gain) if c.gain else "" for c in rows],
        "Asks the model": ["yes" if c.asks_model else "no" for c in rows],
    }


def comparison_caption(report: TrainingReport) -> str:
    """How to read the comparison."""
    folds = max((c.folds for c in report.candidates), default=0)
    return (
        f"Every predictor on the same {folds} folds, each question predicted by one that had not seen it; in brackets "
        "95 % intervals. Off by: mean absolute error. Enough: how often the budget handed out is at least the optimum; "
        "mean budget is its price. A negative share in the column before the last is worse than one budget for all."
    )


def share(figure: Figure) -> str:
    """A share with its interval."""
    return f"{figure.value:.0%} [{figure.low:.0%} to {figure.high:.0%}]".replace("%", " %")


def span(figure: Figure, form: str) -> str:
    """A number with its interval."""
    return f"{figure.value:{form}} [{figure.low:{form}} to {figure.high:{form}}]"


def _short(text: str, letters: int = 24) -> str:
    line = " ".join(text.split())
    return line if len(line) <= letters else f"{line[: letters - 1].rstrip()}…"
