"""The Fine-tune page: what there is to learn from, what it would take, the training, and the adapters.

`?training=` names the training that is shown, `?adapter=` the adapter: a refresh or a shared link finds both.
What is shown of a training is read from its folder: another tab or a restart of the app shows the same.
"""

from __future__ import annotations

from functools import partial

import streamlit as st

from tale_core.errors import NotFoundError, TaleError
from tale_core.i18n import t
from tale_core.models.adapters import registry as adapters
from tale_core.tuning import job, runs
from tale_core.tuning.install import COMMANDS, missing
from tale_core.tuning.run_state import RunState
from tale_core.tuning.runs import TuneRun
from ui.common.text import literal, sanitize
from ui.finetune import adapters as tuning_adapters
from ui.finetune import charts as figures
from ui.finetune import form as tuning_form
from ui.finetune import text as words
from ui.finetune.form import Asked
from ui.shell import page

POLL_S = 1.0
MOST_LISTED = 10
ADDRESS = "training"
_ERROR = "tune_error"


def draw() -> None:
    """Draw the page."""
    page(t("Fine-tune"))
    run = _run()
    state = run.state() if run else None
    st.markdown(t("## Can the model learn to be brief by itself?"), anchors=False)
    listing = adapters.listing()
    if run is not None and state is not None:
        _training(run)
        made = state.adapter if state.status == "done" else ""
        tuning_adapters.draw(listing, tuning_adapters.named(listing, made))
    elif (shown := tuning_adapters.named(listing) or tuning_adapters.compared(listing)) is not None:
        tuning_adapters.draw(listing, shown)
        _unfinished()
        st.markdown(t("### A new training"), anchors=False)
        _new()
    else:
        _new()
        _unfinished()
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


def _training(run: TuneRun) -> None:
    """The training, whatever its state."""
    state = run.state()
    st.markdown(t("### Training {name}", name=literal(run.plan.name, 60)), anchors=False)
    if error := st.session_state.pop(_ERROR, ""):
        st.error(literal(error, 1000), icon=":material/error:")
    if state.running:
        st.fragment(_follow, run_every=POLL_S)(run)
    else:
        _ended(run, state)


def _follow(run: TuneRun) -> None:
    """Say how far it is until it has ended; leaving or refreshing the page leaves it alone."""
    state = run.state()
    if not state.running:
        st.rerun()
    stopping = run.stop_file.exists()
    said = t("Stopping after this step…") if stopping else words.progress(state)
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.markdown(f"**{literal(said, 200)}**")
        if not stopping:
            st.button(t("Stop"), key="tune_stop", icon=":material/stop_circle:", on_click=partial(job.stop, run))
        else:
            st.button(
                t("Stop at once"), key="tune_end", icon=":material/stop_circle:", on_click=partial(job.end, run),
                help=t("It stops after the step that runs. At once, what came after its last checkpoint is lost."),
            )  # fmt: skip
    st.progress(min(1.0, state.step / state.steps) if state.steps else 0.0)
    if state.estimate is not None:
        st.caption(literal(words.cost(state.estimate), 300))
    _curve(run)
    st.caption(
        t("It runs in a process of its own: you can leave this page, close the browser, or restart the app meanwhile.")
    )


def _ended(run: TuneRun, state: RunState) -> None:
    if state.status == "done" and state.measure_only and state.estimate is not None:
        _measured(run, state)
        return
    if state.status == "done":
        st.success(
            t("The adapter {name} is ready. Compare it with its base below.", name=literal(state.adapter, 60)),
            icon=":material/check_circle:",
        )
    else:
        _not_finished(run, state)
    _curve(run)
    with st.expander(t("The training's own words"), icon=":material/terminal:"):
        st.code(sanitize(run.last_words(40)) or t("(nothing)"), language=None)
    _close()


def _not_finished(run: TuneRun, state: RunState) -> None:
    if state.error:
        st.error(literal(state.error, 1000), icon=":material/error:")
    saved = run.checkpoint()
    if state.status == "interrupted" and not state.error:
        st.warning(t("This training was interrupted: its process ended while it ran."), icon=":material/power_off:")
    elif state.status == "cancelled":
        st.info(t("This training was stopped."), icon=":material/stop_circle:")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(t("Resume"), key="tune_resume", icon=":material/resume:", type="primary",
                  on_click=partial(_resume, run))  # fmt: skip
        st.button(t("Discard"), key="tune_discard", icon=":material/delete:", on_click=partial(_discard, run))
        words_ = (
            t("It goes on from its last checkpoint, step {step}.", step=saved.name.rpartition("-")[2])
            if saved
            else t("There is no checkpoint yet: it begins again.")
        )
        st.caption(literal(words_, 200), width="content")


def _measured(run: TuneRun, state: RunState) -> None:
    assert state.estimate is not None
    st.markdown(f"**{literal(words.cost(state.estimate), 300)}**")
    st.caption(literal(words.how_measured(state.estimate), 300))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(t("Train"), key="tune_train", icon=":material/model_training:", type="primary",
                  on_click=partial(_resume, run))  # fmt: skip
        st.button(t("Change something first"), key="tune_discard", on_click=partial(_discard, run))


def _curve(run: TuneRun) -> None:
    losses = run.losses()
    if not losses:
        return
    title = words.loss_title(losses)
    st.markdown(f"**{literal(title, 200)}**")
    st.plotly_chart(
        figures.loss_curve(losses), theme=None, config={"displayModeBar": False}, key="tune_losses", alt=title
    )  # fmt: skip
    with st.expander(t("The losses as a table"), icon=":material/table_rows:"):
        st.dataframe(
            [
                {
                    t("Training step"): one.step,
                    t("Epoch"): round(one.epoch, 2),
                    t("Questions kept aside"): t("yes") if one.held_out else t("no"),
                    t("Loss"): one.loss,
                }
                for one in losses
            ],
            hide_index=True,
        )


def _unfinished() -> None:
    """Trainings that can go on, each with the way to it: nobody has to keep a link."""
    waiting = [(run, state) for run in runs.listing() if job.can_go_on(state := run.state())][:MOST_LISTED]
    if not waiting:
        return
    st.markdown(t("### Trainings that can go on"), anchors=False)
    for run, state in waiting:
        with st.container(horizontal=True, vertical_alignment="center"):
            st.markdown(f"**{literal(run.plan.name, 60)}** · {literal(words.left_at(state), 200)}", width="content")
            st.button(t("Open"), key=f"tune_open_{run.id}", type="tertiary", on_click=partial(_open, run.id))


def _open(run_id: str) -> None:
    st.query_params[ADDRESS] = run_id


def _close() -> None:
    if st.button(t("Close"), key="tune_close", icon=":material/close:", type="tertiary"):
        st.query_params.pop(ADDRESS, None)
        st.rerun()


def _resume(run: TuneRun) -> None:
    try:
        job.resume(run)
    except TaleError as e:
        st.session_state[_ERROR] = str(e)


def _discard(run: TuneRun) -> None:
    try:
        runs.delete(run)
    except TaleError as e:
        st.session_state[_ERROR] = str(e)
        return
    st.query_params.pop(ADDRESS, None)
