"""One search as a picture: the finding, the chart with its narration, the step list, the spend. Live, stored, replayed.

While a search runs, only what lies inside of fixed boxes changes; nothing else moves.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import streamlit as st

from tale_core.budgets.kinds import level_title
from tale_core.calls.budget_ledger import apart_columns, apart_words, spent_words
from tale_core.calls.outcomes import OUTCOMES, TICKS, BadgeColor
from tale_core.calls.recorder import CallView
from tale_core.charts import search as figures
from tale_core.i18n import t
from tale_core.runs.documents import search_csv, search_document
from tale_core.search.engine import SearchStep
from tale_core.search.text import (
    CUT,
    PHASES,
    chart_title,
    finding,
    number,
    outcome_words,
    phase_caption,
    qualifications,
    step_words,
)
from tale_core.search.view import SearchView
from tale_core.types import Level, Outcome
from ui.ask import beside
from ui.common.answer import draw_answer
from ui.common.charts import palette
from ui.common.glossary import explain
from ui.common.outcome_badge import labelled_note
from ui.common.run_parts import Now, finding_line, how_it_ended, now_line
from ui.common.text import answer_text, literal, whole, wrapped

PLAY_S = 1.6
"""Seconds a step stays while a search is replayed: long enough to read its sentence aloud."""
TEXT_HEIGHT = 170
LEGEND_HEIGHT = 56
NARRATION_HEIGHT = 315
TABLE_HEIGHT = 330
MEANING_LETTERS = 38
SHORT = 8


def head(view: SearchView) -> None:
    """The finding in one sentence, with everything that qualifies it right below."""
    how_it_ended(view, "search")
    finding_line(finding(view), qualifications(view))
    labelled_note(call.record for call in view.calls)


def phase_line(view: SearchView) -> Now:
    """What happens right now, in words."""
    return now_line(view, phase_caption(view))


class LiveSearch:
    """The places that `update` fills while a search runs."""

    def __init__(self) -> None:
        left, right = st.columns([3, 2], gap="medium")
        with left:
            self._title = st.empty()
            self._legend = st.container(height=LEGEND_HEIGHT, border=False).empty()
            self._chart = st.container(height=figures.HEIGHT + 12, border=False).empty()
        with right:
            self._count = st.empty()
            box = st.container(height=figures.HEIGHT - 20, border=True, key="probe_text", autoscroll=True)
            self._text = box.empty()
        self._spent = st.empty()
        self._table = st.container(height=TABLE_HEIGHT, border=False, autoscroll=True).empty()
        self._drawn: tuple[Any, ...] | None = None
        self._charts = 0

    def update(self, view: SearchView) -> None:
        """Draw the picture as it stands. A chart is drawn anew only when a budget was chosen or told something."""
        live = [c for c in view.calls if c.record.status == "running"]
        trying = tuple(dict.fromkeys(b for c in live if (b := c.record.level) is not None))
        if (drawn := (view.steps, trying, view.spent)) != self._drawn:
            self._drawn = drawn
            self._draw(view, trying)
        self._count.markdown(_writing(live))
        shown, _ = answer_text((live[-1].text or live[-1].reasoning) if live else "")
        self._text.text(shown or "…")

    def _draw(self, view: SearchView, trying: tuple[Level, ...]) -> None:
        self._charts += 1
        self._title.markdown(f"**{literal(chart_title(view))}**")
        self._legend.markdown(_legend(view.steps))
        with self._chart:
            _chart(view.steps, key=f"live_{self._charts}", trying=trying)
        self._spent.markdown(_spent(view))
        if view.steps:
            self._table.table(_rows(view.steps), border="horizontal", alt=t("The steps so far"))


def _writing(live: list[CallView]) -> str:
    if not live:
        return "&nbsp;"
    now = live[-1]
    budget = now.record.level if now.record.role == "probe" else None
    name = t("Vanilla") if budget is None else level_title(budget)
    count = t("about {n:,} tokens so far", n=now.pieces) if now.pieces else t("reading the question…")
    more = f" · {t('{n} more at the same time', n=len(live) - 1)}" if len(live) > 1 else ""
    return f"**{name}** · {count}{more}"


def _chart(
    steps: tuple[SearchStep, ...], *, key: str, on_click: Callable[[], None] | None = None, **options: Any
) -> None:
    figure = figures.search_chart(steps, **options, colors=palette())
    st.plotly_chart(
        figure, config={"displayModeBar": False}, key=key, alt=figures.described(steps),
        on_select=on_click or "ignore", selection_mode="points",
    )  # fmt: skip


def _open(view: SearchView) -> None:
    """The probe in the column that was clicked."""
    column = beside.clicked(f"chart_{view.session_id}").get("x")
    step = next((s for s in view.steps if s.index == column), None)
    beside.choose_budget(view, step.budget if step else None)


def _legend(steps: Sequence[SearchStep]) -> str:
    """The chart's signs in words, as Markdown: it wraps where the screen is narrow, and the plot keeps its size.

    Right and wrong are always named, so that the legend seldom grows while a search runs.
    """
    always = [(Outcome.CORRECT, False), (Outcome.WRONG, False)]
    kinds = dict.fromkeys([*always, *((s.outcome, s.cut) for s in steps)])
    signs = [_sign(":blue-background[\u2003]", t("still possible")), _sign("╌╌", t("budget asked for"))]
    if any(isinstance(step.budget, str) for step in steps):
        signs = []  # Words have no place among the tokens.
    for outcome, cut in kinds:
        look = figures.look(outcome, cut=cut)
        sign = look.sign if cut else f":{OUTCOMES[outcome].color}[{look.sign}]"
        signs.append(_sign(sign, look.name.lower().replace("_", "\\_")))
    if figures.thinks(steps):
        signs.append(_sign(":gray[○]", t("the answer without its thinking")))
    words = "\u2003 ".join([*signs, _sign(":blue[◯]", t("best so far"))])
    return f":small[{words}]"


def _sign(sign: str, words: str) -> str:
    return f"{sign}\u00a0{whole(words)}"


def _rows(steps: tuple[SearchStep, ...]) -> dict[str, list[str]]:
    """The step list as a table's columns."""
    return {
        whole(t("Probe")): [str(s.index) for s in steps],
        t("Phase"): [_glued(t(PHASES[s.phase])) for s in steps],
        whole(t("Budget")): ["–" if s.budget is None else _written(s.budget) for s in steps],
        t("Actual tokens"): [_tokens(s) for s in steps],
        **apart_columns((s.visible_tokens, s.thinking_tokens) for s in steps),
        whole(t("Outcome")): [_colored(s) for s in steps],
        t("What it means"): [_glued(literal(step_words(s), 600)) for s in steps],
    }


def _written(level: Level) -> str:
    return level if isinstance(level, str) else f"{level:,}"


def _glued(words: str) -> str:
    """Words whose first line does not break: a narrow screen would make a column of single words of them."""
    first = wrapped(words, MEANING_LETTERS)[0]
    return whole(first) + words[len(first) :]


def _tokens(step: SearchStep) -> str:
    return f"{'≥ ' if step.cut else ''}{number(step.tokens)}"


def _look(step: SearchStep) -> tuple[str, BadgeColor, str]:
    kind = OUTCOMES[step.outcome]
    return (t(CUT), "gray", ":material/content_cut:") if step.cut else (outcome_words(step), kind.color, kind.icon)


def _colored(step: SearchStep) -> str:
    word, color, icon = _look(step)
    shown = literal(word)
    if step.cut or len(word) > SHORT:
        return f":{color}[{icon} {shown}]"
    # A line may break beside a picture, whatever stands there: a narrow screen would part the sign from its word.
    return f":{color}[{whole(f'{TICKS.get(step.outcome, OUTCOMES[step.outcome].sign)} {shown}')}]"


def _spent(view: SearchView) -> str:
    words = literal(spent_words(view.spent), 400)
    return t("**Spent so far:** {spent}", spent=words) if view.running else t("**Spent in all:** {spent}", spent=words)


def replay(view: SearchView) -> None:
    """The chart and the step list of an ended search, with a slider over its steps and a button that plays them."""
    if not view.steps:
        return
    playing = st.session_state.get("playing") == view.session_id
    st.fragment(_replay, run_every=PLAY_S if playing else None)(view)


def _replay(view: SearchView) -> None:
    last, key = len(view.steps) - 1, f"step_of_{view.session_id}"
    at = min(int(st.session_state.get(key, last)), last)
    if st.session_state.get("playing") == view.session_id:
        at = _next(at, last)
    st.session_state[key] = at
    if last:
        _controls(view, key, last)
    step = view.steps[at]
    left, right = st.columns([3, 2], gap="medium")
    with left:
        st.markdown(f"**{literal(chart_title(view, at))}**", help=explain("token", "budget", "rebound"))
        st.markdown(_legend(view.steps))
        with st.container(height=figures.HEIGHT + 12, border=False):
            _chart(
                view.steps[: at + 1], key=f"chart_{view.session_id}", whole=view.steps, on_click=partial(_open, view)
            )
    with right:
        with st.container(height=NARRATION_HEIGHT, border=False):
            _narration(view, at)
        with st.container(height=TEXT_HEIGHT, border=True, key="probe_text"):
            draw_answer(_text_of(view, step))
    beside.chooser(view)
    beside.opened(view)
    st.table(_rows(view.steps[: at + 1]), border="horizontal", alt=t("The steps of the search"))


def _next(at: int, last: int) -> int:
    """The step to show now that it is being played; past the last one the playing ends."""
    now = time.monotonic()
    if now < st.session_state.get("play_due", 0.0):
        return at
    if at >= last:
        st.session_state["playing"] = None
        st.rerun()
    st.session_state["play_due"] = now + PLAY_S * 0.6  # Timers are not exact; half a beat early is still this beat.
    return at + 1


def _controls(view: SearchView, key: str, last: int) -> None:
    playing = st.session_state.get("playing") == view.session_id
    button, slider = st.columns([1, 6], vertical_alignment="bottom")
    with button:
        pressed = st.button(
            t("Pause") if playing else t("Play"), key="play", width="stretch",
            icon=":material/pause:" if playing else ":material/play_arrow:",
            on_click=_toggle, args=(view.session_id, key, last),
        )  # fmt: skip
    with slider:
        st.slider(t("Replay: probe"), 0, last, key=key, on_change=_pause)
    if pressed:
        st.rerun()  # The whole page: only that gives the fragment a clock, or takes it away.


def _toggle(session_id: str, key: str, last: int) -> None:
    if st.session_state.get("playing") == session_id:
        _pause()
        return
    st.session_state["playing"] = session_id
    st.session_state["play_due"] = time.monotonic() + PLAY_S * 0.6
    if int(st.session_state.get(key, last)) >= last:
        st.session_state[key] = 0


def _pause() -> None:
    st.session_state["playing"] = None


def _narration(view: SearchView, at: int) -> None:
    step = view.steps[at]
    word, color, icon = _look(step)
    asked = t("Vanilla") if step.budget is None else level_title(step.budget)
    title = t("Probe {n} of {all}", n=at, all=len(view.steps) - 1) if at else t("The vanilla answer")
    st.markdown(f"#### {title}", anchors=False)
    st.markdown(literal(phase_caption(view, at)))
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        spent = t("**{asked} → {tokens} tokens**", asked=asked, tokens=_tokens(step))
        st.markdown(" · ".join([spent, *apart_words(step.visible_tokens, step.thinking_tokens)]))
        st.badge(word, color=color, icon=icon)
    st.markdown(literal(step_words(step), 600))


def _text_of(view: SearchView, step: SearchStep) -> str:
    """What the model wrote at this step: the first of its samples."""
    role = "vanilla" if step.budget is None else "probe"
    calls = [c for c in view.calls if c.record.role == role and c.record.level == step.budget]
    first = min(calls, key=lambda c: c.record.repeat_index, default=None)
    return (first.text or first.reasoning) if first else ""


def spent_and_files(view: SearchView) -> None:
    """What was paid for, and the search as files."""
    st.markdown(_spent(view))
    with st.container(horizontal=True):
        st.download_button(
            t("Save as JSON"), json.dumps(search_document(view), ensure_ascii=False, indent=2), on_click="ignore",
            file_name=f"{view.session_id}.json", mime="application/json", icon=":material/download:",
        )  # fmt: skip
        st.download_button(
            t("Save steps as CSV"), search_csv(view), on_click="ignore", file_name=f"{view.session_id}.csv",
            mime="text/csv", icon=":material/download:",
        )  # fmt: skip
