"""What a sweep will take, told beside the form before it starts: calls, tokens, worst price, time, hard caps."""

from __future__ import annotations

import streamlit as st

from tale_core.elasticity import SweepPlan
from tale_core.errors import InputError, ModelError, StoreError
from tale_core.i18n import joined, t, tn
from tale_core.models import choice as choices
from tale_core.models import tokens
from tale_core.models.choice import ModelChoice
from tale_core.presheet import PreSheet, Seen, duration, presheet, seen
from tale_core.probing import Limits
from tale_core.spending_words import money, worst_price
from tale_core.types import Price, Question, SessionRecord
from ui import state
from ui.text import literal

LOOKED_AT = 4
"""Earlier sessions of the model that are read for its speed."""


def draw_sheet(plan: SweepPlan, choice: ModelChoice, price: Price | None) -> str:
    """The sheet of a plan as a table, with what was assumed below it; returns it in one sentence."""
    sheet, told = _presheet_of(plan, choice, price)
    st.markdown(f"**{t('Before it starts')}**")
    cells = {name: literal(value) for name, value in _rows(sheet, told, plan, price).items()}
    st.table(cells, border="horizontal", hide_header=True, alt=t("What this sweep will take"))
    st.caption(literal(_assumptions(sheet, plan), 600))
    return t(
        "A new sweep: {count} calls: {levels}; {tokens} tokens; {price}.",
        count=_count(sheet, plan), levels=_levels(sheet, plan), tokens=_range(sheet),
        price=worst_price(sheet.cost_worst, price),
    )  # fmt: skip


def no_money_cap(price: Price | None) -> str | None:
    """Why money cannot be capped, or None when it can."""
    if price is None:
        return t("The price of this model is unknown, so money cannot be capped: cap calls or tokens instead.")
    if price.input_per_mtok == price.output_per_mtok == 0:
        return t("This model runs on this machine and costs no money: cap calls or tokens instead.")
    return None


def price_of(choice: ModelChoice) -> Price | None:
    """The published price; None when unknown, also while the endpoint's key is missing."""
    try:
        return choices.price_of(choice, secrets=state.secrets(), key=state.session_keys().get(choice.key))
    except (InputError, ModelError):
        return None


def _presheet_of(plan: SweepPlan, choice: ModelChoice, price: Price | None) -> tuple[PreSheet, Seen]:
    """The sheet of a plan, with what the database tells about the model."""
    known = seen(_earlier(choice, plan.question), plan.question)
    sheet = presheet(
        plan,
        count=lambda text: tokens.count(text, choice.model),
        price=price,
        vanilla_tokens=known.vanilla_tokens,
        tokens_per_s=known.tokens_per_s,
    )
    return sheet, known


def _earlier(choice: ModelChoice, question: Question) -> list[SessionRecord]:
    """A few sessions of this model: those with this question first, then the newest."""
    try:
        found = [s for s in state.store().list_sessions(limit=60) if s.model == choice.model and s.status == "done"]
        found.sort(key=lambda s: s.question_text != question.text)
        read = (state.store().get_session(s.id) for s in found[:LOOKED_AT])
        return [s for s in read if s.endpoint == choice.endpoint]
    except StoreError:
        return []


def _rows(sheet: PreSheet, told: Seen, plan: SweepPlan, price: Price | None) -> dict[str, str]:
    return {
        t("Calls"): t("{count}: {levels}", count=_count(sheet, plan), levels=_levels(sheet, plan)),
        t("Tokens"): _range(sheet),
        t("of which prompts"): t("about {n:,} (estimate by tiktoken)", n=sheet.prompt_tokens),
        t("Worst price"): worst_price(sheet.cost_worst, price),
        t("Time"): _time(sheet, told),
        t("Hard cap"): _cap_words(plan.limits),
    }


def _count(sheet: PreSheet, plan: SweepPlan) -> str:
    return f"{sheet.answers}" if plan.budgets else t("at most {n}", n=sheet.answers)


def _levels(sheet: PreSheet, plan: SweepPlan) -> str:
    levels = tn("{n} budget, vanilla and direct", "{n} budgets, vanilla and direct", len(sheet.budgets))
    return t("{levels}, {n} times each", levels=levels, n=plan.repeats) if plan.repeats > 1 else levels


def _range(sheet: PreSheet) -> str:
    if sheet.tokens_worst is None:
        return t("about {kept:,} if budgets are kept, without an upper bound", kept=sheet.tokens_kept)
    return t("about {kept:,} if budgets are kept, at most {worst:,}", kept=sheet.tokens_kept, worst=sheet.tokens_worst)


def _time(sheet: PreSheet, told: Seen) -> str:
    if sheet.seconds_kept is None or told.tokens_per_s is None:
        return t("unknown until the first answer")
    values = {"kept": duration(sheet.seconds_kept), "speed": told.tokens_per_s}
    if sheet.seconds_worst is None:
        return t(
            "about {kept} if budgets are kept; at the {speed:.0f} tokens/s seen before, one answer at a time", **values
        )
    return t(
        "about {kept} if budgets are kept, at most {worst}; at the {speed:.0f} tokens/s seen before, one answer at a "
        "time",
        **values, worst=duration(sheet.seconds_worst),
    )  # fmt: skip


def _cap_words(limits: Limits) -> str:
    parts = [t("{n:,} calls", n=limits.max_calls)] if limits.max_calls else []
    parts += [t("{n:,} tokens", n=limits.max_tokens)] if limits.max_tokens else []
    parts += [money(limits.max_cost_usd)] if limits.max_cost_usd else []
    return t("stops at {caps}", caps=t(", ").join(parts)) if parts else t("none")


def _assumptions(sheet: PreSheet, plan: SweepPlan) -> str:
    if sheet.vanilla_assumed:
        vanilla = t(
            "Vanilla answer: {n:,} tokens, assumed, since this model has not answered this question yet.",
            n=sheet.vanilla_tokens,
        )
    else:
        vanilla = t("Vanilla answer: {n:,} tokens, as before.", n=sheet.vanilla_tokens)
    most, cap = "", plan.sampling.max_tokens
    if cap is not None and plan.limits != Limits():
        most = t("At most means that every answer runs to max_tokens ({n:,}), or to the hard cap.", n=cap)
    elif cap is not None:
        most = t("At most means that every answer runs to max_tokens ({n:,}).", n=cap)
    return joined(vanilla, most, t("Answers known already are not paid for again.") if plan.reuse else "")
