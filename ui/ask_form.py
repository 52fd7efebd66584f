"""The question form: text, known answer, model, where the budget comes from, and an optional guess before the start."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from tale_core.ask import AskPlan
from tale_core.estimators import trained_kinds
from tale_core.i18n import N_, t
from tale_core.models import adapters
from tale_core.models.choice import EMBEDDED, ModelChoice
from tale_core.types import TUNED, CallRecord, SessionRecord
from ui import question_form, state

ESTIMATORS = {
    "regression": N_("Predicted from searches"),
    "calibrated": N_("The model's estimate, corrected"),
    "zero-shot": N_("The model estimates it"),
    "fixed": N_("I set it"),
}


@dataclass(frozen=True, slots=True)
class Asked:
    """What the form asks for."""

    plan: AskPlan
    choice: ModelChoice


def load(session: SessionRecord) -> None:
    """Put a stored session's question into the form, once, when its link is opened."""
    if st.session_state.get("loaded") == session.id:
        return
    st.session_state["loaded"] = session.id
    question_form.put(session.question)
    kind = session.estimator.partition(":")[0]
    st.session_state["estimator"] = session.estimator if kind == "tuned" else kind
    if session.budget:
        st.session_state["fixed_budget"] = session.budget


def form(*, running: bool) -> Asked | None:
    """Draw the form; return what to ask when the viewer pressed Ask."""
    question_form.heading(t("How many tokens does this answer need?"))
    question_form.question_box()
    answer, model, budget, go = st.columns([2, 2.6, 3.2, 2.7], vertical_alignment="bottom")
    with answer:
        question_form.answer_box(placeholder=t("optional"), explained=t("If you know it, both answers are graded."))
    with model:
        question_form.model_box()
    with budget:
        estimator = _estimator()
    with go:
        pressed = st.button(
            t("Ask"), type="primary", key="ask", disabled=running, width="stretch",
            shortcut="Ctrl+Enter", icon=":material/play_arrow:",
        )  # fmt: skip
    guesses = _guesses() if state.pref("guess_first") else {}
    if not pressed or running:
        return None
    plan = AskPlan(
        question=question_form.typed(),
        estimator=estimator,
        template=state.template(),
        sampling=state.sampling(),
        together=bool(state.pref("together")),
        guesses=guesses,
    )
    return Asked(plan, state.current_choice())


def _estimator() -> str:
    choice = state.current_choice()
    there = trained_kinds(model=choice.model, template=state.template())
    own = [f"{TUNED}{a.name}" for a in adapters.of_base(choice.model)] if choice.kind == EMBEDDED else []
    offered = [*there, "zero-shot", "fixed", *own]
    if st.session_state.get("estimator") not in offered:
        st.session_state["estimator"] = offered[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        kind = st.selectbox(
            t("Budget"), offered, key="estimator", format_func=_estimator_title, persist_state="session",
            help=t("The budget is the number of tokens that the second prompt asks the model to stay under."),
        )  # fmt: skip
        if kind != "fixed":
            return str(kind)
        st.session_state.setdefault("fixed_budget", 50)
        value = st.number_input(t("Tokens"), 1, 20_000, key="fixed_budget", persist_state="session", width=110)
    return f"fixed:{value}"


def _estimator_title(name: str) -> str:
    if name.startswith(TUNED):
        return t("None: the fine-tuned {name}", name=name.removeprefix(TUNED))
    return t(ESTIMATORS[name])


def _guesses() -> dict[str, int]:
    left, right, _ = st.columns([2, 2, 4])
    with left:
        vanilla = st.number_input(t("Your guess: vanilla tokens"), 1, 100_000, None, key="guess_vanilla")
    with right:
        budgeted = st.number_input(t("Your guess: budgeted tokens"), 1, 100_000, None, key="guess_budgeted")
    return {role: int(v) for role, v in (("vanilla", vanilla), ("budgeted", budgeted)) if v}


def rerun_with_budget(session: SessionRecord, vanilla: CallRecord | None) -> Asked | None:
    """The box under a finished Ask that tries another budget; a finished vanilla answer is reused, not paid again."""
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.number_input(
            t("Try another budget"), 1, 20_000, session.budget or 50, key=f"budget_of_{session.id}", width=180
        )
        pressed = st.button(t("Ask again with this budget"), key="rerun_budget", icon=":material/replay:")
        if vanilla is not None:
            st.caption(t("The vanilla answer above is kept and not paid for again."), width="content")
    if not pressed:
        return None
    plan = AskPlan(
        question=session.question,
        estimator=f"fixed:{value}",
        template=session.template or state.template(),
        sampling=vanilla.sampling if vanilla else state.sampling(),
        together=bool(state.pref("together")),
        reuse_vanilla=vanilla,
        parent_id=session.id,
    )
    return Asked(plan, state.current_choice())
