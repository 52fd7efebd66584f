"""An outcome as a badge, and beside it who decided it where that was not the grader alone. One place for all pages."""

from __future__ import annotations

from collections.abc import Iterable

import streamlit as st

from tale_core.calls.outcomes import outcome_kind
from tale_core.i18n import N_, t, tn
from tale_core.types import CallRecord, LabelledBy, Outcome

LABELLED: dict[LabelledBy, tuple[str, str]] = {
    "verdict": (N_("Labelled"), N_("A person said so on the Label page. This beats the grader.")),
    "gold": (N_("Labelled answer"), N_("Graded against a known answer that a person gave on the Label page.")),
}


def outcome_badge(outcome: Outcome, labelled: LabelledBy | None, *, refused: bool = False) -> None:
    """Draw the outcome; a person's part in it is said in words."""
    kind = outcome_kind(outcome, refused=refused)
    st.badge(t(kind.label), color=kind.color, icon=kind.icon)
    if labelled is not None:
        named, meaning = LABELLED[labelled]
        st.badge(t(named), color="gray", icon=":material/person_check:", help=t(meaning))


def labelled_note(calls: Iterable[CallRecord]) -> None:
    """Say how many of these answers people judged, if any: what is told about them was worked out anew."""
    if count := sum(call.labelled is not None for call in calls):
        st.caption(
            ":material/person_check: "
            + tn(
                "{n} answer was judged on the Label page; what is shown here follows it.",
                "{n} answers were judged on the Label page; what is shown here follows them.",
                count,
            )
        )
