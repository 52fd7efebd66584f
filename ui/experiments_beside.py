"""Imported answers beside an experiment of ours, on the questions that both hold. Draws tables alone."""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from tale_core.errors import StoreError
from tale_core.experiments.beside import Beside, beside
from tale_core.experiments.job import ExperimentView
from tale_core.experiments.opening import title_told
from tale_core.experiments.rows import StrategyRow
from tale_core.i18n import t, tn
from tale_core.store import ExperimentStore
from ui import experiments_result, state
from ui import experiments_words as words
from ui.text import literal, visible

NOTHING = ""


def beside_box(view: ExperimentView) -> None:
    """A choice of imported experiments, and the chosen one beside this; nothing where none was imported."""
    if view.results is None or view.results.imported is not None:
        return
    try:
        there = {one: (title_told(title), model) for one, title, model in ExperimentStore(state.store()).imported()}
        if not there:
            return
        chosen = st.selectbox(
            t("Imported answers beside it"), [NOTHING, *there], key="exp_beside",
            format_func=lambda one: visible(" · ".join(there[one]))[:90] if one else t("none"),
        )  # fmt: skip
        if not chosen:
            return
        found = beside(state.store(), view.experiment_id, chosen)
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/error:")
        return
    if found is None:
        st.caption(t("They share no question with this experiment."))
        return
    _draw(view, found, there[chosen][1])


def _draw(view: ExperimentView, found: Beside, model: str) -> None:
    st.markdown(
        tn(
            "**On the {n:,} question that both hold.** Output tokens of two models are counted by two tokenizers.",
            "**On the {n:,} questions that both hold.** Output tokens of two models are counted by two tokenizers.",
            found.shared,
        )
    )
    rows = [(row, view.model) for row in found.mine] + [(row, model) for row in found.theirs]
    experiments_result.table(_table(rows), alt=t("Both experiments on the questions that they share"))
    if not found.differences:
        return
    experiments_result.table(
        {
            t("Ours minus theirs"): [name for name, _ in found.differences],
            t("Pairs"): [f"{d.pairs:,}" for _, d in found.differences],
            t("Right, points"): [words._change(d.accuracy, 100) for _, d in found.differences],
            t("p (right)"): [_p(d.accuracy.p if d.accuracy else None) for _, d in found.differences],
            t("Output tokens"): [words._change(d.output_tokens, 1) for _, d in found.differences],
        },
        alt=t("What differs between the two"),
    )


def _table(rows: Sequence[tuple[StrategyRow, str]]) -> words.Table:
    return {
        t("Strategy"): [row.strategy for row, _ in rows],
        t("Model"): [model for _, model in rows],
        t("Right"): [words._right(row) for row, _ in rows],
        t("95 % of right"): [words._interval(row.accuracy, 100, " %") for row, _ in rows],
        t("Output tokens"): [words._mean(row.output_tokens) for row, _ in rows],
        t("95 % of output"): [words._interval(row.output_tokens, 1, "") for row, _ in rows],
    }


def _p(p: float | None) -> str:
    return words.NOTHING if p is None else f"{p:.2g}"
