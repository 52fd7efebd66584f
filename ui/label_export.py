"""What labelling makes: rows that estimators and models learn from, and the labels themselves, as files."""

from __future__ import annotations

from functools import partial

import streamlit as st

from tale_core.i18n import N_, t, tn
from tale_core.labels import Desk
from tale_core.labels.training_files import DataFile, Kind, as_csv, data_file, rows_of
from tale_core.store import Store
from ui import state

WHAT: dict[Kind, tuple[str, str]] = {
    "fine-tuning": (
        N_("For fine-tuning"),
        N_("Right, whole answers: question, answer and its tokens. Each text once; wrong, cut and failed ones never."),
    ),
    "estimators": (
        N_("For estimators"),
        N_("Searches that found an optimal budget. One that failed, or whose answers people judged wrong, is none."),
    ),
    "labels": (N_("The labels"), N_("Every verdict and known answer that stands, with who gave it and when.")),
}


def draw(desk: Desk) -> None:
    """Draw one line for each kind of file."""
    for kind, (title, meaning) in WHAT.items():
        file = data_file(desk.store, kind)
        st.markdown(f"#### {t(title)}", anchors=False)
        st.caption(t(meaning))
        _line(desk.store, kind, file)


def _line(store: Store, kind: Kind, file: DataFile) -> None:
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
            st.download_button(
                t("CSV"), partial(_csv, kind), file_name=file.name.replace(".jsonl", ".csv"), mime="text/csv",
                on_click="ignore", key=f"label_csv_{kind}", icon=":material/download:", disabled=not file.rows,
            )  # fmt: skip
        if file.rows:
            st.caption(t("Fingerprint of the data: {mark}", mark=file.fingerprint[:16]), width="content")


def _csv(kind: Kind) -> str:
    return as_csv(rows_of(state.store(), kind))
