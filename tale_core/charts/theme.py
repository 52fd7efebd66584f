"""One meaning, one colour, for charts and badges; the same values as in `.streamlit/config.toml`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from tale_core.calls.outcomes import OUTCOMES
from tale_core.drawing.text import plain, shortened, wrapped
from tale_core.types import Outcome

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

_LIGHT = {outcome: kind.light for outcome, kind in OUTCOMES.items()}
_DARK = {outcome: kind.dark for outcome, kind in OUTCOMES.items()}


class Palette(NamedTuple):
    """Colours of one theme (hex).

    Attributes:
        outcomes: Of the marks of each outcome.
    """

    vanilla: str
    budgeted: str
    tuned: str
    text: str
    faint: str
    page: str
    outcomes: Mapping[Outcome, str]


LIGHT = Palette("#56657a", "#0b7d74", "#7a4fbf", text="#10171f", faint="#e3e8ec", page="#ffffff", outcomes=_LIGHT)
DARK = Palette("#94a3b8", "#35c4b4", "#b493ee", text="#e6ebf0", faint="#26313c", page="#11171d", outcomes=_DARK)

FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
"""That of the pages: a chart asks for it by itself."""
TOKEN_TICKS = ",~f"
"""How an axis of tokens writes its numbers: steps below one are written out, for rounding would say a number twice."""
SAVED_WIDTH = 1000
"""Pixels of a chart that is saved as a picture, whatever screen it was on."""
TITLE_LETTERS = 100
"""Letters of a line of the title: what fits into a saved picture."""
TITLE_ROOM = 58
"""Pixels above the plot for a title of no line, with what it is about below it."""
TITLE_LINE = 20


def graph_objects() -> Any:
    """`plotly.graph_objects`, imported when a chart is drawn."""
    # Plotly takes pandas from sys.modules; while another thread still imports it, that is half a module.
    import pandas  # noqa: F401
    import plotly.graph_objects

    return plotly.graph_objects


def axis(colors: Palette) -> dict[str, Any]:
    """How an axis of a chart looks that can be saved as a picture."""
    return {
        "gridcolor": colors.faint, "linecolor": colors.vanilla, "zeroline": False, "fixedrange": True,
        "tickfont": {"size": 13}, "title_font": {"size": 13}, "automargin": True, "title_standoff": 12,
        "ticks": "outside", "tickcolor": colors.faint,
    }  # fmt: skip


def layout(
    figure: Figure, title: str, about: str, colors: Palette, *, height: int, left: int = 64, **more: Any
) -> None:
    """The layout of a chart that can be saved as a picture, which has nothing else to say what it shows.

    Plotly breaks no title into lines, and nobody knows here how wide the chart will be. So a page draws the title
    itself, above the chart, as text that fills the width there is (`meta` keeps it for that); the picture that is
    saved is always as wide, and has it inside.

    Args:
        figure: To be laid out.
        title: What it shows.
        about: Whom and what was asked.
        colors: Of the theme to draw it in.
        height: In pixels.
        left: Room for the words of the vertical axis, in pixels.
        more: Whatever else plotly's layout takes.
    """
    about = shortened(about, TITLE_LETTERS, placeholder=" …")
    lines = [plain(line) for line in wrapped(title, TITLE_LETTERS)]
    figure.update_layout(
        template="none",
        height=height,
        meta={"title": plain(title), "about": plain(about)},
        title={
            "text": "<br>".join(lines), "x": 0, "xref": "container", "xanchor": "left", "y": 1, "yanchor": "top",
            "font": {"size": 16, "weight": 600, "color": colors.text}, "pad": {"l": 4, "t": 24},
            "subtitle": {"text": plain(about), "font": {"size": 13, "color": colors.vanilla}},
        },
        margin={"l": left, "r": 12, "t": TITLE_ROOM + TITLE_LINE * len(lines), "b": 54},
        font={"family": FONT, "color": colors.text, "size": 13},
        # Not see-through: the saved picture has to be legible on any page.
        paper_bgcolor=colors.page,
        plot_bgcolor="rgba(0,0,0,0)",
        hoverlabel={"font": {"family": FONT, "size": 13}},
        modebar={"bgcolor": "rgba(0,0,0,0)", "color": colors.vanilla, "activecolor": colors.budgeted},
        dragmode=False,
        **more,
    )  # fmt: skip
    # What is clicked opens an answer; the rest of the chart does not fade for it.
    figure.update_traces(unselected={"marker": {"opacity": 1}}, selector={"type": "scatter"})
