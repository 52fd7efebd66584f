"""What charts and tables have alike on all pages: the button that saves a picture, cells that do not wrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import streamlit as st

from ui.common.text import literal, whole


def chart_config(name: str) -> dict[str, Any]:
    """A chart with one button at its corner: it saves the picture under this name, in the browser."""
    picture = {"format": "png", "filename": name, "scale": 3}
    return {
        "displayModeBar": True, "displaylogo": False, "modeBarButtons": [["toImage"]], "toImageButtonOptions": picture,
    }  # fmt: skip


def wide_table(
    cells: Mapping[str, Sequence[str]], *, alt: str, limit: int = 300, place: Callable[..., object] = st.table
) -> None:
    """A table whose cells do not wrap, so that a narrow screen scrolls it instead of breaking the numbers.

    Args:
        cells: The columns by their names.
        alt: What it shows, for people who do not see it.
        limit: Letters of a cell at most.
        place: Draws it.
    """
    shown = {whole(name): [whole(literal(cell, limit)) for cell in column] for name, column in cells.items()}
    place(shown, border="horizontal", alt=alt)
