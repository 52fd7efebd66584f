"""Which answers are in the queue: its kind in sight, everything else folded away, all of it in the address."""

from __future__ import annotations

from collections.abc import Callable
from typing import Literal, cast

import streamlit as st

from tale_core.calls.outcomes import OUTCOMES
from tale_core.i18n import N_, t
from tale_core.labels import Labeling
from tale_core.store import AnswerGroup, QueueFilter, QueueKind
from tale_core.types import Outcome
from ui.common import url_params as address
from ui.common.text import sanitize

KINDS: dict[QueueKind, str] = {
    "answers": N_("Answers"),
    "questions": N_("Questions without a known answer"),
    "settle": N_("Disagreements to settle"),
}
WHICH: dict[AnswerGroup, str] = {
    "doubtful": N_("Where the grader is unsure"),
    "disagree": N_("Where answers to a question disagree"),
    "all": N_("All answers"),
}
WHICH_HELP = N_(
    "The grader is unsure where it could read no answer, fell back to the last number in the text, took free text for "
    "the answer, or could not compare it with the known one."
)
PEOPLE: dict[Literal["1", "2", "3", "all"], str] = {
    "1": N_("One person each: share the work"),
    "2": N_("Two people each"),
    "3": N_("Three people each"),
    "all": N_("Everybody labels everything"),
}
PEOPLE_HELP = N_(
    "How many people decide each answer. With two or more, the page can say how far they agree. What somebody has in "
    "front of them is kept for them for five minutes."
)


def kind_box(disputes: int) -> QueueKind:
    """What is labelled: answers, questions, or disagreements, of which `disputes` are open."""

    def named(kind: QueueKind) -> str:
        return f"{t(KINDS[kind])} ({disputes})" if kind == "settle" and disputes else t(KINDS[kind])

    address.take("queue", list(KINDS), "answers")
    st.radio(t("Queue"), list(KINDS), horizontal=True, key="queue", label_visibility="collapsed", format_func=named)
    return cast(QueueKind, address.put("queue", "answers"))


def boxes(labeling: Labeling, kind: QueueKind) -> QueueFilter:
    """The filter, by its widgets."""
    if kind == "settle":
        return QueueFilter(kind=kind)
    there = labeling.queue.choices()
    which, people = "doubtful", "1"
    if kind == "answers":
        first, second = st.columns(2)
        with first:
            name = t("Which answers")
            which = _one(name, "which", list(WHICH), lambda v: t(WHICH[cast(AnswerGroup, v)]), t(WHICH_HELP))
        with second:
            people = _one(
                t("How many people"), "people", list(PEOPLE), lambda v: t(PEOPLE[v]), t(PEOPLE_HELP)  # type: ignore[index]
            )  # fmt: skip
    model, topic, outcome = st.columns(3)
    with model:
        models = _several(t("Model"), "model_is", there["models"], sanitize)
    with topic:
        topics = _several(t("Topic"), "topic_is", there["topics"], sanitize)
    outcomes: tuple[str, ...] = ()
    if kind == "answers":
        with outcome:
            named = {name: t(OUTCOMES[Outcome(name)].label) for name in there["outcomes"]}
            outcomes = _several(t("Outcome, as the grader saw it"), "outcome_is", list(named), named.__getitem__)
    return QueueFilter(
        kind=kind,
        which=cast(AnswerGroup, which),
        models=models,
        topics=topics,
        outcomes=outcomes,
        overlap=0 if people == "all" else int(people),
    )


def _one(label: str, key: str, options: list[str], named: Callable[[str], str], explained: str) -> str:
    address.take(key, options, options[0])
    st.selectbox(label, options, key=key, format_func=named, help=explained)
    return address.put(key, options[0])


def _several(label: str, key: str, options: list[str], named: Callable[[str], str]) -> tuple[str, ...]:
    address.take_several(key, options)
    st.multiselect(label, options, key=key, placeholder=t("all"), format_func=named)
    return address.put_several(key)
