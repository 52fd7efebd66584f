"""What an experiment will take, told beside the form before it starts: answers, calls, tokens, worst price, time."""

from __future__ import annotations

import streamlit as st

from tale_core.errors import StoreError
from tale_core.experiments.plan import ExperimentPlan
from tale_core.experiments.sheet import Sheet, sheet
from tale_core.models import tokens
from tale_core.models.choice import ModelChoice
from tale_core.presheet import duration, seen
from tale_core.search_words import money
from tale_core.types import Price
from ui import state
from ui.text import literal

LOOKED_AT = 4
"""Earlier sessions of the model that are read for its speed."""


def draw_sheet(plan: ExperimentPlan, choice: ModelChoice, price: Price | None) -> None:
    """The sheet of a plan as a table, with what was assumed below it.

    Raises:
        InputError: The plan cannot be run as it is.
    """
    one = sheet(plan, count=lambda text: tokens.count(text, choice.model), price=price)
    st.markdown("**Before it starts**")
    rows = {name: literal(value) for name, value in _rows(one, plan, choice, price).items()}
    st.table(rows, border="horizontal", hide_header=True, alt="What this experiment will take")
    words = "About means: answers as long as the paper's, counted by tiktoken."
    if plan.sampling.max_tokens is not None:
        words += f" At most means that every answer runs to max_tokens ({plan.sampling.max_tokens:,}), or to the cap."
    st.caption(literal(words + (" Answers known already are not paid for again." if plan.reuse else ""), 600))


def _rows(one: Sheet, plan: ExperimentPlan, choice: ModelChoice, price: Price | None) -> dict[str, str]:
    questions, ways = len(plan.questions), len(plan.strategies)
    repeats = f" × {plan.repeats} repeats" if plan.repeats > 1 else ""
    calls = f"{one.calls_low:,}" if one.calls_low == one.calls_high else f"{one.calls_low:,} to {one.calls_high:,}"
    worst = "without an upper bound" if one.tokens_worst is None else f"at most {one.tokens_worst:,}"
    return {
        "Answers": f"{one.units:,}: {questions:,} questions × {ways} strategies{repeats}",
        "Calls": calls,
        "Tokens": f"about {one.tokens_about:,}, {worst}",
        "Worst price": _worst_price(one, price),
        "Time": _time(one, choice),
        "Hard cap": cap_words(plan),
    }


def _worst_price(one: Sheet, price: Price | None) -> str:
    if price is not None and one.cost_worst is None:
        return "no upper bound: set max_tokens in Settings"
    dated = f" (price of {price.as_of})" if price is not None and price.as_of else ""
    return money(one.cost_worst) + dated


def _time(one: Sheet, choice: ModelChoice) -> str:
    speed = _speed(choice)
    if speed is None:
        return "unknown until the first answer"
    about = duration(one.tokens_about / speed)
    return f"about {about} at the {speed:.0f} tokens/s seen before, if calls went one after the other"


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


def cap_words(plan: ExperimentPlan) -> str:
    """Where an experiment stops, in words."""
    limits = plan.limits
    parts = [f"{limits.max_calls:,} calls"] if limits.max_calls else []
    parts += [f"{limits.max_tokens:,} tokens"] if limits.max_tokens else []
    parts += [money(limits.max_cost_usd)] if limits.max_cost_usd else []
    return f"stops at {', '.join(parts)}" if parts else "none"
