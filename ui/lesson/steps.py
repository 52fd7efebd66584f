"""What several pages of a class say alike."""

from __future__ import annotations

import streamlit as st

from tale_core.i18n import t
from tale_core.lessons import lesson
from tale_core.lessons.recorded import Recording
from ui.common.text import literal


def heading(words: str, level: int = 4) -> None:
    """A heading without an anchor.

    Args:
        words: Markdown, safe.
        level: 1 is the largest.
    """
    st.markdown(f"{'#' * level} {words}", anchors=False)


def question(recording: Recording) -> None:
    """The question as it was asked, as large as the screen allows."""
    st.markdown(f"### {literal(recording.session.question.text, 600)}", anchors=False)


def added(recording: Recording) -> None:
    """The words that the second prompt adds for the budget, as the model read them."""
    st.markdown(t("Added to the prompt: **{words}**", words=literal(lesson.added_words(recording), 200)))
