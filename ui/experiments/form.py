"""The experiment's form: data, model, strategies, repeats and hard caps, and beside them what all of it will take."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from tale_core.errors import TaleError
from tale_core.estimators import trained_kinds
from tale_core.experiments.plan import MAX_CONCURRENCY, MAX_REPEATS, ExperimentPlan
from tale_core.experiments.run import ExperimentView
from tale_core.history.text import sampling_words
from tale_core.i18n import joined, t
from tale_core.models.choice import ModelChoice
from tale_core.prompts import messages as prompts
from tale_core.strategies import Offer, trained_for, usual
from tale_core.types import Price, Sampling
from ui.common import question_form, state
from ui.common.question_form import Request, limits, price_of
from ui.common.text import literal
from ui.experiments import example
from ui.experiments.data import MOST_QUESTIONS, Chosen, data_box, local_sets
from ui.experiments.estimate import draw_estimate
from ui.experiments.strategies import NUMBERS, strategies_box

DEFAULTS: dict[str, object] = {
    "exp_limit": 20,
    "exp_offset": 0,
    "exp_fixed": "50",
    "exp_repeats": 1,
    "exp_concurrency": 4,
    "exp_reuse": True,
}


def load(view: ExperimentView) -> None:
    """Put an experiment's settings into the form, unless its answers were imported."""
    if view.results is not None and view.results.imported is not None:
        return
    plan = view.plan
    numbers = {kind: [name for name in plan.strategies if name.startswith(f"{kind}:")] for kind in NUMBERS}
    budgets = [name for names in numbers.values() for name in names]
    st.session_state.update({
        "exp_limit": min(max(len(plan.questions), 1), MOST_QUESTIONS),
        "exp_strategies": [name for name in plan.strategies if name not in budgets],
        **{f"exp_{kind}": _listed(names) for kind, names in numbers.items()},
        "exp_repeats": min(max(plan.repeats, 1), MAX_REPEATS),
        "exp_template": plan.template if plan.template in prompts.TEMPLATES else prompts.DEFAULT_TEMPLATE,
        "exp_concurrency": min(max(plan.concurrency, 1), MAX_CONCURRENCY),
        "exp_reuse": plan.reuse,
    })  # fmt: skip
    question_form.put_limits("exp", plan.limits)
    if plan.dataset in local_sets():
        st.session_state["exp_dataset"] = plan.dataset


def _listed(names: list[str]) -> str:
    """The budgets in the names of strategies, as people type them; those in a wording of their own stay out."""
    return ", ".join(budget for name in names if (budget := name.partition(":")[2]).isdigit())


def form(*, running: bool, folded: bool) -> Request | None:
    """Draw the form with its cost estimate, folded or not; return what to run when the viewer pressed Run."""
    choice = state.current_choice()
    template = state.template()
    strategies = usual(Offer(trained=trained_kinds(model=choice.model, template=template)))
    for name, value in {**DEFAULTS, "exp_template": template, "exp_strategies": strategies}.items():
        st.session_state.setdefault(name, value)
    title = t("What does each strategy cost, and what does it get right?")
    st.markdown(f"## {title}", anchors=False)
    # Of a form that stands beside something to look at, a place of its own remembers whether it was opened.
    key = "exp_setup_again" if folded else example.SETUP
    box = st.expander(
        t("Set up an experiment"), icon=":material/science:", expanded=not folded and not example.comes_first(),
        key=key, on_change="rerun",
    )  # fmt: skip
    with box:
        left, right = st.columns([1.5, 1], gap="large")
        with left:
            data = data_box()
            question_form.model_box()
            choice = state.current_choice()
            names = strategies_box(choice)
            _numbers(choice)
        with right:
            plan = _estimate(data, names, choice)
            pressed = question_form.go_button(
                t("Run"), key="run", icon=":material/science:", disabled=running or plan is None
            )
    return Request(plan, choice) if pressed and plan is not None and not running else None


def _numbers(choice: ModelChoice) -> None:
    """Repeats and caps; template, sampling and the rest folded away."""
    price = price_of(choice)
    repeats, tokens, money, at_once = st.columns(4, vertical_alignment="bottom")
    with repeats:
        st.number_input(
            t("Repeats"), 1, MAX_REPEATS, step=1, key="exp_repeats", persist_state="session",
            help=t("Answers by each strategy to each question, each with a seed of its own."),
        )  # fmt: skip
    with tokens:
        question_form.tokens_cap("exp")
    with money:
        question_form.money_cap("exp", price)
    with at_once:
        st.number_input(
            t("Calls at a time"), 1, MAX_CONCURRENCY, step=1, key="exp_concurrency", persist_state="session",
            help=t("At most. When the endpoint asks for fewer, it goes on with fewer."),
        )  # fmt: skip
    _same_repeats()
    with st.expander(t("Prompt template and sampling"), icon=":material/tune:"):
        st.selectbox(
            t("Prompt template"), list(prompts.TEMPLATES), key="exp_template", persist_state="session",
            format_func=lambda name: prompts.TEMPLATES[name].title, help=t("Settings shows each in full."),
        )  # fmt: skip
        message = joined(sampling_line(state.sampling()), t("Change them in Settings."))
        st.caption(literal(message, 400))
        question_form.reuse_toggle("exp_reuse")


def _same_repeats() -> None:
    repeats = int(st.session_state["exp_repeats"])
    if repeats > 1 and not state.sampling().temperature:
        st.caption(
            t(
                "At temperature 0 all {n} repeats are the same measurement: they cost {n} times as much and tell "
                "nothing more. Take 1 repeat, or a higher temperature in Settings.",
                n=repeats,
            )
        )


def sampling_line(sampling: Sampling) -> str:
    """How answers are sampled, in a sentence."""
    words = sampling_words(sampling)
    return t("{words}.", words=f"{words[0].upper()}{words[1:]}")


def _estimate(data: Chosen, names: tuple[str, ...] | None, choice: ModelChoice) -> ExperimentPlan | None:
    """The cost estimate of what the form asks for; the plan, or None when it cannot be run as it is."""
    price = price_of(choice)
    if data.loaded is None:
        st.info(literal(data.why, 800))
        return None
    if names is None:
        return None
    try:
        plan = _plan(data, names, choice, price)
        draw_estimate(plan, choice, price)
    except TaleError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return None
    return plan


def _plan(data: Chosen, names: tuple[str, ...], choice: ModelChoice, price: Price | None) -> ExperimentPlan:
    assert data.loaded is not None, "there are questions"
    now, template = st.session_state, str(st.session_state["exp_template"])
    plan = ExperimentPlan(
        questions=data.loaded.questions,
        dataset=data.loaded.name,
        fingerprint=data.loaded.fingerprint,
        strategies=names,
        repeats=int(now["exp_repeats"]),
        sampling=state.sampling(),
        template=template,
        limits=limits("exp", price),
        concurrency=int(now["exp_concurrency"]),
        reuse=bool(now["exp_reuse"]),
    )
    return replace(plan, estimators=trained_for(names, choice.model, template))
