"""Questions x strategies as a grid of outcomes: moved in by the arrow keys, each cell one key from its answer."""

from __future__ import annotations

from pathlib import Path

import streamlit as st

from tale_core.errors import StoreError
from tale_core.experiments.matrix import Matrix, matrix
from tale_core.experiments.run import ExperimentView
from tale_core.i18n import language, t
from tale_core.store import ExperimentStore
from tale_core.strategies import title_of
from ui.common import state
from ui.common.text import literal, sanitize
from ui.experiments import answers

HEIGHT = 400
LETTERS = 160
"""Of a question, in its row."""
_HERE = Path(__file__).parent
_grid = st.components.v2.component(
    "tale_matrix",
    css=(_HERE / "matrix.css").read_text(encoding="utf-8"),
    js=(_HERE / "matrix.js").read_text(encoding="utf-8"),
)


def draw(view: ExperimentView) -> None:
    """The grid, and below it the answer of the chosen cell beside the vanilla one."""
    try:
        figures = ExperimentStore(state.store()).figures(view.experiment_id)
        found = matrix(figures, view.plan.questions, view.plan.strategies)
        if not found.questions or not found.strategies:
            return
        with st.container(key="matrix"):
            st.markdown(t("**Every answer.** A row for each question, a column for each strategy."))
            opened = _chosen(view, found)
            st.caption(literal(_legend(found), 600))
        if opened is not None:
            answers.beside(view, opened[0], found.strategies[opened[1]])
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/error:")


def _chosen(view: ExperimentView, found: Matrix) -> tuple[int, int] | None:
    """Draw the grid; the cell that is open."""
    key = f"matrix_opened_{view.experiment_id}"
    told = _grid(
        data=_document(view, found, st.session_state.get(key)),
        key=f"matrix_{view.experiment_id}",
        height="content",
        on_opened_change=lambda: None,
    )
    if told.opened:
        st.session_state[key] = told.opened
    there = st.session_state.get(key)
    if not there:
        return None
    at, column = int(there[0]), int(there[1])
    return (at, column) if at < len(found.cells) and column < len(found.strategies) else None


def _document(view: ExperimentView, found: Matrix, opened: object) -> dict[str, object]:
    return {
        "id": f"{view.experiment_id}-{view.finished}-{view.failed}-{language()}",
        "height": HEIGHT,
        "opened": opened,
        "strategies": [sanitize(title_of(name)) for name in found.strategies],
        "questions": [sanitize(text)[:LETTERS] for text in found.questions],
        "cells": [[None if c is None else [c.sign, c.color, c.words] for c in row] for row in found.cells],
        "words": {
            "question": t("Question"),
            "none": t("Not asked."),
            "grid": t("Outcome of every answer: arrow keys move, Enter opens the answer beside the vanilla one"),
        },
    }


def _legend(found: Matrix) -> str:
    words = [
        t("✓ right, ✗ wrong, ▲ cut off, ■ no readable answer, ◆ failed or refused, ⬣ not graded."),
        t("Arrow keys move, Enter or a click opens the answer beside the vanilla one, with its prompt."),
    ]
    if found.left_out:
        words.append(t("The first {n:,} questions; {more:,} more are left out.", n=len(found.questions), more=found.left_out))  # fmt: skip  # noqa: E501
    return " ".join(words)
