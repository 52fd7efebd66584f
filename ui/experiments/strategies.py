"""Which ways of asking an experiment compares: boxes, and words for people."""

from __future__ import annotations

import streamlit as st

from tale_core.elasticity.plan import parse_grid
from tale_core.errors import InputError
from tale_core.estimators import trained_kinds
from tale_core.i18n import N_, t
from tale_core.models.adapters import registry as adapters
from tale_core.models.choice import EMBEDDED, ModelChoice, efforts
from tale_core.strategies import Offer, hint_of, offered, title_of
from ui.common.text import literal

NUMBERS = {
    "fixed": N_("Fixed budgets, tokens"),
    "enforced": N_("Enforced budgets, tokens"),
    "thinking": N_("Limits on thinking, tokens"),
}
"""Strategies that are given numbers, with the title of the box that takes them."""


def offer(choice: ModelChoice, template: str) -> Offer:
    """What there is for a model and prompt template; only the embedded ones have adapters, and they know no effort."""
    embedded = choice.kind == EMBEDDED
    return Offer(
        trained=trained_kinds(model=choice.model, template=template),
        efforts=() if embedded else efforts(choice),
        adapters=[a.name for a in adapters.of_base(choice.model)] if embedded and not choice.adapter else (),
    )


def strategies_box(choice: ModelChoice) -> tuple[str, ...] | None:
    """The strategies that were chosen; None when the list of budgets is wrong."""
    names = offered(offer(choice, str(st.session_state["exp_template"])))
    # What a box does not offer it cannot hold: an opened experiment may name more than this model can do.
    st.session_state["exp_strategies"] = [n for n in st.session_state["exp_strategies"] if n in names]
    several, fixed = st.columns([2.4, 1], vertical_alignment="top")
    with several:
        st.multiselect(
            t("Strategies"), names, key="exp_strategies", format_func=title_of, persist_state="session",
            placeholder=t("Strategies"),
        )  # fmt: skip
    with fixed:
        for kind, title in NUMBERS.items():
            st.text_input(
                t(title), key=f"exp_{kind}", persist_state="session", placeholder=t("none"),
                help=t("Each number is a strategy of its own: the same budget for every question. Commas between."),
            )  # fmt: skip
    chosen = tuple(st.session_state["exp_strategies"])
    st.caption(
        "  \n".join(
            literal(t("{strategy}: {hint}", strategy=title_of(name), hint=hint_of(name)), 400) for name in chosen
        )
    )
    budgets: list[str] = []
    for kind in NUMBERS:
        typed = str(st.session_state.get(f"exp_{kind}") or "")
        try:
            budgets += [f"{kind}:{budget}" for budget in (parse_grid(typed) if typed.strip() else ())]
        except InputError as e:
            st.error(literal(str(e), 600), icon=":material/error:")
            return None
    return (*chosen, *budgets)
