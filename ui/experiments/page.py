"""The Experiments page: data sets asked in several ways, the earlier ones, and going on with one that ended early."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import streamlit as st

from tale_core.errors import StoreError, TaleError
from tale_core.experiments.create import experiment_title
from tale_core.experiments.matrix import Matrix, matrix
from tale_core.experiments.plan import ExperimentPlan
from tale_core.experiments.run import ExperimentView, view_of
from tale_core.history.text import sampling_words
from tale_core.i18n import N_, joined, language, t
from tale_core.models.choice import ModelChoice
from tale_core.runs.runner import start_experiment
from tale_core.store import ExperimentStore
from tale_core.strategies import title_of, trained_for
from tale_core.types import SessionRecord
from ui.common import state
from ui.common.question_form import Request, limits, price_of
from ui.common.run_page import RunPage
from ui.common.run_parts import model_of, provenance, resume_caption
from ui.common.text import literal, sanitize
from ui.experiments import answers, example, form, result
from ui.experiments.answers import drill_down
from ui.experiments.compare import compare_box
from ui.experiments.upload import import_box

EARLIER = 12
_STATUS = {
    "running": (":material/pending:", N_("running")),
    "done": (":material/check_circle:", N_("done")),
    "failed": (":material/error:", N_("failed")),
    "cancelled": (":material/stop_circle:", N_("cancelled")),
    "interrupted": (":material/power_off:", N_("interrupted")),
}
MATRIX_HEIGHT = 400
LETTERS = 160
"""Of a question, in its row."""
_HERE = Path(__file__).parent
_grid = st.components.v2.component(
    "tale_matrix",
    css=(_HERE / "matrix.css").read_text(encoding="utf-8"),
    js=(_HERE / "matrix.js").read_text(encoding="utf-8"),
)


def _read(experiment_id: str) -> ExperimentView | SessionRecord:
    store = state.store()
    try:
        head = ExperimentStore(store).head(experiment_id)
    except StoreError:
        return store.get_session(experiment_id)  # Of another kind; what else is wrong, this says as well.
    if head.status == "running":
        return view_of(store, experiment_id)
    return _ended_view(experiment_id, str(head.updated_at), store.where)


@st.cache_data(ttl=30, max_entries=16, show_spinner=False)
def _ended_view(experiment_id: str, updated_at: str, where: str) -> ExperimentView:
    """An experiment that has ended. Kept for a short while: its statistics take longer than anything else here."""
    return view_of(state.store(), experiment_id)


def _changed(experiment_id: str, shown: ExperimentView) -> bool:
    """Without its statistics, which take long."""
    experiments = ExperimentStore(state.store())
    now = experiments.head(experiment_id).status, len(experiments.done_units(experiment_id))
    return now != (shown.status, shown.finished)


def _head(view: ExperimentView) -> None:
    last = PAGE.last_seen(view.experiment_id)
    # A resume that failed before it began has left nothing in the store.
    untold = last is not None and last.error is not None and last.error[:80] not in (view.error or "")
    if last is not None and untold and view.status not in ("running", "done"):
        st.error(literal(last.error or "", 1000), icon=":material/error:")
    result.head(view)
    if view.running:
        st.progress(min(1.0, view.finished / view.planned) if view.planned else 0.0)


def _picture(view: ExperimentView) -> None:
    found = view.results
    if found is not None and found.finished + found.failed:
        result.chart(found)
        result.tables(found)
        _matrix(view)
        compare_box(view)
        drill_down(view)
        result.files(view)
    if found is None or found.imported is None:  # Nobody knows how imported answers were sampled.
        provenance(view, template=view.plan.template, sampling=sampling_words(view.plan.sampling))
    result.what_was_run(view)
    if st.button(t("All experiments"), key="all_experiments", icon=":material/list:", type="tertiary"):
        st.query_params.clear()
        st.rerun()


def _resume(view: ExperimentView) -> Request | None:
    """A button to go on, with the model that it ran on; finished answers are not paid for again."""
    if view.finished >= view.planned:
        return None
    choice = model_of(view)
    only_failed = view.failed > 0 and not result.missing(view)
    label = t("Retry only what failed") if only_failed else t("Resume")
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(label, key="resume", icon=":material/resume:", disabled=choice is None)
        retry = result.retry_button(view, disabled=choice is None)
        resume_caption(view, choice, _resume_words(view, only_failed=only_failed))
    if choice is None or not (pressed or retry):
        return None
    try:
        return Request(replace(_resumed(view, choice), only_failed=retry), choice)
    except TaleError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return None


def _resume_words(view: ExperimentView, *, only_failed: bool) -> str:
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


def _resumed(view: ExperimentView, choice: ModelChoice) -> ExperimentPlan:
    """The plan as it was begun, with the form's caps and concurrency and the trained estimators put in again."""
    plan, caps = view.plan, limits("exp", price_of(choice))
    return replace(
        plan,
        resume_of=view.experiment_id,
        limits=replace(plan.limits, max_tokens=caps.max_tokens, max_cost_usd=caps.max_cost_usd),
        concurrency=int(st.session_state["exp_concurrency"]),
        start=None,
        estimators=trained_for(plan.strategies, choice.model, plan.template),
    )


def _welcome() -> None:
    st.markdown(
        t(
            "The same questions, asked in **several ways**: without reasoning, with as much as the model likes, and "
            "under **token budgets**. The table says what each way costs and how often it is right."
        )
    )
    if example.comes_first():
        example.draw()
        import_box()
        return
    import_box()
    _earlier()


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
        icon, status = _STATUS[s.status]
        words = " · ".join((experiment_title(s.question_text), s.model, t(status), when))
        if st.button(literal(words, 90), key=f"experiment_{s.id}", icon=icon, type="tertiary", wrap=True):
            st.query_params["experiment"] = s.id
            st.rerun()


def _matrix(view: ExperimentView) -> None:
    """The grid, and below it the answer of the chosen cell beside the vanilla one."""
    try:
        figures = ExperimentStore(state.store()).figures(view.experiment_id)
        found = matrix(figures, view.plan.questions, view.plan.strategies)
        if not found.questions or not found.strategies:
            return
        with st.container(key="matrix"):
            st.markdown(t("**Every answer.** A row for each question, a column for each strategy."))
            opened = _opened(view, found)
            st.caption(literal(_legend(found), 600))
        if opened is not None:
            answers.beside(view, opened[0], found.strategies[opened[1]])
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/error:")


def _opened(view: ExperimentView, found: Matrix) -> tuple[int, int] | None:
    """Draw the grid; the cell that is open."""
    key = f"matrix_opened_{view.experiment_id}"
    told = _grid(
        data=_document(view, found, st.session_state.get(key)),
        key=f"matrix_{view.experiment_id}",
        height="content",
        on_opened_change=lambda: None,
    )
    if told.opened:
        st.session_state[key] = told.opened
    there = st.session_state.get(key)
    if not there:
        return None
    at, column = int(there[0]), int(there[1])
    return (at, column) if at < len(found.cells) and column < len(found.strategies) else None


def _document(view: ExperimentView, found: Matrix, opened: object) -> dict[str, object]:
    return {
        "id": f"{view.experiment_id}-{view.finished}-{view.failed}-{language()}",
        "height": MATRIX_HEIGHT,
        "opened": opened,
        "strategies": [sanitize(title_of(name)) for name in found.strategies],
        "questions": [sanitize(text)[:LETTERS] for text in found.questions],
        "cells": [[None if c is None else [c.sign, c.color, c.words] for c in row] for row in found.cells],
        "words": {
            "question": t("Question"),
            "none": t("Not asked."),
            "grid": t("Outcome of every answer: arrow keys move, Enter opens the answer beside the vanilla one"),
        },
    }


def _legend(found: Matrix) -> str:
    words = [
        t("✓ right, ✗ wrong, ▲ cut off, ■ no readable answer, ◆ failed or refused, ⬣ not graded."),
        t("Arrow keys move, Enter or a click opens the answer beside the vanilla one, with its prompt."),
    ]
    if found.left_out:
        words.append(t("The first {n:,} questions; {more:,} more are left out.", n=len(found.questions), more=found.left_out))  # fmt: skip  # noqa: E501
    return " ".join(words)


PAGE = RunPage(
    kind="experiment",
    view_type=ExperimentView,
    start=start_experiment,
    read=_read,
    load=form.load,
    form=form.form,
    phase_line=result.phase_line,
    live=result.LiveExperiment,
    head=_head,
    resume=_resume,
    picture=_picture,
    changed=_changed,
    welcome=_welcome,
    address="experiment",
)
draw = PAGE.draw
