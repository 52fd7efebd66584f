"""The colours of the theme that the viewer has chosen."""

from __future__ import annotations

import streamlit as st

from tale_core.charts.theme import DARK, FONT, LIGHT, Palette

__all__ = ["DARK", "FONT", "LIGHT", "Palette", "palette"]


def palette() -> Palette:
    """The colours of the theme that the viewer has chosen."""
    return DARK if st.context.theme.type == "dark" else LIGHT
