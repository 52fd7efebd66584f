"""Budget estimators, by name.

`tale_core.estimators.kinds` says which there are. Some are trained on searches, for one model and prompt template each
(`tale_core.estimators.saved` keeps them); scikit-learn is imported when one of these predicts.
"""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncGenerator
from contextlib import aclosing, suppress
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from tale_core.errors import EstimatorFileError, InputError, TaleError
from tale_core.estimators.base import FALLBACK_BUDGET, MAX_BUDGET, Estimator, parse_budget
from tale_core.estimators.kinds import KINDS, patterns
from tale_core.estimators.predictor import TrainedEstimator
from tale_core.estimators.zero_shot import ZeroShot
from tale_core.i18n import t
from tale_core.types import Client, Delta, Estimate, Question, Sampling

__all__ = [
    "FALLBACK_BUDGET",
    "KINDS",
    "MAX_BUDGET",
    "Estimator",
    "TrainedEstimator",
    "ZeroShot",
    "chosen_estimator",
    "estimator",
    "load_ahead",
    "offered",
    "parse_budget",
    "patterns",
    "trained",
    "trained_kinds",
    "usual_estimator",
    "vanilla_tokens",
]


@dataclass(frozen=True, slots=True)
class Saved:
    """A trained estimator that is loaded when it is first asked."""

    path: Path
    name: str
    asks_model: bool

    async def estimate(
        self, question: Question, client: Client, *, run: Sampling | None = None
    ) -> AsyncGenerator[Delta | Estimate, None]:
        """See `Estimator.estimate`.

        Raises:
            EstimatorFileError: The file is damaged.
        """
        from tale_core.estimators import saved

        # In a thread: it imports scikit-learn, and answers of others are streaming.
        loaded = await asyncio.to_thread(saved.load, self.path)
        async with aclosing(loaded.estimate(question, client, run=run)) as stream:
            async for item in stream:
                yield item


def estimator(name: str, *, model: str = "", template: str = "") -> Estimator:
    """The estimator of this name.

    Args:
        name: See `patterns`; a trained one with :VERSION or :FILE.skops to name which.
        model: Whose answers the budget is for; only trained ones need it.
        template: The answers' prompt template; likewise.

    Raises:
        InputError: No such name; a budget that is not a whole number from 1 to MAX_BUDGET; nothing trained for this
            model and prompt template, or a file for another one.
        EstimatorFileError: The named file cannot be used.
    """
    head, colon, argument = name.partition(":")
    kind = KINDS.get(head)
    if kind is None or (colon and not kind.argument and not (argument and kind.training)):
        raise InputError(
            t("There is no estimator {name!r}.", name=name[:60]),
            t("Choose from: {names}. For example fixed:50.", names=patterns()),
        )
    return kind.make(argument) if kind.make else _saved(kind.name, argument, model, template)


def trained(*, model: str, template: str) -> dict[str, TrainedEstimator]:
    """The estimators in use for a model and template, loaded, by kind; only those there are."""
    from tale_core.estimators import saved

    kinds = trained_kinds(model=model, template=template)
    return {kind: saved.find(saved.Use(kind, model, template)).load() for kind in kinds}


def trained_kinds(*, model: str, template: str) -> tuple[str, ...]:
    """Which kinds are trained for a model and template, the better informed first."""
    from tale_core.estimators import saved

    there = {s.use.kind for s in saved.listing().estimators if s.use[1:] == (model, template)}
    return tuple(kind for kind in KINDS if kind in there)


def offered(*, model: str, template: str) -> list[str]:
    """The kinds that can be used for a model and template, in order: all that need no training, and what is trained."""
    there = trained_kinds(model=model, template=template)
    return [name for name, kind in KINDS.items() if kind.make or name in there]


@lru_cache(maxsize=32)
def load_ahead(model: str) -> None:
    """Begin to load, once and in a thread of its own, what is in use for a model.

    The first prediction imports scikit-learn, which takes seconds on a small machine: better while a question is being
    typed than after it was asked. What cannot be loaded is told when it is used.
    """
    threading.Thread(target=_load_ahead, args=(model,), name="tale-estimator", daemon=True).start()


def _load_ahead(model: str) -> None:
    from tale_core.estimators import saved

    with suppress(TaleError):
        for use in {s.use for s in saved.listing().estimators if s.use.model == model}:
            saved.find(use).load()


def vanilla_tokens(question: Question, *, model: str) -> int | None:
    """Tokens that this model's answer without a budget is expected to take, where a trained estimator can tell.

    Nothing waits for scikit-learn, which takes seconds to import: until `load_ahead` or a prediction has brought it,
    nothing is told.
    """
    if "sklearn" not in sys.modules:
        return None
    from tale_core.estimators import saved

    mine = [one for one in saved.listing().estimators if one.use.model == model and one.metadata.length]
    return mine[0].load().vanilla_tokens(question) if mine else None


def usual_estimator(*, model: str, template: str) -> str:
    """The estimator to use while nobody has chosen one: a trained one if there is any, else the model's own."""
    return offered(model=model, template=template)[0]


def chosen_estimator(name: str | None, budget: int | None, *, model: str, template: str) -> str:
    """The estimator's name where a budget may be given in its place, or neither."""
    return f"fixed:{budget}" if budget is not None else name or usual_estimator(model=model, template=template)


def _saved(kind: str, which: str, model: str, template: str) -> Saved:
    from tale_core.estimators import archive, saved

    if not model or not template:
        raise InputError(
            t("The estimator {kind!r} is trained for one model and prompt template.", kind=kind),
            t("Name a model as well."),
        )
    use = saved.Use(kind, model, template)
    if not which.endswith(saved.SUFFIX):
        found = saved.find(use, which)
        return Saved(found.path, f"{kind}:{found.metadata.version}", found.metadata.reads_estimate)
    path = Path(which)
    try:
        metadata = archive.metadata_of(path.read_bytes(), where=path.name)
    except OSError as e:
        raise EstimatorFileError(
            t("{path} cannot be read: {why}.", path=path, why=e.strerror), t("Name another file or a version.")
        ) from e
    theirs = (metadata.kind, metadata.model, metadata.template)
    if theirs != tuple(use):
        raise InputError(
            t("{file} is {theirs}, not {wanted}.", file=path.name, theirs=_use_words(*theirs), wanted=_use_words(*use)),
            t("Name another file."),
        )
    return Saved(path, f"{kind}:{metadata.version}", metadata.reads_estimate)


def _use_words(kind: str, model: str, template: str) -> str:
    return t("{kind} for {model} with the template {template!r}", kind=kind, model=model, template=template)
