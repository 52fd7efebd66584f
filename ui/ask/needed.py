"""How much of an answer was needed: a button under each answer, and what closing it at its steps has shown."""

from __future__ import annotations

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.ask.settle import SettlePlan
from tale_core.calls.outcomes import outcome_kind
from tale_core.calls.settling import Settled
from tale_core.charts.ask import settled_strip
from tale_core.grading.lines import evaluated
from tale_core.i18n import joined, t
from tale_core.types import ANSWERS, AnswerRole, Outcome
from ui.ask import mark
from ui.ask.live import is_tuned, title_of
from ui.common import state
from ui.common.charts import wide_table
from ui.common.question_form import Request
from ui.common.run_parts import model_of
from ui.common.text import literal
from ui.common.theme import palette


def needed(view: AskView) -> Request | None:
    """What is known of both answers, or a button that asks; what to start once one is pressed."""
    roles = [role for role in ANSWERS if _whole(view, role)]
    if view.running or view.not_saved or not roles:
        return None
    _why_not(view)
    pressed: AnswerRole | None = None
    with st.container(key="needed"):
        for column, role in zip(st.columns(len(ANSWERS), gap="medium"), ANSWERS, strict=True):
            with column:
                if (found := view.settled.get(role)) is not None:
                    _found(view, role, found)
                elif role in roles and _button(view, role):
                    pressed = role
                if role in roles:
                    mark.draw(view, role)
    choice = model_of(view)
    if pressed is None or choice is None:
        return None
    return Request(SettlePlan(state.store().get_session(view.session_id), pressed), choice)


def _whole(view: AskView, role: AnswerRole) -> bool:
    call = view.calls.get(role)
    done = call is not None and call.record.status == "done" and bool(call.record.completion_tokens)
    return done and call is not None and not evaluated(call.record.prompt_template)


def _button(view: AskView, role: AnswerRole) -> bool:
    available = model_of(view) is not None
    return st.button(
        t("How much of this was needed?"), key=f"needed-{role}", icon=":material/content_cut:", type="tertiary",
        disabled=not available,
        help=t(
            "Closes the thought at each of its steps and asks the same model what it would have answered by then. "
            "It takes a short call for each step."
        ) if available else t("The model that answered is needed for that: add it in Settings."),
    )  # fmt: skip


def _why_not(view: AskView) -> None:
    """What stood in the way when somebody asked last in this browser session."""
    job = st.session_state.get("last_job")
    last = job.view() if job is not None and job.id == view.session_id else None
    if isinstance(last, AskView) and not last.running and last.cannot:
        st.warning(literal(last.cannot, 600), icon=":material/block:")


def _found(view: AskView, role: AnswerRole, found: Settled) -> None:
    st.markdown(f"**{literal(found.sentence, 400)}**")
    colors = palette()
    figure = settled_strip(found, role=role, tuned=is_tuned(view, role), colors=colors)
    title, _ = title_of(view, role)
    st.plotly_chart(
        figure, config={"displayModeBar": False}, key=f"settled_{role}", alt=joined(f"{title}:", found.sentence)
    )
    known = [probe.tokens for probe in found.probes if probe.tokens is not None]
    st.caption(
        t(
            "● the same answer as at the end, ○ another one. Asking at {places} places took {tokens:,} tokens, prompts "
            "included; they are in no other figure here.",
            places=len(found.probes), tokens=sum(known),
        )
    )  # fmt: skip
    with st.expander(t("What it would have answered at each place"), icon=":material/format_list_numbered:"):
        wide_table(
            {
                t("After tokens"): [f"{probe.at_token:,}" for probe in found.probes],
                t("Answer"): [probe.answer or t("nothing") for probe in found.probes],
                t("As at the end"): [t("yes") if probe.same else t("no") for probe in found.probes],
                t("Outcome"): [_outcome(probe.outcome) for probe in found.probes],
            },
            alt=t("What the model would have answered at each place"),
            limit=40,
        )


def _outcome(outcome: Outcome) -> str:
    return "–" if outcome is Outcome.UNGRADED else t(outcome_kind(outcome).phrase)
