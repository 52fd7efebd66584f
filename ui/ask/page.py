"""The Ask page: one question answered twice, and another budget tried on it afterwards."""

from __future__ import annotations

import streamlit as st

from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskView, view_of
from tale_core.budgets.forcing import FORCED
from tale_core.budgets.kinds import KINDS as KNOBS
from tale_core.budgets.kinds import Kind, kind_of
from tale_core.datasets import featured
from tale_core.estimators import KINDS, MAX_BUDGET, offered
from tale_core.history.text import answers_sampling
from tale_core.i18n import t
from tale_core.lessons import ladder
from tale_core.models.adapters import registry as adapters
from tale_core.models.choice import EMBEDDED
from tale_core.models.embedded.prepare import preparation
from tale_core.runs.runner import AskJob, start_ask
from tale_core.strategies import tool_of
from tale_core.types import LINES, TUNED
from ui.ask import live, needed, opening, result
from ui.common import question_form, state
from ui.common.question_form import Request
from ui.common.run_page import RunPage, session_as
from ui.common.run_parts import provenance
from ui.common.text import fitting, literal
from ui.shell import model_status

STATUS_HEIGHT = 50
"""A bar with its line of words: what stands below does not move when the model is there."""
TO_TRY_LETTERS = 36
LOW = 68
"""Pixels of the question's box below the race: two lines."""


def load(view: AskView) -> None:
    """Put an Ask's question and where its budget came from into the form."""
    question_form.put(view.question)
    kind, _, level = view.estimator.partition(":")
    if kind in (knob.NAME for knob in KNOBS if not knob.NUMBERS):
        st.session_state.update(ask_knob=kind, ask_level=level)
        return
    if (call := view.calls.get("budgeted")) is not None:
        st.session_state["ask_knob"] = kind_of(call.record).NAME
    st.session_state["estimator"] = view.estimator if kind == "tuned" else kind
    if view.budget:
        st.session_state["fixed_budget"] = view.budget


def form(*, running: bool, folded: bool) -> Request | None:
    """Draw the form, which is short enough to stay whole; return what to ask when the viewer pressed Ask."""
    first = not running and not folded and opening.comes_first()
    if first:
        opening.draw()
        question_form.heading(t("Now your own question"), level=3)
    else:
        question_form.heading(t("How many tokens does this answer need?"))
        if not running and not folded:
            _model()
    question_form.question_box(height=LOW if first else question_form.HIGH)
    answer, model, budget, go = st.columns([2, 2.6, 3.2, 2.7], vertical_alignment="bottom")
    with answer:
        question_form.answer_box(placeholder=t("optional"), explained=t("If you know it, both answers are graded."))
    with model:
        question_form.model_box()
    with budget:
        estimator = _estimator()
    with go:
        pressed = question_form.go_button(t("Ask"), key="ask", icon=":material/play_arrow:", disabled=running)
    if first:
        _to_try()
        _model()
    guesses = _guesses() if state.pref("guess_first") else {}
    knob, level = _how_it_runs()
    if not pressed or running:
        return None
    plan = AskPlan(
        question=question_form.typed(),
        estimator=estimator,
        template=state.template(),
        sampling=state.sampling(),
        knob=knob.NAME,
        level=level,
        together=bool(state.pref("together")),
        guesses=guesses,
    )
    return Request(plan, state.current_choice())


def _model() -> None:
    """How far the embedded model is. The sidebar leaves it to this page, which a phone does not hide."""
    choice = state.current_choice()
    if choice.kind == EMBEDDED:
        failed = preparation(choice.model).status().state == "failed"  # Why, and what to do, is many lines long.
        with st.container(height="content" if failed else STATUS_HEIGHT, border=False, key="model_status"):
            model_status(
                choice.model, meanwhile=t("You can type a question, or use an endpoint from Settings, meanwhile.")
            )


def _to_try() -> None:
    """Questions to begin with: one click puts one into the form, the next asks it."""
    raced = ladder.ladder_recording().session.question
    more = [q for q in featured() if q.language == raced.language and q.text != raced.text and not q.options]
    with st.container(horizontal=True, gap="small", key="to_try"):
        for at, question in enumerate([raced, *more[:2]]):
            st.button(
                literal(fitting(question.text, TO_TRY_LETTERS)), key=f"to_try_{at}", icon=":material/edit:",
                on_click=question_form.put, args=(question,), help=literal(question.text, 400),
            )  # fmt: skip


def _estimator() -> str:
    choice = state.current_choice()
    own = [f"{TUNED}{a.name}" for a in adapters.of_base(choice.model)] if choice.kind == EMBEDDED else []
    names = [*offered(model=choice.model, template=state.template()), LINES, *own]
    if st.session_state.get("estimator") not in names:
        st.session_state["estimator"] = names[0]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        name = st.selectbox(
            t("Budget"), names, key="estimator", format_func=_estimator_title, persist_state="session",
            help=t("The budget is the number of tokens that the second prompt asks the model to stay under."),
        )  # fmt: skip
        if name.startswith((TUNED, LINES)) or not KINDS[name].argument:
            return name
        st.session_state.setdefault("fixed_budget", 50)
        value = st.number_input(t("Tokens"), 1, MAX_BUDGET, key="fixed_budget", persist_state="session", width=110)
    return f"{name}:{value}"


def _estimator_title(name: str) -> str:
    if name.startswith(TUNED):
        adapter = name.removeprefix(TUNED)
        if tool_of(name):
            return t("None: the fine-tuned {name}, evaluated by a calculator", name=adapter)
        return t("None: the fine-tuned {name}", name=adapter)
    return t("None: lines, evaluated by a calculator") if name == LINES else t(KINDS[name].title)


def _guesses() -> dict[str, int]:
    left, right, _ = st.columns([2, 2, 4])
    with left:
        vanilla = st.number_input(t("Your guess: vanilla tokens"), 1, 100_000, None, key="guess_vanilla")
    with right:
        budgeted = st.number_input(t("Your guess: budgeted tokens"), 1, 100_000, None, key="guess_budgeted")
    return {role: int(v) for role, v in (("vanilla", vanilla), ("budgeted", budgeted)) if v}


def _how_it_runs() -> tuple[Kind, str | None]:
    """The kind of budget, with its level where that is a word."""
    with st.expander(t("How it runs"), icon=":material/tune:"):
        knob, level = question_form.knob_box("ask"), None
        if not knob.NUMBERS:
            levels = question_form.levels_of(knob)
            if st.session_state.get("ask_level") not in levels:
                st.session_state["ask_level"] = levels[0]
            level = st.selectbox(
                t("Level"), levels, key="ask_level", persist_state="session",
                help=t("The second answer is asked for with this word; the box Budget above is not used."),
            )  # fmt: skip
        left, right = st.columns(2)
        with left:
            state.keep("together")
            st.toggle(
                t("Both answers at the same time"), key="together", persist_state="session",
                help=t("Off: one after the other, so that each has the machine for itself and the times are clean."),
            )  # fmt: skip
        with right:
            state.keep("guess_first")
            st.toggle(
                t("Guess first"), key="guess_first", persist_state="session",
                help=t("Guess both token counts before the answers start; your guess is scored afterwards."),
            )  # fmt: skip
        st.caption(t("Sampling, max_tokens and the prompt template are in Settings."))
    return knob, level


def another_budget(view: AskView) -> Request | None:
    """The box under a finished Ask that tries another budget; a finished vanilla answer is reused, not paid again."""
    if view.not_saved:
        return None
    call, choice = view.calls.get("vanilla"), state.current_choice()
    vanilla = call.record if call is not None and call.record.status == "done" else None
    if vanilla is not None and FORCED in vanilla.adjustments:
        vanilla = None  # Somebody wanted that one before its end.
    if (choice.model, choice.endpoint) != (view.model, view.endpoint):
        vanilla = None  # Another model wrote it.
    with st.container(horizontal=True, vertical_alignment="bottom"):
        value = st.number_input(
            t("Try another budget"), 1, MAX_BUDGET, view.budget or 50, key=f"budget_of_{view.session_id}", width=180
        )
        pressed = st.button(t("Ask again with this budget"), key="rerun_budget", icon=":material/replay:")
        if vanilla is not None:
            st.caption(t("The vanilla answer above is kept and not paid for again."), width="content")
    if not pressed:
        return None
    plan = AskPlan(
        question=view.question,
        estimator=f"fixed:{value}",
        template=view.template or state.template(),
        sampling=vanilla.sampling if vanilla else state.sampling(),
        together=bool(state.pref("together")),
        reuse_vanilla=vanilla,
        parent_id=view.session_id,
    )
    return Request(plan, choice)


def _picture(view: AskView) -> None:
    result.picture(view)
    PAGE.begin(needed.needed(view))
    result.ladder(view)
    sampling = answers_sampling(call.record for call in view.calls.values())
    provenance(view, template=view.template, sampling=sampling)


def _welcome() -> None:
    if not opening.comes_first() and not st.query_params.get("session"):
        opening.draw()


def _answer_now(job: AskJob) -> None:
    if job.may_answer_now:
        st.button(
            t("Answer now"), key="answer-now", icon=":material/last_page:", on_click=job.answer_now,
            help=t("Closes the thoughts of the answers that are being written, and has the model give its answer."),
        )  # fmt: skip


PAGE = RunPage(
    kind="ask",
    view_type=AskView,
    start=start_ask,
    read=session_as("ask", view_of),
    load=load,
    form=form,
    phase_line=live.phase_line,
    live=live.LiveAsk,
    beside_stop=_answer_now,
    head=result.head,
    picture=_picture,
    again=another_budget,
    welcome=_welcome,
    waits=True,
)
draw = PAGE.draw
