"""What a sweep will take, told beside the form before it starts: calls, tokens, worst price, time, hard caps."""

from __future__ import annotations

import streamlit as st

from tale_core.elasticity import SweepPlan
from tale_core.errors import InputError, ModelError, StoreError
from tale_core.models import tokens
from tale_core.models.choice import ModelChoice, endpoint_of
from tale_core.presheet import PreSheet, Seen, duration, presheet, seen
from tale_core.probing import Limits
from tale_core.search_words import money
from tale_core.types import Price, Question, SessionRecord
from ui import state
from ui.text import literal

LOOKED_AT = 4
"""Earlier sessions of the model that are read for its speed."""


def draw_sheet(plan: SweepPlan, choice: ModelChoice, price: Price | None) -> str:
    """The sheet of a plan as a table, with what was assumed below it; returns it in one sentence."""
    sheet, told = _presheet_of(plan, choice, price)
    st.markdown("**Before it starts**")
    rows = _rows(sheet, told, plan, price)
    cells = {name: literal(value) for name, value in rows.items()}
    st.table(cells, border="horizontal", hide_header=True, alt="What this sweep will take")
    st.caption(literal(_assumptions(sheet, plan), 600))
    return f"A new sweep: {rows['Calls'].replace(':', ' calls:', 1)}; {rows['Tokens']} tokens; {rows['Worst price']}."


def no_money_cap(price: Price | None) -> str | None:
    """Why money cannot be capped, or None when it can."""
    if price is None:
        return "The price of this model is unknown, so money cannot be capped: cap calls or tokens instead."
    if price.input_per_mtok == price.output_per_mtok == 0:
        return "This model runs on this machine and costs no money: cap calls or tokens instead."
    return None


def price_of(choice: ModelChoice) -> Price | None:
    """The published price; None when unknown, also while the endpoint's key is missing."""
    if choice.kind == "embedded":
        return Price(0, 0, "")
    try:
        return endpoint_of(choice, secrets=state.secrets(), key=state.session_keys().get(choice.key)).price
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
        "Calls": _calls(sheet, plan),
        "Tokens": _range(f"about {sheet.tokens_kept:,}", sheet.tokens_worst),
        "of which prompts": f"about {sheet.prompt_tokens:,} (estimate by tiktoken)",
        "Worst price": _worst_price(sheet, price),
        "Time": _time(sheet, told),
        "Hard cap": _cap_words(plan.limits),
    }


def _calls(sheet: PreSheet, plan: SweepPlan) -> str:
    levels = len(sheet.budgets)
    about = "" if plan.budgets else "at most "
    each = f", {plan.repeats} times each" if plan.repeats > 1 else ""
    return f"{about}{sheet.answers}: {levels} budget{'s' if levels != 1 else ''}, vanilla and direct{each}"


def _range(kept: str, worst: int | None) -> str:
    return f"{kept} if budgets are kept" + (f", at most {worst:,}" if worst is not None else ", without an upper bound")


def _worst_price(sheet: PreSheet, price: Price | None) -> str:
    if price is not None and sheet.cost_worst is None:
        return "no upper bound: set max_tokens in Settings"
    dated = f" (price of {price.as_of})" if price is not None and price.as_of else ""
    return money(sheet.cost_worst) + dated


def _time(sheet: PreSheet, told: Seen) -> str:
    if sheet.seconds_kept is None or told.tokens_per_s is None:
        return "unknown until the first answer"
    worst = f", at most {duration(sheet.seconds_worst)}" if sheet.seconds_worst is not None else ""
    speed = f"at the {told.tokens_per_s:.0f} tokens/s seen before, one answer at a time"
    return f"about {duration(sheet.seconds_kept)} if budgets are kept{worst}; {speed}"


def _cap_words(limits: Limits) -> str:
    parts = [f"{limits.max_calls:,} calls"] if limits.max_calls else []
    parts += [f"{limits.max_tokens:,} tokens"] if limits.max_tokens else []
    parts += [money(limits.max_cost_usd)] if limits.max_cost_usd else []
    return f"stops at {', '.join(parts)}" if parts else "none"


def _assumptions(sheet: PreSheet, plan: SweepPlan) -> str:
    source = "assumed, since this model has not answered this question yet" if sheet.vanilla_assumed else "as before"
    words = f"Vanilla answer: {sheet.vanilla_tokens:,} tokens, {source}. "
    if plan.sampling.max_tokens is not None:
        words += f"At most means that every answer runs to max_tokens ({plan.sampling.max_tokens:,})"
        words += ", or to the hard cap." if _cap_words(plan.limits) != "none" else "."
    return words + (" Answers known already are not paid for again." if plan.reuse else "")
