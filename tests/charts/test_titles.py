"""A chart's title: one line of the saved picture, whole text for the page, which breaks it by itself."""

from __future__ import annotations

import plotly.graph_objects as go

from tale_core.charts.theme import LIGHT, SAVED_WIDTH, layout
from tale_core.drawing.text import unescaped
from ui.common.charts import chart_config


def test_a_title_keeps_its_whole_text_for_the_page_and_fits_the_picture_that_is_saved() -> None:
    title = "Fixed budget of 50 tokens: 62 % fewer output tokens, 1.2 points less right <b>"
    figure = go.Figure()
    layout(figure, title, "model · $5 " + "and more " * 40, LIGHT, height=300)
    assert unescaped(figure.layout.meta["title"]) == title and "<br>" not in figure.layout.title.text
    assert "&lt;b&gt;" in figure.layout.title.text and len(figure.layout.meta["about"]) <= 100
    # Bold letters of 16 px are about 9 px wide; the picture is as wide on every screen.
    assert 9 * len(title) < SAVED_WIDTH == chart_config("name")["toImageButtonOptions"]["width"]
