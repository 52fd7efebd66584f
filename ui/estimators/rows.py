"""Training rows on the Estimators page: those of stored searches, those of a file, and both as a file again.

A file is read in memory and never written; its rows count like searches of this database, which win where both know a
question.
"""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import streamlit as st

from tale_core.errors import InputError
from tale_core.estimators.rows import TrainingRow, available, rows_from_store, select_rows
from tale_core.estimators.rows_file import rows_from_jsonl, rows_to_jsonl
from tale_core.i18n import joined, t, tn
from ui.common import state
from ui.common.text import literal

UPLOAD_MB = 20
"""As in `.streamlit/config.toml`."""
_SEEN_SEARCHES = 30
_UPLOADED = "est_uploaded"
_NAMED_ELSEWHERE = 5


class Rows(NamedTuple):
    """The rows of the chosen model and template, how many came from the file, and of what else there are rows."""

    chosen: list[TrainingRow]
    of_file: int
    elsewhere: dict[tuple[str, str], int]


def read(model: str, template: str) -> Rows:
    """Every row there is, of searches and of the uploaded file.

    Raises:
        StoreError: The database cannot be read.
    """
    store = state.store()
    newest = tuple((s.id, s.status) for s in store.list_sessions(limit=_SEEN_SEARCHES, kind="search"))
    with st.spinner(t("Reading the searches…")):
        found = _stored(store.where, store.count_sessions(), newest)
    uploaded = _uploaded_rows()
    mine = select_rows([*uploaded, *found], model=model, template=template)
    own = len(select_rows(found, model=model, template=template))
    there = available([*uploaded, *found])
    there.pop((model, template), None)
    return Rows(mine, len(mine) - own, dict(there.most_common(_NAMED_ELSEWHERE)))


@st.cache_data(ttl=60, max_entries=8, show_spinner=False)
def _stored(where: str, sessions: int, newest: tuple[tuple[str, str], ...]) -> list[TrainingRow]:
    """The rows of all stored searches; kept as long as the database looks the same."""
    return rows_from_store(state.store())


def _uploaded_rows() -> list[TrainingRow]:
    if st.session_state.get("est_file") is None:
        return []  # The browser forgot the file when its page was left: what is not shown must not count.
    _, rows, _ = st.session_state.get(_UPLOADED, ("", [], ""))
    return list(rows)


def file_box(rows: Rows, *, model: str, template: str) -> None:
    """Save the rows as a file, and add those of another machine."""
    head = t("**Rows as a file.** One searched question a line (JSON Lines), to be kept, shared and trained from.")
    st.markdown(head)
    st.download_button(
        t("Save rows as JSONL"), partial(rows_to_jsonl, rows.chosen), file_name="rows.jsonl", mime="application/jsonl",
        disabled=not rows.chosen, on_click="ignore", icon=":material/download:", key="est_save_rows",
    )  # fmt: skip
    file = st.file_uploader(
        t("Add rows from a file"), type=["jsonl"], key="est_file", max_upload_size=UPLOAD_MB, on_change=take_file,
        help=t("Read in memory for this session only, and never kept."),
    )  # fmt: skip
    if file is None:
        return
    _, uploaded, error = st.session_state.get(_UPLOADED, ("", [], ""))
    if error:
        st.error(literal(error, 800), icon=":material/error:")
        return
    others = available(uploaded)
    mine = others.pop((model, template), 0)
    sentences = [
        tn(
            "The file has {n:,} row for this model and prompt template.",
            "The file has {n:,} rows for this model and prompt template.",
            mine,
        )
    ]
    if others:
        sentences.append(t("Others are for {models}.", models=named(dict(others.most_common(_NAMED_ELSEWHERE)))))
    st.caption(literal(joined(*sentences), 600))


def take_file() -> None:
    """Read the uploaded file, once; its fault is kept to be told."""
    file = st.session_state.get("est_file")
    if file is None:
        st.session_state.pop(_UPLOADED, None)
        return
    rows: list[TrainingRow] = []
    error = ""
    try:
        rows = parsed(file.name, file.getvalue())
    except InputError as e:
        error = str(e)
    st.session_state[_UPLOADED] = (file.file_id, rows, error)


def parsed(name: str, data: bytes) -> list[TrainingRow]:
    """The rows of an uploaded file.

    Raises:
        InputError: It is too large, no UTF-8 text, empty, or a line is no training row.
    """
    if len(data) > UPLOAD_MB * 1_000_000:
        raise InputError(
            t("{file} is larger than {most} MB.", file=name[:100], most=UPLOAD_MB), t("Give a smaller file of rows.")
        )
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as e:
        raise InputError(
            t("{file} is not UTF-8 text.", file=name[:100]), t("Give JSON Lines, one training row a line.")
        ) from e
    rows = rows_from_jsonl(text, name=name[:100])
    if not rows:
        raise InputError(t("{file} has no rows.", file=name[:100]), t("Give JSON Lines, one training row a line."))
    return rows


def named(counts: dict[tuple[str, str], int]) -> str:
    """Models and prompt templates with how many rows each has, in words."""
    return t("; ").join(
        t("{model} with {template} ({n:,})", model=model, template=template, n=count)
        for (model, template), count in counts.items()
    )
