"""One Ask as a picture: the finding, the budget, both answers side by side. The same for running and stored sessions.

While answers stream, only the text and the counters inside fixed boxes change; nothing else moves.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import streamlit as st

from tale_core.models.choice import EMBEDDED
from tale_core.models.prepare import preparation
from tale_core.recording import CallView
from tale_core.search_words import money
from tale_core.sessions import AskView
from tale_core.types import ANSWERS, AnswerRole, CallRecord, Role
from tale_core.verdict import Comparison, all_in_tokens, compare, guess_score, tokens_per_second
from ui import figures
from ui.text import answer_text, literal, visible
from ui.theme import OUTCOMES

ANSWER_HEIGHT = 300
BAR_LETTERS = 28
TITLES: dict[Role, str] = {
    "vanilla": ":gray[■] Vanilla",
    "budgeted": ":blue[■] Budgeted",
}
HINTS: dict[Role, str] = {
    "vanilla": "The model thinks step by step for as long as it likes.",
    "budgeted": "The same prompt, with one more sentence: use less than so many tokens.",
}


@dataclass(slots=True)
class _Slots:
    """Places that change while an answer streams."""

    count: Any
    bar: Any
    text: Any


class AnswerColumns:
    """Two columns that `update` fills while the answers grow."""

    def __init__(self) -> None:
        left, right = st.columns(2, gap="medium")
        self._slots = {role: self._column(column, role) for role, column in zip(ANSWERS, (left, right), strict=True)}

    @staticmethod
    def _column(column: Any, role: Role) -> _Slots:
        with column:
            st.markdown(f"#### {TITLES[role]}", help=HINTS[role], anchors=False)
            count, bar = st.empty(), st.empty()
            box = st.container(height=ANSWER_HEIGHT, border=True, key=f"answer_{role}", autoscroll=True)
            return _Slots(count=count, bar=bar, text=box.empty())

    def update(self, view: AskView) -> None:
        """Draw the picture as it stands."""
        scale = _scale(view)
        for role, slots in self._slots.items():
            call = view.calls.get(role)
            if call is None:
                slots.count.caption(_waiting(view, role))
                slots.bar.markdown(live_bar(role, 0.0))
                continue
            if call.record.status == "running":
                slots.count.caption(_running_words(view, call))
                slots.bar.markdown(live_bar(role, min(1.0, call.pieces / scale)))
            shown, _ = answer_text(call.text or call.reasoning)
            slots.text.text(shown or "…")


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
        return (
            "Waiting for the budget…" if role == "budgeted" or view.phase == "estimating" else "Waiting for the model…"
        )
    return "Starts when the vanilla answer is finished." if not view.together else "Starting…"


def _running_words(view: AskView, call: CallView) -> str:
    if call.pieces == 0:
        return "Reading the question…"
    budget = f" of {view.budget}" if call.record.role == "budgeted" and view.budget else ""
    return f"Writing: about {call.pieces}{budget} tokens so far"


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
        st.warning("This session was interrupted: the program ended while it ran. What had arrived is below.")
    if view.error:
        st.error(literal(view.error, 1000), icon=":material/error:")
    if view.not_saved:
        st.warning(f"This session could not be saved. {literal(view.not_saved, 600)}")
    if found is None:
        if view.status == "cancelled":
            st.info("This session was stopped before both answers had begun.")
        return
    st.subheader(literal(found.sentence), anchor=False)
    notes = qualifications(view, found)
    if notes:
        st.caption(literal(" ".join(notes), 2000))


def qualifications(view: AskView, found: Comparison) -> list[str]:
    """What a careful reader must know about the finding."""
    records = [c.record for c in view.calls.values()]
    notes = []
    if found.lower_bound:
        notes.append(
            "The vanilla answer was cut at max_tokens, so it would have cost more; raise max_tokens in Settings."
        )
    if found.estimated:
        notes.append("Some token counts are estimates: the endpoint did not report them.")
    for r in records:
        if r.source != "live":
            notes.append(
                f"The {r.role} answer is {r.source}: it was not generated now, and its times are the original ones."
            )
        if r.finish_reason == "length" and not (found.lower_bound and r.role == "vanilla"):
            notes.append(f"The {r.role} answer was cut at max_tokens: it is called cut off, not wrong.")
    notes += [
        f"{words[0].upper()}{words[1:]}." for words in dict.fromkeys(w for r in records for w in r.adjustments if w)
    ]
    if view.together and all(r.source == "live" for r in records) and view.endpoint == EMBEDDED:
        notes.append("Both answers were generated at the same time on one machine, so their times include each other.")
    return notes


def budget_line(view: AskView, *, interactive: bool = True) -> None:
    """Where the budget came from, with the model's own words and what they cost."""
    if view.budget is None:
        return
    estimate = view.calls.get("estimate")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**Budget: {view.budget} tokens** · {literal(_origin(view))}")
        if estimate is not None and interactive:
            with st.popover("What the model said", type="tertiary"):
                st.caption("The model was asked for the fewest tokens that a full, right answer needs. It wrote:")
                st.text(visible(view.budget_raw[:2000]) or "(nothing)")
                st.caption(_spent(estimate.record))
    if view.budget_problem:
        st.warning(f"The estimate could not be used: {literal(view.budget_problem)}.", icon=":material/rule:")


def _origin(view: AskView) -> str:
    if view.estimator.startswith("fixed"):
        return "set by you"
    if view.budget_problem:
        return "the stated default"
    kind = view.estimator.partition(":")[0]
    return {"regression": "predicted from searches", "calibrated": "the model's estimate, corrected by searches"}.get(
        kind, "the model's own estimate"
    )


def _spent(call: CallRecord) -> str:
    tokens = all_in_tokens(call)
    if tokens is None:
        return "What this cost is unknown."
    parts = f"{call.prompt_tokens} for the prompt, {call.completion_tokens} for the answer"
    about = " (estimated)" if call.usage_estimated else ""
    return f"Asking cost {tokens} tokens{about}: {parts}. They count in every all-in figure here."


def answers(view: AskView) -> None:
    """Both finished answers with their numbers."""
    scale = _scale(view)
    for column, role in zip(st.columns(2, gap="medium"), ANSWERS, strict=True):
        with column:
            _answer(view, role, scale)


def _answer(view: AskView, role: Role, scale: int) -> None:
    call = view.calls.get(role)
    st.markdown(f"#### {TITLES[role]}", help=HINTS[role], anchors=False)
    if call is None:
        st.caption("Not started.")
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
    word, color, icon = OUTCOMES[record.outcome]
    about = "about " if record.usage_estimated else ""
    budget = view.budget if record.role == "budgeted" else None
    words = f"**{about}{tokens:,} output tokens**" if tokens is not None else "**Output tokens unknown**"
    if budget is not None and tokens is not None:
        words += f" · {_against(tokens, budget)}"
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(words)
        if record.status in ("cancelled", "interrupted"):
            st.badge("Stopped" if record.status == "cancelled" else "Interrupted", color="gray", icon=":material/stop:")
        elif view.question.answer is not None or record.outcome != "ungraded":
            st.badge(word, color=color, icon=icon)
    if tokens is not None:
        figure = figures.token_bar(tokens, role=record.role, budget=budget, scale=scale)
        described = f"{record.role}: {tokens} output tokens" + (f", budget {budget}" if budget else "")
        st.plotly_chart(figure, config={"displayModeBar": False}, key=f"bar_{record.role}", alt=described)


def _against(tokens: int, budget: int) -> str:
    if tokens <= budget:
        return f"budget {budget}"
    return f"{tokens / budget:.1f} × budget {budget}"


def _text(call: CallView, role: Role) -> None:
    if call.reasoning:
        shown, _ = answer_text(call.reasoning)
        with st.expander("Reasoning that the endpoint showed apart"):
            st.text(shown)
    shown, clipped = answer_text(call.text)
    st.text(shown or "(no text)")
    if clipped:
        st.caption(f"Only the first {len(shown):,} of {len(call.text):,} characters are shown.")
        st.download_button("Save the whole answer", call.text, file_name=f"{role}.txt", on_click="ignore")


def _facts(view: AskView, r: CallRecord) -> None:
    estimate = view.calls.get("estimate")
    own = all_in_tokens(r)
    asked = all_in_tokens(estimate.record) if estimate and r.role == "budgeted" else 0
    all_in = None if own is None or asked is None else own + asked
    speed = tokens_per_second(r)
    rows = {
        "All-in tokens": _number(all_in),
        "of which prompt": _number(r.prompt_tokens),
        "of which estimating the budget": _number(asked) if r.role == "budgeted" else "–",
        "of which hidden reasoning": _number(r.reasoning_tokens) if r.reasoning_tokens is not None else "–",
        "Cost": money(r.cost_usd),
        "First token after": f"{r.ttft_s:.2f} s" if r.ttft_s is not None else "–",
        "Whole answer after": f"{r.latency_s:.1f} s" if r.latency_s is not None else "–",
        "Speed": f"{speed:.0f} tokens/s" if speed else "–",
        "Finished because": FINISH_WORDS.get(r.finish_reason or "", "unknown"),
        "Answer read": _read(r),
    }
    cells = {name: literal(value) for name, value in rows.items() if value != "–"}
    st.table(cells, border="horizontal", hide_header=True, alt=f"Figures of the {r.role} answer")


FINISH_WORDS = {
    "stop": "the model was done",
    "length": "max_tokens was reached",
    "content_filter": "the provider filtered it",
    "cancelled": "it was stopped",
    "error": "of an error",
    "other": "the endpoint says no more",
}


def _number(value: int | None) -> str:
    return "unknown" if value is None else f"{value:,}"


def _read(r: CallRecord) -> str:
    if r.extracted is None:
        return "nothing"
    return f"{r.extracted[:80]} (guessed: the last number)" if r.extracted_by == "last-number" else r.extracted[:80]


def guesses(view: AskView) -> None:
    """The viewer's guesses against what happened."""
    lines = []
    for role in ANSWERS:
        call, guess = view.calls.get(role), view.guesses.get(role)
        if guess is None:
            continue
        actual = call.record.completion_tokens if call is not None and call.record.status == "done" else None
        if actual is not None:
            lines.append(f"{role}: you guessed {guess}, it took {actual}. Score {guess_score(guess, actual)} of 100.")
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
        "preparing": "Reaching the endpoint…",
        "estimating": "Asking the model how many tokens it needs…",
        "answering": "Both answers are being written…" if view.together else "One answer after the other…",
        "ended": "Finished.",
    }
    st.markdown(f"**{words[view.phase]}**" + (f" {literal(view.notice)}" if view.notice else ""))


def whole(view: AskView) -> None:
    """A picture that does not change: finding, guesses, budget, answers."""
    finding(view)
    guesses(view)
    budget_line(view)
    answers(view)
