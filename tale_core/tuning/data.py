"""Training examples out of the store. Knows the store and the rules of `examples`; knows no torch."""

from __future__ import annotations

from collections.abc import Collection

from tale_core.store import Store, stored_answers
from tale_core.tuning.examples import Examples, Selection, build


def examples_from_store(store: Store, *, model: str, selection: Selection, exclude: Collection[str] = ()) -> Examples:
    """The examples that a model's own stored answers give.

    Args:
        store: Where searches and experiments are.
        model: Catalog name, or the endpoint's.
        selection: Which answers.
        exclude: Keys of questions that are kept for an evaluation.

    Raises:
        InputError: A number of the selection is out of range.
    """
    selection.validate()
    found = stored_answers(store, model=model, sessions_only=selection.sessions)
    return build(found, selection, exclude=exclude)
