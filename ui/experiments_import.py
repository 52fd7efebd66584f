"""Predictions that others published: uploaded, shown for what they are, and stored as an experiment to compare with.

Files are read in memory and never written. Their names, columns and rows are hostile until shown otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

import streamlit as st

from tale_core.datasets import SUFFIXES, RowProblem, load
from tale_core.datasets.named import find_set
from tale_core.datasets.prediction_columns import FIELDS, NEEDED, guess
from tale_core.datasets.predictions import MAX_BYTES, MAX_ROWS, Predictions, known_shape, read_predictions
from tale_core.errors import TaleError
from tale_core.experiments.imported import ImportInfo, notes
from tale_core.experiments.importing import MAX_NAME, import_predictions
from tale_core.experiments.job import ExperimentView
from tale_core.i18n import N_, t, tn
from tale_core.models import tokens
from ui import state
from ui.experiments_data import columns_of, local_sets
from ui.text import literal, visible

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
                "The JSON Lines that the paper's repository writes, several of them together if you like, or any table "
                "with a column of questions and one of predictions; at most {rows:,} rows and {size} MB each. They are "
                "graded again here and stored as an experiment; no model is asked.",
                rows=MAX_ROWS, size=MAX_BYTES // 1_000_000,
            )
        )  # fmt: skip
        sent = st.file_uploader(
            t("Files"), type=[s.removeprefix(".") for s in SUFFIXES], accept_multiple_files=True, key="imp_files",
            label_visibility="collapsed", max_upload_size=MAX_BYTES // 1_000_000,
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
    """One file; its columns are asked for when it is not of the paper's repository."""
    data = file.getvalue()
    there = columns_of(file.name, data)
    mapping = None if known_shape(there) or not there else _mapping(there, file.file_id)
    return read_predictions(file.name, data, mapping=mapping)


def _mapping(there: Sequence[str], file_id: str) -> dict[str, str]:
    """A box for each field, filled with the guess; "" stands for no column."""
    chosen = {name: "" for name in FIELDS}
    with st.container(horizontal=True):
        for name in _MAPPED:
            guessed = guess(name, there)
            names = list(there) if name in NEEDED else ["", *there]
            chosen[name] = st.selectbox(
                t(_LABELS[name]), names, key=f"imp_column_{name}_{file_id}", width=200,
                index=names.index(guessed) if guessed else None if name in NEEDED else 0,
                format_func=lambda column: visible(column)[:40] or t("none"), placeholder=t("Choose a column"),
            ) or ""  # fmt: skip
    return {name: column for name, column in chosen.items() if column or name not in NEEDED}


def _about(files: Sequence[Predictions]) -> None:
    """What was read, by strategy, and row by row what was not."""
    said = []
    for one in files:
        counts = {name: sum(row.strategy == name for row in one.rows) for name in one.strategies}
        listed = ", ".join(f"{name} {count:,}" for name, count in counts.items())
        said.append(literal(t("{file}: {counts}", file=one.file, counts=listed), 400))
    st.caption("  \n".join(said))
    problems_box([RowProblem(p.line, f"{one.file}: {p.reason}") for one in files for p in one.problems])


def problems_box(problems: Sequence[RowProblem]) -> None:
    """The rows that were passed over, folded away; nothing when there are none."""
    if not problems:
        return
    title = tn("{n:,} row was passed over", "{n:,} rows were passed over", len(problems))
    with st.expander(title, icon=":material/rule:"):
        for problem in problems[:_SHOWN]:
            st.text(t("Line {n} of {reason}", n=problem.line, reason=visible(problem.reason)))
        if (more := len(problems) - _SHOWN) > 0:
            st.caption(t("And {n:,} more.", n=more))


def _names_and_button(files: Sequence[Predictions]) -> None:
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
            format_func=lambda name: visible(sets[name].title) if name else t("those of the files"),
            help=t(
                "The repository's files cut known answers off at a thousands comma; a set that is on this machine has "
                "them whole."
            ),
        )  # fmt: skip
    ready = bool((model or "").strip() and (dataset or "").strip())
    pressed = st.button(t("Import"), key="imp_go", icon=":material/upload_file:", disabled=not ready)
    if not ready:
        st.caption(t("Name the model and the data set first: the files name neither."))
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
        t("Strategies"): ", ".join(view.plan.strategies),
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
