"""A button that asks again for the answers that failed, beside the one that goes on with everything that is missing."""

from __future__ import annotations

import streamlit as st

from tale_core.experiments.job import ExperimentView
from tale_core.i18n import t, tn


def retry_button(view: ExperimentView, *, disabled: bool) -> bool:
    """Whether it was pressed. Drawn only where something failed and other answers are missing as well.

    Where what failed is all that is missing, going on and trying it again are the same, and one button does it.
    """
    if not view.failed or not missing(view):
        return False
    return st.button(
        t("Retry only what failed"), key="retry_failed", icon=":material/replay:", disabled=disabled,
        help=tn(
            "Asks again for {n:,} answer, and for nothing else.", "Asks again for {n:,} answers, and for nothing else.",
            view.failed,
        ),
    )  # fmt: skip


def missing(view: ExperimentView) -> int:
    """Answers that were never asked for, or cut off by a stop."""
    return max(0, view.planned - view.finished - view.failed)
