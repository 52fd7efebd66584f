"""One meaning, one colour, for charts; the same values as in `.streamlit/config.toml`."""

from __future__ import annotations

from typing import Literal, NamedTuple

import streamlit as st

from tale_core.i18n import N_
from tale_core.types import Outcome

BadgeColor = Literal["green", "red", "yellow", "gray", "blue"]


class Palette(NamedTuple):
    """Colours of one theme (hex)."""

    vanilla: str
    budgeted: str
    tuned: str
    text: str
    faint: str
    page: str


LIGHT = Palette(vanilla="#56657a", budgeted="#0b7d74", tuned="#7a4fbf", text="#10171f", faint="#e3e8ec", page="#ffffff")
DARK = Palette(vanilla="#94a3b8", budgeted="#35c4b4", tuned="#b493ee", text="#e6ebf0", faint="#26313c", page="#11171d")

FONT = "system-ui, -apple-system, 'Segoe UI', 'Noto Sans', 'Noto Sans CJK SC', sans-serif"
"""That of the pages: a chart asks for it by itself."""

OUTCOMES: dict[Outcome, tuple[str, BadgeColor, str]] = {
    Outcome.CORRECT: (N_("Right"), "green", ":material/check:"),
    Outcome.WRONG: (N_("Wrong"), "red", ":material/close:"),
    Outcome.TRUNCATED: (N_("Cut off"), "yellow", ":material/content_cut:"),
    Outcome.UNPARSED: (N_("No readable answer"), "gray", ":material/help:"),
    Outcome.ERROR: (N_("Failed"), "red", ":material/error:"),
    Outcome.UNGRADED: (N_("Not graded"), "gray", ":material/remove:"),
}
"""Word (said with `t`), badge colour and icon of each outcome: never colour alone."""


def palette() -> Palette:
    """The colours of the theme that the viewer has chosen."""
    return DARK if st.context.theme.type == "dark" else LIGHT


_OUTCOME_LIGHT = {
    Outcome.CORRECT: "#0a7a4b",
    Outcome.WRONG: "#c8430a",
    Outcome.TRUNCATED: "#b07400",
    Outcome.UNPARSED: "#56657a",
    Outcome.ERROR: "#c8430a",
    Outcome.UNGRADED: "#56657a",
}
_OUTCOME_DARK = {
    Outcome.CORRECT: "#3ccf8e",
    Outcome.WRONG: "#ff8a57",
    Outcome.TRUNCATED: "#f0b83f",
    Outcome.UNPARSED: "#94a3b8",
    Outcome.ERROR: "#ff8a57",
    Outcome.UNGRADED: "#94a3b8",
}


def outcome_colors() -> dict[Outcome, str]:
    """The colour of each outcome in the viewer's theme (hex), for charts."""
    return _OUTCOME_DARK if st.context.theme.type == "dark" else _OUTCOME_LIGHT
