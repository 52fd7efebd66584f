"""Training examples out of the store. Knows the store and the rules of `examples`; knows no torch."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from tale_core.datasets import Loaded
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.store import Store, stored_answers
from tale_core.tuning import solutions
from tale_core.tuning.examples import Examples, Selection, build


def examples_from_store(
    store: Store, *, model: str, selection: Selection, exclude: Collection[str] = (), parent: str = ""
) -> Examples:
    """The examples that a model's own stored answers give.

    Args:
        store: Where searches and experiments are.
        model: Catalog name, or the endpoint's.
        selection: Which answers.
        exclude: Keys of questions that are kept for an evaluation.
        parent: Key of the adapter that the training goes on from: its answers count as the model's.

    Raises:
        InputError: A number of the selection is out of range.
    """
    selection.validate()
    found = stored_answers(store, model=model, sessions_only=selection.sessions, adapter=parent)
    return build(found, selection, exclude=exclude)


def examples_from_solutions(
    sets: Sequence[Loaded],
    store: Store,
    *,
    model: str,
    selection: Selection,
    exclude: Collection[str] = (),
    parent: str = "",
) -> Examples:
    """The examples that the worked solutions of data sets give; the model's own answers are what DPO rejects.

    Args:
        sets: Data sets with solutions.
        store: Where the model's own answers are.
        model: Catalog name, or the endpoint's.
        selection: Which of them.
        exclude: Keys of questions that are kept for an evaluation.
        parent: Key of the adapter that the training goes on from: its wrong answers are the first to be rejected.

    Raises:
        InputError: A number of the selection is out of range, or a set without a single solution.
    """
    selection.validate()
    for one in sets:
        if not one.solutions:
            raise InputError(
                t("The answers of {set} have no worked solutions.", set=one.name),
                t("A solution stands in the answer, before ####: “2 + 3 = 5 pens. #### 5”."),
            )
    stored = stored_answers(store, model=model, sessions_only=selection.sessions, adapter=parent)
    questions = [q for one in sets for q in one.questions]
    solved = {name: text for one in sets for name, text in one.solutions.items()}
    return build(solutions.answers(questions, solved, stored), selection, exclude=exclude)
