"""What charts and tables have alike on all pages: colours, the button that saves a picture, cells that do not wrap."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import streamlit as st

from tale_core.charts.theme import DARK, LIGHT, SAVED_WIDTH, Palette
from tale_core.drawing.text import unescaped
from ui.common.text import literal, whole

if TYPE_CHECKING:
    from plotly.graph_objects import Figure


def palette() -> Palette:
    """The colours of the theme that the viewer has chosen."""
    return DARK if st.context.theme.type == "dark" else LIGHT


def draw_chart(figure: Figure, *, name: str, key: str, alt: str, **more: Any) -> None:
    """A chart below its title; the picture that its button saves has the title inside.

    Args:
        figure: To be drawn; `tale_core.charts.theme.layout` laid it out.
        name: Of the saved picture.
        key: Of the chart.
        alt: What it shows, for people who do not see it.
        more: Whatever else `st.plotly_chart` takes.
    """
    title, about = (literal(unescaped(figure.layout.meta[one]), 600) for one in ("title", "about"))
    with st.container(key=f"titled_{key}", gap=None):
        st.markdown(f"**{title}**  \n:small[:gray[{about}]]")
        st.plotly_chart(figure, theme=None, config=chart_config(name), key=key, alt=alt, **more)


def chart_config(name: str) -> dict[str, Any]:
    """A chart with one button at its corner: it saves the picture under this name, in the browser."""
    picture = {"format": "png", "filename": name, "scale": 3, "width": SAVED_WIDTH}
    return {
        "displayModeBar": True, "displaylogo": False, "modeBarButtons": [["toImage"]], "toImageButtonOptions": picture,
    }  # fmt: skip


_NAME_LINE = 22
"""Letters of a line in a column of names: with it and a column of numbers a phone is full."""


def wide_table(
    cells: Mapping[str, Sequence[str]], *, alt: str, limit: int = 300, place: Callable[..., object] = st.table
) -> None:
    """A table whose numbers do not wrap, so that a narrow screen scrolls it instead of breaking them.

    The names in its first column do, into lines of a few words: on a phone the numbers would begin off the screen.

    Args:
        cells: The columns by their names.
        alt: What it shows, for people who do not see it.
        limit: Letters of a cell at most.
        place: Draws it.
    """
    shown = {whole(name): [whole(literal(cell, limit)) for cell in column] for name, column in cells.items()}
    for first, column in list(cells.items())[:1]:
        lines = [
            wrap(literal(cell, limit), _NAME_LINE, break_long_words=False, break_on_hyphens=False) for cell in column
        ]
        shown[whole(first)] = [" ".join(map(whole, words)) for words in lines]
    place(shown, border="horizontal", alt=alt)
