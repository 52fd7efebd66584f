"""The parts of a form that several pages share: the question with its examples, the model, the caps, the button.

The widgets have the same keys on every page, so a question typed on one is there on the others.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import streamlit as st

from tale_core.budgets.kinds import ASKED, KINDS, Effort, Kind, kind
from tale_core.calls.budget_ledger import Limits, money
from tale_core.datasets import featured, language_of
from tale_core.errors import InputError, ModelError
from tale_core.i18n import N_, joined, listed, t
from tale_core.models import choice as choices
from tale_core.models.choice import ModelChoice
from tale_core.prompts.messages import question_block
from tale_core.types import Price, Question
from ui.common import state
from ui.common.text import literal, sanitize

HIGH = 110
"""Pixels of the question's box."""
MOST_CALLS, MOST_TOKENS = 10_000, 1_000_000_000
LEAST_COST, MOST_COST = 0.0001, 100_000.0
"""What a cap can be: a box refuses a value outside of its range."""


@dataclass(frozen=True, slots=True)
class Request:
    """What a form asks for.

    Attributes:
        plan: The plan of an Ask, a search, a sweep or an experiment.
        choice: Whom to ask.
    """

    plan: Any
    choice: ModelChoice


def heading(title: str, *, level: int = 2) -> None:
    """The page's question as a heading, with the picker of examples beside it."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"{'#' * level} {title}", anchors=False)
        st.selectbox(
            t("Pick an example"),
            featured(),
            index=None,
            format_func=lambda q: sanitize(q.text),
            placeholder=t("Pick an example"),
            label_visibility="collapsed",
            key="example",
            on_change=_pick,
            width=280,
        )


def question_box(*, height: int = HIGH) -> None:
    """The question's text, and the options of a picked choice as long as its text is unchanged."""
    st.text_area(
        t("Question"),
        key="question",
        placeholder=t("Type a question, for example: A train covers 180 km in 2.5 hours. How fast does it go?"),
        height=height,
        persist_state="session",
    )
    question = typed()
    if question.options:
        lines = question_block(question).splitlines()[-len(question.options) :]
        st.caption("  \n".join(literal(line) for line in lines))


def answer_box(*, placeholder: str, explained: str) -> None:
    """The known answer."""
    st.text_input(t("Known answer"), key="answer", placeholder=placeholder, persist_state="session", help=explained)


def model_box() -> None:
    """The model to ask."""
    available = state.model_choices()
    keys = list(available)
    current = state.current_choice().key
    st.session_state["model"] = current if current in keys else keys[0]
    st.selectbox(
        t("Model"), keys, key="model", format_func=lambda k: sanitize(available[k].title), on_change=_choose,
        help=t("More models: Settings."),
    )  # fmt: skip


def _choose() -> None:
    state.choose(str(st.session_state["model"]))


def go_button(label: str, *, key: str, icon: str, disabled: bool) -> bool:
    """The one button that starts what the form asks for; whether it was pressed."""
    return st.button(
        label, type="primary", key=key, disabled=disabled, width="stretch", shortcut="Ctrl+Enter", icon=icon
    )


def knob_box(page: str) -> Kind:
    """Which kind of budget is set, of those that the chosen model may have; what that sends stands below."""
    key = f"{page}_knob"
    embedded = state.current_choice().kind == choices.EMBEDDED
    names = [kind.NAME for kind in KINDS if kind.NUMBERS or not embedded]
    if st.session_state.get(key) not in names:
        st.session_state[key] = names[0]
    st.radio(
        t("Kind of budget"), names, key=key, format_func=lambda name: t(kind(name).TITLE), persist_state="session",
        horizontal=True,
    )  # fmt: skip
    chosen = kind(str(st.session_state[key]))
    if chosen is not ASKED:
        st.caption(joined(t(chosen.HINT), t(chosen.COSTS)))
    return chosen


def levels_of(chosen: Kind) -> tuple[str, ...]:
    """The words that a kind has at the chosen model's endpoint, the one that should cost least first."""
    assert isinstance(chosen, Effort), chosen
    return tuple(chosen.levels(choices.native_knob(state.current_choice(), chosen.NAME)))


def levels_box(page: str, chosen: Kind) -> tuple[str, ...]:
    """The levels of a kind whose levels are words, the one that should cost least first; none for other kinds."""
    if not isinstance(chosen, Effort):
        return ()
    names = levels_of(chosen)
    key = f"{page}_levels"
    there = [name for name in st.session_state.get(key, ()) if name in names]
    st.session_state[key] = there or list(names)
    st.multiselect(
        t("Levels"), list(names), key=key, persist_state="session",
        help=t("Those that the endpoint does not have are refused by it, and told."),
    )  # fmt: skip
    return tuple(name for name in names if name in st.session_state[key])


def floor_of(chosen: Kind) -> int:
    """The smallest number of tokens that the chosen model's endpoint takes."""
    return max(1, chosen.span(choices.native_knob(state.current_choice(), chosen.NAME))[0])


def reuse_toggle(key: str) -> None:
    """Whether answers that are known already are asked for again."""
    st.toggle(
        t("Reuse earlier answers"), key=key, persist_state="session",
        help=t("An answer that an earlier session got from the same model, prompt and seed is not paid for again."),
    )  # fmt: skip


def price_of(choice: ModelChoice) -> Price | None:
    """The published price; None when unknown, also while the endpoint's key is missing."""
    try:
        return choices.price_of(choice, secrets=state.secrets(), key=state.session_keys().get(choice.key))
    except (InputError, ModelError):
        return None


def no_money_cap(
    price: Price | None,
    *,
    unknown: str = N_("The price of this model is unknown, so money cannot be capped: cap calls or tokens instead."),
    free: str = N_("This model runs on this machine and costs no money: cap calls or tokens instead."),
) -> str | None:
    """Why money cannot be capped, or None when it can."""
    if price is None:
        return t(unknown)
    return t(free) if price.input_per_mtok == price.output_per_mtok == 0 else None


def caps(page: str, price: Price | None) -> None:
    """The boxes of caps, and why money cannot be capped; `limits` reads them."""
    calls, tokens, dollars = st.columns(3, vertical_alignment="bottom")
    with calls:
        st.number_input(
            t("Cap: calls"), 1, MOST_CALLS, value=None, step=1, key=f"{page}_max_calls", persist_state="session",
            placeholder=t("none"), help=t("It stops before the call that would break a cap."),
        )  # fmt: skip
    with tokens:
        tokens_cap(page)
    with dollars:
        money_cap(page, price)
    if reason := no_money_cap(price):
        st.caption(reason)


def tokens_cap(page: str) -> None:
    """The box of the cap on tokens."""
    st.number_input(
        t("Cap: tokens"), 1, MOST_TOKENS, value=None, step=1000, key=f"{page}_max_tokens", persist_state="session",
        placeholder=t("none"), help=t("Prompts and answers together. It stops before the call that would break a cap."),
    )  # fmt: skip


def money_cap(page: str, price: Price | None) -> None:
    """The box of the cap on money; it is closed where money cannot be counted."""
    reason = no_money_cap(price)
    st.number_input(
        t("Cap: dollars"), LEAST_COST, MOST_COST, value=None, step=0.01, format="%.4f", key=f"{page}_max_cost",
        persist_state="session", placeholder=t("none"), disabled=reason is not None,
        help=reason or t("By the endpoint's published price."),
    )  # fmt: skip


def limits(page: str, price: Price | None) -> Limits:
    """The caps that were put into the boxes of a page; one on money only where money can be counted."""
    calls, tokens, cost = (st.session_state.get(f"{page}_max_{what}") for what in ("calls", "tokens", "cost"))
    return Limits(calls, tokens, cost if no_money_cap(price) is None else None)


def put_limits(page: str, limits: Limits) -> None:
    """Put caps into the boxes of a page, as far as these take them."""
    calls, tokens, cost = limits.max_calls, limits.max_tokens, limits.max_cost_usd
    st.session_state.update({
        f"{page}_max_calls": calls and min(calls, MOST_CALLS),
        f"{page}_max_tokens": tokens and min(tokens, MOST_TOKENS),
        f"{page}_max_cost": cost and min(max(cost, LEAST_COST), MOST_COST),
    })  # fmt: skip


def cap_words(limits: Limits) -> str:
    """Where a run stops, in words."""
    parts = [t("{n:,} calls", n=limits.max_calls)] if limits.max_calls else []
    parts += [t("{n:,} tokens", n=limits.max_tokens)] if limits.max_tokens else []
    parts += [money(limits.max_cost_usd)] if limits.max_cost_usd else []
    return t("stops at {caps}", caps=listed(parts)) if parts else t("none")


def typed() -> Question:
    """The question as typed; a picked one keeps its options and kind as long as its text is unchanged."""
    text = str(st.session_state.get("question") or "").strip()
    answer = str(st.session_state.get("answer") or "").strip() or None
    picked = st.session_state.get("picked")
    if isinstance(picked, Question) and picked.text.strip() == text:
        return replace(picked, answer=answer)
    return Question(text=text, answer=answer, language=language_of(text), source="typed")


def put(question: Question) -> None:
    """Put a question into the form."""
    st.session_state["question"] = question.text
    st.session_state["answer"] = question.answer or ""
    st.session_state["picked"] = question


def _pick() -> None:
    chosen = st.session_state.get("example")
    if chosen is not None:
        put(chosen)
        st.session_state["example"] = None
