"""The Experiments page as a test opens, fills and reads it."""

from __future__ import annotations

import json
import re
from typing import Any

from streamlit.testing.v1 import AppTest

from tale_core.models.choice import ModelChoice
from tests.pages import experiment_samples as samples
from tests.pages.app_page import opened
from ui.experiments import data as experiments_data

PAGE = "pages/Experiments.py"
HOSTILE = "<img src=x onerror=alert(1)> $x^2$ [a](javascript:alert(1)) :red[x] \u202eevil"


def page(*, experiment: str | None = None, use: ModelChoice | None = None, **state: object) -> AppTest:
    """The Experiments page, drawn once, in a browser session of its own."""
    return opened(PAGE, address={} if experiment is None else {"experiment": experiment}, use=use, **state)


def shown(**kept: Any) -> AppTest:
    at = page(experiment=samples.kept(**kept))
    assert not at.exception
    return at


def cells(at: AppTest, place: int) -> dict[str, list[str]]:
    """A table as people read it; the first is the sheet's, the second that of the key columns, then that of all."""
    plain = {name: list(column) for name, column in at.table[place].value.to_dict("list").items()}
    return {read(name): [read(str(cell)) for cell in column] for name, column in plain.items()}


def read(text: str) -> str:
    return re.sub(r"\\(_|[^\w\s])", r"\1", text).replace("\u2060", "").replace("\xa0", " ")


def sheet(at: AppTest) -> str:
    return "\n".join(f"{name}: {read(str(told))}" for name, told in at.table[0].value["value"].items())


def charts(at: AppTest) -> list[dict[str, Any]]:
    return [json.loads(node.proto.spec) for node in at.main if node.type == "plotly_chart"]


def experiment_id(at: AppTest) -> str:
    return str(at.query_params["experiment"])


def box(at: AppTest, label: str) -> Any:
    """The last box of this name: those of the result stand below those of the form."""
    return [one for one in at.selectbox if one.label == label][-1]


def run(at: AppTest, *, questions: int = 3, strategies: tuple[str, ...] = ("direct", "vanilla"), fixed: str = "50",
        **caps: int) -> AppTest:  # fmt: skip
    """Fill the form and press Run; returns when the experiment has ended."""
    at.number_input(key="exp_limit").set_value(questions)
    at.multiselect(key="exp_strategies").set_value(list(strategies))
    at.text_input(key="exp_fixed").input(fixed)
    for name, value in caps.items():
        at.number_input(key=f"exp_{name}").set_value(value)
    return at.run().button(key="run").click().run()


def upload(at: AppTest, name: str, text: str) -> AppTest:
    at.selectbox(key="exp_dataset").set_value(experiments_data.UPLOAD).run()
    at.file_uploader(key="exp_file").set_value((name, text.encode(), "text/plain"))
    return at.run()
