"""The sweep's form: question, grid, repeats and hard caps, and beside them what all of it will take."""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from tale_core.budgets.kinds import ASKED, MOST, Kind
from tale_core.calls.budget_ledger import Limits, worst_price
from tale_core.elasticity.engine import MAX_BUDGET, MAX_LEVELS, MAX_REPEATS, SweepPlan
from tale_core.elasticity.estimate import CostEstimate, Seen, cost_estimate, seen
from tale_core.elasticity.plan import parse_grid
from tale_core.elasticity.view import SweepView
from tale_core.errors import InputError, StoreError
from tale_core.i18n import N_, joined, t, tn
from tale_core.models import tokens
from tale_core.models.choice import ModelChoice
from tale_core.text import duration
from tale_core.types import Price, Question, SessionRecord
from ui.common import question_form, state
from ui.common.question_form import Request, cap_words, limits, price_of
from ui.common.text import literal

GRIDS = {"spread": N_("Spread evenly"), "own": N_("My own list")}
DEFAULTS: dict[str, object] = {
    "sweep_grid": "spread",
    "sweep_points": 8,
    "sweep_lowest": 10,
    "sweep_own": "200, 100, 50, 25, 10",
    "sweep_repeats": 3,
    "sweep_reuse": True,
}
WARM = 0.7
"""Temperature offered where Settings say 0: repeats have to differ before they can tell chance from effect."""
LOOKED_AT = 4
"""Earlier sessions of the model that are read for its speed."""


def load(view: SweepView) -> None:
    """Put a sweep's question and settings into the form."""
    plan = view.plan
    question_form.put(plan.question)
    st.session_state.update({
        "sweep_knob": plan.knob,
        "sweep_levels": list(plan.levels),
        "sweep_grid": "own" if plan.budgets else "spread",
        "sweep_points": min(max(plan.points, 2), MAX_LEVELS),
        "sweep_lowest": min(max(plan.lowest, 1), MAX_BUDGET),
        "sweep_own": ", ".join(map(str, plan.budgets)) or DEFAULTS["sweep_own"],
        "sweep_repeats": min(max(plan.repeats, 1), MAX_REPEATS),
        "sweep_temperature": plan.sampling.temperature,
        "sweep_reuse": plan.reuse,
    })  # fmt: skip
    question_form.put_limits("sweep", plan.limits)


def form(*, running: bool, folded: bool) -> Request | None:
    """Draw the form, its grid and cost estimate folded; return what to measure when the viewer pressed Measure."""
    for name, value in {**DEFAULTS, "sweep_temperature": state.sampling().temperature or WARM}.items():
        st.session_state.setdefault(name, value)
    question_form.heading(t("What happens when it is asked for less?"))
    question_form.question_box()
    answer, model, repeats, temperature, go = st.columns([1.7, 2.4, 1.25, 1.25, 2.2], vertical_alignment="bottom")
    with answer:
        question_form.answer_box(placeholder=t("optional"), explained=t("If you know it, every answer is graded."))
    with model:
        question_form.model_box()
    with repeats:
        st.number_input(
            t("Repeats"), 1, MAX_REPEATS, step=1, key="sweep_repeats", persist_state="session",
            help=t("Answers under each budget, each with a seed of its own. At temperature 0 they are all the same."),
        )  # fmt: skip
    with temperature:
        st.number_input(
            t("Temperature"), 0.0, 2.0, step=0.1, key="sweep_temperature", persist_state="session",
            help=t("Of this sweep alone; the other sampling settings are those in Settings."),
        )  # fmt: skip
    # Drawn last, since what the grid holds decides whether it can be pressed.
    place = go.empty()
    _same_repeats()
    with st.expander(t("Grid, cost and hard caps"), icon=":material/tune:"):
        plan, cost = _grid_and_estimate(state.current_choice())
    if not running:
        st.caption(literal(cost))
    with place:
        pressed = question_form.go_button(
            t("Measure"), key="measure", icon=":material/show_chart:", disabled=running or plan is None
        )
    return Request(plan, state.current_choice()) if pressed and plan is not None and not running else None


def _grid_and_estimate(choice: ModelChoice) -> tuple[SweepPlan | None, str]:
    """Grid and caps, and beside them what they will take; also in short. No plan when the list of budgets is wrong."""
    price = price_of(choice)
    left, right = st.columns([1, 1], gap="large")
    with left:
        kind = question_form.knob_box("sweep")
        levels = question_form.levels_box("sweep", kind)
        budgets = _grid(kind) if kind.NUMBERS else ()
        question_form.caps("sweep", price)
        question_form.reuse_toggle("sweep_reuse")
    if budgets is None:
        return None, t("The list of budgets below cannot be used as it is.")
    if not kind.NUMBERS and not levels:
        return None, t("No level is chosen.")
    plan = _plan(kind, levels, budgets, price)
    with right:
        return plan, _draw_estimate(plan, choice, price)


def _same_repeats() -> None:
    warm, repeats = float(st.session_state["sweep_temperature"] or 0), int(st.session_state["sweep_repeats"])
    if repeats > 1 and warm == 0:
        st.caption(
            t(
                "At temperature 0 all {n} repeats of a budget are the same measurement: they cost {n} times "
                "as much and tell nothing more. Take 1 repeat, or a temperature of about {warm:g}.",
                n=repeats,
                warm=WARM,
            )
        )
    elif repeats == 1:
        st.caption(t("With one answer under each budget, chance and effect cannot be told apart."))


def _grid(kind: Kind) -> tuple[int, ...] | None:
    """The budgets that were typed; empty for a spread that the vanilla answer decides; None when the list is wrong."""
    st.radio(
        t("Budgets to ask for"), list(GRIDS), key="sweep_grid", format_func=lambda g: t(GRIDS[g]), horizontal=True,
        persist_state="session",
    )  # fmt: skip
    if st.session_state["sweep_grid"] != "own":
        number, lowest = st.columns(2)
        with number:
            st.number_input(
                t("How many"), 2, MAX_LEVELS, step=1, key="sweep_points", persist_state="session",
                help=t("From the vanilla answer's tokens downwards, each the same factor below the one before."),
            )  # fmt: skip
        with lowest:
            st.number_input(t("Lowest, tokens"), 1, MAX_BUDGET, step=5, key="sweep_lowest", persist_state="session")
        return ()
    text = st.text_input(t("Tokens, with commas between"), key="sweep_own", persist_state="session")
    try:
        return parse_grid(text or "", low=question_form.floor_of(kind), high=MAX_BUDGET if kind is ASKED else MOST)
    except InputError as e:
        st.error(literal(str(e), 600), icon=":material/error:")
        return None


def _plan(kind: Kind, levels: tuple[str, ...], budgets: tuple[int, ...], price: Price | None) -> SweepPlan:
    now = st.session_state
    return SweepPlan(
        question=question_form.typed(),
        knob=kind.NAME,
        levels=levels,
        budgets=budgets,
        points=int(now["sweep_points"]),
        lowest=max(int(now["sweep_lowest"]), question_form.floor_of(kind) if kind.NUMBERS else 1),
        repeats=int(now["sweep_repeats"]),
        template=state.template(),
        sampling=replace(state.sampling(), temperature=now["sweep_temperature"]),
        limits=limits("sweep", price),
        reuse=bool(now["sweep_reuse"]),
    )


def _draw_estimate(plan: SweepPlan, choice: ModelChoice, price: Price | None) -> str:
    """The cost estimate of a plan as a table, with what was assumed below it; returns it in one sentence."""
    estimate, seen_before = _cost_estimate_of(plan, choice, price)
    st.markdown(f"**{t('Before it starts')}**")
    cells = {name: literal(value) for name, value in _rows(estimate, seen_before, plan, price).items()}
    st.table(cells, border="horizontal", hide_header=True, alt=t("What this sweep will take"))
    st.caption(literal(_assumptions(estimate, plan), 600))
    return t(
        "A new sweep: {count} calls: {levels}; {tokens} tokens; {price}.",
        count=_count(estimate, plan), levels=_levels(estimate, plan), tokens=_range(estimate),
        price=worst_price(estimate.cost_worst, price),
    )  # fmt: skip


def _cost_estimate_of(plan: SweepPlan, choice: ModelChoice, price: Price | None) -> tuple[CostEstimate, Seen]:
    """The cost estimate of a plan, with what the database tells about the model."""
    known = seen(_earlier(choice, plan.question), plan.question)
    estimate = cost_estimate(
        plan,
        count=lambda text: tokens.count(text, choice.model),
        price=price,
        vanilla_tokens=known.vanilla_tokens,
        tokens_per_s=known.tokens_per_s,
    )
    return estimate, known


def _earlier(choice: ModelChoice, question: Question) -> list[SessionRecord]:
    """A few sessions of this model: those with this question first, then the newest."""
    try:
        found = [s for s in state.store().list_sessions(limit=60) if s.model == choice.model and s.status == "done"]
        found.sort(key=lambda s: s.question_text != question.text)
        read = (state.store().get_session(s.id) for s in found[:LOOKED_AT])
        return [s for s in read if s.endpoint == choice.endpoint]
    except StoreError:
        return []


def _rows(estimate: CostEstimate, seen_before: Seen, plan: SweepPlan, price: Price | None) -> dict[str, str]:
    return {
        t("Calls"): t("{count}: {levels}", count=_count(estimate, plan), levels=_levels(estimate, plan)),
        t("Tokens"): _range(estimate),
        t("of which prompts"): t("about {n:,} (estimate by tiktoken)", n=estimate.prompt_tokens),
        t("Worst price"): worst_price(estimate.cost_worst, price),
        t("Time"): _time(estimate, seen_before),
        t("Hard cap"): cap_words(plan.limits),
    }


def _count(estimate: CostEstimate, plan: SweepPlan) -> str:
    return f"{estimate.answers}" if plan.known_grid else t("at most {n}", n=estimate.answers)


def _levels(estimate: CostEstimate, plan: SweepPlan) -> str:
    levels = tn("{n} budget, vanilla and direct", "{n} budgets, vanilla and direct", len(estimate.budgets))
    return t("{levels}, {n} times each", levels=levels, n=plan.repeats) if plan.repeats > 1 else levels


def _range(estimate: CostEstimate) -> str:
    if estimate.tokens_worst is None:
        return t("about {kept:,} if budgets are kept, without an upper bound", kept=estimate.tokens_kept)
    return t(
        "about {kept:,} if budgets are kept, at most {worst:,}", kept=estimate.tokens_kept, worst=estimate.tokens_worst
    )


def _time(estimate: CostEstimate, seen_before: Seen) -> str:
    if estimate.seconds_kept is None or seen_before.tokens_per_s is None:
        return t("unknown until the first answer")
    values = {"kept": duration(estimate.seconds_kept), "speed": seen_before.tokens_per_s}
    if estimate.seconds_worst is None:
        return t(
            "about {kept} if budgets are kept; at the {speed:.0f} tokens/s seen before, one answer at a time", **values
        )
    return t(
        "about {kept} if budgets are kept, at most {worst}; at the {speed:.0f} tokens/s seen before, one answer at a "
        "time",
        **values, worst=duration(estimate.seconds_worst),
    )  # fmt: skip


def _assumptions(estimate: CostEstimate, plan: SweepPlan) -> str:
    if estimate.vanilla_assumed:
        vanilla = t(
            "Vanilla answer: {n:,} tokens, assumed, since this model has not answered this question yet.",
            n=estimate.vanilla_tokens,
        )
    else:
        vanilla = t("Vanilla answer: {n:,} tokens, as before.", n=estimate.vanilla_tokens)
    most, cap = "", plan.sampling.max_tokens
    if cap is not None and plan.limits != Limits():
        most = t("At most means that every answer runs to max_tokens ({n:,}), or to the hard cap.", n=cap)
    elif cap is not None:
        most = t("At most means that every answer runs to max_tokens ({n:,}).", n=cap)
    return joined(vanilla, most, t("Answers known already are not paid for again.") if plan.reuse else "")
