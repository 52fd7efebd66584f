"""What several pages of a class say alike."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec

import streamlit as st

from tale_core.i18n import t
from tale_core.lessons import lesson
from tale_core.lessons.recorded import Recording
from ui.common.text import literal

_DRAWN = "lesson_drawn"
P = ParamSpec("P")


def beating(draw: Callable[P, None], every_s: float) -> Callable[P, None]:
    """A part of a page that draws itself again and again, under a name of its own each time the page is drawn.

    A timer's request may arrive just when a run of the page has ended. Streamlit then begins a new run before it has
    sent the end of the last one, which is lost: parts of the page are missing and its timers stand still (seen with 30
    browsers on two cores; a comment in its `AppSession.request_rerun` tells of it). A request under a name that is gone
    is passed over.

    Args:
        draw: The part.
        every_s: Seconds between two pictures.
    """
    st.session_state[_DRAWN] = drawn = st.session_state.get(_DRAWN, 0) + 1

    @wraps(draw)
    def named(*args: P.args, **kwargs: P.kwargs) -> None:
        draw(*args, **kwargs)

    named.__qualname__ = f"{draw.__qualname__}-{drawn}"
    return st.fragment(named, run_every=every_s)


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
