"""The sentence at which an answer is settled, marked in the queue: a form in the place of the keys, and one's own."""

from __future__ import annotations

from collections.abc import Callable

import streamlit as st

from tale_core.calls.settling import settled
from tale_core.errors import NotFoundError
from tale_core.i18n import t
from tale_core.labels import Labeling
from tale_core.labels.marks import Markable, markable_target, suggested
from tale_core.store import LabelTarget
from ui.common.marking import marked_words, sentence_box
from ui.common.text import literal


def form(
    labeling: Labeling, who: str, target: LabelTarget, done: Callable[[Labeling, str, LabelTarget, int], None]
) -> None:
    """The sentences to choose from; `done` takes the chosen one."""
    answer = markable_target(target)
    if answer is None:
        return
    chosen = sentence_box(
        answer, suggestion=_suggestion(labeling, target), before=_before(labeling, who, answer),
        key=f"label_sentence_{target.key}",
    )  # fmt: skip
    with st.container(horizontal=True):
        st.button(
            t("Mark this sentence"), key=f"label_mark_save_{target.key}", type="primary", icon=":material/flag:",
            shortcut="Enter", on_click=done, args=(labeling, who, target, chosen), disabled=chosen is None,
        )  # fmt: skip
        st.button(
            t("Cancel"), key=f"label_mark_cancel_{target.key}", shortcut="Escape", type="tertiary", on_click=_stop
        )


def own(labeling: Labeling, who: str, target: LabelTarget) -> None:
    """What this person has marked; nobody sees what others did before saying it."""
    answer = markable_target(target)
    if answer is not None and (sentence := _before(labeling, who, answer)) is not None:
        st.caption(f":material/flag: {literal(marked_words(answer, sentence))}")


def _before(labeling: Labeling, who: str, answer: Markable) -> int | None:
    said = labeling.queue.marks_said([answer.key]).get(answer.key, {})
    return int(said[who]) if who in said else None


def _suggestion(labeling: Labeling, target: LabelTarget) -> int | None:
    """Where the probes of an Ask found it settled, where somebody asked for that."""
    call = target.call
    if call is None or target.of_mark:
        return None
    try:
        session = labeling.store.get_session(call.session_id)
    except NotFoundError:
        return None
    return suggested(call, settled(call, session.calls, target.question)) if session.kind == "ask" else None


def _stop() -> None:
    st.session_state.pop("label_marking", None)
