"""The Label page: who labels, and one section at a time: the queue, agreement, known answers from a file, exports.

The annotator, the section and every filter are in the address: a refresh, a link and the back button find them again.
"""

from __future__ import annotations

from typing import Any, Literal

import streamlit as st

from tale_core.access.who import asking
from tale_core.errors import InputError, StoreError
from tale_core.i18n import N_, language, t, tn
from tale_core.labels import Labeling
from tale_core.labels.training_files import DataFile, as_csv, data_file, label_rows
from tale_core.lessons.recorded import in_language
from tale_core.store import MAX_NAME, LabelTarget, normalised
from tale_core.tuning.data import training_file, training_table
from ui.common import evidence, state
from ui.common import url_params as address
from ui.common.focus import focus
from ui.common.text import literal
from ui.label import agreement as label_agreement
from ui.label import answer
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
What = Literal["fine-tuning", "estimators", "labels"]
WHAT: dict[What, tuple[str, str]] = {
    "fine-tuning": (
        N_("For fine-tuning"),
        N_(
            "What a training learns from, by the rules of Fine-tune: of each question the shortest right, whole answer "
            "that is shorter than the vanilla one, and right answers up to a marked sentence. The command tune train "
            "takes the JSON Lines with --from."
        ),
    ),
    "estimators": (
        N_("For estimators"),
        N_("Searches that found an optimal budget. One that failed, or whose answers people judged wrong, is none."),
    ),
    "labels": (
        N_("The labels"),
        N_("Every verdict, known answer and marked sentence that stands, with who gave it and when."),
    ),
}


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
        _export(labeling)


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
        _example(labeling)
    if names:
        st.caption(t("Or go on as"))
        with st.container(horizontal=True):
            for name in names[:40]:
                st.button(
                    literal(name, 40), key=f"label_as_{name}", icon=":material/person:", on_click=_sit, args=(name,)
                )


def _example(labeling: Labeling) -> None:
    """A recorded answer as an annotator sees it, and what the keys do: of the first example, the vanilla one."""
    try:
        recording = in_language("ask")
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    session = recording.session
    call = next(call for call in session.calls if call.role == "vanilla")
    target = LabelTarget(
        key=str(call.id), kind="answers", question_key=session.id, question=session.question, gold=None, call=call,
        strategy="vanilla", extracted=call.extracted, extracted_by=call.extracted_by, outcome=call.outcome, copies=1,
    )  # fmt: skip
    with st.container(key="evidence"):
        evidence.heading(evidence.mark(recording.made.model, recording.made.on.isoformat()))
        st.caption(t("What you will see of each answer, one at a time: Y says that it is right, N that it is wrong."))
        answer.draw(labeling, target, open_=False)


def _export(labeling: Labeling) -> None:
    """Draw one line for each kind of file."""
    for kind, (title, meaning) in WHAT.items():
        file = training_file(labeling.store) if kind == "fine-tuning" else data_file(labeling.store, kind)
        st.markdown(f"#### {t(title)}", anchors=False)
        st.caption(t(meaning))
        _line(kind, file)


def _line(kind: What, file: DataFile) -> None:
    words = tn("**{n} row**", "**{n} rows**", file.rows)
    if kind == "fine-tuning" and file.labelled:
        words += " · " + t("{n:,} of them thanks to labels", n=file.labelled)
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(words, width="content")
        st.download_button(
            t("JSON Lines"), file.text, file_name=file.name, mime="application/x-ndjson", on_click="ignore",
            key=f"label_save_{kind}", icon=":material/download:", disabled=not file.rows,
        )  # fmt: skip
        if kind != "estimators":
            table = _training_csv if kind == "fine-tuning" else _labels_csv
            st.download_button(
                t("CSV"), table, file_name=file.name.replace(".jsonl", ".csv"), mime="text/csv",
                on_click="ignore", key=f"label_csv_{kind}", icon=":material/download:", disabled=not file.rows,
            )  # fmt: skip
        if file.rows:
            st.caption(t("Fingerprint of the data: {mark}", mark=file.fingerprint[:16]), width="content")


def _training_csv() -> str:
    return as_csv(training_table(state.store()))


def _labels_csv() -> str:
    return as_csv(label_rows(state.store()))
