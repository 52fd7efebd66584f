"""The Search page: the smallest budget that keeps the answer right, watched while it is found."""

from __future__ import annotations

from functools import partial

import streamlit as st

from tale_core.budgets.kinds import Kind
from tale_core.history.text import sampling_words
from tale_core.i18n import N_, joined, t
from tale_core.lessons.recorded import in_language
from tale_core.runs.runner import start_search
from tale_core.runs.views import view_of
from tale_core.search.modes import Mode
from tale_core.search.plan import MAX_SAMPLES, SearchPlan
from tale_core.search.view import SearchView
from ui.common import evidence, question_form, state
from ui.common.question_form import Request, limits, price_of
from ui.common.run_page import RunPage, session_as
from ui.common.run_parts import parent_link, provenance, resume_study
from ui.common.text import literal
from ui.search import result

MODES = {"tale": N_("TALE (default)"), "paper": N_("Paper: bisection"), "reference": N_("Reference: halving")}
MODE_HELP = N_(
    "**TALE** halves, then tries only what is likely to pay, and stops answers that can no longer win.  \n"
    "**Paper** bisects to the end and then goes lower step by step, with every answer written out.  \n"
    "**Reference** halves until the first failure and stops there, as the paper's published code does."
)
RULES = {"all": N_("All of them right"), "majority": N_("More than half right")}
KNOWN_HELP = N_("A search needs it: a budget works when the answer under it is right, and somebody has to know.")
DEFAULTS: dict[str, object] = {
    "search_mode": "tale",
    "search_samples": 1,
    "search_rule": "all",
    "search_max_calls": 40,
    "search_reuse": True,
}


def _picture(view: SearchView) -> None:
    result.replay(view)
    result.spent_and_files(view)
    provenance(view, template=view.plan.template, sampling=sampling_words(view.plan.sampling))
    parent_link(view.parent_id, "search")


def _example(view: SearchView) -> None:
    result.head(view)
    result.replay(view)


def _welcome() -> None:
    st.markdown(
        t(
            "Give a question whose answer you know. It is answered once **without a budget**; then smaller and smaller "
            "budgets are tried until none is left that is worth trying. You watch every try: what was asked for, what "
            "the model really spent, and whether it was still right."
        )
    )
    evidence.recorded(SearchView, partial(in_language, "search"), load=_load, draw=_example)


def _load(view: SearchView) -> None:
    """Put a search's question and settings into the form."""
    plan = view.plan
    question_form.put(plan.question)
    st.session_state.update({
        "search_knob": plan.knob,
        "search_levels": list(plan.levels),
        "search_mode": plan.mode,
        "search_samples": plan.samples,
        "search_rule": plan.rule,
        "search_start": plan.start,
        "search_reuse": plan.reuse,
    })  # fmt: skip
    question_form.put_limits("search", plan.limits)


def _form(*, running: bool, folded: bool) -> Request | None:
    """Draw the form, which is short enough to stay whole; return what to search when the viewer pressed Search."""
    for name, value in DEFAULTS.items():
        st.session_state.setdefault(name, value)
    question_form.heading(t("What is the smallest budget that still works?"))
    question_form.question_box()
    answer, model, mode, go = st.columns([2, 2.6, 2.4, 2.2], vertical_alignment="bottom")
    with answer:
        question_form.answer_box(placeholder=t("required"), explained=t(KNOWN_HELP))
    with model:
        question_form.model_box()
    with mode:
        st.selectbox(
            t("Mode"), list(MODES), key="search_mode", format_func=lambda m: t(MODES[m]), persist_state="session",
            help=t(MODE_HELP),
        )  # fmt: skip
    with go:
        pressed = question_form.go_button(t("Search"), key="search", icon=":material/search:", disabled=running)
    with st.expander(t("How it searches"), icon=":material/tune:"):
        kind = question_form.knob_box("search")
        levels = question_form.levels_box("search", kind)
        _trying(kind)
        question_form.caps("search", price_of(state.current_choice()))
    if not pressed or running:
        return None
    return Request(_plan(kind, levels), state.current_choice())


def _trying(kind: Kind) -> None:
    samples, rule, start, reuse = st.columns([1.4, 2, 2, 2.4], vertical_alignment="bottom")
    with samples:
        st.number_input(
            t("Repeats per budget"), 1, MAX_SAMPLES, step=1, key="search_samples", persist_state="session",
            help=t("Answers asked for under each budget, with different seeds. More make a lucky hit less likely."),
        )  # fmt: skip
    several = int(st.session_state["search_samples"]) > 1
    with rule:
        st.selectbox(
            t("A budget works when"), list(RULES), key="search_rule", format_func=lambda r: t(RULES[r]),
            persist_state="session", disabled=not several, help=t("With one repeat there is nothing to decide."),
        )  # fmt: skip
    ours = st.session_state["search_mode"] == "tale" and kind.NUMBERS
    with start:
        st.number_input(
            t("Start near (tokens)"), 1, 20_000, value=None, step=1, key="search_start", persist_state="session",
            placeholder=t("optional"), disabled=not ours,
            help=t("Where you expect the answer to lie. The mode TALE looks there first; the others do not listen."),
        )  # fmt: skip
    with reuse:
        question_form.reuse_toggle("search_reuse")
    sampling = state.sampling()
    note = t(
        "Temperature {temperature:g}, seed {seed}, max_tokens {max_tokens}: from Settings.",
        temperature=sampling.temperature, seed=sampling.seed, max_tokens=sampling.max_tokens,
    )  # fmt: skip
    more = ""
    if several and not sampling.temperature:
        more = t(
            "At temperature 0 all repeats of a budget are nearly the same: raise it for repeats to tell something."
        )
    st.caption(literal(joined(note, more), 600))


def _plan(kind: Kind, levels: tuple[str, ...]) -> SearchPlan:
    now = st.session_state
    samples = int(now["search_samples"])
    # Levels that are words are always bisected: which mode is chosen does not matter to them.
    mode: Mode = now["search_mode"] if kind.NUMBERS else "tale"
    return SearchPlan(
        question=question_form.typed(),
        knob=kind.NAME,
        levels=levels,
        lowest=question_form.floor_of(kind) if kind.NUMBERS else 1,
        worth=SearchPlan.usual_worth(kind.NAME),
        mode=mode,
        template=state.template(),
        sampling=state.sampling(),
        samples=samples,
        rule=now["search_rule"] if samples > 1 else "all",
        limits=limits("search", price_of(state.current_choice())),
        start=now.get("search_start") if mode == "tale" and kind.NUMBERS else None,
        reuse=bool(now["search_reuse"]),
    )


PAGE = RunPage(
    kind="search",
    view_type=SearchView,
    start=start_search,
    read=session_as("search", view_of),
    load=_load,
    form=_form,
    phase_line=result.phase_line,
    live=result.LiveSearch,
    head=result.head,
    resume=resume_study,
    picture=_picture,
    welcome=_welcome,
)
draw = PAGE.draw
