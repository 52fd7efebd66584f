"""How much of an answer was needed: a button under each answer, what closing it at its steps has shown, and a mark.

The mark is the sentence at which a person finds the answer settled: a label that becomes a training example.
"""

from __future__ import annotations

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.ask.settle import SettlePlan
from tale_core.calls.outcomes import outcome_kind
from tale_core.calls.settling import Settled
from tale_core.charts.ask import settled_strip
from tale_core.errors import InputError, StoreError
from tale_core.grading.lines import evaluated
from tale_core.i18n import joined, t
from tale_core.labels import Labeling
from tale_core.labels.marks import Markable, markable, suggested
from tale_core.store import MAX_NAME, QueueFilter, annotator_key
from tale_core.types import ANSWERS, AnswerRole, Outcome
from ui.ask.live import is_tuned, title_of
from ui.common import state
from ui.common.charts import palette, wide_table
from ui.common.marking import known_name, marked_words, sentence_box
from ui.common.question_form import Request
from ui.common.run_parts import model_of
from ui.common.text import literal


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
                    _mark(view, role)
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


def _mark(view: AskView, role: AnswerRole) -> None:
    """Mark the sentence at which an answer is settled; nothing where the answer has no two sentences."""
    call = view.calls[role].record
    answer = markable(call, view.question)
    if answer is None:
        return
    labeling, name = Labeling(state.store()), known_name()
    try:
        said = labeling.queue.marks_said([answer.key]).get(answer.key, {}) if name else {}
    except StoreError:
        return  # What cannot be read is said above already.
    before = int(said[who]) if (who := annotator_key(name)) in said else None
    with st.expander(t("Mark where the answer is settled"), icon=":material/flag:", key=f"mark-{role}"):
        key = f"mark_{role}_{view.session_id}"
        chosen = sentence_box(
            answer, suggestion=suggested(call, view.settled.get(role)), before=before, key=f"{key}_sentence"
        )
        if not name:
            st.text_input(t("Your name"), key=f"{key}_name", max_chars=MAX_NAME, autocomplete="off", width=260)
        with st.container(horizontal=True, vertical_alignment="center"):
            st.button(
                t("Mark this sentence"), key=f"{key}_press", icon=":material/flag:", on_click=_put_mark,
                args=(answer, key, chosen, name), disabled=chosen is None,
            )  # fmt: skip
            if before is not None:
                st.caption(literal(marked_words(answer, before)), width="content")
            if before is not None and (event := st.session_state.get(f"{key}_event")):
                st.button(
                    t("Take back"), key=f"{key}_undo", icon=":material/undo:", type="tertiary", on_click=_take_back,
                    args=(key, name, event),
                )  # fmt: skip
        if problem := st.session_state.pop(f"{key}_problem", ""):
            st.error(literal(problem, 400), icon=":material/error:")


def _put_mark(answer: Markable, key: str, chosen: int, name: str) -> None:
    labeling = Labeling(state.store())
    try:
        who = labeling.sit_down(name or str(st.session_state.get(f"{key}_name") or ""))
        moved = labeling.mark(who, answer, chosen)
        if moved.events:
            st.session_state[f"{key}_event"] = labeling.queue.counts(who, QueueFilter(which="all", overlap=0)).last
    except (InputError, StoreError) as e:
        st.session_state[f"{key}_problem"] = str(e)
        return
    if not name:
        st.session_state["label_annotator"] = str(st.session_state[f"{key}_name"]).strip()


def _take_back(key: str, name: str, event: int) -> None:
    """Only if it is this person's last deed still: Label takes back one after the other."""
    labeling = Labeling(state.store())
    try:
        labeling.undo(labeling.sit_down(name), event=event)
    except (InputError, StoreError) as e:
        st.session_state[f"{key}_problem"] = str(e)
    st.session_state.pop(f"{key}_event", None)
