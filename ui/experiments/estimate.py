"""What an experiment will take, told beside the form before it starts: answers, calls, tokens, worst price, time."""

from __future__ import annotations

import streamlit as st

from tale_core.calls.budget_ledger import worst_price
from tale_core.elasticity.estimate import seen
from tale_core.errors import StoreError
from tale_core.experiments.estimate import CostEstimate, calls_words, cost_estimate, first_questions
from tale_core.experiments.plan import ExperimentPlan
from tale_core.i18n import joined, t
from tale_core.models import tokens
from tale_core.models.choice import ModelChoice
from tale_core.text import duration
from tale_core.types import Price
from ui.common import state
from ui.common.question_form import cap_words
from ui.common.text import literal, sanitize

LOOKED_AT = 4
"""Earlier sessions of the model that are read for its speed."""


def draw_estimate(plan: ExperimentPlan, choice: ModelChoice, price: Price | None) -> None:
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
