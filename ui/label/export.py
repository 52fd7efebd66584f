"""What labelling makes: rows that estimators and models learn from, and the labels themselves, as files."""

from __future__ import annotations

from typing import Literal

import streamlit as st

from tale_core.i18n import N_, t, tn
from tale_core.labels import Labeling
from tale_core.labels.training_files import DataFile, as_csv, data_file, label_rows
from tale_core.tuning.data import training_file, training_table
from ui.common import state

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


def draw(labeling: Labeling) -> None:
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
