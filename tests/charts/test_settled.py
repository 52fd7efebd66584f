"""The picture of where an answer was settled."""

from __future__ import annotations

from tale_core.calls.settling import Probed, Settled
from tale_core.charts.ask import settled_strip
from tale_core.types import Outcome


def found(*answers: str, at: int = 60, of: int = 100) -> Settled:
    step = of // len(answers)
    probes = tuple(Probed(i * step, one, i * step >= at, Outcome.WRONG) for i, one in enumerate(answers))
    return Settled(at, of, answers[-1], probes)


def test_what_came_after_is_pale_and_a_mark_is_full_where_the_answer_was_the_last_one():
    figure = settled_strip(found("7", "9", "12", "12", "12"), role="vanilla")
    bars, marks = [t for t in figure.data if t.type == "bar"], figure.data[-1]
    assert [b.x[0] for b in bars] == [60, 40] and bars[0].marker.opacity > bars[1].marker.opacity
    assert list(marks.text) == ["7", "9", "12", "", ""]
    assert len(set(marks.marker.color[3:])) == 1 and marks.marker.color[0] != marks.marker.color[4]


def test_no_answer_is_written_over_another_and_the_one_that_stayed_is_named():
    many = found(*(f"a long answer {i % 7}" for i in range(14)), "<b>12</b>", "<b>12</b>", at=84)
    words = settled_strip(many, role="budgeted").data[-1].text
    assert words[14] and "<b>" not in words[14]
    assert 1 < sum(bool(w) for w in words) < 6
    assert settled_strip(found("12", "12", at=0), role="vanilla").data[0].x[0] == 100
