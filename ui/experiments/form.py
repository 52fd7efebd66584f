"""The experiment's form: data, model, strategies, repeats and hard caps, and beside them what all of it will take."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from tale_core.calls.budget_ledger import worst_price
from tale_core.elasticity.estimate import seen
from tale_core.elasticity.plan import parse_grid
from tale_core.errors import InputError, StoreError, TaleError
from tale_core.estimators import trained_kinds
from tale_core.experiments.estimate import CostEstimate, calls_words, cost_estimate, first_questions
from tale_core.experiments.plan import MAX_CONCURRENCY, MAX_REPEATS, ExperimentPlan
from tale_core.experiments.run import ExperimentView
from tale_core.history.text import sampling_words
from tale_core.i18n import N_, joined, t
from tale_core.models import tokens
from tale_core.models.adapters import registry as adapters
from tale_core.models.choice import EMBEDDED, ModelChoice, efforts
from tale_core.prompts import messages as prompts
from tale_core.strategies import Offer, hint_of, offered, title_of, trained_for, usual
from tale_core.text import duration
from tale_core.types import Price, Sampling
from ui.common import question_form, state
from ui.common.question_form import Request, cap_words, limits, price_of
from ui.common.text import literal, sanitize
from ui.experiments import example
from ui.experiments.data import MOST_QUESTIONS, Chosen, data_box, local_sets

DEFAULTS: dict[str, object] = {
    "exp_limit": 20,
    "exp_offset": 0,
    "exp_fixed": "50",
    "exp_repeats": 1,
    "exp_concurrency": 4,
    "exp_reuse": True,
}
NUMBERS = {
    "fixed": N_("Fixed budgets, tokens"),
    "enforced": N_("Enforced budgets, tokens"),
    "thinking": N_("Limits on thinking, tokens"),
}
"""Strategies that are given numbers, with the title of the box that takes them."""
LOOKED_AT = 4
"""Earlier sessions of the model that are read for its speed."""


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
            names = _strategies(choice)
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
        _draw_estimate(plan, choice, price)
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


def _offer(choice: ModelChoice, template: str) -> Offer:
    """What there is for a model and prompt template; only the embedded ones have adapters, and they know no effort."""
    embedded = choice.kind == EMBEDDED
    return Offer(
        trained=trained_kinds(model=choice.model, template=template),
        efforts=() if embedded else efforts(choice),
        adapters=[a.name for a in adapters.of_base(choice.model)] if embedded and not choice.adapter else (),
    )


def _strategies(choice: ModelChoice) -> tuple[str, ...] | None:
    """The strategies that were chosen; None when the list of budgets is wrong."""
    names = offered(_offer(choice, str(st.session_state["exp_template"])))
    # What a box does not offer it cannot hold: an opened experiment may name more than this model can do.
    st.session_state["exp_strategies"] = [n for n in st.session_state["exp_strategies"] if n in names]
    several, fixed = st.columns([2.4, 1], vertical_alignment="top")
    with several:
        st.multiselect(
            t("Strategies"), names, key="exp_strategies", format_func=title_of, persist_state="session",
            placeholder=t("Strategies"),
        )  # fmt: skip
    with fixed:
        for kind, title in NUMBERS.items():
            st.text_input(
                t(title), key=f"exp_{kind}", persist_state="session", placeholder=t("none"),
                help=t("Each number is a strategy of its own: the same budget for every question. Commas between."),
            )  # fmt: skip
    chosen = tuple(st.session_state["exp_strategies"])
    st.caption(
        "  \n".join(
            literal(t("{strategy}: {hint}", strategy=title_of(name), hint=hint_of(name)), 400) for name in chosen
        )
    )
    budgets: list[str] = []
    for kind in NUMBERS:
        typed = str(st.session_state.get(f"exp_{kind}") or "")
        try:
            budgets += [f"{kind}:{budget}" for budget in (parse_grid(typed) if typed.strip() else ())]
        except InputError as e:
            st.error(literal(str(e), 600), icon=":material/error:")
            return None
    return (*chosen, *budgets)


def _draw_estimate(plan: ExperimentPlan, choice: ModelChoice, price: Price | None) -> None:
    """The cost estimate of a plan as a table, with what was assumed below it.

    Raises:
        InputError: The plan cannot be run as it is.
    """
    one = cost_estimate(plan.checked(), count=lambda text: tokens.count(text, choice.model), price=price)
    st.markdown(t("**Before it starts**"))
    rows = {name: literal(value) for name, value in _rows(one, plan, choice, price).items()}
    st.table(rows, border="horizontal", hide_header=True, alt=t("What this experiment will take"))
    _first_questions(plan)
    words = [t("About means: answers as long as the paper's, counted by tiktoken.")]
    if (most := plan.sampling.max_tokens) is not None:
        words.append(t("At most means that every answer runs to max_tokens ({most:,}), or to the cap.", most=most))
    if plan.reuse:
        words.append(t("Answers known already are not paid for again."))
    st.caption(literal(joined(*words), 600))


def _first_questions(plan: ExperimentPlan) -> None:
    """How the known answers were understood, so that a file that was read wrong is seen before anything is spent."""
    st.markdown(t("**The first questions, and their known answers as they were understood**"))
    for text, known in first_questions(plan.questions):
        st.text(sanitize(f"{text} → {known}"))


def _rows(one: CostEstimate, plan: ExperimentPlan, choice: ModelChoice, price: Price | None) -> dict[str, str]:
    questions, ways = len(plan.questions), len(plan.strategies)
    answers = t("{n:,}: {questions:,} questions × {ways} strategies", n=one.units, questions=questions, ways=ways)
    if plan.repeats > 1:
        answers = t("{answers} × {n} repeats", answers=answers, n=plan.repeats)
    worst = t("without an upper bound") if one.tokens_worst is None else t("at most {n:,}", n=one.tokens_worst)
    return {
        t("Answers"): answers,
        t("Calls"): calls_words(one),
        t("Tokens"): t("about {n:,}, {worst}", n=one.tokens_about, worst=worst),
        t("Worst price"): worst_price(one.cost_worst, price),
        t("Time"): _time(one, choice),
        t("Hard cap"): cap_words(plan.limits),
    }


def _time(one: CostEstimate, choice: ModelChoice) -> str:
    speed = _speed(choice)
    if speed is None:
        return t("unknown until the first answer")
    about = duration(one.tokens_about / speed)
    return t(
        "about {time} at the {speed:.0f} tokens/s seen before, if calls went one after the other",
        time=about,
        speed=speed,
    )


def _speed(choice: ModelChoice) -> float | None:
    """Tokens a second that the model wrote in its newest sessions; None when it has none."""
    try:
        # An experiment may hold thousands of calls: too many to read for this.
        found = state.store().list_sessions(limit=60)
        mine = [s for s in found if s.model == choice.model and s.status == "done" and s.kind != "experiment"]
        read = [state.store().get_session(s.id) for s in mine[:LOOKED_AT]]
    except StoreError:
        return None
    read = [s for s in read if s.endpoint == choice.endpoint]
    return seen(read, read[0].question).tokens_per_s if read else None
