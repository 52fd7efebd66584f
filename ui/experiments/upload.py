"""Predictions that others published: uploaded, shown for what they are, and stored as an experiment to compare with.

Files are read in memory and never written. Their names, columns and rows are hostile until shown otherwise.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from tale_core.datasets import RowProblem, load
from tale_core.datasets.columns import candidates
from tale_core.datasets.logs import TOOLS
from tale_core.datasets.named import find_set
from tale_core.datasets.prediction_columns import FIELDS, NEEDED, guess
from tale_core.datasets.predictions import (
    MAX_BYTES,
    MAX_ROWS,
    PREDICTION_SUFFIXES,
    Predictions,
    is_log,
    known_shape,
    read_predictions,
)
from tale_core.errors import InputError, TaleError
from tale_core.experiments.import_notes import ImportInfo, notes
from tale_core.experiments.import_predictions import MAX_NAME, import_predictions
from tale_core.experiments.run import ExperimentView
from tale_core.i18n import N_, listed, t, tn
from tale_core.models import tokens
from tale_core.strategies import title_of
from ui.common import state
from ui.common.text import literal, sanitize
from ui.experiments.data import columns_of, local_sets, rows_of, with_numbers

COUNTED_FOR = "gpt-4"
"""Whose tokenizer the paper's repository counts every model's answers with."""
OF_FILES = ""
"""Stands for the known answers that the files themselves hold."""
_SHOWN = 50
_MAPPED = ("question", "prediction", "answer", "tokens", "strategy", "budget")
_LABELS = {
    "question": N_("Question"),
    "prediction": N_("Prediction"),
    "answer": N_("Known answer"),
    "tokens": N_("Tokens"),
    "strategy": N_("Strategy"),
    "budget": N_("Budget"),
}


def import_box() -> None:
    """The folded box: files, what they answered and who, and the button that stores them."""
    with st.expander(t("Import predictions of others"), icon=":material/upload_file:"):
        st.caption(
            t(
                "The JSON Lines that the paper's repository writes, several of them together if you like; logs of "
                "{tools}; or any table with a column of questions and one of predictions; at most {rows:,} rows and "
                "{size} MB each. They are graded again here and stored as an experiment; no model is asked.",
                rows=MAX_ROWS, size=MAX_BYTES // 1_000_000, tools=listed(list(TOOLS.values())),
            )
        )  # fmt: skip
        sent = st.file_uploader(
            t("Files"), type=[s.removeprefix(".") for s in PREDICTION_SUFFIXES], accept_multiple_files=True,
            key="imp_files", label_visibility="collapsed", max_upload_size=MAX_BYTES // 1_000_000,
        )  # fmt: skip
        if not sent:
            return
        try:
            files = [_read(file) for file in sent]
        except TaleError as e:
            st.error(literal(str(e), 800), icon=":material/error:")
            return
        _about(files)
        _names_and_button(files)


def _read(file: st.runtime.uploaded_file_manager.UploadedFile) -> Predictions:
    """One file; its columns are asked for when it is neither of the paper's repository nor a log of another tool."""
    data = file.getvalue()
    rows = [] if is_log(file.name, data) else rows_of(file.name, data)
    there = columns_of(rows)
    mapping = None if known_shape(there) or not there else _mapping(rows, file.file_id)
    key = f"imp_numbers_{file.file_id}"
    return with_numbers(lambda given: read_predictions(file.name, data, mapping=given), mapping, key)


def _mapping(rows: Sequence[Mapping[str, object]], file_id: str) -> dict[str, str]:
    """A box for each field, filled with the guess; "" stands for no column. Options are found by their names.

    Raises:
        InputError: Several columns may hold the known answers, and none is chosen.
    """
    there = columns_of(rows)
    several = len(candidates("answer", there, rows)) > 1
    chosen = {name: "" for name in FIELDS if name != "options"}
    with st.container(horizontal=True):
        for name in _MAPPED:
            guessed = guess(name, there, sample=rows)
            asked = name in NEEDED or (name == "answer" and several)
            names = list(there) if name in NEEDED else ["", *there]
            found = st.selectbox(
                t(_LABELS[name]), names, key=f"imp_column_{name}_{file_id}", width=200,
                index=names.index(guessed) if guessed else None if asked else 0,
                format_func=lambda column: sanitize(column)[:40] or t("none"), placeholder=t("Choose a column"),
            )  # fmt: skip
            if name == "answer":
                several = several and found is None
            chosen[name] = found or ""
    if several:
        raise InputError(t("Several columns may hold the known answers."), t("Choose one, or none."))
    return {name: column for name, column in chosen.items() if column or name not in NEEDED}


def _about(files: Sequence[Predictions]) -> None:
    """What was read, by strategy, and row by row what was not."""
    said = []
    for one in files:
        counts = {name: sum(row.strategy == name for row in one.rows) for name in one.strategies}
        counted = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        said.append(literal(t("{file}: {counts}", file=one.file, counts=counted), 400))
        if one.shape in TOOLS:
            said.append(literal(_log_words(one), 400))
    st.caption("  \n".join(said))
    problems_box([RowProblem(p.line, f"{one.file}: {p.reason}") for one in files for p in one.problems])


def _log_words(one: Predictions) -> str:
    """What a log of another tool says of itself, and what of it is left aside."""
    message = t("A log of {tool}.", tool=TOOLS[one.shape])  # type: ignore[index]  # asked before
    if not one.more:
        return message
    more = tn(
        "Of each question the first response was taken; the log holds {n:,} more.",
        "Of each question the first response was taken; the log holds {n:,} more.",
        one.more,
    )
    return f"{message} {more}"


def _fill(key: str, said: Sequence[str]) -> None:
    """Put what the files say into a box, unless something else was typed there."""
    joined_names = ", ".join(dict.fromkeys(name for name in said if name))[:MAX_NAME]
    before = st.session_state.get(f"{key}_said", "")
    if joined_names != before and st.session_state.get(key, "") in ("", before):
        st.session_state[key] = joined_names
    st.session_state[f"{key}_said"] = joined_names


def problems_box(problems: Sequence[RowProblem]) -> None:
    """The rows that were passed over, folded away; nothing when there are none."""
    if not problems:
        return
    title = tn("{n:,} row was passed over", "{n:,} rows were passed over", len(problems))
    with st.expander(title, icon=":material/rule:"):
        for problem in problems[:_SHOWN]:
            st.text(t("Line {n} of {reason}", n=problem.line, reason=sanitize(problem.reason)))
        if (more := len(problems) - _SHOWN) > 0:
            st.caption(t("And {n:,} more.", n=more))


def _names_and_button(files: Sequence[Predictions]) -> None:
    _fill("imp_model", [one.model for one in files])
    _fill("imp_dataset", [one.dataset for one in files])
    who, what, whose = st.columns(3, vertical_alignment="bottom")
    with who:
        model = st.text_input(t("Model that answered"), key="imp_model", max_chars=MAX_NAME, placeholder="gpt-4o-mini")
    with what:
        dataset = st.text_input(
            t("Data set"), key="imp_dataset", max_chars=MAX_NAME, placeholder="gsm8k",
            help=t("By its name here, so that the paper's numbers can stand beside it."),
        )  # fmt: skip
    with whose:
        sets = local_sets()
        answers = st.selectbox(
            t("Known answers"), [OF_FILES, *sets], key="imp_answers",
            format_func=lambda name: sanitize(sets[name].title) if name else t("those of the files"),
            help=t(
                "The repository's files cut known answers off at a thousands comma; a set that is on this machine has "
                "them whole."
            ),
        )  # fmt: skip
    ready = bool((model or "").strip() and (dataset or "").strip())
    pressed = st.button(t("Import"), key="imp_go", icon=":material/upload_file:", disabled=not ready)
    if not ready:
        said = any(one.model or one.dataset for one in files)
        half = t("Name the model and the data set first: the files do not name both.")
        st.caption(half if said else t("Name the model and the data set first: the files name neither."))
    if pressed and ready:
        _import(files, model.strip(), dataset.strip(), answers or OF_FILES)


def _import(files: Sequence[Predictions], model: str, dataset: str, answers: str) -> None:
    known = find_set(dataset)
    try:
        with st.spinner(t("Grading the answers…")):
            done = import_predictions(
                files,
                store=state.store(),
                model=model,
                dataset=known.info.name if known else dataset,
                answers=load(answers).questions if answers else None,
                answers_from=answers,
                count=lambda text: tokens.count(text, COUNTED_FOR),
            )
    except TaleError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    st.session_state["imp_problems"] = (done.experiment_id, done.problems)
    st.query_params["experiment"] = done.experiment_id
    st.rerun()


def imported_note(view: ExperimentView, info: ImportInfo) -> None:
    """Where an imported experiment comes from and how to read it, last and folded away as for one that was run."""
    rows = {
        t("Data set"): t("{name}, {n:,} questions", name=view.plan.dataset, n=len(view.plan.questions)),
        t("Model"): view.model,
        t("Files"): ", ".join(info.files),
        t("Strategies"): listed(map(title_of, view.plan.strategies)),
        t("Known answers"): info.answers_from or t("those of the files"),
        t("Experiment"): view.experiment_id,
    }
    with st.expander(t("What was imported"), icon=":material/list_alt:"):
        cells = {name: literal(value, 400) for name, value in rows.items()}
        st.table(cells, border="horizontal", hide_header=True, alt=t("Where this experiment comes from"))
        st.caption("\n".join(f"- {literal(note, 600)}" for note in notes(info)))
    of, problems = st.session_state.get("imp_problems", ("", ()))
    if of == view.experiment_id:
        problems_box(problems)
