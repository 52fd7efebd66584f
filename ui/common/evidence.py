"""What a page shows while nothing of one's own is there: a real run that ships with the program, marked as recorded."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import streamlit as st

from tale_core.elasticity.view import SweepView
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.lessons.recorded import Recording
from tale_core.lessons.replay import whole
from tale_core.search.view import SearchView
from ui.common.text import literal

V = TypeVar("V", SearchView, SweepView)


def mark(model: str, day: str) -> str:
    """What stands beside everything that was measured some other day: that it is recorded, of which model and when."""
    return t("Recorded: {model}, {date}", model=model, date=day)


def heading(made: str, *, button: Callable[[], object] | None = None) -> None:
    """What is shown is an example, and of what; beside it a button that leads to one's own.

    Args:
        made: Where it comes from, see `mark`.
        button: Draws the button.
    """
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        with st.container(horizontal=True, vertical_alignment="center", width="content"):
            st.markdown(f"### {t('An example')}", anchors=False, width="content")
            st.badge(literal(made, 120), icon=":material/voicemail:", color="gray")
        if button is not None:
            button()


def recorded(
    kind: type[V], find: Callable[[], Recording], *, load: Callable[[V], None], draw: Callable[[V], None]
) -> None:
    """A recorded search or sweep, whole, as its page draws one of one's own.

    Args:
        kind: Of its picture.
        find: Reads the recording.
        load: Puts its question and settings into the form above.
        draw: Draws it.
    """
    try:
        recording = find()
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    view = whole(recording)
    assert isinstance(view, kind), f"{recording.name} is of another kind"

    def button() -> None:
        st.button(
            t("Do it with mine"), key="evidence_mine", icon=":material/edit:", on_click=load, args=(view,),
            help=t("Puts this question and its settings into the form above, for your model."),
        )  # fmt: skip

    with st.container(key="evidence"):
        heading(mark(recording.made.model, recording.made.on.isoformat()), button=button)
        st.markdown(f"**{t('Question')}:** {literal(view.question.text, 600)}")
        draw(view)
        st.caption(literal(recording.reason, 700))
