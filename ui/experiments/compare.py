"""Imported answers beside an experiment of ours, on the questions that both hold. Draws tables alone."""

from __future__ import annotations

import streamlit as st

from tale_core.errors import StoreError
from tale_core.experiments.columns import COLUMNS, DIFFERENCE_COLUMNS, table
from tale_core.experiments.compare import Comparison, compare
from tale_core.experiments.create import experiment_title
from tale_core.experiments.run import ExperimentView
from tale_core.i18n import t, tn
from tale_core.store import ExperimentStore
from ui.common import state
from ui.common.charts import wide_table
from ui.common.text import literal, sanitize

NOTHING = ""


def compare_box(view: ExperimentView) -> None:
    """A choice of imported experiments, and the chosen one beside this; nothing where none was imported."""
    if view.results is None or view.results.imported is not None:
        return
    try:
        imported = ExperimentStore(state.store()).imported()
        there = {one: (experiment_title(title), model) for one, title, model in imported}
        if not there:
            return
        chosen = st.selectbox(
            t("Imported answers beside it"), [NOTHING, *there], key="exp_beside",
            format_func=lambda one: sanitize(" · ".join(there[one]))[:90] if one else t("none"),
        )  # fmt: skip
        if not chosen:
            return
        found = compare(state.store(), view.experiment_id, chosen)
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/error:")
        return
    if found is None:
        st.caption(t("They share no question with this experiment."))
        return
    _draw(view, found, there[chosen][1])


def _draw(view: ExperimentView, found: Comparison, model: str) -> None:
    st.markdown(
        tn(
            "**On the {n:,} question that both hold.** Output tokens of two models are counted by two tokenizers.",
            "**On the {n:,} questions that both hold.** Output tokens of two models are counted by two tokenizers.",
            found.shared,
        )
    )
    rows = [*found.mine, *found.theirs]
    strategies, *others = table(COLUMNS, "compare", rows)
    models = [view.model] * len(found.mine) + [model] * len(found.theirs)
    cells = dict([strategies, (t("Model"), models), *others])
    wide_table(cells, alt=t("Both experiments on the questions that they share"))
    if found.differences:
        cells = dict(table(DIFFERENCE_COLUMNS, "compare", found.differences))
        wide_table(cells, alt=t("What differs between the two"))
