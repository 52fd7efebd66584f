"""One trained estimator as a picture: the finding, four charts with their numbers, the comparison, how it was made."""

from __future__ import annotations

import json
import math
from functools import partial
from typing import TYPE_CHECKING

import streamlit as st

from tale_core.estimators.predictor import Metadata
from tale_core.estimators.report import TrainingReport
from tale_core.estimators.saved import SavedEstimator
from tale_core.i18n import again, joined, listed, t
from ui.common.charts import draw_chart, wide_table
from ui.common.glossary import explain
from ui.common.text import as_numbers, finding, literal
from ui.estimators import charts as figures
from ui.estimators import text as words

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

TABLE_HEIGHT = 330
MOST_IN_SIGHT = 8
"""Rows of a table that stands whole; a longer one scrolls."""
_STATISTICS = ":material/analytics:"


def draw(one: SavedEstimator) -> None:
    """Everything that its training found out: the finding first, then pictures, tables, and how it was made."""
    report, version = one.metadata.report, one.metadata.version
    st.subheader(finding(as_numbers(report.reason)), anchor=False)
    for sentence in report.findings[:10]:
        st.markdown(finding(as_numbers(sentence)))
    st.caption(literal(joined(_of_what(report), *map(again, report.notes[:10])), 1500))
    _chart(figures.predicted(report), words.predicted_caption(report), words.predicted_table(report), "predicted",
           title=words.predicted_title(report), version=version)  # fmt: skip
    with st.expander(t("The statistics: by topic, by feature, with more searches, all predictors"), icon=_STATISTICS):
        left, right = st.columns(2, gap="large")
        with left:
            _chart(figures.topics(report), words.topics_caption(report), words.topics_table(report), "topics",
                   title=words.topics_title(report), version=version, folded=False)  # fmt: skip
        with right:
            _features(report, version)
        _learning(report, version)
        st.markdown(t("**All predictors on the same folds**"), help=explain("folds", "pinball loss"))
        wide_table(words.comparison(report), limit=80, alt=t("How well every predictor does"))
        st.caption(literal(words.comparison_caption(report), 800))
    _made(one)


def _of_what(report: TrainingReport) -> str:
    return t(
        "{n:,} searches of {model} with the template {template}; optima from {low:,} to {high:,} tokens.",
        n=report.rows,
        model=report.model,
        template=report.template,
        low=report.smallest,
        high=report.largest,
    )


def _features(report: TrainingReport, version: str) -> None:
    figure = figures.features(report)
    if figure is None:
        st.caption(words.no_features(report))
        return
    _chart(figure, words.features_caption(), words.features_table(report), "features",
           title=words.features_title(report), version=version, folded=False)  # fmt: skip


def _learning(report: TrainingReport, version: str) -> None:
    curve = report.learning_curve
    if curve is None:
        st.caption(t("What more searches would bring is measured for estimators that read the question alone."))
        return
    _chart(figures.learning(report), words.curve_caption(report), words.curve_table(report), "learning",
           title=again(curve.words), version=version, folded=False)  # fmt: skip


def _chart(
    figure: Figure | None, caption: str, cells: words.Table, name: str, *, title: str, version: str, folded: bool = True
) -> None:
    """A chart, how to read it, and its numbers, folded or not; nothing where there is nothing to draw."""
    if figure is None:
        return
    draw_chart(figure, name=f"{name}-{version}", key=f"est_{name}_{version}", alt=title[:300])
    st.caption(literal(caption, 1500))
    rows = len(next(iter(cells.values()), []))
    name_of_all = t("The numbers (the {n} furthest off)", n=rows) if rows == words.MOST_ROWS else t("The numbers")
    with st.expander(name_of_all) if folded else st.container():
        place = st.container(height=TABLE_HEIGHT, border=False) if rows > MOST_IN_SIGHT else st.container()
        with place:
            wide_table(cells, limit=80, alt=t("The numbers of the chart: {title}", title=title[:200]))


def _made(one: SavedEstimator) -> None:
    """How it was made, last and folded away, and the whole report as a file."""
    meta = one.metadata
    with st.expander(t("How it was made"), icon=":material/list_alt:"):
        cells = {name: literal(value, 300) for name, value in _facts(meta).items()}
        st.table(cells, border="horizontal", hide_header=True, alt=t("How this estimator was made"))
        st.download_button(
            t("Save the report as JSON"), partial(_as_json, meta), on_click="ignore",
            file_name=f"{one.path.stem}.json", mime="application/json", icon=":material/download:",
            key=f"est_report_{one.path.stem}",
        )  # fmt: skip


def _as_json(meta: Metadata) -> str:
    return json.dumps(meta.document(), ensure_ascii=False, indent=2)


def _facts(meta: Metadata) -> dict[str, str]:
    interval = t("none")
    if meta.radius is not None:
        interval = t("the prediction divided or multiplied by {factor:.2f}", factor=math.exp(meta.radius))
    libraries = (f"{name} {version}" for name, version in sorted(meta.libraries.items())[:10])
    return {
        t("Name"): f"{meta.kind}:{meta.version}",
        t("Trained"): meta.trained_on or t("unknown when"),
        t("Searches"): f"{meta.rows:,}",
        t("Fingerprint"): meta.fingerprint[:16],
        t("Predictor"): meta.candidate,
        t("Hands out"): t(words.AIMS[meta.aim]),
        t("90 % interval"): interval,
        t("Asks the model"): t("yes, for its own estimate") if meta.reads_estimate else t("no"),
        t("When nothing can be predicted"): t("{n:,} tokens, the middle optimum", n=meta.fallback),
        t("Seed"): str(meta.seed),
        t("Libraries"): listed(libraries),
    }
