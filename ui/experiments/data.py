"""Which questions an experiment asks: a set that is on this machine, or a file that somebody sends.

A file is read in memory and never written. Its name, its columns and its rows are hostile until shown otherwise.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path, PurePath
from typing import TypeVar

import streamlit as st

from tale_core.datasets import SUFFIXES, DatasetInfo, Loaded, describe, load, read_upload
from tale_core.datasets.answers import NumbersUnclear, counted_words
from tale_core.datasets.collect import LOOKED_AT
from tale_core.datasets.columns import ANSWER_IS, FIELDS, Columns, candidates, find_columns
from tale_core.datasets.loading import UPLOAD_BYTES, UPLOAD_ROWS
from tale_core.datasets.named import find_set
from tale_core.datasets.results import Row, fingerprint
from tale_core.datasets.tables import read_table
from tale_core.errors import InputError
from tale_core.i18n import N_, language, t, tn
from tale_core.settings import get_settings
from tale_core.types import Language
from ui.common.text import literal, sanitize

UPLOAD = "\u2191 upload"
"""Stands for a file among the names of sets; no set is called so."""
NONE = ""
MOST_QUESTIONS = 10_000
_SHOWN_PROBLEMS = 50
_LABELS = {
    "question": N_("Question"), "answer": N_("Known answer"), "options": N_("Options"), "id": N_("Id"),
    "topic": N_("Topic"), "context": N_("Read before it"),
}  # fmt: skip
T = TypeVar("T")
Mapped = Mapping[str, str | Sequence[str]]


@dataclass(frozen=True, slots=True)
class Chosen:
    """What is to be asked; `loaded` is None while nothing can be, and `why` says what is missing, in words."""

    loaded: Loaded | None
    why: str = ""


def local_sets() -> dict[str, DatasetInfo]:
    """The named sets whose files are all on this machine, groups and sets that stand alone first."""
    folders = [f for f in (get_settings().datasets_dir, Path("data")) if f is not None]
    return {info.name: info for info in describe() if _is_here(info.name, folders)}


def _is_here(name: str, folders: Sequence[Path]) -> bool:
    found = find_set(name)
    if found is None:
        return True  # The project's own.
    return all(any((folder / file).is_file() for folder in folders for file in part.files) for part in found.parts)


def data_box(prefix: str = "exp", *, disabled: bool = False) -> Chosen:
    """The data set, how many of its questions, and what became of its rows.

    Args:
        prefix: Of the keys in the session's state: `_dataset`, `_limit` and `_offset`, which have to be there, `_file`.
        disabled: Nothing is to be changed.
    """
    sets = local_sets()
    if st.session_state.get(f"{prefix}_dataset") not in (*sets, UPLOAD):
        st.session_state[f"{prefix}_dataset"] = next(iter(sets))
    which, first, offset = st.columns([3, 1.2, 1.2], vertical_alignment="bottom")
    with which:
        st.selectbox(
            t("Data set"), [*sets, UPLOAD], key=f"{prefix}_dataset", persist_state="session", disabled=disabled,
            format_func=lambda name: t("Upload a file…") if name == UPLOAD else _title(sets[name]),
            help=t("Sets whose files are on this machine. Others are read from files put into TALE_DATASETS_DIR."),
        )  # fmt: skip
    with first:
        st.number_input(
            t("First questions"), 1, MOST_QUESTIONS, step=10, key=f"{prefix}_limit", persist_state="session",
            disabled=disabled,
            help=t("How many questions are asked, from the set's beginning or from the offset on."),
        )  # fmt: skip
    with offset:
        st.number_input(
            t("Offset"), 0, 1_000_000, step=10, key=f"{prefix}_offset", persist_state="session", disabled=disabled,
        )  # fmt: skip
    name = str(st.session_state[f"{prefix}_dataset"])
    limit, skipped = int(st.session_state[f"{prefix}_limit"]), int(st.session_state[f"{prefix}_offset"])
    chosen = _uploaded(limit, skipped, prefix) if name == UPLOAD else _named(sets[name], limit, skipped)
    if chosen.loaded is not None:
        _about(chosen.loaded)
    return chosen


def _title(info: DatasetInfo) -> str:
    return f"{info.title} · {info.size:,}" if info.size is not None else info.title


def _named(info: DatasetInfo, limit: int, offset: int) -> Chosen:
    if info.note:
        st.caption(literal(info.note, 400))
    try:
        with st.spinner(t("Reading the questions…")):
            return Chosen(_loaded(info.name, limit, offset, str(get_settings().datasets_dir), language()))
    except InputError as e:
        return Chosen(None, str(e))


@st.cache_data(ttl=60, max_entries=32, show_spinner=False)
def _loaded(name: str, limit: int, offset: int, folder: str, said_in: Language) -> Loaded:
    """The questions, with the reasons of what was passed over in one language."""
    return load(name, limit=limit, offset=offset)


def _uploaded(limit: int, offset: int, prefix: str) -> Chosen:
    st.caption(
        t(
            "JSON Lines, JSON, CSV, TSV or Parquet with a column of questions and one of known answers; at most "
            "{rows:,} rows and {size} MB. The file is only read, never kept; the questions that are asked are stored "
            "with the experiment.",
            rows=UPLOAD_ROWS,
            size=UPLOAD_BYTES // 1_000_000,
        )
    )
    file = st.file_uploader(
        t("File"), type=[s.removeprefix(".") for s in SUFFIXES], key=f"{prefix}_file", label_visibility="collapsed",
        max_upload_size=UPLOAD_BYTES // 1_000_000,
    )  # fmt: skip
    if file is None:
        return Chosen(None, t("Upload a file, or choose another data set."))
    data = file.getvalue()
    try:
        rows = rows_of(file.name, data)
        mapping = mapping_boxes(rows, f"{prefix}_column_{{}}_{file.file_id}")
        whole = with_numbers(
            lambda given: read_upload(file.name, data, mapping=given), mapping, f"{prefix}_numbers_{file.file_id}"
        )
    except InputError as e:
        return Chosen(None, str(e))
    taken = whole.questions[offset : offset + limit]
    if not taken:
        message = t("The offset {offset:,} is behind the last question: there are {n:,}.", offset=offset,
                 n=len(whole.questions))  # fmt: skip
        return Chosen(None, message)
    return Chosen(replace(whole, questions=taken, fingerprint=fingerprint(taken)))


def with_numbers(read: Callable[[Mapped | None], T], mapping: Mapped | None, key: str) -> T:
    """Read a file; where numbers in the place of the right option can mean several things, ask which they mean.

    Raises:
        InputError: It cannot be read, or nothing has been chosen yet.
    """
    try:
        return read(mapping)
    except NumbersUnclear as e:
        chosen = st.selectbox(
            t("The numbers of the known answers are"), e.able, index=None, key=key, format_func=counted_words,
            placeholder=t("Choose what they mean"), width=400,
        )  # fmt: skip
        if chosen is None:
            raise InputError(e.message, t("Say which it is.")) from e
        return read({**(mapping or {}), ANSWER_IS: chosen})


def rows_of(name: str, data: bytes) -> list[dict[str, object]]:
    """A file's first rows, by column.

    Raises:
        InputError: The file as a whole cannot be read.
    """
    suffix = PurePath(name).suffix.casefold()
    if suffix not in SUFFIXES or len(data) > UPLOAD_BYTES:
        return []  # `read_upload` says why it cannot be read.
    rows = islice(read_table(io.BytesIO(data), suffix), LOOKED_AT)
    return [row.values for row in rows if isinstance(row, Row)]


def columns_of(rows: Sequence[Mapping[str, object]]) -> list[str]:
    """The columns of some rows, in the order in which they come."""
    return list(dict.fromkeys(column for row in rows for column in row))


def guessed(there: Sequence[str], rows: Sequence[Mapping[str, object]] = ()) -> dict[str, str | tuple[str, ...]]:
    """The mapping that usual names suggest; a field that cannot be guessed has no column."""
    whole = _columns(there, {}, rows)
    question = whole.question if whole else ""
    answer = (whole.answer or NONE) if whole else NONE
    if whole is None:
        alone = _columns(there, {"answer": NONE}, rows)
        question = alone.question if alone else ""
        if there:
            # The name of any column, put in as the question, leaves the answer alone to be guessed.
            other = _columns(there, {"question": question or there[0]}, rows)
            answer = (other.answer or NONE) if other else NONE
        whole = alone
    rest = {f: (getattr(whole, f) or NONE) if whole else NONE for f in ("id", "topic", "context")}
    return {"question": question, "answer": answer, "options": whole.options if whole else (), **rest}


def _columns(there: Sequence[str], mapping: Mapping[str, str], rows: Sequence[Mapping[str, object]]) -> Columns | None:
    try:
        return find_columns(there, mapping, sample=rows)
    except InputError:
        return None


def mapping_boxes(rows: Sequence[Mapping[str, object]], keys: str) -> Mapped | None:
    """A box for each field, filled with the guess.

    None when the file shows no columns, or when its layout says by itself which option is right.

    Raises:
        InputError: No column is chosen as the question, or of several that may be the answer none.
    """
    there = columns_of(rows)
    whole = _columns(there, {}, rows)
    if not there or (whole is not None and (whole.wrong or whole.marked)):
        return None
    guess = guessed(there, rows)
    several = guess["answer"] == NONE and len(candidates("answer", there, rows)) > 1
    chosen: dict[str, str | Sequence[str]] = {}
    with st.container(horizontal=True):
        for field in FIELDS:
            key = keys.format(field)
            if field == "options":
                chosen[field] = st.multiselect(
                    t(_LABELS[field]), there, default=[c for c in guess["options"] if c in there], key=key,
                    format_func=_short, placeholder=t("none"), width=200,
                    help=t("One column that holds a list, or a column for each option."),
                )  # fmt: skip
                continue
            names = list(there) if field == "question" else [NONE, *there]
            asked = field == "answer" and several
            found = st.selectbox(
                t(_LABELS[field]), names, key=key,
                index=names.index(str(guess[field])) if guess[field] in names and not asked else None,
                format_func=_short, placeholder=t("Choose a column"), width=200,
            )  # fmt: skip
            several = several and not (asked and found is not None)
            chosen[field] = found or NONE
    if not chosen["question"]:
        raise InputError(t("No column looks like the questions."), t("Choose it."))
    if several:
        raise InputError(t("Several columns may hold the known answers."), t("Choose one, or none."))
    return chosen


def _short(column: str) -> str:
    shown = sanitize(column).replace("\n", " ")
    return (shown if len(shown) <= 40 else f"{shown[:39]}…") or t("none")


def _about(loaded: Loaded) -> None:
    """What was read, and row by row what was not."""
    count, known = len(loaded.questions), sum(q.answer is not None for q in loaded.questions)
    answers = t("all with a known answer") if known == count else t("{n:,} with a known answer", n=known)
    answers = answers if known else t("none with a known answer: nothing can be graded")
    questions = tn("{n:,} question", "{n:,} questions", count)
    message = t("{questions}, {answers}, from {source}.", questions=questions, answers=answers, source=loaded.source)
    st.caption(literal(message, 300))
    if not loaded.problems:
        return
    with st.expander(t("{n:,} rows were passed over", n=len(loaded.problems)), icon=":material/rule:"):
        for problem in loaded.problems[:_SHOWN_PROBLEMS]:
            st.text(t("Line {line}: {reason}", line=problem.line, reason=sanitize(problem.reason)))
        if (more := len(loaded.problems) - _SHOWN_PROBLEMS) > 0:
            st.caption(t("And {n:,} more.", n=more))
