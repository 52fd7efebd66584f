"""The lesson as one HTML file that needs nothing else: no network, no font, no picture from anywhere.

Its own policy forbids connections and every script and style but the ones written here. Without scripts everything can
still be read. What it looks like is `assets/lesson.html`.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from markupsafe import Markup

from tale_core import __version__
from tale_core.calls.outcomes import OUTCOMES
from tale_core.elasticity.text import level_words
from tale_core.elasticity.view import SweepView
from tale_core.html import render
from tale_core.i18n import language, t, use_language
from tale_core.lessons import charts, lesson
from tale_core.lessons.recorded import Recording, Tape
from tale_core.lessons.replay import SPEEDS, whole
from tale_core.search.text import chart_title, step_words
from tale_core.search.view import SearchView
from tale_core.text import sanitize
from tale_core.types import ANSWERS, AnswerRole, CallRecord, Language

ASSETS = Path(__file__).with_name("assets")


def lesson_html(spoken: Language | None = None) -> str:
    """The whole lesson.

    Args:
        spoken: Its language; the reader's when None.

    Raises:
        InputError: A bundled recording cannot be read.
    """
    with use_language(spoken or language()):
        found = lesson.lesson_recordings()
        return render(
            _asset("lesson.html"),
            **{name: Markup(_asset(f"lesson.{end}")) for name, end in (("style", "css"), ("script", "js"))},
            **_tokens(found.ask), **_budgets(found.sweep), **_probes(found.search),
            title=t("How much thinking does an answer need?"), policy=_policy(), version=__version__,
            found=found, lesson=lesson, spoken=language(), speeds=SPEEDS,
            marks_of=lambda recordings: dict.fromkeys(map(lesson.mark, recordings)),
        )  # fmt: skip


@lru_cache(maxsize=4)
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8").strip()


def _policy() -> str:
    style, script = (
        base64.b64encode(hashlib.sha256(_asset(name).encode("utf-8")).digest()).decode("ascii")
        for name in ("lesson.css", "lesson.js")
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _tokens(recording: Recording) -> dict[str, Any]:
    """The two answers of an Ask: replayed, in a table and as bars."""
    rows = []
    for role in ANSWERS:
        call = lesson.answer_of(recording, role)
        budget = recording.session.budget if role == "budgeted" else None
        rows.append((_name(role), call.completion_tokens or 0, "vf" if role == "vanilla" else "bf", budget))
    return {
        "answers": {"both": _deck(recording, ANSWERS), "vanilla": _deck(recording, ("vanilla",))},
        "token_rows": [(name, f"{n:,}", "–" if budget is None else f"{budget:,}") for name, n, _, budget in rows],
        "bars": charts.bars(rows, "; ".join(f"{name}: {n}" for name, n, _, _ in rows)),
    }


def _name(role: AnswerRole) -> str:
    return t("Without a budget") if role == "vanilla" else t("With a budget")


def _deck(recording: Recording, roles: Sequence[AnswerRole]) -> list[dict[str, Any]]:
    pairs = zip(recording.session.calls, recording.tapes, strict=True)
    shown = [(call, tape) for call, tape in pairs if call.role in roles]
    first = min(tape.start_ms for _, tape in shown)
    return [_answer(call, tape, first) for call, tape in shown]


def _answer(call: CallRecord, tape: Tape, first: int) -> dict[str, Any]:
    """An answer with what the file's script replays; times in milliseconds since `first`."""
    pieces, at, ms = [], 0, tape.start_ms - first
    for after, letters, _ in tape.pieces:
        ms += after
        pieces.append((ms, sanitize(call.text[at : at + letters])))
        at += letters
    ended = t("{n} output tokens, {outcome}", n=f"{call.completion_tokens or 0:,}", outcome=OUTCOMES[call.outcome].word)
    replayed = {
        "pieces": pieces,
        "end": tape.end_ms - first,
        "text": sanitize(call.text),
        "ended": ended,
        "sofar": t("about {n} tokens so far", n="#"),
    }
    return {"name": _name("vanilla" if call.role == "vanilla" else "budgeted"), "tape": replayed}


def _budgets(recording: Recording) -> dict[str, Any]:
    """A sweep's curve, and what every budget took."""
    view = whole(recording)
    assert isinstance(view, SweepView) and view.result is not None
    rows = []
    for p in view.result.points:
        right = "–" if p.accuracy is None else t("{right} of {n}", right=round(p.accuracy * p.graded), n=p.graded)
        interval = "–" if p.tokens_low is None else f"{p.tokens_low:,.0f}–{p.tokens_high:,.0f}"
        mean = "–" if p.tokens_mean is None else f"{p.tokens_mean:,.0f}"
        names = {"vanilla": t("no budget"), "direct": t("direct answer")}
        rows.append((names.get(p.kind) or level_words(p.budget or 0), str(p.repeats), mean, interval, right))
    return {"budget_rows": rows, "curve": charts.curve(view.result, lesson.finding(recording))}


def _probes(recording: Recording) -> dict[str, Any]:
    """A search's chart, and a row for each of its probes."""
    view = whole(recording)
    assert isinstance(view, SearchView)
    rows = []
    for at, step in enumerate(view.steps):
        budget = "–" if step.budget is None else level_words(step.budget)
        tokens = f"{'≥ ' if step.cut else ''}{step.tokens:,.0f}"
        cells = (str(step.index), budget, tokens, OUTCOMES[step.outcome].word)
        rows.append({"index": step.index, "title": chart_title(view, at), "words": step_words(step), "cells": cells})
    return {"probes": rows, "search_chart": charts.search(view.steps, lesson.finding(recording))}
