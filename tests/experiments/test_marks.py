"""Names in a picture of marks keep clear of each other, of marks and of lines."""

from __future__ import annotations

from tale_core.experiments.marks import LETTER, Mark, box_of, front, overlap, places
from tale_core.stats import Interval

WIDE = HIGH = 300.0
MOST = 340.0
MARKS = [
    Mark("Direct answer", Interval(5.6, 5.4, 5.8), Interval(0.10, 0.07, 0.15), True),
    Mark("Vanilla", Interval(305.8, 292.4, 319.5), Interval(0.615, 0.55, 0.68), True),
    Mark("TALE, calibrated", Interval(133.2, 121.6, 146.3), Interval(0.49, 0.42, 0.56), False),
    Mark("Chain of Draft", Interval(82.6, 74.6, 93.2), Interval(0.365, 0.30, 0.43), True),
    Mark("TALE, regression", Interval(133.2, 121.6, 146.3), Interval(0.49, 0.42, 0.56), False),
    Mark("Fine-tuned: brief", Interval(93.3, 83.2, 105.3), Interval(0.53, 0.46, 0.60), True),
]


def test_names_keep_clear_of_each_other_and_of_every_mark_on_a_phone() -> None:
    points = [(mark.tokens.mean / MOST * WIDE, mark.right.mean * HIGH) for mark in MARKS]
    found = places(MARKS, MOST, wide=WIDE, high=HIGH)
    boxes = [
        box_of(place, x, y, len(mark.name) * LETTER) for mark, place, (x, y) in zip(MARKS, found, points, strict=True)
    ]
    marks = [(x - 6, y - 6, x + 6, y + 6) for x, y in points]
    for i, box in enumerate(boxes):
        assert overlap(box, [*boxes[:i], *marks]) == 0
        assert box[0] >= 0 and box[2] <= WIDE


def test_the_front_is_what_nothing_else_beats_the_cheapest_first() -> None:
    assert [right for _, right in front(MARKS)] == [0.10, 0.365, 0.53, 0.615]
