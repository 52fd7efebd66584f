"""The axes of tokens: how their numbers are written."""

from __future__ import annotations

from typing import Any

import pytest

from tale_core.charts import elasticity, search
from tests.pages import search_samples, sweep_samples

FIGURES: dict[str, Any] = {
    "search": lambda: search.search_chart(search_samples.steps()),
    "sweep": lambda: elasticity.curve(sweep_samples.rebound()),
}


@pytest.mark.parametrize("name", FIGURES)
def test_a_step_below_one_token_is_written_out_and_no_number_is_said_twice(name: str) -> None:
    written = FIGURES[name]().layout.yaxis.tickformat
    # By d3-format: "~" leaves out zeros at the end; a number of digits, or "d", would round 0.5 to the next label.
    assert written == ",~f"
