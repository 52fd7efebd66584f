"""Ways to answer a question, by name.

A strategy says what to ask; `QuestionCaller` sends, stores and grades every call, so a strategy has no client, no store
and no limits. Prompt template and sampling come from the caller: every strategy of a run shares them, except where a
name ends in `@template`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from tale_core.calls.record import Step
from tale_core.errors import InputError
from tale_core.estimators import TrainedEstimator, trained
from tale_core.grading.lines import evaluated
from tale_core.i18n import t
from tale_core.prompts import messages as prompts
from tale_core.strategies.base import TOOL_MARK, Attempt, BudgetPredictor, Family, Offer, QuestionCaller, Strategy
from tale_core.strategies.estimated import MOST_PROBES, TalePredicted
from tale_core.strategies.kinds import KINDS, Tuned

__all__ = [
    "KINDS",
    "MOST_PROBES",
    "NAMES",
    "TOOL_MARK",
    "USUAL",
    "Attempt",
    "BudgetPredictor",
    "Family",
    "Offer",
    "QuestionCaller",
    "Step",
    "Strategy",
    "Tuned",
    "estimator_key",
    "family",
    "hint_of",
    "kind_of",
    "needs_adapter",
    "offered",
    "strategies",
    "strategy",
    "title_of",
    "tool_of",
    "trained_for",
    "usual",
]

NAMES = tuple(kind.PATTERN for kind in KINDS)
"""What `strategy` understands, for people; each may end in @ and one of `prompts.TEMPLATES`."""


def strategy(name: str, estimators: Mapping[str, BudgetPredictor] | None = None) -> Strategy:
    """The strategy of this name.

    Args:
        name: See `NAMES`; "fixed:50@words" asks in another template than the run's.
        estimators: Trained ones, by "calibrated" and "regression"; those for another template than the run's by
            "calibrated@words" and so on.

    Raises:
        InputError: No such name, a wrong budget, level or template, or something that has to be trained first.
    """
    bare, at, template = (part.strip() for part in name.strip().partition("@"))
    chosen = prompts.template(template) if at else None
    kind = kind_of(bare)
    if kind is None:
        raise InputError(t("There is no strategy {name!r}.", name=bare[:60]), _choose())
    found = kind.make(bare, f"@{chosen.name}" if chosen else "", estimators or {})
    if chosen is None:
        return found
    if not found.worded:
        raise InputError(
            t(
                "{name!r} asks for a prompt template, but {strategy} has a prompt of its own.",
                name=name[:60],
                strategy=found.name,
            ),
            t("Leave it out."),
        )
    return replace(found, template=chosen.name)


def kind_of(name: str) -> type[Strategy] | None:
    """The kind of strategy that a name without a template begins with; None for one that is unknown."""
    head, colon, _ = name.partition(":")
    return next((kind for kind in KINDS if kind.head() == head and (":" in kind.PATTERN or not colon)), None)


def needs_adapter(name: str) -> bool:
    """Whether a strategy answers with an adapter, which may be gone by now."""
    kind = kind_of(name)
    return kind is not None and issubclass(kind, Tuned)


def title_of(name: str, *, brief: bool = False) -> str:
    """A strategy's name for people, whatever is trained or still there; of one that is unknown, what was given.

    Args:
        name: As stored.
        brief: `TOOL_MARK` stands for "evaluated by a calculator", for a chart with a note of it.
    """
    bare, _, template = name.partition("@")
    kind = kind_of(bare)
    if kind is not None and kind.TRAINED and (":" in bare) == (":" in kind.PATTERN):
        return kind.titled(bare.partition(":")[2], template if kind.worded else "", brief=brief)
    try:
        one = strategy(name)
        return one.titled(one.argument, one.template, brief=brief)
    except InputError:
        return name


def family(strategy: str) -> Family:
    """What a strategy has in common with others of its colour; of imported ones, which may be unknown, by the name."""
    bare = strategy.partition("@")[0]
    if kind := kind_of(bare):
        return kind.FAMILY
    return "budgeted" if bare.startswith("tale-") else "brief"


def hint_of(name: str) -> str:
    """What a strategy without a template of its own does, in a sentence; "" for one that is unknown."""
    kind = kind_of(name)
    return t(kind.about(name.partition(":")[2]).hint) if kind else ""


def tool_of(name: str) -> str | None:
    """The tool that a strategy's answers are worked out with: "calculator", or none."""
    bare, _, template = name.partition("@")
    kind = kind_of(bare)
    template = template or (kind.about(bare.partition(":")[2]).template if kind else "")
    return "calculator" if evaluated(template) else None


def offered(offer: Offer) -> list[str]:
    """The strategies that pages offer in a list, for what there is."""
    return [name for kind in KINDS for name in kind.offered(offer)]


def usual(offer: Offer) -> list[str]:
    """The strategies that are compared where nobody has chosen, for what there is."""
    return [name for kind in KINDS if kind.USUAL for name in kind.offered(offer)]


USUAL = tuple(usual(Offer()))
"""Those of them that need nothing."""


def trained_for(names: Sequence[str], model: str, template: str) -> dict[str, TrainedEstimator]:
    """The trained estimators that these strategies need, by the names that `strategy` looks for."""
    found: dict[str, TrainedEstimator] = {}
    for key in filter(None, map(estimator_key, names)):
        kind, _, own = key.partition("@")
        by_kind = trained(model=model, template=own or template)
        if kind in by_kind:
            found[key] = by_kind[kind]
    return found


def estimator_key(name: str) -> str | None:
    """What the trained estimator of a strategy is called among those given to `strategy`; None where it needs none."""
    bare, at, template = name.partition("@")
    kind = kind_of(bare)
    return f"{kind.KIND}{at}{template}" if kind is not None and issubclass(kind, TalePredicted) else None


def strategies(comma_list: str, estimators: Mapping[str, BudgetPredictor] | None = None) -> tuple[Strategy, ...]:
    """The strategies of a comma list, in its order and each once.

    Raises:
        InputError: See `strategy`; or the list is empty.
    """
    names = [name for name in comma_list.split(",") if name.strip()]
    if not names:
        raise InputError(t("No strategies were named."), _choose())
    return tuple({found.name: found for found in (strategy(name, estimators) for name in names)}.values())


def _choose() -> str:
    return t("Choose from: {names}.", names=", ".join(NAMES))
