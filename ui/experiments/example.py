"""What the Experiments page opens on while there is none of one's own: the comparison that a shipped adapter keeps.

It is a real experiment on a public data set, marked as recorded, with the paper's own table beside it.
"""

from __future__ import annotations

import streamlit as st

from tale_core.errors import StoreError
from tale_core.experiments.paper import paper_rows_of
from tale_core.experiments.text import finding
from tale_core.i18n import t
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.tuning.evaluation import results_of
from ui.common import evidence, state
from ui.common.charts import wide_table
from ui.common.run_parts import finding_line
from ui.experiments import result
from ui.experiments import text as words

SETUP = "exp_setup"
"""Whether the form stands open."""


def comes_first() -> bool:
    """There is an example, and no experiment of one's own yet."""
    try:
        return _adapter() is not None and not state.store().list_sessions(limit=1, kind="experiment")
    except StoreError:
        return False  # The page says so itself.


def _adapter() -> Adapter | None:
    """The newest shipped adapter that was compared with its base."""
    return next((one for one in adapters.listing().adapters if one.shipped and one.about.results), None)


def draw() -> None:
    """The comparison as the page draws one of one's own."""
    one = _adapter()
    if one is None:
        return
    kept = one.about.results[-1]
    found = results_of(one, kept)
    with st.container(key="evidence"):
        evidence.heading(evidence.mark(found.model, str(kept.get("at", ""))[:10]), button=_mine)
        note = t("{n:,} questions of {dataset}, one answer each.", n=found.questions, dataset=found.dataset)
        finding_line(finding(found), [note])
        result.chart(found)
        st.markdown(t("**Strategies.** Means of a question; n counts graded answers."))
        wide_table(words.key_table(found), alt=t("What every strategy took"))
        if rows := paper_rows_of(found.dataset):
            st.markdown(t("**The paper’s numbers** on the same data set"))
            result.paper(rows)


def _mine() -> None:
    st.button(
        t("Do it with mine"), key="evidence_mine", icon=":material/edit:", on_click=_open,
        help=t("Opens the form above, where data, model and strategies are chosen."),
    )  # fmt: skip


def _open() -> None:
    st.session_state[SETUP] = True
