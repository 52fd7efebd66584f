"""One question of an experiment: what two strategies answered, side by side, with the words that differ marked.

Answers are drawn as escaped text; the marks are colours of the page's own.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence

import streamlit as st

from tale_core.calls.budget_ledger import apart_words
from tale_core.errors import StoreError
from tale_core.experiments.plan import Unit
from tale_core.experiments.run import ExperimentView
from tale_core.experiments.table import BASELINE
from tale_core.i18n import t, tn
from tale_core.prompts.messages import question_block
from tale_core.store import ExperimentStore, UnitFigures
from tale_core.strategies import family, title_of
from tale_core.types import CallRecord, Outcome
from ui.ask.result import prompts_of as prompts
from ui.common import state
from ui.common.lines import draw_call
from ui.common.outcome_badge import outcome_badge
from ui.common.text import literal, sanitize

ANSWER_HEIGHT = 320
MOST_WORDS = 1_500
"""Words of an answer up to which two are compared: the comparison takes time by the square of it."""
_WORDS = re.compile(r"\S+")
_LETTERS = 20_000
Names = tuple[str, str]


def drill_down(view: ExperimentView) -> None:
    """A switch, and behind it the answers to one question; nothing is read before it is on."""
    if view.finished + view.failed == 0 or not st.toggle(t("Look at single answers"), key="exp_answers"):
        return
    try:
        _look(view)
    except StoreError as e:
        st.error(literal(str(e), 600), icon=":material/error:")


def _look(view: ExperimentView) -> None:
    names = _strategies(view)
    if names is None:
        return
    position = _question(view, names)
    if position is None:
        st.caption(t("Both have the same outcome on every question."))
        return
    _pair(view, position, _repeat(view), names, place="exp_answer")


def beside(view: ExperimentView, position: int, strategy: str) -> None:
    """The answer of a strategy to a question beside the vanilla one, if there is one, with both prompts."""
    names = list(view.plan.strategies)
    base = BASELINE if BASELINE in names else next((name for name in names if name != strategy), strategy)
    calls = _pair(view, position, 0, (base, strategy), place="cell_answer")
    prompts(
        [
            (literal(title_of(name), 80), call)
            for name, call in zip((base, strategy), calls, strict=True)
            if call is not None
        ]
    )


def _pair(view: ExperimentView, position: int, repeat: int, names: Names, *, place: str) -> list[CallRecord | None]:
    """Two answers to a question side by side; returns their calls."""
    question = view.plan.questions[position]
    st.text(sanitize(question_block(question)))
    if question.answer is not None:
        st.caption(t("Known answer: {answer}", answer=literal(question.answer, 200)))
    found, calls = _answers(view, position, repeat, names)
    texts = [call.text if call else "" for call in calls]
    marked = marked_lines(texts[0], texts[1])
    for column, at in zip(st.columns(2, gap="medium"), (0, 1), strict=True):
        with column:
            _draw(names[at], found[at], calls[at], marked[at] if marked else None, f"{place}_{at}")
    if marked:
        st.caption(t("Marked words stand in one of the two answers alone."))
    return calls


def _answers(
    view: ExperimentView, position: int, repeat: int, names: Names
) -> tuple[list[UnitFigures | None], list[CallRecord | None]]:
    """The numbers and the calls of two answers; nothing of any other answer is read."""
    keys = [Unit(position, repeat, name).key for name in names]
    experiments = ExperimentStore(state.store())
    figures = {u.strategy: u for u in experiments.figures(view.experiment_id, units=keys)}
    calls = experiments.answers(view.experiment_id, keys)
    return [figures.get(name) for name in names], [calls.get(key) for key in keys]


def _strategies(view: ExperimentView) -> Names | None:
    names = list(view.plan.strategies)
    first = "vanilla" if "vanilla" in names else names[0]
    others = [name for name in names if name != first] or [first]
    second = next((name for name in others if family(name) == "budgeted"), others[0])
    a, b = (
        column.selectbox(
            label, names, index=names.index(one), key=f"exp_{side}_{view.experiment_id}",
            format_func=lambda name: sanitize(title_of(name)),
        )
        for column, side, label, one in zip(
            st.columns(2), ("left", "right"), (t("One strategy"), t("The other")), (first, second), strict=True
        )
    )  # fmt: skip
    return (a, b) if a is not None and b is not None else None


def _question(view: ExperimentView, names: Names) -> int | None:
    """The question that was chosen; None when none is offered."""
    offered = list(range(len(view.plan.questions)))
    if st.toggle(t("Only questions on which they differ"), key="exp_differ"):
        outcomes = ExperimentStore(state.store()).outcomes(view.experiment_id, names)
        offered = [place for place in offered if _differ(outcomes, place, names, view.plan.repeats)]
    if not offered:
        return None
    key = f"exp_question_{view.experiment_id}"
    if st.session_state.get(key) not in offered:
        st.session_state[key] = offered[0]
    st.selectbox(t("Question"), offered, key=key, format_func=lambda place: _named(view, place))
    return int(st.session_state[key])


def _differ(outcomes: dict[str, Outcome | None], place: int, names: Names, repeats: int) -> bool:
    one, other = ([outcomes.get(Unit(place, r, name).key) for r in range(repeats)] for name in names)
    return one != other


def _named(view: ExperimentView, place: int) -> str:
    text = " ".join(sanitize(view.plan.questions[place].text).split())
    return f"{place + 1}. {text if len(text) <= 90 else f'{text[:89]}…'}"


def _repeat(view: ExperimentView) -> int:
    if view.plan.repeats == 1:
        return 0
    return int(st.number_input(t("Repeat"), 1, view.plan.repeats, step=1, key=f"exp_repeat_{view.experiment_id}")) - 1


def _draw(name: str, unit: UnitFigures | None, call: CallRecord | None, lines: str | None, key: str) -> None:
    st.markdown(f"#### {literal(title_of(name), 80)}", anchors=False)
    if unit is None:
        st.caption(t("Not asked."))
        return
    if unit.status == "failed":
        st.error(literal(unit.error or t("The endpoint gave no answer."), 600), icon=":material/error:")
        return
    _numbers(unit)
    with st.container(height=ANSWER_HEIGHT, border=True, key=key):
        if call is None:
            st.caption(t("The text of this answer is not there."))
            return
        draw_call(call, prose=None if lines is None else lambda _text: st.markdown(lines))


def _numbers(unit: UnitFigures) -> None:
    tokens = t("unknown") if unit.output_tokens is None else f"{unit.output_tokens:,}"
    words = " · ".join(
        [t("**{tokens} output tokens**", tokens=tokens), *apart_words(unit.visible_tokens, unit.thinking_tokens)]
    )
    if unit.budget is not None:
        words += " · " + t("budget {budget:,}", budget=unit.budget)
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(words)
        if unit.outcome is not None:
            outcome_badge(unit.outcome, unit.labelled, refused=unit.refused)
    calls = tn("{n} call", "{n} calls", unit.calls)
    facts = []
    if unit.all_in_tokens is not None:
        facts += [t("{tokens:,} all-in tokens in {calls}", tokens=unit.all_in_tokens, calls=calls)]
    facts += [t("read as {answer}", answer=unit.extracted[:80])] if unit.extracted else []
    facts += [unit.problem] if unit.problem else []
    st.caption(literal(t("{facts}.", facts=t("; ").join(facts)), 400))


def marked_lines(one: str, other: str) -> tuple[str, str] | None:
    """Both texts as Markdown that shows exactly them, with the words that the other lacks on a ground of their own.

    None when there is nothing to compare: one is empty, both are the same, or they are too long.
    """
    if not one or not other or one == other or max(len(one), len(other)) > _LETTERS:
        return None
    one, other = sanitize(one), sanitize(other)
    a, b = _WORDS.findall(one), _WORDS.findall(other)
    if max(len(a), len(b)) > MOST_WORDS:
        return None
    matcher = difflib.SequenceMatcher(None, a, b, autojunk=False)
    blocks = matcher.get_matching_blocks()
    same_a = {i for m in blocks for i in range(m.a, m.a + m.size)}
    same_b = {i for m in blocks for i in range(m.b, m.b + m.size)}
    return _marked(one, same_a, "gray"), _marked(other, same_b, "blue")


def _marked(text: str, same: set[int], color: str) -> str:
    """`text` with each run of words that are not in `same` on a ground; lines stay lines."""
    lines: list[str] = []
    at = 0
    for line in text.split("\n"):
        words = _WORDS.findall(line)
        lines.append(" ".join(_runs(words, [at + i in same for i in range(len(words))], color)))
        at += len(words)
    return "  \n".join(line or "&nbsp;" for line in lines)


def _runs(words: Sequence[str], same: Sequence[bool], color: str) -> Iterator[str]:
    start = 0
    for i in range(1, len(words) + 1):
        if i < len(words) and same[i] == same[start]:
            continue
        shown = literal(" ".join(words[start:i]), _LETTERS * 8)
        if shown:
            yield shown if same[start] else f":{color}-background[{shown}]"
        start = i
