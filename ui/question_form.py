"""The parts of a form that every page with a question shares: its text, known answer, examples and model.

The widgets have the same keys on every page, so a question typed on one is there on the others.
"""

from __future__ import annotations

from dataclasses import replace

import streamlit as st

from tale_core.datasets import featured, language_of
from tale_core.i18n import t
from tale_core.prompts import question_block
from tale_core.types import Question
from ui import state
from ui.text import literal, visible


def heading(title: str) -> None:
    """The page's question as a heading, with the picker of examples beside it."""
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown(f"## {title}", anchors=False)
        st.selectbox(
            t("Pick an example"),
            featured(),
            index=None,
            format_func=lambda q: visible(q.text),
            placeholder=t("Pick an example"),
            label_visibility="collapsed",
            key="example",
            on_change=_pick,
            width=280,
        )


def question_box() -> None:
    """The question's text, and the options of a picked choice as long as its text is unchanged."""
    st.text_area(
        t("Question"),
        key="question",
        placeholder=t("Type a question, for example: A train covers 180 km in 2.5 hours. How fast does it go?"),
        height=110,
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
        t("Model"), keys, key="model", format_func=lambda k: visible(available[k].title), on_change=_choose,
        help=t("More models: Settings."),
    )  # fmt: skip


def _choose() -> None:
    state.choose(str(st.session_state["model"]))


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
