"""The lesson as HTML: its slides, and one file that holds them and needs nothing else, no network and no font.

The file's own policy forbids connections and every script and style but the ones written here. Without scripts
everything can still be read. What a slide looks like is `assets/slides.html`, in the file and on the class's screen.
"""

from __future__ import annotations

import base64
import hashlib
from functools import lru_cache
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

from markupsafe import Markup

from tale_core import __version__
from tale_core.calls.comparison import guess_score
from tale_core.drawing.html import render
from tale_core.i18n import language, t, tn, use_language
from tale_core.lessons import arc as lesson_arc
from tale_core.lessons import charts, lesson
from tale_core.lessons.arc import Arc
from tale_core.lessons.charts import histogram
from tale_core.lessons.ladder import Rung, counted
from tale_core.lessons.replay import SPEEDS
from tale_core.text import sanitize
from tale_core.types import Language

ASSETS = Path(__file__).with_name("assets")


def lesson_html(spoken: Language | None = None) -> str:
    """The whole lesson as a file.

    Args:
        spoken: Its language; the reader's when None.

    Raises:
        InputError: A bundled recording cannot be read.
    """
    with use_language(spoken or language()):
        arc = lesson_arc.lesson_arc()
        return render(
            asset("lesson.html"), style=Markup(asset("lesson.css")), script=Markup(_script()), policy=_policy(),
            title=t("How much thinking does an answer need?"), version=__version__, spoken=language(),
            marks=_marks(arc), machine=arc.ladder.made.machine, slides=Markup(slides_html(arc)),
            steps=len(lesson.STEPS),
        )  # fmt: skip


def slides_html(arc: Arc) -> str:
    """The slides, one section a step, in the reader's language. Whatever a recording holds is text in them."""
    return render(
        asset("slides.html"), arc=arc, says=lesson_arc, lesson=lesson, charts=charts, speeds=SPEEDS,
        marks=_marks(arc), decks={"thought": _deck([arc.vanilla]), "budget": _deck([arc.vanilla, arc.first])},
        told=[lesson_arc.tried_words(arc, at) for at in range(len(arc.tried))],
        added={rung.budget: lesson.budget_words(arc.ladder, rung.budget or 1) for rung in (arc.first, arc.best)},
    )  # fmt: skip


class Guessed(NamedTuple):
    """A student's guess.

    Attributes:
        who: The nickname; shown of the nearest alone.
    """

    who: str
    tokens: int


def guesses_html(guesses: list[Guessed], *, students: int, actual: int | None) -> str:
    """What the class has guessed so far; with `actual` also what it was, and who was nearest."""
    tokens = [g.tokens for g in guesses]
    nearest, best = _nearest(guesses, actual) if actual is not None else ([], 0)
    bins = histogram(tokens, actual=actual)
    return render(
        asset("guesses.html"), guessed=len(guesses), students=students, actual=actual, nearest=nearest, best=best,
        half=f"{median(tokens):,.0f}" if tokens else "", chart=charts.guesses(bins, actual) if bins else "",
    )  # fmt: skip


def _nearest(guesses: list[Guessed], actual: int) -> tuple[list[str], int]:
    """Whose guess was nearest, all of them where several were, and how good it was."""
    off = min((abs(g.tokens - actual) for g in guesses), default=0)
    found = [g for g in guesses if abs(g.tokens - actual) == off]
    return sorted(g.who for g in found), max((guess_score(g.tokens, actual) for g in found), default=0)


def heat_html(arc: Arc, struck: list[int], *, students: int) -> str:
    """The answer's sentences, each the darker the more students have struck it out.

    Args:
        arc: The lesson.
        struck: How many struck out each of its sentences.
        students: How many struck out anything.
    """
    parts = [
        (one.text, one.after, n, round(5 * n / students) if students else 0)
        for one, n in zip(lesson_arc.answer_sentences(arc), struck, strict=True)
    ]
    words = tn("{n} student has struck out sentences", "{n} students have struck out sentences", students)
    return render(
        asset("heat.html"), parts=parts, words=words if students else t("Nobody has struck out anything yet.")
    )


@lru_cache(maxsize=16)
def asset(name: str) -> str:
    """A template, style sheet or script of the lesson."""
    return (ASSETS / name).read_text(encoding="utf-8").strip()


def _script() -> str:
    return f"{asset('lesson.js')}\n{asset('file.js')}"


def _policy() -> str:
    style, script = (
        base64.b64encode(hashlib.sha256(text.encode("utf-8")).digest()).decode("ascii")
        for text in (asset("lesson.css"), _script())
    )
    return (
        f"default-src 'none'; style-src 'sha256-{style}'; script-src 'sha256-{script}'; "
        "base-uri 'none'; form-action 'none'"
    )


def _marks(arc: Arc) -> list[str]:
    return list(dict.fromkeys(map(lesson.mark, arc.recordings)))


def _deck(shown: list[Rung]) -> list[dict[str, Any]]:
    return [_answer(rung) for rung in shown]


def _answer(rung: Rung) -> dict[str, Any]:
    """An answer with what the script replays; times in milliseconds since it was asked for."""
    pieces, at, ms = [], 0, 0
    for after, letters, _ in rung.tape.pieces:
        ms += after
        pieces.append((ms, sanitize(rung.call.text[at : at + letters])))
        at += letters
    replayed = {
        "pieces": pieces,
        "end": rung.tape.end_ms - rung.tape.start_ms,
        "text": sanitize(rung.call.text),
        "ended": counted(rung),
        "sofar": t("about {n} tokens so far", n="#"),
    }
    name = t("Vanilla") if rung.budget is None else t("Budget {budget:,}", budget=rung.budget)
    return {"name": name, "kind": "v" if rung.budget is None else "b", "tape": replayed}
