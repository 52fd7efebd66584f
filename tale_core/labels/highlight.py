"""Where in an answer the grader found what it read, so that a person sees it at a glance."""

from __future__ import annotations

import re
from typing import NamedTuple


class Marked(NamedTuple):
    """An answer in five parts that together are the answer.

    Attributes:
        above: Whole lines above the marked one; each part keeps its line ends.
        left: Of the marked line, what stands before the mark; "" when nothing was found, as are `mark` and `right`.
        mark: What the grader read.
        right: Of the marked line, what stands behind it.
        below: Whole lines below.
    """

    above: str
    left: str
    mark: str
    right: str
    below: str


def marked(text: str, extracted: str | None) -> Marked:
    """The last place where `extracted` stands in `text` by itself; nothing is marked where it stands nowhere.

    Tolerates other spacing. A number inside of a longer one is no such place.
    """
    found = _last(text, extracted or "")
    if found is None:
        return Marked(text, "", "", "", "")
    start, end = found
    begin, stop = text.rfind("\n", 0, start) + 1, text.find("\n", end)
    stop = len(text) if stop < 0 else stop
    return Marked(text[:begin], text[begin:start], text[start:end], text[end:stop], text[stop:])


def _last(text: str, value: str) -> tuple[int, int] | None:
    words = value.split()
    if not words:
        return None
    pattern = r"\s+".join(map(re.escape, words))
    left = r"(?<![\w.,])" if words[0][0].isalnum() else ""
    # A full stop or comma may end the sentence; a digit behind it makes it part of the number.
    right = r"(?!\w|[.,]\d)" if words[-1][-1].isalnum() else ""
    last = None
    for match in re.finditer(left + pattern + right, text):
        last = match.span()
    return last
