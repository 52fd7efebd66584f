"""An imported experiment beside one of ours, on the questions that both hold."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from tale_core.experiments.columns import Compared
from tale_core.experiments.import_predictions import same_question
from tale_core.experiments.table import Difference, StrategyRow, against, rows_of
from tale_core.store import ExperimentStore, Store, UnitFigures


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two experiments on the questions that they share.

    Attributes:
        shared: How many those are.
        mine: The strategies of the one, on them alone.
        theirs: Of the other.
        differences: For each strategy that both have: mine minus theirs, in pairs of a question.
    """

    shared: int
    mine: tuple[StrategyRow, ...]
    theirs: tuple[StrategyRow, ...]
    differences: tuple[Compared, ...]


def compare(store: Store, mine: str, theirs: str) -> Comparison | None:
    """Both experiments on their common questions; None when there are none.

    Raises:
        NotFoundError: No such experiment.
        StoreError: One is no experiment, or cannot be read.
    """
    experiments = ExperimentStore(store)
    places = {same_question(q): i for i, q in enumerate(experiments.questions(mine))}
    common = {
        i: places[key]
        for i, q in enumerate(experiments.questions(theirs))
        if (key := same_question(q)) in places
    }  # fmt: skip
    if not common:
        return None
    wanted = set(common.values())
    of_mine = [u for u in experiments.figures(mine) if u.position in wanted]
    of_theirs = [
        u._replace(position=common[u.position]) for u in experiments.figures(theirs) if u.position in common
    ]  # fmt: skip
    one, other = _rows(of_mine, _names(experiments, mine)), _rows(of_theirs, _names(experiments, theirs))
    both = [row.strategy for row in one if row.strategy in {r.strategy for r in other}]
    return Comparison(
        len(common), one, other, tuple(Compared(name, _difference(name, of_mine, of_theirs)) for name in both)
    )


def _names(experiments: ExperimentStore, experiment_id: str) -> Sequence[str]:
    names = experiments.head(experiment_id).plan.get("strategies")
    return [str(name) for name in names] if isinstance(names, list) else []


def _rows(figures: list[UnitFigures], names: Sequence[str]) -> tuple[StrategyRow, ...]:
    found = rows_of(figures, names, planned=0)
    return tuple(replace(row, planned=row.n) for row in found if row.n)


def _difference(name: str, mine: list[UnitFigures], theirs: list[UnitFigures]) -> Difference:
    one, other = ([u for u in units if u.strategy == name] for units in (mine, theirs))
    return against(one, other)
