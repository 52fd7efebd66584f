"""The Label page: who labels, and one section at a time: the queue, agreement, known answers from a file, exports.

The annotator, the section and every filter are in the address: a refresh, a link and the back button find them again.
"""

from __future__ import annotations

from typing import Any

import streamlit as st

from tale_core.access.who import asking
from tale_core.errors import InputError, StoreError
from tale_core.i18n import N_, language, t
from tale_core.labels import Labeling
from tale_core.store import MAX_NAME, normalised
from ui.common import state
from ui.common import url_params as address
from ui.common.focus import focus
from ui.common.text import literal
from ui.label import agreement as label_agreement
from ui.label import example
from ui.label import export as label_export
from ui.label import queue as label_queue
from ui.label import upload as label_import
from ui.shell import page

SECTIONS = {
    "queue": (N_("Label"), ":material/checklist:"),
    "agreement": (N_("Agreement"), ":material/group:"),
    "import": (N_("Import known answers"), ":material/upload_file:"),
    "export": (N_("Export"), ":material/download:"),
}
FORM_HEIGHT = 150
"""Of the box for a name with its button: what stands below does not move when they are there."""
FOR_OWNERS = ("import", "export")
"""Sections about everybody's labels and questions at once."""


def draw() -> None:
    """Draw the page."""
    page(t("Label"))
    try:
        labeling = Labeling(state.store())
        labeling.sync()
        who = _heading(labeling)
        section, place = _section()
        with place:
            _draw(labeling, section, who)
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")


def _draw(labeling: Labeling, section: str, who: str | None) -> None:
    if section in ("queue", "import") and who is None:
        _welcome(labeling)
    elif section == "queue" and who is not None:
        label_queue.draw(labeling, who)
    elif section == "import" and who is not None:
        label_import.draw(labeling, who)
    elif section == "agreement":
        label_agreement.draw(labeling)
    else:
        label_export.draw(labeling)


def _heading(labeling: Labeling) -> str | None:
    """The page's question, and who answers it; None while nobody has said."""
    name = _named()
    who = None
    if name:
        try:
            who = labeling.sit_down(name)
        except InputError as e:
            st.error(literal(str(e), 400), icon=":material/error:")
    with st.container(horizontal=True, horizontal_alignment="distribute", vertical_alignment="center"):
        st.markdown("## " + t("Which answers are right?"), anchors=False)
        if who is not None and asking().account:
            st.caption(f":material/person: {literal(name, 40)}")
        elif who is not None:
            st.button(
                literal(name, 40), key="label_leave", icon=":material/person:", type="tertiary", on_click=_leave,
                help=t("You label under this name. Press it to let somebody else label here."),
            )  # fmt: skip
    return who


def _named() -> str:
    """The account's; else the name in the address, which this browser session remembers from page to page as well."""
    if account := asking().account:  # An address makes nobody somebody else.
        return account
    name = str(st.query_params.get("annotator") or st.session_state.get("label_annotator") or "")
    if name:
        _sit(name)
    return name


def _sit(name: str) -> None:
    st.session_state["label_annotator"] = name
    if st.query_params.get("annotator") != name:
        st.query_params["annotator"] = name


def _leave() -> None:
    st.session_state.pop("label_annotator", None)
    st.session_state.pop("label_last", None)
    st.query_params.pop("annotator", None)


def _section() -> tuple[str, Any]:
    """The open tab: its section, and where it is drawn."""
    sections = [name for name in SECTIONS if asking().sees_all or name not in FOR_OWNERS]
    address.take("section", sections, "queue")
    names = {f"{SECTIONS[name][1]} {t(SECTIONS[name][0])}": name for name in sections}
    now = next(label for label, name in names.items() if name == st.session_state["section"])
    key = f"label_tabs_{language()}"  # What a tab remembers is its label.
    st.session_state[key] = now
    tabs = st.tabs(list(names), key=key, on_change=_turned, args=(key, names))
    return address.put("section", "queue"), tabs[list(names).index(now)]


def _turned(key: str, names: dict[str, str]) -> None:
    st.session_state["section"] = names[st.session_state[key]]


def _welcome(labeling: Labeling) -> None:
    """Who labels: a name typed, or one that is known."""
    st.markdown(
        t(
            "You see one stored answer at a time and say with a single key whether it is right. The outcomes in every "
            "table and the training data follow at once, and every step can be undone."
        )
    )
    room = st.container(height=FORM_HEIGHT, border=False)
    with room, st.form("label_name", border=False, width=420):
        typed = st.text_input(t("Your name"), key="label_typed_name", max_chars=MAX_NAME, autocomplete="off")
        focus("label_typed_name")
        pressed = st.form_submit_button(t("Begin"), type="primary", icon=":material/checklist:")
    if pressed and (typed or "").strip():
        try:
            labeling.sit_down(str(typed))
        except InputError as e:
            st.error(literal(str(e), 400), icon=":material/error:")
            return
        _sit(normalised(str(typed)))
        st.rerun()
    names = [one.name for one in labeling.queue.annotators()]
    if not names:
        example.draw(labeling)
    if names:
        st.caption(t("Or go on as"))
        with st.container(horizontal=True):
            for name in names[:40]:
                st.button(
                    literal(name, 40), key=f"label_as_{name}", icon=":material/person:", on_click=_sit, args=(name,)
                )
