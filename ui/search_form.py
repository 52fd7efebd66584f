"""The search form: question and known answer, model, mode, and, folded, how the search goes and what it may spend."""

from __future__ import annotations

from dataclasses import dataclass

import streamlit as st

from tale_core.i18n import N_, joined, t
from tale_core.models.choice import ModelChoice
from tale_core.models.endpoints import preset
from tale_core.probing import Limits
from tale_core.search_plan import MAX_SAMPLES, SearchPlan
from ui import question_form, state
from ui.text import literal

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


@dataclass(frozen=True, slots=True)
class Searching:
    """What the form asks for."""

    plan: SearchPlan
    choice: ModelChoice


def load(session_id: str, plan: SearchPlan) -> None:
    """Put a stored search's question and settings into the form, once, when its link is opened."""
    if st.session_state.get("loaded") == session_id:
        return
    st.session_state["loaded"] = session_id
    question_form.put(plan.question)
    settings = {
        "search_mode": plan.mode,
        "search_samples": plan.samples,
        "search_rule": plan.rule,
        "search_max_calls": plan.limits.max_calls,
        "search_max_tokens": plan.limits.max_tokens,
        "search_max_cost": plan.limits.max_cost_usd,
        "search_start": plan.start,
        "search_reuse": plan.reuse,
    }
    st.session_state.update(settings)


def form(*, running: bool) -> Searching | None:
    """Draw the form; return what to search when the viewer pressed Search."""
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
        pressed = st.button(
            t("Search"), type="primary", key="search", disabled=running, width="stretch",
            shortcut="Ctrl+Enter", icon=":material/search:",
        )  # fmt: skip
    with st.expander(t("How it searches"), icon=":material/tune:"):
        _trying()
        _limits(state.current_choice())
    if not pressed or running:
        return None
    return Searching(_plan(), state.current_choice())


def _trying() -> None:
    samples, rule, start, reuse = st.columns([1.4, 2, 2, 2.4], vertical_alignment="bottom")
    with samples:
        st.number_input(
            t("Samples per budget"), 1, MAX_SAMPLES, step=1, key="search_samples", persist_state="session",
            help=t("Answers asked for under each budget, with different seeds. More make a lucky hit less likely."),
        )  # fmt: skip
    several = int(st.session_state["search_samples"]) > 1
    with rule:
        st.selectbox(
            t("A budget works when"), list(RULES), key="search_rule", format_func=lambda r: t(RULES[r]),
            persist_state="session", disabled=not several, help=t("With one sample there is nothing to decide."),
        )  # fmt: skip
    ours = st.session_state["search_mode"] == "tale"
    with start:
        st.number_input(
            t("Start near (tokens)"), 1, 20_000, value=None, step=1, key="search_start", persist_state="session",
            placeholder=t("optional"), disabled=not ours,
            help=t("Where you expect the answer to lie. The mode TALE looks there first; the others do not listen."),
        )  # fmt: skip
    with reuse:
        st.toggle(
            t("Reuse known answers"), key="search_reuse", persist_state="session",
            help=t(
                "An answer that an earlier session got from the same model, prompt and seed is not paid for again."
            ),
        )  # fmt: skip
    sampling = state.sampling()
    note = t(
        "Temperature {temperature:g}, seed {seed}, max_tokens {max_tokens}: from Settings.",
        temperature=sampling.temperature, seed=sampling.seed, max_tokens=sampling.max_tokens,
    )  # fmt: skip
    more = ""
    if several and not sampling.temperature:
        more = t(
            "At temperature 0 all samples of a budget are nearly the same: raise it for samples to tell something."
        )
    st.caption(literal(joined(note, more), 600))


def _limits(choice: ModelChoice) -> None:
    calls, tokens, money = st.columns(3, vertical_alignment="bottom")
    with calls:
        st.number_input(
            t("At most calls"), 1, 1000, value=None, step=1, key="search_max_calls", persist_state="session",
            placeholder=t("no limit"), help=t("The search stops before the call that would break a limit."),
        )  # fmt: skip
    with tokens:
        st.number_input(
            t("At most tokens"), 1, 10_000_000, value=None, step=1000, key="search_max_tokens", persist_state="session",
            placeholder=t("no limit"), help=t("Prompts and answers together."),
        )  # fmt: skip
    reason = _no_money_limit(choice)
    with money:
        st.number_input(
            t("At most dollars"), 0.0001, 1000.0, value=None, step=0.01, format="%.4f", key="search_max_cost",
            persist_state="session", placeholder=t("no limit"), disabled=reason is not None,
            help=reason or t("By the endpoint's published price."),
        )  # fmt: skip
    if reason:
        st.caption(reason)


def _no_money_limit(choice: ModelChoice) -> str | None:
    """Why money cannot be limited with this model, or None when it can."""
    if choice.kind == "embedded":
        return t("This model runs on this machine and costs no money: limit calls or tokens instead.")
    known = preset(choice.preset).model(choice.model) if choice.preset else None
    if known is None or known.price is None:
        return t("The price of this model is unknown, so money cannot be limited: limit calls or tokens instead.")
    return None


def _plan() -> SearchPlan:
    now = st.session_state
    choice = state.current_choice()
    cost = now.get("search_max_cost") if _no_money_limit(choice) is None else None
    samples = int(now["search_samples"])
    return SearchPlan(
        question=question_form.typed(),
        mode=now["search_mode"],
        template=state.template(),
        sampling=state.sampling(),
        samples=samples,
        rule=now["search_rule"] if samples > 1 else "all",
        limits=Limits(now.get("search_max_calls"), now.get("search_max_tokens"), cost),
        start=now.get("search_start") if now["search_mode"] == "tale" else None,
        reuse=bool(now["search_reuse"]),
    )
