"""Mark, under a finished answer, the sentence at which it is settled: a label that becomes a training example."""

from __future__ import annotations

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.errors import InputError, StoreError
from tale_core.i18n import t
from tale_core.labels import Labeling
from tale_core.labels.marks import Markable, markable, suggested
from tale_core.store import MAX_NAME, QueueFilter, annotator_key
from tale_core.types import AnswerRole
from ui.common import state
from ui.common.marking import known_name, marked_words, sentence_box
from ui.common.text import literal


def draw(view: AskView, role: AnswerRole) -> None:
    """Draw the box; nothing where the answer has no two sentences."""
    call = view.calls[role].record
    answer = markable(call, view.question)
    if answer is None:
        return
    labeling, name = Labeling(state.store()), known_name()
    try:
        said = labeling.queue.marks_said([answer.key]).get(answer.key, {}) if name else {}
    except StoreError:
        return  # What cannot be read is said above already.
    before = int(said[who]) if (who := annotator_key(name)) in said else None
    with st.expander(t("Mark where the answer is settled"), icon=":material/flag:", key=f"mark-{role}"):
        key = f"mark_{role}_{view.session_id}"
        chosen = sentence_box(
            answer, suggestion=suggested(call, view.settled.get(role)), before=before, key=f"{key}_sentence"
        )
        if not name:
            st.text_input(t("Your name"), key=f"{key}_name", max_chars=MAX_NAME, autocomplete="off", width=260)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                t("Mark this sentence"), key=f"{key}_press", icon=":material/flag:", on_click=_mark,
                args=(answer, key, chosen, name), disabled=chosen is None,
            )  # fmt: skip
            if before is not None:
                st.caption(literal(marked_words(answer, before)), width="content")
            if before is not None and (event := st.session_state.get(f"{key}_event")):
                st.button(
                    t("Take back"), key=f"{key}_undo", icon=":material/undo:", type="tertiary", on_click=_take_back,
                    args=(key, name, event),
                )  # fmt: skip
        if problem := st.session_state.pop(f"{key}_problem", ""):
            st.error(literal(problem, 400), icon=":material/error:")


def _mark(answer: Markable, key: str, chosen: int, name: str) -> None:
    labeling = Labeling(state.store())
    try:
        who = labeling.sit_down(name or str(st.session_state.get(f"{key}_name") or ""))
        moved = labeling.mark(who, answer, chosen)
        if moved.events:
            st.session_state[f"{key}_event"] = labeling.queue.counts(who, QueueFilter(which="all", overlap=0)).last
    except (InputError, StoreError) as e:
        st.session_state[f"{key}_problem"] = str(e)
        return
    if not name:
        st.session_state["label_annotator"] = str(st.session_state[f"{key}_name"]).strip()


def _take_back(key: str, name: str, event: int) -> None:
    """Only if it is this person's last deed still: Label takes back one after the other."""
    labeling = Labeling(state.store())
    try:
        labeling.undo(labeling.sit_down(name), event=event)
    except (InputError, StoreError) as e:
        st.session_state[f"{key}_problem"] = str(e)
    st.session_state.pop(f"{key}_event", None)
