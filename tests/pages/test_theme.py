"""Charts are drawn in the colours of the theme that the page around them has."""

from __future__ import annotations

import tomllib

import pytest

from tale_core.charts.theme import DARK, LIGHT, Palette
from tale_core.settings import REPO_ROOT


@pytest.mark.parametrize(("name", "palette"), [("light", LIGHT), ("dark", DARK)])
def test_a_chart_has_the_ground_and_the_text_colour_of_its_page(name: str, palette: Palette) -> None:
    theme = tomllib.loads((REPO_ROOT / ".streamlit" / "config.toml").read_text(encoding="utf-8"))["theme"][name]
    assert (palette.page, palette.text) == (theme["backgroundColor"], theme["textColor"])
