"""An Ask while it runs: what happens now, the budget, and both answers as they grow, on one axis that never changes.

Only the text and the counters inside of fixed boxes change; nothing else moves. What is said of a running answer and of
an ended one alike stands here too.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.budgets.kinds import KINDS as KNOBS
from tale_core.budgets.kinds import kind_of
from tale_core.calls.budget_ledger import call_apart
from tale_core.calls.comparison import (
    EXPECTED_TOKENS,
    all_in_tokens,
    answer_name,
    race_axis,
    speed_words,
    tokens_per_second,
)
from tale_core.calls.outcomes import outcome_kind
from tale_core.calls.recorder import CallView
from tale_core.estimators import KINDS
from tale_core.grading.lines import evaluated
from tale_core.i18n import N_, joined, t, tn
from tale_core.models.choice import EMBEDDED
from tale_core.strategies import Tuned, hint_of, tool_of
from tale_core.strategies import title_of as strategy_title
from tale_core.types import ANSWERS, LINES, TUNED, AnswerRole, CallRecord, Role, Status
from ui.common.lines import draw_lines
from ui.common.run_parts import Now, now_line
from ui.common.text import answer_text, literal, sanitize

ANSWER_HEIGHT = 300
COUNT_HEIGHT = 66
"""Two lines of words on an answer that is being written."""
LANE_LETTERS = 28
WORDS = tuple(f"{knob.NAME}:" for knob in KNOBS if not knob.NUMBERS)
"""How the place of the estimator begins where the budget is a provider's word."""
NUMBERLESS = (TUNED, LINES, *WORDS)
"""The same where no number of tokens makes the second answer brief."""
_FULL, _HALF, _EMPTY, _BUDGET = "━╾─┆"
TITLES: dict[Role, str] = {
    "vanilla": N_(":gray[■] Vanilla"),
    "budgeted": N_(":blue[■] Budgeted"),
}
TUNED_TITLE = N_(":violet[■] Fine-tuned")
TUNED_LINES_TITLE = N_(":violet[■] Fine-tuned, evaluated by a calculator")
LINES_TITLE = N_(":blue[■] Lines, evaluated by a calculator")
TUNED_HINT = N_("The plain question, to the model with the adapter switched on: nobody tells it to be brief.")
HINTS: dict[Role, str] = {
    "vanilla": N_("The model thinks step by step for as long as it likes."),
    "budgeted": N_("The same prompt, with one more sentence: use less than so many tokens."),
}
STOPPED: dict[Status, str] = {
    "cancelled": N_("Stopped"),
    "interrupted": N_("Interrupted"),
}


def phase_line(view: AskView) -> Now:
    """What happens right now, in words."""
    words = {
        "preparing": t("Reaching the endpoint…"),
        "estimating": t("Asking the model how many tokens it needs…")
        if "estimate" in view.calls
        else t("Predicting how many tokens the model needs…"),
        "answering": _answering(view),
        "settling": t("Closing the answer at its steps…"),
        "ended": t("Finished."),
    }
    made, places = view.closed_at
    below = literal(view.cannot, 400) if view.cannot else ""
    return now_line(view, words[view.phase], share=made / places if places else None, below=below)


def _answering(view: AskView) -> str:
    if not view.together:
        return t("One answer after the other…")
    if (estimate := view.calls.get("estimate")) is not None and "budgeted" not in view.calls:
        if estimate.record.status == "running":
            return t("The model is asked how many tokens it needs; the vanilla answer does not wait for that…")
        if estimate.record.status == "failed":
            return t("The estimate failed; the vanilla answer is still being written…")
    there = [role for role in ANSWERS if role in view.calls and view.calls[role].record.status != "running"]
    if len(there) == 1:
        return t(
            "The {role} answer is there; the other one is still being written…",
            role=answer_name(view.calls[there[0]].record),
        )
    return t("Both answers are there.") if there else t("Both answers are being written…")


class LiveAsk:
    """The places that `update` fills while an Ask runs: the budget, and below it the answers."""

    def __init__(self) -> None:
        self._budget, self._columns = st.empty(), AnswerColumns()
        self._drawn: tuple[Any, ...] = ()

    def update(self, view: AskView) -> None:
        """Draw the picture as it stands, the budget only where it is another one."""
        if (shown := (view.budget, view.budget_problem, view.running, view.estimator)) != self._drawn:
            self._drawn = shown
            with self._budget.container():
                budget_line(view, interactive=False)
        self._columns.update(view)


def still(view: AskView) -> None:
    """The same picture as it stands, for a page that is soon drawn anew.

    Without places to fill later, which cost as much as what stands in them.
    """
    budget_line(view, interactive=False)
    AnswerColumns(moving=False).update(view)


def race_notes(view: AskView, *, recorded: bool) -> str:
    """What both lanes are drawn on, and whose speed their times tell of; nothing while that is not settled."""
    if not view.axis_known:
        return "&nbsp;"
    values = {"end": race_axis(view.expected), "expected": view.expected or EXPECTED_TOKENS}
    if recorded:  # How long the answer is may still be guessed.
        return joined(t("A full line is {end:,} tokens.", **values), t("┆ is the budget."))
    words = [t(_axis_words(view), **values)]
    if not view.estimator.startswith(NUMBERLESS):
        words.append(t("┆ is the budget."))
    if view.together and view.endpoint == EMBEDDED:
        words.append(t("Both are written by one machine at the same time and share its speed."))
    return joined(*words)


def _axis_words(view: AskView) -> str:
    if not view.expected:
        return N_(
            "A full line is {end:,} tokens, a stated default: the length of this model's answers is not known yet."
        )
    if view.foretold:
        return N_(
            "A full line is {end:,} tokens: an estimator expects about {expected:,} of this question without a budget."
        )
    return N_("A full line is {end:,} tokens: this model's answers without a budget take about {expected:,}.")


class AnswerColumns:
    """Columns that `update` fills while the answers grow: two, or one where one answer is shown alone.

    Args:
        roles: The answers to show.
        recorded: They were written some other day.
        moving: `update` is called more than once.
    """

    def __init__(self, roles: Sequence[AnswerRole] = ANSWERS, *, recorded: bool = False, moving: bool = True) -> None:
        self._recorded, self._moving = recorded, moving
        race = st.container(key="race")
        self._notes = race.empty() if moving else race.container()
        columns = zip(race.columns(len(roles), gap="medium"), roles, strict=True)
        self._columns = {role: column.container(key=f"race-{role}") for column, role in columns}
        self._places: dict[tuple[str, str], Any] = {}
        self._drawn: dict[tuple[str, str], str] = {}

    def _place(self, role: AnswerRole, name: str) -> Any:
        """A place in an answer's column, made when it is first asked for: one below the other."""
        if (role, name) not in self._places:
            here = self._columns[role]
            if name == "count":  # Room for the longest of them, so that nothing moves when an answer ends.
                here = here.container(height=COUNT_HEIGHT, border=False)
            elif name == "text":
                here = here.container(height=ANSWER_HEIGHT, border=True, key=f"answer_{role}", autoscroll=True)
            self._places[role, name] = here.empty() if self._moving else here
        return self._places[role, name]

    def update(self, view: AskView) -> None:
        """Draw the picture as it stands. An answer that has ended says so at once and stands still."""
        self._draw(self._notes.caption, "race", "notes", race_notes(view, recorded=self._recorded))
        for role in self._columns:
            place = partial(self._place, role)
            title, hint = title_of(view, role)
            self._draw(partial(place("title").markdown, help=hint, anchors=False), role, "title", f"#### {title}")
            call = view.calls.get(role)
            estimate = view.calls.get("estimate") if call is None and role == "budgeted" else None
            if call is not None and call.record.status != "running":
                self._draw(place("count").markdown, role, "count", _ended_words(view, call))
            else:
                words = _waiting(view, role, estimate) if call is None else _running_words(view, call)
                self._draw(place("count").caption, role, "count", words)
            shown = call or estimate
            second = str(int(shown.elapsed_s or 0)) if shown and shown.record.status == "running" else ""
            self._draw(place("clock").caption, role, "clock", clock_words(shown) or "&nbsp;", of=second)
            self._draw(place("bar").markdown, role, "bar", _lane_of(view, role, call))
            box = place("text")
            if shown is None:
                continue
            running = shown.record.status == "running"
            if shown.text and evaluated(shown.record.prompt_template):
                draw = partial(draw_lines, shown.record, place=box)
                self._draw(draw, role, "lines" if running else "text", shown.text)
                continue
            text, _ = answer_text(shown.text or shown.reasoning)
            self._draw(box.text, role, "text", text or ("…" if running else t("(no text)")))

    def _draw(self, draw: Callable[[str], object], role: str, place: str, words: str, *, of: str = "") -> None:
        """What stands there already is not sent again: most pictures change one of eight places.

        Args:
            draw: Puts the words into the place.
            role: The answer's.
            place: Where, in its column.
            words: What stands there from now on.
            of: Until this changes the words stay as they are: a speed that flickers cannot be read. "" for the words.
        """
        if self._drawn.get((role, place)) != (of or words):
            self._drawn[role, place] = of or words
            draw(words)


def lane(role: AnswerRole, tokens: int, end: int, *, budget: int | None = None, tuned: bool = False) -> str:
    """How far an answer is, as a line of letters that is always as long: it grows without moving anything else.

    Args:
        role: Decides the colour.
        tokens: Written so far.
        end: Tokens at the right end, see `race_axis`; an answer that grows past it fills the line.
        budget: Where the dashed mark stands; at the end when it lies past it.
        tuned: An adapter answers, which has a colour of its own.
    """
    full, half = divmod(min(2 * LANE_LETTERS, round(2 * LANE_LETTERS * tokens / end)), 2)
    letters = (_FULL * full + _HALF * half).ljust(LANE_LETTERS, _EMPTY)
    mark = LANE_LETTERS if budget is None else min(LANE_LETTERS - 1, LANE_LETTERS * budget // end)
    color = "gray" if role == "vanilla" else "violet" if tuned else "blue"

    def colored(part: str) -> str:
        done = part.rstrip(_EMPTY)
        return "".join(f":{c}[{ls}]" for c, ls in ((color, done), ("gray", part[len(done) :])) if ls)

    return colored(letters[:mark]) + (_BUDGET if mark < LANE_LETTERS else "") + colored(letters[mark + 1 :])


def _lane_of(view: AskView, role: AnswerRole, call: CallView | None) -> str:
    """Empty until its axis is settled: a lane is never drawn on another scale than before."""
    tokens = 0
    if call is not None and view.axis_known:
        tokens = call.pieces if call.record.status == "running" else call.record.completion_tokens or 0
    budget = view.budget if role == "budgeted" and view.axis_known else None
    return lane(role, tokens, race_axis(view.expected), budget=budget, tuned=is_tuned(view, role))


def clock_words(call: CallView | None) -> str:
    """The time of an answer and its speed, which are another thing than its length; "" while there is none."""
    if call is None:
        return ""
    running = call.record.status == "running"
    seconds, speed = call.record.latency_s, tokens_per_second(call.record)
    if running:
        seconds = call.elapsed_s
        # The first second tells of a burst and not of a speed.
        speed = (call.pieces - 1) / call.writing_s if call.writing_s and call.writing_s >= 1 else None
    if seconds is None:
        return ""
    words = [t("{s:.0f} s", s=int(seconds)) if running else t("{s:.1f} s", s=seconds)]
    return " · ".join(filter(None, [*words, speed_words(speed)]))


def _waiting(view: AskView, role: Role, estimate: CallView | None) -> str:
    if estimate is not None and estimate.record.status == "running":
        return _estimating(estimate)
    if estimate is not None and estimate.record.status == "failed":
        return t("No budget: the estimate failed. {error}", error=literal(estimate.record.error or "", 160))
    if role == "budgeted" and view.budget is None and not view.estimator.startswith(NUMBERLESS):
        return t("Waiting for the budget…")
    if view.phase in ("preparing", "estimating"):
        return t("Waiting for the model…") if view.together or role == "budgeted" else t("Waiting for the budget…")
    return t("Starts when the vanilla answer is finished.") if not view.together else t("Starting…")


def _estimating(call: CallView) -> str:
    """How far an estimate is; it has a cap of its own."""
    cap = call.record.sampling.max_tokens
    if not call.pieces:
        words = t("Estimating the budget: reading the question…")
    elif call.text:
        words = t("Estimating the budget: about {n} tokens so far", n=call.pieces)
    else:
        words = t("Estimating the budget: about {n} tokens of thinking so far", n=call.pieces)
    return words if cap is None else t("{words}, at most {cap:,}", words=words, cap=cap)


def _running_words(view: AskView, call: CallView) -> str:
    if call.pieces == 0:
        return t("Reading the question…")
    written = call.pieces - call.thought
    if not written:
        return _past_the_end(t("Thinking: about {n} tokens so far", n=call.thought), call.pieces, view)
    if call.record.role == "budgeted" and view.budget:
        words = t("Writing: about {n} of {budget} tokens so far", n=written, budget=view.budget)
    else:
        words = t("Writing: about {n} tokens so far", n=written)
    words = f"{words} · {t('thinking: about {n}', n=call.thought)}" if call.thought else words
    return _past_the_end(words, call.pieces, view)


def _past_the_end(words: str, tokens: int, view: AskView) -> str:
    """A line that is full says by how much it is not enough."""
    end = race_axis(view.expected)
    return t("{words}, more than {end:,}", words=words, end=end) if view.axis_known and tokens > end else words


def _ended_words(view: AskView, call: CallView) -> str:
    """One line on an answer that has ended while the other one may still grow: "50 tokens, right"."""
    record = call.record
    budget = view.budget if record.role == "budgeted" else None
    tokens = record.completion_tokens
    head = t("Tokens unknown") if tokens is None else tn("{n} token", "{n} tokens", tokens)
    if tokens is not None and record.usage_estimated:
        head = t("about {tokens}", tokens=head)
    if record.status not in STOPPED and is_judged(view, record):
        kind = outcome_kind(record.outcome, refused=record.refused)
        head = t("{tokens}, {outcome}", tokens=head, outcome=t(kind.phrase))
        head = f":{kind.color}[{kind.icon} {head}]"
    words = [f"**{_past_the_end(head, tokens or 0, view)}**"]
    words += answer_and_thinking(record, budget) if call_apart(record) else _held_against(record, budget)
    if record.status in STOPPED:
        words.append(t(STOPPED[record.status]))
    if record.error:
        words.append(literal(record.error, 160))
    return " · ".join(words)


def is_tuned(view: AskView, role: Role) -> bool:
    """An adapter answers in the place of the budgeted answer."""
    return role == "budgeted" and view.estimator.startswith(TUNED)


def title_of(view: AskView, role: Role) -> tuple[str, str]:
    """The title of an answer's column, and the hint beside it."""
    if role == "budgeted" and view.estimator == LINES:
        return t(LINES_TITLE), hint_of(LINES)
    if role == "budgeted" and view.estimator.startswith(WORDS):
        return f":blue[■] {literal(strategy_title(view.estimator))}", hint_of(view.estimator)
    if role == "budgeted" and (call := view.calls.get(role)) is not None and call.record.sampling.knob:
        kind = kind_of(call.record)
        return f":blue[■] {t(kind.TITLE)}", t(kind.HINT)
    if not is_tuned(view, role):
        return t(TITLES[role]), t(HINTS[role])
    if _in_lines(view, role):
        return t(TUNED_LINES_TITLE), t(Tuned.LINES_HINT)
    return t(TUNED_TITLE), t(TUNED_HINT)


def _in_lines(view: AskView, role: Role) -> bool:
    """A calculator works the answer out; of an adapter that is gone its answer tells."""
    call = view.calls.get(role)
    return evaluated(call.record.prompt_template) if call else tool_of(view.estimator) is not None


def is_judged(view: AskView, record: CallRecord) -> bool:
    """There is an outcome to tell: a known answer to be held against, or a person who said so."""
    return view.question.answer is not None or record.outcome != "ungraded"


def counted(record: CallRecord, budget: int | None) -> str:
    """The output tokens of an answer, and the answer itself against its budget, with its thinking beside it."""
    return " · ".join([*output_words(record, budget), *answer_and_thinking(record, budget)])


def output_words(record: CallRecord, budget: int | None) -> list[str]:
    """All output tokens, against the budget where there is no thinking among them."""
    words = [f"**{_output(record.completion_tokens, about=record.usage_estimated)}**"]
    return words if call_apart(record) else words + _held_against(record, budget)


def answer_and_thinking(record: CallRecord, budget: int | None) -> list[str]:
    """The answer against its budget, and the thinking; nothing where there is none."""
    answer, *thinking = call_apart(record) or [""]
    return [answer, *_held_against(record, budget), *thinking] if answer else []


def _held_against(record: CallRecord, budget: int | None) -> list[str]:
    tokens = kind_of(record).held(record)
    return [] if budget is None or tokens is None or record.status == "running" else [_against(tokens, budget)]


def _output(tokens: int | None, *, about: bool) -> str:
    if tokens is None:
        return t("Output tokens unknown")
    return t("about {n:,} output tokens", n=tokens) if about else t("{n:,} output tokens", n=tokens)


def _against(tokens: int, budget: int) -> str:
    if tokens <= budget:
        return t("budget {budget}", budget=budget)
    return t("{times:.1f} × budget {budget}", times=tokens / budget, budget=budget)


def budget_line(view: AskView, *, interactive: bool = True) -> None:
    """Where the budget came from, with the model's own words and what they cost."""
    if view.budget is None:
        if view.running and not view.estimator.startswith(NUMBERLESS):
            st.markdown(f"**{t('Budget: not known yet')}**")
        return
    estimate = view.calls.get("estimate")
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(f"**{t('Budget: {tokens} tokens', tokens=view.budget)}** · {literal(_origin(view))}")
        if estimate is not None and interactive:
            with st.popover(t("What the model said"), type="tertiary"):
                st.caption(t("The model was asked for the fewest tokens that a full, right answer needs. It wrote:"))
                st.text(sanitize(view.budget_raw[:2000]) or t("(nothing)"))
                st.caption(" · ".join([_spent(estimate.record), *call_apart(estimate.record)]))
    if view.budget_problem:
        problem = literal(view.budget_problem)
        st.warning(t("The estimate could not be used: {problem}.", problem=problem), icon=":material/rule:")


def _origin(view: AskView) -> str:
    if view.budget_problem:
        return t("the stated default")
    kind = KINDS.get(view.estimator.partition(":")[0])
    return t(kind.origin) if kind else view.estimator


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
