"""Which ways of asking an experiment compares: boxes, words for people, and the trained estimators that some need."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import streamlit as st

from tale_core.errors import InputError
from tale_core.estimators import trained
from tale_core.i18n import N_, t
from tale_core.models import adapters
from tale_core.models.choice import EMBEDDED, ModelChoice
from tale_core.presheet import parse_grid
from tale_core.strategies import BudgetPredictor, strategy
from tale_core.types import TUNED
from ui.text import literal

PLAIN = ("direct", "vanilla", "tale-zero-shot", "concise", "chain-of-draft", "oracle")
PREDICTED = {"tale-calibrated": N_("TALE, calibrated"), "tale-regression": N_("TALE, regression")}
EFFORTS = ("effort:low", "effort:medium", "effort:high")


def strategies_box(choice: ModelChoice) -> tuple[str, ...] | None:
    """The strategies that were chosen; None when the list of budgets is wrong."""
    template = str(st.session_state["exp_template"])
    offered = [*PLAIN, *_there(choice.model, template), *(EFFORTS if choice.kind != EMBEDDED else ())]
    if choice.kind == EMBEDDED and not choice.adapter:
        offered += [f"{TUNED}{a.name}" for a in adapters.of_base(choice.model)]
    # What a box does not offer it cannot hold: an opened experiment may name more than this model can do.
    st.session_state["exp_strategies"] = [n for n in st.session_state["exp_strategies"] if n in offered]
    several, fixed = st.columns([2.4, 1], vertical_alignment="top")
    with several:
        st.multiselect(
            t("Strategies"), offered, key="exp_strategies", format_func=title, persist_state="session",
            placeholder=t("Ways of asking"),
        )  # fmt: skip
    with fixed:
        typed = st.text_input(
            t("Fixed budgets, tokens"), key="exp_fixed", persist_state="session", placeholder=t("none"),
            help=t("Each number is a strategy of its own: the same budget for every question. Commas between."),
        )  # fmt: skip
    chosen = tuple(st.session_state["exp_strategies"])
    st.caption(
        "  \n".join(literal(t("{strategy}: {hint}", strategy=title(name), hint=hint(name)), 400) for name in chosen)
    )
    try:
        budgets = parse_grid(typed) if (typed or "").strip() else ()
    except InputError as e:
        st.error(literal(str(e), 600), icon=":material/error:")
        return None
    return (*chosen, *(f"fixed:{budget}" for budget in budgets))


def title(name: str) -> str:
    """A strategy's name for people."""
    try:
        return t(PREDICTED[name]) if name in PREDICTED else strategy(name).title
    except InputError:
        return name


def hint(name: str) -> str:
    """What a strategy does, in a sentence."""
    if name in PREDICTED:
        return t("An estimator that was trained on searches names the budget.")
    try:
        return strategy(name).hint
    except InputError:
        return ""


def _there(model: str, template: str) -> list[str]:
    """The strategies for which an estimator of this model and wording is saved."""
    from tale_core.estimators import saved

    kinds = {s.use.kind for s in saved.listing().estimators if s.use[1:] == (model, template)}
    return [name for name in PREDICTED if name.removeprefix("tale-") in kinds]


def predictors(names: Sequence[str], *, model: str, template: str) -> Mapping[str, BudgetPredictor]:
    """The trained estimators that these strategies need, as a plan wants them.

    Raises:
        EstimatorFileError: The file of one cannot be used.
    """
    wanted = [name.removeprefix("tale-") for name in names if name in PREDICTED]
    if not wanted:
        return {}
    found = trained(model=model, template=template)
    return {kind: found[kind] for kind in wanted if kind in found}
