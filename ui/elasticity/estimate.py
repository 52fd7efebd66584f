"""What a sweep will take, told beside the form before it starts: calls, tokens, worst price, time, hard caps."""

from __future__ import annotations

import streamlit as st

from tale_core.calls.budget_ledger import Limits, worst_price
from tale_core.elasticity.engine import SweepPlan
from tale_core.elasticity.estimate import CostEstimate, Seen, cost_estimate, seen
from tale_core.errors import StoreError
from tale_core.i18n import joined, t, tn
from tale_core.models import tokens
from tale_core.models.choice import ModelChoice
from tale_core.text import duration
from tale_core.types import Price, Question, SessionRecord
from ui.common import state
from ui.common.question_form import cap_words
from ui.common.text import literal

LOOKED_AT = 4
"""Earlier sessions of the model that are read for its speed."""


def draw_estimate(plan: SweepPlan, choice: ModelChoice, price: Price | None) -> str:
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
