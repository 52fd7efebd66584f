"""The lesson as one HTML file that needs nothing else: no network, no font, no picture from anywhere.

Every text is escaped; its own policy forbids connections and every script and style but the ones written here. Without
scripts everything can still be read. Knows the lesson and its recordings; knows no page.
"""

from __future__ import annotations

import base64
import hashlib
import json
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from pathlib import Path

from tale_core import __version__, prompts
from tale_core.i18n import language, t, use_language
from tale_core.lessons import lesson, svg
from tale_core.lessons.lesson import STEPS, LessonRecordings, Step
from tale_core.lessons.recorded import Recording, Tape
from tale_core.lessons.replay import SPEEDS, whole
from tale_core.search_words import chart_title, step_words
from tale_core.studies import SearchView, SweepView
from tale_core.types import ANSWERS, AnswerRole, CallRecord, Language
from tale_core.visible import visible

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
        title = t("How much thinking does an answer need?")
        body = [_header(title, found), *(_section(at, step, found) for at, step in enumerate(STEPS)), _footer()]
        return _page(title, "\n".join(body))


@lru_cache(maxsize=4)
def _asset(name: str) -> str:
    return (ASSETS / name).read_text(encoding="utf-8").strip()


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode('utf-8')).digest()).decode('ascii')}'"


def _page(title: str, body: str) -> str:
    style, script = _asset("lesson.css"), _asset("lesson.js")
    policy = (
        f"default-src 'none'; style-src {_hash(style)}; script-src {_hash(script)}; base-uri 'none'; form-action 'none'"
    )
    return (
        f'<!doctype html>\n<html lang="{"zh-Hans" if language() == "zh" else "en"}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="referrer" content="no-referrer"><meta name="color-scheme" content="light dark">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{_safe(title)}</title><style>{style}</style></head>\n<body>\n{body}\n"
        f"<script>{script}</script></body></html>\n"
    )


def _safe(text: str) -> str:
    return escape(visible(text))


def _mark(*recordings: Recording) -> str:
    marks = dict.fromkeys(lesson.mark(one) for one in recordings)
    return " ".join(f'<span class="mark">{_safe(mark)}</span>' for mark in marks)


def _header(title: str, found: LessonRecordings) -> str:
    about = t(
        "Six steps, with real answers of a small model that were recorded and are replayed here. Arrow keys go to the "
        "next step and back. This file needs no network."
    )
    machine = t("Times are those of the machine it was recorded on: {machine}.", machine=found.ask.made.machine)
    return (
        f'<header><h1>{_safe(title)}</h1><p class="say">{_safe(about)}</p>'
        f'<p>{_mark(*found)}</p><p class="small">{_safe(machine)}</p></header>'
    )


def _footer() -> str:
    about = t("Made with TALE {version} (arXiv 2412.18547).", version=__version__)
    return f'<footer class="small">{_safe(about)}</footer>'


def _section(at: int, step: Step, found: LessonRecordings) -> str:
    inside = {
        "cost": lambda: _question(found.ask) + _deck(found.ask, ("vanilla",)),
        "guess": lambda: _guess(found.ask),
        "budget": lambda: _budget(found.ask),
        "too-small": lambda: _sweep(found.sweep),
        "search": lambda: _search(found.search),
        "meaning": lambda: _meaning(found),
    }[step.id]()
    place = t("Step {n} of {all}", n=at + 1, all=len(STEPS))
    return (
        f'<section id="{step.id}"><p class="place">{_safe(place)}</p><h2>{_safe(t(step.title))}</h2>'
        f'<p class="say">{_safe(t(step.say))}</p>{inside}<p class="talk">{_safe(t(step.talk))}</p>'
        + (_discussion() if step.id == "meaning" else "")
        + "</section>"
    )


def _question(recording: Recording) -> str:
    return f'<p class="question">{_safe(recording.session.question.text)}</p><p>{_mark(recording)}</p>'


def _added(recording: Recording) -> str:
    session = recording.session
    part = prompts.template(session.template).budget_part(session.budget or 1, session.question.language)
    told = t("Added to the prompt: {words}", words=part.strip(" ,，"))
    return f"<p>{_safe(told)}</p>"


# Answers that are replayed


def _deck(recording: Recording, roles: Sequence[AnswerRole]) -> str:
    speeds = "".join(f'<option value="{s:g}"{" selected" if s == SPEEDS[-1] else ""}>{s:g}×</option>' for s in SPEEDS)
    play, pause, again, every, pace = map(_safe, (t("Play"), t("Pause"), t("Play again"), t("All at once"), t("Speed")))
    controls = (
        f'<div class="controls"><button class="main" data-play="{play}" data-pause="{pause}" data-again="{again}">'
        f"{again}</button>"
        f"<button data-all>{every}</button>"
        f'<select aria-label="{pace}">{speeds}</select><span data-time></span></div>'
    )
    pairs = list(zip(recording.session.calls, recording.tapes, strict=True))
    first = min(tape.start_ms for call, tape in pairs if call.role in roles)
    answers = "".join(_answer(call, tape, first) for call, tape in pairs if call.role in roles)
    return f'<div data-deck>{controls}<div class="pair">{answers}</div></div>'


def _answer(call: CallRecord, tape: Tape, first: int) -> str:
    name = t("Without a budget") if call.role == "vanilla" else t("With a budget")
    outcome = t(lesson.OUTCOMES[call.outcome])
    ended = t("{n} output tokens, {outcome}", n=f"{call.completion_tokens or 0:,}", outcome=outcome)
    document = {
        "pieces": _pieces(call, tape, first),
        "end": tape.end_ms - first,
        "text": visible(call.text),
        "ended": ended,
        "sofar": t("about {n} tokens so far", n="#"),
    }
    return (
        f'<div class="answer" data-tape><h3>{_safe(name)}: <span data-count>{_safe(ended)}</span></h3>'
        f'<pre tabindex="0">{_safe(call.text)}</pre>{_data(document)}</div>'
    )


def _pieces(call: CallRecord, tape: Tape, first: int) -> list[tuple[int, str]]:
    pieces, at, ms = [], 0, tape.start_ms - first
    for after, letters, _ in tape.pieces:
        ms += after
        pieces.append((ms, visible(call.text[at : at + letters])))
        at += letters
    return pieces


def _data(document: object) -> str:
    """JSON inside of a script element, from which nothing can break out."""
    text = json.dumps(document, ensure_ascii=False, separators=(",", ":"))
    for letter in ("<", ">", "&", "\u2028", "\u2029"):
        text = text.replace(letter, f"\\u{ord(letter):04x}")
    return f'<script type="application/json">{text}</script>'


# The steps


def _guess(recording: Recording) -> str:
    vanilla = lesson.answer_of(recording, "vanilla").completion_tokens or 0
    actual = lesson.guessed_tokens(recording)
    told = t("Without the sentence it wrote {n} tokens.", n=f"{vanilla:,}")
    score = _safe(t("Your guess scores {score} of 100.", score="#"))
    mine, reveal, wrote = map(_safe, (t("Your guess: tokens"), t("Reveal"), t("It wrote {n} tokens.", n=f"{actual:,}")))
    return (
        f"{_question(recording)}{_added(recording)}<p>{_safe(told)}</p>"
        f'<div data-guess="{actual}"><label>{mine} <input type="number" min="1"></label>'
        f'<details><summary class="reveal">{reveal}</summary>'
        f'<p class="finding">{wrote} '
        f'<span data-score data-words="{score}"></span></p></details></div>'
    )


def _budget(recording: Recording) -> str:
    rows = []
    for role in ANSWERS:
        call = lesson.answer_of(recording, role)
        name = t("Without a budget") if role == "vanilla" else t("With a budget")
        budget = recording.session.budget if role == "budgeted" else None
        rows.append((name, call.completion_tokens or 0, "vf" if role == "vanilla" else "bf", budget))
    table = _table(
        t("Output tokens"),
        (t("Answer"), t("Output tokens"), t("Budget asked for")),
        [(name, f"{n:,}", "–" if budget is None else f"{budget:,}") for name, n, _, budget in rows],
    )
    chart = svg.bars(rows, "; ".join(f"{name}: {n}" for name, n, _, _ in rows))
    caption = t("Solid: what was written. Dashed: what was asked for.")
    return (
        f'{_question(recording)}{_added(recording)}<p class="finding">{_safe(lesson.finding(recording))}</p>'
        f"{_figure(chart, caption)}{_folded(table)}{_deck(recording, ANSWERS)}"
    )


def _figure(chart: str, caption: str) -> str:
    return f"<figure>{chart}<figcaption>{_safe(caption)}</figcaption></figure>"


def _folded(table: str) -> str:
    name = _safe(t("The numbers"))
    return f"<details><summary>{name}</summary>{table}</details>"


def _table(caption: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    head = "".join(f"<th>{_safe(name)}</th>" for name in columns)
    body = "".join("<tr>" + "".join(f"<td>{_safe(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return (
        f'<div class="scroll"><table><caption>{_safe(caption)}</caption><thead><tr>{head}</tr></thead>'
        f"<tbody>{body}</tbody></table></div>"
    )


def _sweep(recording: Recording) -> str:
    view = whole(recording)
    assert isinstance(view, SweepView) and view.result is not None
    finding = lesson.finding(recording)
    rows = []
    for p in view.result.points:
        right = "–" if p.accuracy is None else t("{right} of {n}", right=round(p.accuracy * p.graded), n=p.graded)
        interval = "–" if p.tokens_low is None else f"{p.tokens_low:,.0f}–{p.tokens_high:,.0f}"
        mean = "–" if p.tokens_mean is None else f"{p.tokens_mean:,.0f}"
        names = {"vanilla": t("no budget"), "direct": t("direct answer")}
        rows.append((names.get(p.kind) or f"{p.budget:,}", str(p.repeats), mean, interval, right))
    columns = (t("Budget"), t("Answers"), t("Tokens, mean"), t("95 % interval"), t("Right"))
    caption = t("Solid: the mean that was spent, with its 95 % interval. Dashed: what was asked for.")
    return (
        f'{_question(recording)}<p class="finding">{_safe(lesson.too_small_words(recording))}</p>'
        f"<p>{_safe(lesson.rebound_words(recording))}</p>"
        f'<p class="note">{_safe(recording.note[language()])}</p>'
        f"{_figure(svg.curve(view.result, finding), caption)}<p>{_safe(finding)}</p>"
        + _folded(_table(t("What every budget took"), columns, rows))
    )


def _search(recording: Recording) -> str:
    view = whole(recording)
    assert isinstance(view, SearchView)
    again, label, back = map(_safe, (t("From the start"), t("Next probe"), t("Probe before")))
    controls = (
        f'<div class="controls"><button data-back>{back}</button>'
        f'<button class="main" data-next data-label="{label}" data-again="{again}">{again}</button></div>'
        '<p class="finding" data-told></p>'
    )
    caption = t(
        "Dashed: the budget asked for. Mark: what was spent. Band: what was still possible. Ring: the best so far."
    )
    names = (t("Probe"), t("Budget"), t("Actual tokens"), t("Outcome"))
    meaning = _safe(t("What it means"))
    head = "".join(f"<th>{_safe(name)}</th>" for name in names) + f'<th class="words">{meaning}</th>'
    rows = "".join(_step_row(view, at) for at in range(len(view.steps)))
    return (
        f'<div data-search="{len(view.steps) - 1}">{_question(recording)}'
        f'<p class="finding">{_safe(lesson.finding(recording))}</p>'
        f"{controls}{_figure(svg.search(view.steps, lesson.finding(recording)), caption)}"
        f'<div class="scroll"><table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div></div>'
    )


def _step_row(view: SearchView, at: int) -> str:
    step = view.steps[at]
    tokens = f"{'≥ ' if step.cut else ''}{step.tokens:,.0f}"
    cells = (
        str(step.index),
        "–" if step.budget is None else f"{step.budget:,}",
        tokens,
        t(lesson.OUTCOMES[step.outcome]),
    )
    told = f"{chart_title(view, at)}. {step_words(step)}"
    return (
        f'<tr data-step="{step.index}" data-told="{_safe(told)}">'
        + "".join(f"<td>{_safe(cell)}</td>" for cell in cells)
        + f'<td class="words">{_safe(step_words(step))}</td></tr>'
    )


def _meaning(found: LessonRecordings) -> str:
    columns = ("", t("Output tokens"), t("All-in tokens"), t("Outcome"))
    table = _table(t("What the lesson's recordings measured"), columns, lesson.summary(found))
    words = t(
        "Output tokens are what the model wrote. All-in tokens add the prompt that it read, which is paid for as well. "
        "Right compares with the known answer; an answer that was cut off is called cut off."
    )
    return f"<p>{_mark(*found)}</p>{table}<p>{_safe(words)}</p>"


def _discussion() -> str:
    questions = "".join(f"<li>{_safe(t(question))}</li>" for question in lesson.DISCUSSION)
    title = _safe(t("To talk about"))
    return f"<h3>{title}</h3><ol>{questions}</ol>"
