"""Stored sessions as records; records as pandas tables and as the charts of the pages."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tale_core.ask.run import AskView
from tale_core.ask.run import view_of as ask_of
from tale_core.charts.ask import token_bars
from tale_core.charts.elasticity import curve
from tale_core.charts.experiments import tradeoff
from tale_core.charts.search import search_chart
from tale_core.charts.theme import DARK, LIGHT, Palette
from tale_core.datasets import Loaded
from tale_core.elasticity.text import comparable
from tale_core.elasticity.view import SweepView
from tale_core.errors import InputError
from tale_core.experiments import ExperimentResults
from tale_core.experiments.export import row_document
from tale_core.experiments.run import ExperimentView
from tale_core.experiments.run import view_of as experiment_of
from tale_core.i18n import t
from tale_core.runs import views as studies
from tale_core.runs.documents import ask_document, point_document, step_document
from tale_core.search.view import SearchView
from tale_core.store import Store, open_store

if TYPE_CHECKING:
    import pandas
    from plotly.graph_objects import Figure

log = logging.getLogger(__name__)

View = AskView | SearchView | SweepView | ExperimentView


def open_session(session_id: str, *, store: Store | None = None) -> View:
    """A stored Ask, search, sweep or experiment, as the function that made it returned it.

    Raises:
        NotFoundError: No such session.
        StoreError: It cannot be read.
    """
    where = store or open_store()
    session = where.get_session(session_id)
    if session.kind == "experiment":
        return experiment_of(where, session_id)
    return ask_of(session) if session.kind == "ask" else studies.view_of(session)


def table(record: View | ExperimentResults | Loaded) -> pandas.DataFrame:
    """A record as a pandas table, with the names that `--json` has: answers, steps, levels, strategies or questions.

    Raises:
        InputError: It is nothing that has a table.
    """
    import pandas

    return pandas.json_normalize(_rows(record))


def plot(
    record: View | ExperimentResults, *, overlays: Mapping[str, SweepView] | None = None, dark: bool = False
) -> Figure:
    """The chart that the page draws of a record, as a plotly figure.

    Args:
        record: What `ask`, `search`, `sweep` or `run` returned.
        overlays: Other sweeps by name, laid over a sweep.
        dark: In the colours of the dark theme.

    Raises:
        InputError: It has no chart, or nothing to draw yet.
    """
    colors = DARK if dark else LIGHT
    match record:
        case ExperimentView() | ExperimentResults():
            found = record.results if isinstance(record, ExperimentView) else record
            figure = tradeoff(found, colors=colors) if found else None
        case SearchView():
            figure = search_chart(record.steps, colors=colors) if record.steps else None
        case SweepView():
            figure = _curve(record, overlays or {}, colors) if record.result else None
        case AskView():
            figure = token_bars(record, colors=colors)
        case _:
            raise InputError(
                t("{kind} has no chart.", kind=type(record).__name__),
                t("Give what ask, search, sweep or run returned."),
            )
    if figure is None:
        raise InputError(
            t("There is nothing to draw yet."),
            t("It needs at least one answer; a chart of an experiment needs known answers too."),
        )
    return figure


def _curve(view: SweepView, overlays: Mapping[str, SweepView], colors: Palette) -> Figure:
    shares, drawn, left_out = comparable(view, tuple(overlays.items()))
    for words in left_out:
        log.warning("%s", words)
    return curve(view, drawn, shares=shares, colors=colors)


def _rows(record: object) -> list[dict[str, Any]]:
    if isinstance(record, ExperimentView):
        record = record.results
    match record:
        case AskView():
            return [{"role": role} | row for role, row in ask_document(record)["answers"].items() if row]
        case SearchView():
            return [{"step": step.index} | step_document(step) for step in record.steps]
        case SweepView():
            return [point_document(point) for point in record.result.points] if record.result else []
        case ExperimentResults():
            return [row_document(row) for row in record.rows]
        case Loaded():
            return [asdict(question) for question in record.questions]
    raise InputError(
        t("{kind} has no table.", kind=type(record).__name__),
        t("Give what ask, search, sweep, run or load_dataset returned."),
    )
