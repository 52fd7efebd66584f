"""Ways to answer a question, by name.

A strategy says what to ask; whoever runs it (`Caller`) sends, stores and grades every call, so a strategy knows no
client, no store and no limits. Prompt template and sampling come from the caller: every strategy of a run shares them,
except where a name ends in `@wording`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import get_args

from tale_core import prompts
from tale_core.errors import InputError
from tale_core.estimators import estimator
from tale_core.i18n import N_, t
from tale_core.models import adapters
from tale_core.strategies.base import Attempt, BudgetPredictor, Caller, Step, Strategy
from tale_core.strategies.kinds import (
    MOST_PROBES,
    ChainOfDraft,
    Concise,
    Direct,
    FixedBudget,
    Oracle,
    Reworded,
    TalePredicted,
    TaleZeroShot,
    Tuned,
    Vanilla,
)
from tale_core.types import TUNED, ReasoningEffort

__all__ = [
    "MOST_PROBES",
    "NAMES",
    "Attempt",
    "BudgetPredictor",
    "Caller",
    "Step",
    "Strategy",
    "Tuned",
    "check_base",
    "strategies",
    "strategy",
    "title_of",
    "tuned",
]


def _plain() -> tuple[Strategy, ...]:
    """Those whose names say all, with their words in the reader's language."""
    return (
        Direct(
            "direct",
            t("Direct answer"),
            t("The answer alone, without reasoning: the fewest tokens a model can use."),
            worded=False,
        ),
        Vanilla(
            "vanilla",
            t("Vanilla"),
            t("Reasoning step by step, without a budget: what the others are compared with."),
        ),
        TaleZeroShot(
            "tale-zero-shot",
            t("TALE, zero-shot"),
            t("The model names a budget for the question, then keeps to it."),
            (2, 2),
        ),
        Oracle(
            "oracle",
            t("Searched optimum"),
            t(
                "A search finds the best budget of each question. It uses the known answer, so it shows what is "
                "possible, not what a method without it can reach."
            ),
            (1, 1 + MOST_PROBES),
            needs_answer=True,
        ),
        ChainOfDraft(
            "chain-of-draft",
            t("Chain of Draft"),
            t("Steps of five words at most; weak below 3 billion parameters."),
            worded=False,
        ),
        Concise("concise", t("Concise"), t("The vanilla prompt that also asks to be brief, without a number.")),
    )


_PREDICTED = {
    "tale-calibrated": (
        "calibrated",
        N_("TALE, calibrated"),
        N_("The model's own estimate, corrected by what searches found."),
    ),
    "tale-regression": (
        "regression",
        N_("TALE, regression"),
        N_("A regression trained on searches names the budget."),
    ),
}
NAMES = (*(s.name for s in _plain()), "fixed:N", "effort:LEVEL", "tale-calibrated", "tale-regression", "tuned:NAME")
"""What `strategy` understands, for people; each may end in @ and one of `prompts.TEMPLATES`."""


def strategy(name: str, estimators: Mapping[str, BudgetPredictor] | None = None) -> Strategy:
    """The strategy of this name.

    Args:
        name: See `NAMES`; "fixed:50@words" asks in another wording than the run's.
        estimators: Trained ones, by "calibrated" and "regression"; those for another wording than the run's by
            "calibrated@words" and so on.

    Raises:
        InputError: No such name, a wrong budget, level or wording, or something that has to be trained first.
    """
    bare, at, wording = name.strip().partition("@")
    if not at:
        return _named(bare.strip(), "", estimators or {})
    chosen = prompts.template(wording.strip())
    found = _named(bare.strip(), f"@{chosen.name}", estimators or {})
    if not found.worded:
        raise InputError(
            t(
                "{name!r} asks for a wording, but {strategy} has a prompt of its own.",
                name=name[:60],
                strategy=found.name,
            ),
            t("Leave it out."),
        )
    return Reworded(found, chosen.name)


def _named(name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
    for plain in _plain():
        if plain.name == name:
            return plain
    if name in _PREDICTED:
        return _predicted(name, at, estimators)
    head, _, argument = name.partition(":")
    if head == "fixed":
        return _fixed(name)
    if head == "effort":
        return _effort(name, argument)
    if head == "tuned":
        return tuned(argument)
    raise InputError(t("There is no strategy {name!r}.", name=name[:60]), _choose())


def title_of(name: str) -> str:
    """A strategy's name for people, whatever is trained or still there; of one that is unknown, what was given."""
    bare, _, wording = name.partition("@")
    if bare.startswith(TUNED):
        return t("Fine-tuned: {name}", name=bare.removeprefix(TUNED))
    if bare in _PREDICTED:
        title = t(_PREDICTED[bare][1])
        return t("{strategy}, wording {wording}", strategy=title, wording=wording) if wording else title
    try:
        return strategy(name).title
    except InputError:
        return name


def tuned(name: str) -> Tuned:
    """The strategy of an adapter.

    Raises:
        InputError: There is no adapter of this name.
        AdapterFileError: Its description is damaged.
    """
    one = adapters.find(name)
    hint = t("A model fine-tuned to be brief by itself, asked the plain question.")
    return Tuned(
        f"{TUNED}{one.name}",
        title_of(f"{TUNED}{one.name}"),
        hint,
        worded=False,
        adapter=one.key,
        base=one.about.base,
    )


def check_base(one: Tuned, model: str) -> None:
    """Check that the model is the one that the adapter belongs to.

    Raises:
        InputError: It is another one.
    """
    if one.base != model:
        found = adapters.find(one.adapter)
        raise InputError(adapters.other_base(found, model), adapters.choose_base(found))


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


def _fixed(name: str) -> Strategy:
    budget = int(estimator(name).name.removeprefix("fixed:"))  # It says in words what is no budget.
    title = t("Fixed budget of {budget} tokens", budget=budget)
    return FixedBudget(f"fixed:{budget}", title, t("The same budget for every question."), budget=budget)


def _effort(name: str, argument: str) -> Strategy:
    for level in get_args(ReasoningEffort):
        if level == argument:
            hint = t("The provider's own setting for how much a model reasons; the prompt is the vanilla one.")
            return Vanilla(name, t("Native effort: {level}", level=level), hint, effort=level)
    levels = ", ".join(f"effort:{level}" for level in get_args(ReasoningEffort))
    raise InputError(
        t("{name!r} is no level of reasoning effort.", name=name[:60]), t("Choose one of: {names}.", names=levels)
    )


def _predicted(name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
    key, title, hint = _PREDICTED[name]
    if f"{key}{at}" not in estimators:
        raise InputError(
            t(
                "The strategy {name!r} is not available until an estimator is trained for the model and wording.",
                name=name + at,
            ),
            t("Train one, or choose tale-zero-shot."),
        )
    predictor = estimators[f"{key}{at}"]
    calls = (2, 2) if predictor.needs_zero_shot else (1, 1)
    return TalePredicted(name, t(title), t(hint), calls, predictor=predictor)
