"""Known answers from a file: a dry run that names every row's fate, then one button.

The file is read in memory and never written; its name, columns and rows are hostile until shown otherwise.
"""

from __future__ import annotations

import streamlit as st

from tale_core.datasets import SUFFIXES
from tale_core.datasets.columns import ColumnsUnclear
from tale_core.datasets.loading import UPLOAD_BYTES, UPLOAD_ROWS
from tale_core.errors import InputError, StoreError
from tale_core.i18n import N_, joined, t, tn
from tale_core.labels import Labeling
from tale_core.labels.gold_files import GoldImport, GoldRow, plan_import, write_import
from tale_core.labels.label_files import LabelFile, read_labels
from tale_core.labels.text import moved_words
from ui.common.text import literal, sanitize
from ui.experiments.data import mapping_boxes, rows_of, with_numbers

SHOWN = 200
VERDICTS = {"right": N_("right"), "wrong": N_("wrong"), "unsure": N_("unsure")}
STATUS = {
    "new": N_("Nobody knew it"),
    "changed": N_("Replaces the answer that is known"),
    "conflict": N_("Conflict: another person gave a different answer"),
    "same": N_("Known already"),
    "unknown": N_("No stored answer to this question"),
    "ambiguous": N_("Several stored questions differ in their options: give the options"),
    "unusable": N_("None of the stored question's options"),
    "no-answer": N_("The answer that was judged is not stored here"),
}


def draw(labeling: Labeling, who: str) -> None:
    """Draw the upload, the dry run, and the button."""
    if (done := st.session_state.pop("label_imported", None)) is not None:
        st.success(literal(done, 800), icon=":material/check_circle:")
    st.markdown(
        t(
            "Give the **known answers** of many questions at once. They are matched with stored questions by their "
            "text; you see what would change before anything is written, and one undo takes all of it back."
        )
    )
    file = st.file_uploader(
        t("File"), type=[s.removeprefix(".") for s in SUFFIXES], key="label_file",
        max_upload_size=UPLOAD_BYTES // 1_000_000,
    )  # fmt: skip
    st.caption(
        t(
            "CSV, TSV, JSON, JSON Lines or Parquet with columns question and answer (options where there are any), or "
            "labels that were exported here; at most {rows:,} rows and {size} MB.",
            rows=UPLOAD_ROWS,
            size=UPLOAD_BYTES // 1_000_000,
        )
    )
    if file is None:
        return
    replacing = st.toggle(
        t("Settle conflicts with this file"), key="label_replacing",
        help=t("Where another person gave a different answer, the one of this file wins."),
    )  # fmt: skip
    try:
        given = _read(file)
        with st.spinner(t("Working out what would change…")):
            plan = plan_import(
                labeling, who, given.questions, problems=given.problems, replacing=replacing, verdicts=given.verdicts
            )
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    _preview(plan)
    pressed = st.button(
        tn("Write {n} label", "Write {n} labels", plan.writable) if plan.verdicts
        else tn("Write {n} known answer", "Write {n} known answers", plan.writable),
        type="primary", key="label_write",
        disabled=not plan.writable, icon=":material/save:",
    )  # fmt: skip
    if pressed:
        _write(labeling, who, plan)


def _read(file: st.runtime.uploaded_file_manager.UploadedFile) -> LabelFile:
    """The file's labels; where its columns leave a choice, it is asked for.

    Raises:
        InputError: It cannot be read, or nothing has been chosen yet.
    """
    name, data, numbers = file.name, file.getvalue(), f"label_numbers_{file.file_id}"
    try:
        return with_numbers(lambda given: read_labels(name, data, mapping=given), None, numbers)
    except ColumnsUnclear:
        mapping = mapping_boxes(rows_of(name, data), f"label_column_{{}}_{file.file_id}")
        return with_numbers(lambda given: read_labels(name, data, mapping=given), mapping, numbers)


def _write(labeling: Labeling, who: str, plan: GoldImport) -> None:
    try:
        moved = write_import(labeling, who, plan)
    except (InputError, StoreError) as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    words = tn("{n} known answer written.", "{n} known answers written.", moved.events)
    st.session_state["label_imported"] = joined(words, moved_words(moved))
    st.rerun()


def _preview(plan: GoldImport) -> None:
    if plan.writable:
        st.subheader(
            literal(tn("{n} known answer would be written.", "{n} known answers would be written.", plan.writable)),
            anchor=False,
        )
        st.markdown(literal(moved_words(plan.moved), 800))
    else:
        st.subheader(t("Nothing would change."), anchor=False)
    counted = [(status, plan.count(status)) for status in STATUS]  # type: ignore[arg-type]
    st.caption(literal(" · ".join(f"{t(STATUS[status])}: {n:,}" for status, n in counted if n), 800))
    rows = sorted(plan.rows, key=lambda row: list(STATUS).index(row.status))
    conflicts_first = sorted(rows, key=lambda row: row.status != "conflict")
    st.dataframe(
        {
            t("Question"): [sanitize(row.question[:300]) for row in conflicts_first[:SHOWN]],
            t("Answer in the file"): [_given(row) for row in conflicts_first[:SHOWN]],
            t("Known so far"): [_before(row) for row in conflicts_first[:SHOWN]],
            t("What happens"): [t(STATUS[row.status]) for row in conflicts_first[:SHOWN]],
        },
        hide_index=True, width="stretch",
    )  # fmt: skip
    if (more := len(rows) - SHOWN) > 0:
        st.caption(tn("And {n} more row.", "And {n} more rows.", more))
    if plan.problems:
        title = tn("{n} row could not be read", "{n} rows could not be read", len(plan.problems))
        with st.expander(title, icon=":material/rule:"):
            for problem in plan.problems[:50]:
                st.text(t("Line {line}: {reason}", line=problem.line, reason=sanitize(problem.reason)))


def _given(row: GoldRow) -> str:
    return _judged(row, row.answer) or sanitize(row.answer[:100])


def _judged(row: GoldRow, value: str) -> str:
    """A verdict or a mark in words; "" of a known answer."""
    if row.mark:
        return t("Sentence {n}", n=value)
    return t("judged {verdict}", verdict=t(VERDICTS.get(value, value))) if row.verdict else ""


def _before(row: GoldRow) -> str:
    if row.before is None:
        return ""
    if said := _judged(row, row.before):
        return said
    return sanitize(row.before[:100]) + (f" ({sanitize(row.by)})" if row.by else "")
