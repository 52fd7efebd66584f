"""What a class says beside the lesson: its guesses and strikes, as the board shows them and as labels that are kept."""

from __future__ import annotations

from collections.abc import Iterable

from tale_core.lessons.arc import Arc, answer_sentences, struck_by
from tale_core.lessons.document import Guessed, guesses_html, heat_html
from tale_core.lessons.room import LiveRoom
from tale_core.store import SeatRecord
from tale_core.text import json_lines


def board(live: LiveRoom, arc: Arc) -> dict[str, str]:
    """What the class screen shows of the room beside the lesson's slides: HTML by the name of its place.

    Args:
        live: The room.
        arc: The lesson that the room follows.
    """
    name, seats = arc.closed.name, {seat.id: seat.nickname for seat in live.seats(there=False)}
    guesses = [Guessed(seats[who], n) for who, n in live.guesses(name).items()]
    strikes = live.rooms.strikes(live.id, name)
    struck = struck_by(len(answer_sentences(arc)), strikes)
    actual = arc.best.tokens if live.record.revealed else None
    return {
        "guess": guesses_html(guesses, students=len(live.seats()), actual=actual),
        "needed": heat_html(arc, struck, students=len(strikes)),
    }


def strike(live: LiveRoom, seat: SeatRecord, arc: Arc, struck: Iterable[int]) -> bool:
    """Strike out these sentences of the lesson's long answer, and no others; False when that is over."""
    parts = answer_sentences(arc)
    return live.rooms.strike(seat, arc.closed.name, {at: parts[at].text for at in struck})


def struck(live: LiveRoom, seat: SeatRecord, arc: Arc) -> tuple[int, ...]:
    """What this student has struck out."""
    return live.rooms.strikes(live.id, arc.closed.name).get(seat.id, ())


def strike_labels(live: LiveRoom, arc: Arc) -> str:
    """The class's strikes as labels, JSON lines: of each sentence how many students found that it was not needed.

    `students` are those who struck out anything; no name is in it.
    """
    strikes = live.rooms.strikes(live.id, arc.closed.name)
    parts = answer_sentences(arc)
    about = {
        "recording": arc.closed.name,
        "model": arc.closed.made.model,
        "question": arc.closed.session.question.id,
        "students": len(strikes),
    }
    rows = (
        {**about, "sentence": at, "text": one.text.strip(), "struck_by": n, "after_settled": one.after}
        for at, (one, n) in enumerate(zip(parts, struck_by(len(parts), strikes), strict=True))
    )
    return json_lines(rows)
