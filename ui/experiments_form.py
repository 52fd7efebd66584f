"""The experiment's form: data, model, strategies, repeats and hard caps, and beside them what all of it will take."""

from __future__ import annotations

from dataclasses import dataclass, replace

import streamlit as st

from tale_core import prompts
from tale_core.errors import TaleError
from tale_core.estimators import trained_kinds
from tale_core.experiments.job import ExperimentView
from tale_core.experiments.plan import MAX_CONCURRENCY, MAX_REPEATS, ExperimentPlan
from tale_core.i18n import joined, t
from tale_core.models.choice import ModelChoice
from tale_core.spending import Limits
from tale_core.types import Price, Sampling
from ui import question_form, state
from ui.elasticity_sheet import no_money_cap, price_of
from ui.experiments_data import MOST_QUESTIONS, Chosen, data_box, local_sets
from ui.experiments_sheet import draw_sheet
from ui.experiments_strategies import predictors, strategies_box
from ui.text import literal

MOST_TOKENS = 1_000_000_000
LEAST_COST, MOST_COST = 0.0001, 100_000.0
DEFAULT_STRATEGIES = ("direct", "vanilla", "tale-zero-shot")
DEFAULTS: dict[str, object] = {
    "exp_limit": 20,
    "exp_offset": 0,
    "exp_fixed": "50",
    "exp_repeats": 1,
    "exp_concurrency": 4,
    "exp_reuse": True,
}


@dataclass(frozen=True, slots=True)
class Experimenting:
    """What the form asks for."""

    plan: ExperimentPlan
    choice: ModelChoice


def load(view: ExperimentView) -> None:
    """Put a stored experiment's settings into the form, once, when its link is opened."""
    if st.session_state.get("loaded") == view.experiment_id or (view.results and view.results.imported):
        return
    st.session_state["loaded"] = view.experiment_id
    plan = view.plan
    fixed = [name.removeprefix("fixed:") for name in plan.strategies if name.startswith("fixed:")]
    st.session_state.update({
        "exp_limit": min(max(len(plan.questions), 1), MOST_QUESTIONS),
        "exp_strategies": [name for name in plan.strategies if not name.startswith("fixed:")],
        "exp_fixed": ", ".join(f for f in fixed if f.isdigit()),
        "exp_repeats": min(max(plan.repeats, 1), MAX_REPEATS),
        "exp_template": plan.template if plan.template in prompts.TEMPLATES else prompts.DEFAULT_TEMPLATE,
        "exp_max_tokens": plan.limits.max_tokens and min(plan.limits.max_tokens, MOST_TOKENS),
        "exp_max_cost": plan.limits.max_cost_usd and min(max(plan.limits.max_cost_usd, LEAST_COST), MOST_COST),
        "exp_concurrency": min(max(plan.concurrency, 1), MAX_CONCURRENCY),
        "exp_reuse": plan.reuse,
    })  # fmt: skip
    if plan.dataset in local_sets():
        st.session_state["exp_dataset"] = plan.dataset


def form(*, running: bool, folded: bool) -> Experimenting | None:
    """Draw the form with its sheet; return what to run when the viewer pressed Run.

    Args:
        running: An experiment is being followed.
        folded: An experiment is shown below: all but the heading stays out of its way.
    """
    choice = state.current_choice()
    template = state.template()
    strategies = [*DEFAULT_STRATEGIES, *(f"tale-{k}" for k in trained_kinds(model=choice.model, template=template))]
    for name, value in {**DEFAULTS, "exp_template": template, "exp_strategies": strategies}.items():
        st.session_state.setdefault(name, value)
    title = t("What does each way of asking cost, and what does it get right?")
    st.markdown(f"## {title}", anchors=False)
    with st.expander(t("Set up an experiment"), icon=":material/science:", expanded=not folded):
        left, right = st.columns([1.5, 1], gap="large")
        with left:
            data = data_box()
            question_form.model_box()
            choice = state.current_choice()
            names = strategies_box(choice)
            _numbers(choice)
        with right:
            plan = _sheet(data, names, choice)
            pressed = st.button(
                t("Run"), type="primary", key="run", disabled=running or plan is None, width="stretch",
                shortcut="Ctrl+Enter", icon=":material/science:",
            )  # fmt: skip
    return Experimenting(plan, choice) if pressed and plan is not None and not running else None


def _numbers(choice: ModelChoice) -> None:
    """Repeats and caps; wording, sampling and the rest folded away."""
    price = price_of(choice)
    reason = no_money_cap(price)
    repeats, tokens, money, at_once = st.columns(4, vertical_alignment="bottom")
    with repeats:
        st.number_input(
            t("Repeats"), 1, MAX_REPEATS, step=1, key="exp_repeats", persist_state="session",
            help=t("Answers by each strategy to each question, each with a seed of its own."),
        )  # fmt: skip
    with tokens:
        st.number_input(
            t("Cap: tokens"), 1, MOST_TOKENS, value=None, step=10_000, key="exp_max_tokens", persist_state="session",
            placeholder=t("none"),
            help=t("Prompts and answers together. It stops before the call that would break a cap."),
        )  # fmt: skip
    with money:
        st.number_input(
            t("Cap: dollars"), LEAST_COST, MOST_COST, value=None, step=0.1, format="%.4f", key="exp_max_cost",
            persist_state="session", placeholder=t("none"), disabled=reason is not None,
            help=reason or t("By the endpoint's published price."),
        )  # fmt: skip
    with at_once:
        st.number_input(
            t("Calls at a time"), 1, MAX_CONCURRENCY, step=1, key="exp_concurrency", persist_state="session",
            help=t("At most. When the endpoint asks for fewer, it goes on with fewer."),
        )  # fmt: skip
    _same_repeats()
    with st.expander(t("Wording and sampling"), icon=":material/tune:"):
        st.selectbox(
            t("Wording"), list(prompts.TEMPLATES), key="exp_template", persist_state="session",
            format_func=lambda name: prompts.TEMPLATES[name].title, help=t("Settings shows each in full."),
        )  # fmt: skip
        told = joined(sampling_words(state.sampling()), t("Change them in Settings."))
        st.caption(literal(told, 400))
        st.toggle(
            t("Reuse known answers"), key="exp_reuse", persist_state="session",
            help=t("An answer that was given before to the same prompt with the same seed is not paid for again."),
        )  # fmt: skip


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


def sampling_words(sampling: Sampling) -> str:
    """How answers are sampled, in a sentence."""
    most = t("no cap on an answer")
    if sampling.max_tokens is not None:
        most = t("at most {n:,} tokens an answer", n=sampling.max_tokens)
    facts = {
        "warm": t("its default") if sampling.temperature is None else f"{sampling.temperature:g}",
        "seed": sampling.seed,
        "most": most,
    }
    if effort := sampling.reasoning_effort:
        return t("Temperature {warm}, seed {seed}, {most}, effort {effort}.", effort=effort, **facts)
    return t("Temperature {warm}, seed {seed}, {most}.", **facts)


def limits(price: Price | None) -> Limits:
    """The hard caps of the form; one on money only where money can be counted."""
    now = st.session_state
    money = now.get("exp_max_cost") if no_money_cap(price) is None else None
    return Limits(max_tokens=now.get("exp_max_tokens"), max_cost_usd=money)


def _sheet(data: Chosen, names: tuple[str, ...] | None, choice: ModelChoice) -> ExperimentPlan | None:
    """The sheet of what the form asks for; the plan, or None when it cannot be run as it is."""
    price = price_of(choice)
    if data.loaded is None:
        st.info(literal(data.why, 800))
        return None
    if names is None:
        return None
    try:
        plan = _plan(data, names, choice, price)
        draw_sheet(plan, choice, price)
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
        limits=limits(price),
        concurrency=int(now["exp_concurrency"]),
        reuse=bool(now["exp_reuse"]),
    )
    return replace(plan, estimators=predictors(names, model=choice.model, template=template))
