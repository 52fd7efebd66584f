"""An adapter against its base on questions that it has not seen: the finding, the table, and a new comparison."""

from __future__ import annotations

from typing import Any

import streamlit as st

from tale_core.datasets import load
from tale_core.datasets.results import fingerprint
from tale_core.errors import InputError, StoreError, TaleError
from tale_core.experiments.plan import ExperimentPlan
from tale_core.experiments.results import results
from tale_core.experiments.run import view_of
from tale_core.i18n import t
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.models.choice import embedded_choice
from tale_core.runs import runner as jobs
from tale_core.tuning.evaluation import held_out_questions, record, results_of, strategies_for, unseen
from tale_core.types import TUNED, Question
from ui.common import state
from ui.common.run_parts import finding_line
from ui.common.text import literal, sanitize
from ui.experiments import result as experiments_result
from ui.experiments.answers import drill_down
from ui.experiments.data import local_sets
from ui.finetune import text as words

HELD_OUT = "\u2191 held out"
"""Stands for the questions kept aside at the training; no data set is called so."""
MOST_QUESTIONS = 1_000


def draw(one: Adapter) -> None:
    """What was found so far, what runs, and the form for another comparison."""
    one = _recorded(one)
    done = [r for r in one.about.results if not r.get("pending")]
    if done:
        _result(one, done[-1])
    elif _pending(one) is None:
        st.markdown(t("Nobody has compared it with its base yet."))
    if (running := _pending(one)) is not None:
        st.fragment(_follow, run_every=2.0)(running)
    else:
        with st.expander(t("Compare it with its base"), icon=":material/compare:", expanded=not done):
            _form(one)


def _result(one: Adapter, result: dict[str, Any]) -> None:
    if sentence := words.finding(one, result):
        finding_line(sentence, [])
    try:
        experiments_result.chart(results_of(one, result), of=f"{TUNED}{one.name}")
    except InputError as e:
        st.caption(literal(str(e), 400))
    st.table(words.table(result), border="horizontal", hide_index=True)
    st.caption(
        literal(
            t(
                "{questions} questions of {dataset}, {when}. Intervals are 95 %. All-in counts the prompt too.",
                questions=f"{result.get('questions', 0):,}",
                dataset=result.get("dataset", "?"),
                when=str(result.get("at", ""))[:10],
            ),
            300,
        )
    )
    experiment = str(result.get("experiment", ""))
    try:
        drill_down(view_of(state.store(), experiment))
    except StoreError:
        st.caption(t("Its single answers are not in this database."))
        return
    st.page_link(
        "pages/Experiments.py", label=t("Open it under Experiments"), icon=":material/science:",
        query_params=state.address(experiment=experiment),
    )  # fmt: skip


def _form(one: Adapter) -> None:
    if not one.about.base:
        st.caption(t("Its base is no embedded model: serve both elsewhere to compare them."))
        return
    aside = held_out_questions(one)
    sets = local_sets()
    offered = [*([HELD_OUT] if aside else []), *sets]
    if st.session_state.get("tune_questions") not in offered:
        st.session_state["tune_questions"] = offered[0]
    which, count, offset, go = st.columns([3, 1.2, 1.2, 1.4], vertical_alignment="bottom")
    with which:
        st.selectbox(
            t("Questions"), offered, key="tune_questions", persist_state="session",
            format_func=lambda n: t("Kept aside at its training · {n}", n=len(aside)) if n == HELD_OUT
            else sanitize(sets[n].title),
            help=t("Questions that it was trained on are left out."),
        )  # fmt: skip
    with count:
        st.session_state.setdefault("tune_limit", 40)
        st.number_input(t("How many"), 1, MOST_QUESTIONS, step=10, key="tune_limit", persist_state="session")
    with offset:
        st.session_state.setdefault("tune_offset", 0)
        st.number_input(t("Offset"), 0, 1_000_000, step=10, key="tune_offset", persist_state="session")
    with go:
        pressed = st.button(t("Compare"), key="tune_compare", type="primary", icon=":material/compare:",
                            width="stretch")  # fmt: skip
    st.caption(t("Each is answered directly, with vanilla reasoning, and by the adapter."))
    if pressed:
        try:
            _start(one, aside)
        except TaleError as e:
            st.error(literal(str(e), 800), icon=":material/error:")


def _start(one: Adapter, aside: tuple[Question, ...]) -> None:
    now = st.session_state
    name, limit, offset = str(now["tune_questions"]), int(now["tune_limit"]), int(now["tune_offset"])
    if name == HELD_OUT:
        questions, title = aside[offset : offset + limit], t("kept aside for {name}", name=one.name)
        if not questions:
            raise InputError(t("The offset {offset} is behind the last question.", offset=offset))
    else:
        questions, title = load(name, limit=limit, offset=offset).questions, name
    left, _ = unseen(questions, [one])
    plan = ExperimentPlan(
        questions=left,
        dataset=title,
        fingerprint=fingerprint(left),
        strategies=strategies_for([one.name]),
        sampling=state.sampling(),
        template=state.template(),
    )
    job = jobs.start_experiment(plan, embedded_choice(one.about.base), store=state.store())
    pending = {"experiment": job.id, "dataset": title, "pending": True}
    if one.shipped:
        now[f"tune_pending_{one.name}"] = pending
    else:
        adapters.change(one, results=[*(r for r in one.about.results if not r.get("pending")), pending])
    st.rerun()


def _pending(one: Adapter) -> str | None:
    """The comparison that was started last and has not ended."""
    kept = st.session_state.get(f"tune_pending_{one.name}")
    found = [*([kept] if kept else []), *(r for r in one.about.results if r.get("pending"))]
    return str(found[-1]["experiment"]) if found else None


def _recorded(one: Adapter) -> Adapter:
    """Take in what has ended since."""
    experiment = _pending(one)
    if experiment is None or jobs.runner().get(experiment) is not None:
        return one
    try:
        found = results(state.store(), experiment)
        if found.status == "running" and not found.complete:
            return one
        if any(row.n for row in found.rows):
            one = record(one, found)
        if not one.shipped:
            one = adapters.change(one, results=[r for r in one.about.results if not r.get("pending")])
    except TaleError:
        if not one.shipped:  # The experiment was deleted, or never began.
            one = adapters.change(one, results=[r for r in one.about.results if not r.get("pending")])
    st.session_state.pop(f"tune_pending_{one.name}", None)
    return one


def _follow(experiment: str) -> None:
    job = jobs.runner().get(experiment)
    if job is None:
        st.rerun()
    view = job.view()
    st.progress(min(1.0, view.finished / view.planned) if view.planned else 0.0)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(
            t("Comparing: {done} of {planned} answers.", done=f"{view.finished:,}", planned=f"{view.planned:,}"),
            width="content",
        )
        st.page_link(
            "pages/Experiments.py", label=t("Watch it"), icon=":material/science:", width="content",
            query_params=state.address(experiment=experiment),
        )  # fmt: skip
        st.button(t("Stop"), key="tune_stop_comparing", icon=":material/stop_circle:", on_click=job.cancel)
