"""The Fine-tune page: what there is to learn from, what it would take, the training, and the adapters.

`?training=` names the training that is shown, `?adapter=` the adapter: a refresh or a shared link finds both.
"""

from __future__ import annotations

import streamlit as st

from tale_core.errors import NotFoundError, TaleError
from tale_core.i18n import t
from tale_core.models.adapters import registry as adapters
from tale_core.tuning import job, runs
from tale_core.tuning.install import COMMANDS, missing
from tale_core.tuning.runs import TuneRun
from ui.common.text import literal
from ui.finetune import adapters as tuning_adapters
from ui.finetune import form as tuning_form
from ui.finetune import progress as tuning_progress
from ui.finetune.form import Asked
from ui.finetune.progress import ADDRESS
from ui.shell import page


def draw() -> None:
    """Draw the page."""
    page(t("Fine-tune"))
    run = _run()
    state = run.state() if run else None
    st.markdown(t("## Can the model learn to be brief by itself?"), anchors=False)
    listing = adapters.listing()
    if run is not None and state is not None:
        tuning_progress.draw(run)
        made = state.adapter if state.status == "done" else ""
        tuning_adapters.draw(listing, tuning_adapters.named(listing, made))
    elif (shown := tuning_adapters.named(listing) or tuning_adapters.compared(listing)) is not None:
        tuning_adapters.draw(listing, shown)
        tuning_progress.unfinished()
        st.markdown(t("### A new training"), anchors=False)
        _new()
    else:
        _new()
        tuning_progress.unfinished()
        tuning_adapters.draw(listing, None)


def _new() -> None:
    """The form, and the button that measures."""
    absent = missing()
    asked = tuning_form.form(disabled=False)
    if absent:
        st.info(
            t("Training needs packages that are not installed: {names}. Install them in this order, then start again:",
              names=", ".join(f"`{name}`" for name in absent)),
            icon=":material/package_2:",
        )  # fmt: skip
        st.code("\n".join(COMMANDS), language=None)
        return
    pressed = st.button(
        t("See what it takes"), key="tune_measure", type="primary", icon=":material/timer:", disabled=asked is None,
        help=t("Loads the model and times a few passes over your examples. Nothing is trained yet."),
    )  # fmt: skip
    if pressed and asked is not None:
        _measure(asked)


def _measure(asked: Asked) -> None:
    try:
        run = job.start(asked.plan, asked.examples, measure_only=True)
    except TaleError as e:
        st.error(literal(str(e), 1000), icon=":material/error:")
        return
    st.session_state.pop("tune_name", None)
    st.query_params[ADDRESS] = run.id
    st.rerun()


def _run() -> TuneRun | None:
    """The training that the address names, else the one that runs."""
    run_id = str(st.query_params.get(ADDRESS, ""))
    if not run_id:
        return job.running()
    try:
        return runs.find(run_id)
    except NotFoundError as e:
        del st.query_params[ADDRESS]
        st.warning(literal(str(e), 300))
        return job.running()
