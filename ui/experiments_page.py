"""The Experiments page: form, the running or stored experiment below it, or the list of earlier ones.

`?experiment=` is the only memory of which is shown: a refresh or a shared link finds a running one again and never
starts anything.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import streamlit as st

from tale_core import jobs
from tale_core.errors import NotFoundError, StoreError, TaleError
from tale_core.experiments.job import ExperimentView, view_of
from tale_core.experiments.opening import title_told
from tale_core.i18n import N_, joined, t
from tale_core.models.choice import ModelChoice
from tale_core.store import ExperimentStore
from ui import experiments_form, experiments_result, experiments_strategies, opened, state
from ui.elasticity_sheet import price_of
from ui.experiments_answers import drill_down
from ui.experiments_beside import beside_box
from ui.experiments_form import Experimenting
from ui.experiments_import import import_box
from ui.experiments_retry import missing, retry_button
from ui.shell import page
from ui.text import literal

EARLIER = 12
_STATUS = {
    "running": ":material/pending:",
    "done": ":material/check_circle:",
    "failed": ":material/error:",
    "cancelled": ":material/stop_circle:",
    "interrupted": ":material/power_off:",
}
_STATUS_WORDS = {
    "running": N_("running"),
    "done": N_("done"),
    "failed": N_("failed"),
    "cancelled": N_("cancelled"),
    "interrupted": N_("interrupted"),
}


def draw() -> None:
    """Draw the page."""
    experiment_id = _address()
    job = opened.running_job(experiment_id, ExperimentView)
    view = _view(experiment_id) if experiment_id and job is None else None
    if view is not None:
        experiments_form.load(view)
    page(t("Experiments"), following=job is not None)
    asked = experiments_form.form(running=job is not None, folded=job is not None or view is not None)
    if asked is not None:
        _start(asked)
    # Two places, each of which empties the other: what a run does not draw again stays on the page until the run ends,
    # and a run that follows an experiment ends late.
    running, ended = st.empty(), st.empty()
    if job is not None:
        with running.container():
            _follow(job)
    else:
        with ended.container():
            _ended(view, experiment_id)


def _address() -> str:
    """The experiment that the address names; links of the lists that all pages share say `session`."""
    if (session_id := st.query_params.get("session")) is not None:
        del st.query_params["session"]
        st.query_params.setdefault("experiment", session_id)
    return str(st.query_params.get("experiment", ""))


def _view(experiment_id: str) -> ExperimentView | None:
    """The stored experiment; None when there is none, and the reason is then shown by the page's welcome."""
    try:
        head = ExperimentStore(state.store()).head(experiment_id)
        if head.status == "running":
            return view_of(state.store(), experiment_id)
        return _ended_view(experiment_id, str(head.updated_at), state.store().where)
    except NotFoundError:
        if (last := _last(experiment_id)) is not None:
            return last  # It ended before anything could be stored.
        words = t("There is no experiment of this name in the database. It may have been deleted.")
        st.session_state["page_error"] = words
    except StoreError as e:
        st.session_state["page_error"] = str(e)
    return None


@st.cache_data(ttl=30, max_entries=16, show_spinner=False)
def _ended_view(experiment_id: str, updated_at: str, where: str) -> ExperimentView:
    """An experiment that has ended. Kept for a short while: its statistics take longer than anything else here."""
    return view_of(state.store(), experiment_id)


def _last(experiment_id: str) -> ExperimentView | None:
    """The last picture of an experiment that this browser session followed."""
    last = st.session_state.get("exp_last")
    if isinstance(last, ExperimentView) and last.experiment_id == experiment_id:
        return last
    return opened.ended_here(experiment_id, ExperimentView)


def _start(asked: Experimenting) -> None:
    st.session_state.pop("exp_last", None)
    opened.start(asked, jobs.start_experiment, ExperimentView, address="experiment")


def _follow(job: Any) -> None:
    """Draw a running experiment until it ends; leaving or refreshing the page leaves it alone."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        head = st.container(width="stretch").empty()
        st.button(t("Stop"), key="stop", icon=":material/stop_circle:", on_click=job.stop, shortcut="Escape")
    live = experiments_result.LiveExperiment()
    for view in job.watch():
        with head.container():
            experiments_result.phase_line(view)
        live.update(view)
        st.session_state["exp_last"] = view
    st.rerun()


def _ended(view: ExperimentView | None, experiment_id: str) -> None:
    if view is None:
        _welcome(experiment_id)
        return
    last = _last(view.experiment_id)
    # A resume that failed before it began has left nothing in the store.
    untold = last is not None and last.error is not None and last.error[:80] not in (view.error or "")
    if last is not None and untold and view.status not in ("running", "done"):
        st.error(literal(last.error or "", 1000), icon=":material/error:")
    experiments_result.head(view)
    if view.status == "running":
        _follow_the_store(view)
    elif view.finished < view.planned:
        _resume(view)
    if view.results is not None and view.results.finished + view.results.failed:
        experiments_result.chart(view.results)
        experiments_result.tables(view.results)
        beside_box(view)
        drill_down(view)
        experiments_result.files(view)
    experiments_result.what_was_run(view)
    if st.button(t("All experiments"), key="all_experiments", icon=":material/list:", type="tertiary"):
        st.query_params.clear()
        st.rerun()


@st.fragment(run_every=3.0)
def _follow_the_store(shown: ExperimentView) -> None:
    """Follow an experiment that another process is working on through what it stores."""
    st.caption(
        t("This experiment runs in another program, on the command line perhaps. The page follows what it stores.")
    )
    st.progress(min(1.0, shown.finished / shown.planned) if shown.planned else 0.0)
    experiments = ExperimentStore(state.store())
    try:
        status = experiments.head(shown.experiment_id).status
        finished = len(experiments.done_units(shown.experiment_id))
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/database_off:")
        return
    if (status, finished) != (shown.status, shown.finished):
        st.rerun()


def _resume(view: ExperimentView) -> None:
    """A button to go on, with the model that it ran on; finished answers are not paid for again."""
    choices = state.model_choices().values()
    choice = next((c for c in choices if (c.model, c.endpoint) == (view.model, view.endpoint)), None)
    only_failed = view.failed > 0 and not missing(view)
    label = t("Retry only what failed") if only_failed else t("Resume")
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(label, key="resume", icon=":material/resume:", disabled=choice is None)
        retry = retry_button(view, disabled=choice is None)
        st.caption(
            literal(_resume_words(view, known=choice is not None, only_failed=only_failed), 500), width="content"
        )
    if (pressed or retry) and choice is not None:
        try:
            _start(Experimenting(replace(_resumed(view, choice), only_failed=retry), choice))
        except TaleError as e:
            st.error(literal(str(e), 800), icon=":material/error:")


def _resume_words(view: ExperimentView, *, known: bool, only_failed: bool) -> str:
    if not known:
        return t(
            "It ran on {model} at {endpoint}: add that model in Settings to resume.",
            model=view.model,
            endpoint=view.endpoint,
        )
    caps = t("The hard caps and the calls at a time are those set above; what was spent before counts.")
    if only_failed:
        return joined(t("{n:,} answers failed; the others are kept.", n=view.failed), caps)
    goes_on = t("It goes on where it ended. Finished answers are not paid for again.")
    if view.failed:
        goes_on = t(
            "It goes on where it ended, and the {n:,} that failed are tried again. Finished answers are not paid for "
            "again.",
            n=view.failed,
        )
    return joined(goes_on, caps)


def _resumed(view: ExperimentView, choice: ModelChoice) -> Any:
    """The plan as it was begun, with the form's caps and concurrency and the trained estimators put in again."""
    plan, caps = view.plan, experiments_form.limits(price_of(choice))
    return replace(
        plan,
        resume_of=view.experiment_id,
        limits=replace(plan.limits, max_tokens=caps.max_tokens, max_cost_usd=caps.max_cost_usd),
        concurrency=int(st.session_state["exp_concurrency"]),
        start=None,
        estimators=experiments_strategies.predictors(plan.strategies, model=choice.model, template=plan.template),
    )


def _welcome(experiment_id: str) -> None:
    if error := st.session_state.pop("page_error", None):
        st.warning(literal(str(error), 800))
        if experiment_id and (session := _other_kind(experiment_id)) is not None:
            opened.elsewhere(session, "experiment")
    st.markdown(
        t(
            "The same questions, asked in **several ways**: without reasoning, with as much as the model likes, and "
            "under **token budgets**. The table says what each way costs and how often it is right."
        )
    )
    import_box()
    _earlier()


def _other_kind(session_id: str) -> Any:
    try:
        session = state.store().get_session(session_id)
    except StoreError:
        return None
    return session if session.kind != "experiment" else None


def _earlier() -> None:
    """The newest experiments, to be opened."""
    try:
        found = state.store().list_sessions(limit=EARLIER, kind="experiment")
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/database_off:")
        return
    if not found:
        st.caption(t("There is no experiment yet."))
        return
    st.markdown(t("**Earlier experiments**"))
    for s in found:
        when = t("{when:%d %b %H:%M}", when=s.created_at.astimezone())
        words = " · ".join((title_told(s.question_text), s.model, t(_STATUS_WORDS[s.status]), when))
        if st.button(literal(words, 90), key=f"experiment_{s.id}", icon=_STATUS[s.status], type="tertiary", wrap=True):
            st.query_params["experiment"] = s.id
            st.rerun()
