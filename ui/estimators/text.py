"""The words about a trained estimator: each chart's finding, how to read it, and its data as a table's cells.

Reads reports, which may come from a file of somebody else: any number may be missing its meaning, any text is hostile.
Imports neither plotly nor Streamlit.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from tale_core.estimators import features
from tale_core.estimators.report import Aim, CandidateScore, Figure, Predicted, TopicResidual, TrainingReport
from tale_core.estimators.rows import MIN_ROWS, TrainingRow
from tale_core.estimators.text import NO_TOPIC
from tale_core.estimators.text import title as candidate
from tale_core.i18n import N_, joined, listed, t, tn

Table = dict[str, list[str]]
MOST_TOPICS = 20
MOST_FEATURES = 12
MOST_ROWS = 200
"""Rows of a table of predictions: those that are furthest off."""
_MOST_CANDIDATES = 20
_DRAWN = (1e-6, 1e7)
_ENOUGH_OF_A_TOPIC = 5
_SLIGHT = 1.1
AIMS: dict[Aim, str] = {
    "median": N_("The middle: half of the questions would need less"),
    "upper": N_("Enough for nine questions out of ten"),
}


def how_many(rows: Sequence[TrainingRow], *, needs_estimate: bool) -> str:
    """How much there is to learn from, beside what is needed."""
    own = sum(row.zero_shot is not None for row in rows)
    found = tn("{n:,} search found an optimum", "{n:,} searches found an optimum", len(rows))
    if needs_estimate:
        return tn(
            "{found}, and {n:,} of them has the model's own estimate; {least} are needed.",
            "{found}, and {n:,} of them have the model's own estimate; {least} are needed.",
            own,
            found=found,
            least=MIN_ROWS,
        )
    return t("{found}; {least} are needed.", found=found, least=MIN_ROWS)


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
        return t(
            "One budget for all, while optima lie from {low:,} to {high:,} tokens",
            low=report.smallest,
            high=report.largest,
        )
    return t("The predicted budget is off by a factor of {factor:.2f} on average", factor=score.error_factor)


def predicted_caption(report: TrainingReport) -> str:
    """How to read predicted against searched."""
    score, words = chosen(report), []
    words.append(
        t(
            "Each dot is a question that the predictor had not seen: its searched optimum against the budget predicted "
            "for it, in tokens, both on logarithmic scales. On the dashed line they are equal."
        )
    )
    if score is not None and score.coverage is not None:
        words.append(
            t("Bars are 90 % intervals; {share} of {n:,} optima lie inside.", share=share(score.coverage), n=score.n)
        )
    else:
        words.append(t("There are too few searches for intervals."))
    if report.aim == "upper":
        words.append(
            t("Drawn is the middle prediction; handed out is a higher one, meant to be enough for nine of ten.")
        )
    return joined(*words)


def predicted_table(report: TrainingReport) -> Table:
    """Predictions, the furthest off first."""
    rows = sorted(predictions(report), key=lambda p: -abs(math.log(p.predicted / p.optimal)))[:MOST_ROWS]
    return {
        t("Question"): [p.question for p in rows],
        t("Searched"): [f"{p.optimal:,}" for p in rows],
        t("Predicted"): [f"{p.predicted:,.0f}" for p in rows],
        t("90 % interval"): [f"{p.low:,.0f}–{p.high:,.0f}" if _both(p) else t("none") for p in rows],
        t("Factor"): [f"× {p.predicted / p.optimal:.2f}" for p in rows],
    }


def _both(one: Predicted) -> bool:
    return drawable(one.low) and drawable(one.high)


def topics(report: TrainingReport) -> list[TopicResidual]:
    """Those that are drawn: the most frequent."""
    return [r for r in report.residuals if drawable(r.ratio)][:MOST_TOPICS]


def topic(one: TopicResidual) -> str:
    """What a topic is called; questions without one are named as such."""
    return t(NO_TOPIC) if one.topic == NO_TOPIC else one.topic


def topics_title(report: TrainingReport) -> str:
    """The finding of residuals by topic; topics with few questions are not judged."""
    known = [r for r in topics(report) if r.n >= _ENOUGH_OF_A_TOPIC]
    if not known:
        return t("Too few questions of every topic to tell where it is off")
    worst = max(known, key=lambda r: abs(math.log(r.ratio)))
    if max(worst.ratio, 1 / worst.ratio) <= _SLIGHT:
        return t("No topic with {n} questions or more is off by more than 10 %", n=_ENOUGH_OF_A_TOPIC)
    return t(
        "Of topics with {least} questions or more “{topic}” is furthest off: × {factor:.2f} of the optimum (n = {n:,})",
        least=_ENOUGH_OF_A_TOPIC,
        topic=_short(topic(worst)),
        factor=worst.ratio,
        n=worst.n,
    )


def topics_caption(report: TrainingReport) -> str:
    """How to read residuals by topic."""
    left = len(report.residuals) - len(topics(report))
    words = [
        t(
            "Predicted budget over searched optimum, the middle of a topic's questions; at × 1 it is neither too high "
            "nor too low. There is no interval: a topic with few questions may be off by chance."
        )
    ]
    if left > 0:
        words.append(t("The {n} most frequent topics; {left:,} more are left out.", n=MOST_TOPICS, left=left))
    return joined(*words)


def topics_table(report: TrainingReport) -> Table:
    """Residuals by topic."""
    rows = topics(report)
    return {
        t("Topic"): [_short(topic(r), 60) for r in rows],
        t("Questions"): [f"{r.n:,}" for r in rows],
        t("Predicted over searched"): [f"× {r.ratio:.2f}" for r in rows],
    }


def importances(report: TrainingReport) -> list[tuple[str, float]]:
    """Groups of features with the factor by which the error grows, the largest first."""
    found = [(i.group, i.factor) for i in report.importances if drawable(i.factor)]
    return sorted(found, key=lambda pair: -pair[1])[:MOST_FEATURES]


def features_title(report: TrainingReport) -> str:
    """The finding of which features matter."""
    name, factor = importances(report)[0]
    if factor < 1.01:
        return t("No group of features matters alone")
    return t("“{group}” matters most: shuffled, the error is × {factor:.2f}", group=_short(group(name)), factor=factor)


def group(name: str) -> str:
    """What a group of features is called; one that is not ours as its report calls it."""
    return t(name) if name == features.WORDING or name in features.GROUPS else name


def features_caption() -> str:
    """How to read which features matter."""
    named = {name: listed(map(t, columns)) for name, columns in features.GROUPS.items()}
    groups = t("; ").join(t("{group}: {columns}", group=t(name), columns=columns) for name, columns in named.items())
    return t(
        "By how much the average error factor grows when these columns are shuffled among unseen questions; × 1 means "
        "that they do not matter. Groups that tell the same hide each other. wording: words and letters; {groups}.",
        groups=groups,
    )


def no_features(report: TrainingReport) -> str:
    """Why there is nothing to say about features."""
    if report.chosen == "constant":
        return t("Which features matter: none, since every question gets the same budget.")
    return t("Which features matter: only the model's own estimate is read.")


def features_table(report: TrainingReport) -> Table:
    """Which features matter."""
    rows = importances(report)
    return {
        t("Features"): [_short(group(name), 60) for name, _ in rows],
        t("Error when shuffled"): [f"× {f:.3f}" for _, f in rows],
    }


def points(report: TrainingReport) -> list[tuple[int, float]]:
    """Searches and error factor of the learning curve."""
    curve = report.learning_curve
    found = [] if curve is None else [(p.rows, p.error_factor) for p in curve.points]
    return sorted((rows, error) for rows, error in found if drawable(rows) and drawable(error))


def curve_caption(report: TrainingReport) -> str:
    """How to read the learning curve."""
    what = t(report.learning_curve.candidate) if report.learning_curve else ""
    return t(
        "By which factor {predictor} is off on unseen questions when it learns from only so many searches; × 1 would "
        "be perfect. What more searches would bring is drawn on from these points.",
        predictor=_short(what, 60),
    )


def curve_table(report: TrainingReport) -> Table:
    """The learning curve."""
    rows = points(report)
    return {t("Searches"): [f"{n:,}" for n, _ in rows], t("Factor off"): [f"× {f:.3f}" for _, f in rows]}


def comparison(report: TrainingReport) -> Table:
    """All candidates on the same folds, the best first."""
    rows = report.candidates[:_MOST_CANDIDATES]
    return {
        t("Predictor"): [_called(c, used=c.name == report.chosen) for c in rows],
        "n": [f"{c.n:,}" for c in rows],
        t("Off by, tokens"): [span(c.mae_tokens, ",.0f") for c in rows],
        t("Factor off"): [f"× {c.error_factor:.2f}" for c in rows],
        t("Pinball loss, log"): [span(c.pinball, ".3f") for c in rows],
        t("Inside 90 % interval"): [share(c.coverage) if c.coverage else t("none") for c in rows],
        t("Rank correlation"): [span(c.spearman, ".2f") if c.spearman else t("none") for c in rows],
        t("Enough"): [share(c.enough) for c in rows],
        t("Mean budget, tokens"): [f"{c.mean_budget:,.0f}" for c in rows],
        t("Loss below constant's"): [share(c.gain) if c.gain else "" for c in rows],
        t("Asks the model"): [t("yes") if c.asks_model else t("no") for c in rows],
    }


def _called(one: CandidateScore, *, used: bool) -> str:
    name = _short(candidate(one.name, one.title), 60)
    return t("{predictor} (used)", predictor=name) if used else name


def comparison_caption(report: TrainingReport) -> str:
    """How to read the comparison."""
    folds = max((c.folds for c in report.candidates), default=0)
    return t(
        "Every predictor on the same {n} folds, each question predicted by one that had not seen it; in brackets 95 % "
        "intervals. Off by: mean absolute error. Enough: how often the budget handed out is at least the optimum; mean "
        "budget is its price. A negative share in the column before the last is worse than one budget for all.",
        n=folds,
    )


def share(figure: Figure) -> str:
    """A share with its interval."""
    return span(figure, ".0%").replace("%", " %")


def span(figure: Figure, form: str) -> str:
    """A number with its interval."""
    mean, low, high = (f"{value:{form}}" for value in (figure.value, figure.low, figure.high))
    return t("{mean} [{low} to {high}]", mean=mean, low=low, high=high)


def _short(text: str, letters: int = 24) -> str:
    line = " ".join(text.split())
    return line if len(line) <= letters else f"{line[: letters - 1].rstrip()}…"
