"""One Ask as a picture: the finding, the budget, both answers side by side. The same for running and stored sessions.

While answers stream, only the text and the counters inside fixed boxes change; nothing else moves.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import streamlit as st

from tale_core.i18n import N_, joined, t
from tale_core.models.choice import EMBEDDED
from tale_core.models.prepare import preparation
from tale_core.recording import CallView
from tale_core.sessions import AskView
from tale_core.spending_words import money
from tale_core.types import ANSWERS, TUNED, AnswerRole, CallRecord, Role, Source
from tale_core.verdict import Comparison, all_in_tokens, compare, guess_score, role_name, tokens_per_second
from ui import figures
from ui.outcome_badge import outcome_badge
from ui.text import answer_text, literal, visible

ANSWER_HEIGHT = 300
BAR_LETTERS = 28
TITLES: dict[Role, str] = {
    "vanilla": N_(":gray[■] Vanilla"),
    "budgeted": N_(":blue[■] Budgeted"),
}
TUNED_TITLE = N_(":violet[■] Fine-tuned")
TUNED_HINT = N_("The plain question, to the model with the adapter switched on: nobody tells it to be brief.")
HINTS: dict[Role, str] = {
    "vanilla": N_("The model thinks step by step for as long as it likes."),
    "budgeted": N_("The same prompt, with one more sentence: use less than so many tokens."),
}


SOURCES: dict[Source, str] = {
    "live": N_("live"),
    "cached": N_("cached"),
    "recorded": N_("recorded"),
    "simulated": N_("simulated"),
}
"""Where an answer came from, in words."""


@dataclass(slots=True)
class _Slots:
    """Places that change while an answer streams."""

    count: Any
    bar: Any
    text: Any


class AnswerColumns:
    """Columns that `update` fills while the answers grow: two, or one where one answer is shown alone."""

    def __init__(self, roles: Sequence[AnswerRole] = ANSWERS) -> None:
        columns = st.columns(len(roles), gap="medium")
        self._slots = {role: self._column(column, role) for role, column in zip(roles, columns, strict=True)}
        self._drawn: dict[tuple[str, str], str] = {}

    @staticmethod
    def _column(column: Any, role: Role) -> _Slots:
        with column:
            st.markdown(f"#### {t(TITLES[role])}", help=t(HINTS[role]), anchors=False)
            count, bar = st.empty(), st.empty()
            box = st.container(height=ANSWER_HEIGHT, border=True, key=f"answer_{role}", autoscroll=True)
            return _Slots(count=count, bar=bar, text=box.empty())

    def update(self, view: AskView) -> None:
        """Draw the picture as it stands."""
        scale = _scale(view)
        for role, slots in self._slots.items():
            call = view.calls.get(role)
            if call is None:
                self._draw(slots.count.caption, role, "count", _waiting(view, role))
                self._draw(slots.bar.markdown, role, "bar", live_bar(role, 0.0))
                continue
            if call.record.status == "running":
                self._draw(slots.count.caption, role, "count", _running_words(view, call))
                self._draw(slots.bar.markdown, role, "bar", live_bar(role, min(1.0, call.pieces / scale)))
            shown, _ = answer_text(call.text or call.reasoning)
            self._draw(slots.text.text, role, "text", shown or "…")

    def _draw(self, draw: Callable[[str], object], role: str, place: str, words: str) -> None:
        """What stands there already is not sent again: most pictures change one of six places."""
        if self._drawn.get((role, place)) != words:
            self._drawn[role, place] = words
            draw(words)


def live_bar(role: AnswerRole, share: float) -> str:
    """A bar made of letters, in the answer's own colour: it grows without moving anything else.

    Args:
        role: Decides the colour.
        share: 0 to 1.
    """
    length = round(share * BAR_LETTERS)
    return f":{'gray' if role == 'vanilla' else 'blue'}[{'━' * length}]" if length else "&nbsp;"


def _scale(view: AskView) -> int:
    counts = [c.record.completion_tokens or c.pieces for role, c in view.calls.items() if role != "estimate"]
    return max([*counts, view.budget or 0, 60 if view.running else 1])


def _waiting(view: AskView, role: Role) -> str:
    if view.phase in ("preparing", "estimating"):
        for_budget = role == "budgeted" or view.phase == "estimating"
        return t("Waiting for the budget…") if for_budget else t("Waiting for the model…")
    return t("Starts when the vanilla answer is finished.") if not view.together else t("Starting…")


def _running_words(view: AskView, call: CallView) -> str:
    if call.pieces == 0:
        return t("Reading the question…")
    if call.record.role == "budgeted" and view.budget:
        return t("Writing: about {n} of {budget} tokens so far", n=call.pieces, budget=view.budget)
    return t("Writing: about {n} tokens so far", n=call.pieces)


def comparison(view: AskView) -> Comparison | None:
    """The comparison of a picture's answers, or None while there is nothing to compare."""
    vanilla, budgeted = view.calls.get("vanilla"), view.calls.get("budgeted")
    if vanilla is None or budgeted is None:
        return None
    estimate = view.calls.get("estimate")
    return compare(vanilla.record, budgeted.record, estimate.record if estimate else None)


def finding(view: AskView) -> None:
    """The verdict in one sentence, with everything that qualifies it right below."""
    found = comparison(view)
    if view.status == "interrupted":
        st.warning(t("This session was interrupted: the program ended while it ran. What had arrived is below."))
    if view.error:
        st.error(literal(view.error, 1000), icon=":material/error:")
    if view.not_saved:
        st.warning(t("This session could not be saved. {reason}", reason=literal(view.not_saved, 600)))
    if found is None:
        if view.status == "cancelled":
            st.info(t("This session was stopped before both answers had begun."))
        return
    st.subheader(literal(found.sentence), anchor=False)
    notes = qualifications(view, found)
    if notes:
        st.caption(literal(joined(*notes), 2000))


def qualifications(view: AskView, found: Comparison) -> list[str]:
    """What a careful reader must know about the finding."""
    records = [c.record for c in view.calls.values()]
    notes = []
    if found.lower_bound:
        notes.append(
            t("The vanilla answer was cut at max_tokens, so it would have cost more; raise max_tokens in Settings.")
        )
    if found.estimated:
        notes.append(t("Some token counts are estimates: the endpoint did not report them."))
    for r in records:
        role = role_name(r.role)
        if r.source != "live":
            what = t(
                "The {role} answer is {source}: it was not generated now, and its times are the original ones.",
                role=role, source=t(SOURCES[r.source]),
            )  # fmt: skip
            notes.append(what)
        if r.finish_reason == "length" and not (found.lower_bound and r.role == "vanilla"):
            notes.append(t("The {role} answer was cut at max_tokens: it is called cut off, not wrong.", role=role))
    notes += [
        t("{words}.", words=f"{words[0].upper()}{words[1:]}")
        for words in dict.fromkeys(w for r in records for w in r.adjustments if w)
    ]
    if view.together and all(r.source == "live" for r in records) and view.endpoint == EMBEDDED:
        notes.append(
            t("Both answers were generated at the same time on one machine, so their times include each other.")
        )
    return notes


def budget_line(view: AskView, *, interactive: bool = True) -> None:
    """Where the budget came from, with the model's own words and what they cost."""
    if view.budget is None:
        return
    estimate = view.calls.get("estimate")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{t('Budget: {tokens} tokens', tokens=view.budget)}** · {literal(_origin(view))}")
        if estimate is not None and interactive:
            with st.popover(t("What the model said"), type="tertiary"):
                st.caption(t("The model was asked for the fewest tokens that a full, right answer needs. It wrote:"))
                st.text(visible(view.budget_raw[:2000]) or t("(nothing)"))
                st.caption(_spent(estimate.record))
    if view.budget_problem:
        problem = literal(view.budget_problem)
        st.warning(t("The estimate could not be used: {problem}.", problem=problem), icon=":material/rule:")


def _origin(view: AskView) -> str:
    if view.estimator.startswith("fixed"):
        return t("set by you")
    if view.budget_problem:
        return t("the stated default")
    kind = view.estimator.partition(":")[0]
    if kind == "regression":
        return t("predicted from searches")
    return t("the model's estimate, corrected by searches") if kind == "calibrated" else t("the model's own estimate")


def _spent(call: CallRecord) -> str:
    tokens = all_in_tokens(call)
    if tokens is None:
        return t("What this cost is unknown.")
    values = {"tokens": tokens, "prompt": call.prompt_tokens, "answer": call.completion_tokens}
    if call.usage_estimated:
        return t(
            "Asking cost {tokens} tokens (estimated): {prompt} for the prompt, {answer} for the answer. "
            "They count in every all-in figure here.",
            **values,
        )
    return t(
        "Asking cost {tokens} tokens: {prompt} for the prompt, {answer} for the answer. "
        "They count in every all-in figure here.",
        **values,
    )


def answers(view: AskView, roles: Sequence[AnswerRole] = ANSWERS) -> None:
    """The finished answers with their numbers."""
    scale = _scale(view)
    for column, role in zip(st.columns(len(roles), gap="medium"), roles, strict=True):
        with column:
            _answer(view, role, scale)


def _answer(view: AskView, role: Role, scale: int) -> None:
    call = view.calls.get(role)
    tuned = role == "budgeted" and view.estimator.startswith(TUNED)
    title, hint = (t(TUNED_TITLE), t(TUNED_HINT)) if tuned else (t(TITLES[role]), t(HINTS[role]))
    st.markdown(f"#### {title}", help=hint, anchors=False)
    if call is None:
        st.caption(t("Not started."))
        return
    _headline(view, call, scale)
    with st.container(height=ANSWER_HEIGHT, border=True, key=f"answer_{role}"):
        _text(call, role)
    if call.record.error and call.record.error != view.error:
        st.error(literal(call.record.error, 600), icon=":material/error:")
    _facts(view, call.record)


def _headline(view: AskView, call: CallView, scale: int) -> None:
    record = call.record
    tokens = record.completion_tokens
    budget = view.budget if record.role == "budgeted" else None
    words = f"**{_output(tokens, about=record.usage_estimated)}**"
    if budget is not None and tokens is not None:
        words += f" · {_against(tokens, budget)}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(words)
        if record.status in ("cancelled", "interrupted"):
            ended = t("Stopped") if record.status == "cancelled" else t("Interrupted")
            st.badge(ended, color="gray", icon=":material/stop:")
        elif view.question.answer is not None or record.outcome != "ungraded":
            outcome_badge(record.outcome, record.labelled)
    if tokens is not None:
        figure = figures.token_bar(tokens, role=record.role, budget=budget, scale=scale)
        values = {"role": role_name(record.role), "tokens": tokens, "budget": budget}
        described = (
            t("{role}: {tokens} output tokens, budget {budget}", **values)
            if budget
            else t("{role}: {tokens} output tokens", **values)
        )
        st.plotly_chart(figure, config={"displayModeBar": False}, key=f"bar_{record.role}", alt=described)


def _output(tokens: int | None, *, about: bool) -> str:
    if tokens is None:
        return t("Output tokens unknown")
    return t("about {n:,} output tokens", n=tokens) if about else t("{n:,} output tokens", n=tokens)


def _against(tokens: int, budget: int) -> str:
    if tokens <= budget:
        return t("budget {budget}", budget=budget)
    return t("{times:.1f} × budget {budget}", times=tokens / budget, budget=budget)


def _text(call: CallView, role: Role) -> None:
    if call.reasoning:
        shown, _ = answer_text(call.reasoning)
        with st.expander(t("Reasoning that the endpoint showed apart")):
            st.text(shown)
    shown, clipped = answer_text(call.text)
    st.text(shown or t("(no text)"))
    if clipped:
        st.caption(t("Only the first {n:,} of {all:,} characters are shown.", n=len(shown), all=len(call.text)))
        st.download_button(t("Save the whole answer"), call.text, file_name=f"{role}.txt", on_click="ignore")


def _facts(view: AskView, r: CallRecord) -> None:
    estimate = view.calls.get("estimate")
    own = all_in_tokens(r)
    asked = all_in_tokens(estimate.record) if estimate and r.role == "budgeted" else 0
    all_in = None if own is None or asked is None else own + asked
    speed = tokens_per_second(r)
    rows = {
        t("All-in tokens"): _number(all_in),
        t("of which prompt"): _number(r.prompt_tokens),
        t("of which estimating the budget"): _number(asked) if r.role == "budgeted" else "–",
        t("of which hidden reasoning"): _number(r.reasoning_tokens) if r.reasoning_tokens is not None else "–",
        t("Cost"): money(r.cost_usd),
        t("First token after"): t("{s:.2f} s", s=r.ttft_s) if r.ttft_s is not None else "–",
        t("Whole answer after"): t("{s:.1f} s", s=r.latency_s) if r.latency_s is not None else "–",
        t("Speed"): t("{n:.0f} tokens/s", n=speed) if speed else "–",
        t("Finished because"): t(FINISH_WORDS.get(r.finish_reason or "", N_("unknown"))),
        t("Answer read"): _read(r),
    }
    cells = {name: literal(value) for name, value in rows.items() if value != "–"}
    st.table(
        cells, border="horizontal", hide_header=True, alt=t("Figures of the {role} answer", role=role_name(r.role))
    )


FINISH_WORDS = {
    "stop": N_("the model was done"),
    "length": N_("max_tokens was reached"),
    "content_filter": N_("the provider filtered it"),
    "cancelled": N_("it was stopped"),
    "error": N_("of an error"),
    "other": N_("the endpoint says no more"),
}


def _number(value: int | None) -> str:
    return t("unknown") if value is None else f"{value:,}"


def _read(r: CallRecord) -> str:
    if r.extracted is None:
        return t("nothing")
    read = r.extracted[:80]
    return t("{answer} (guessed: the last number)", answer=read) if r.extracted_by == "last-number" else read


def guesses(view: AskView) -> None:
    """The viewer's guesses against what happened."""
    lines = []
    for role in ANSWERS:
        call, guess = view.calls.get(role), view.guesses.get(role)
        if guess is None:
            continue
        actual = call.record.completion_tokens if call is not None and call.record.status == "done" else None
        if actual is not None:
            told = t(
                "{role}: you guessed {guess}, it took {actual}. Score {score} of 100.",
                role=role_name(role), guess=guess, actual=actual, score=guess_score(guess, actual),
            )  # fmt: skip
            lines.append(told)
    if lines:
        st.info("  \n".join(literal(line) for line in lines), icon=":material/target:")


def phase_line(view: AskView) -> None:
    """What happens right now, in words."""
    if view.phase == "preparing" and view.endpoint == EMBEDDED:
        status = preparation(view.model).status()
        st.markdown(f"**{literal(status.message)}**")
        if status.fraction is not None:
            st.progress(min(1.0, status.fraction))
        return
    words = {
        "preparing": t("Reaching the endpoint…"),
        "estimating": t("Asking the model how many tokens it needs…")
        if "estimate" in view.calls
        else t("Predicting how many tokens the model needs…"),
        "answering": t("Both answers are being written…") if view.together else t("One answer after the other…"),
        "ended": t("Finished."),
    }
    st.markdown(f"**{words[view.phase]}**" + (f" {literal(view.notice)}" if view.notice else ""))


def whole(view: AskView) -> None:
    """A picture that does not change: finding, guesses, budget, answers."""
    finding(view)
    guesses(view)
    budget_line(view)
    answers(view)
