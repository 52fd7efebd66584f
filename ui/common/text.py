"""Text that other people or models wrote, made safe to show: hostile until shown otherwise.

Answers are drawn with `st.text`, which interprets nothing; labels and titles are Markdown, so what goes into them is
escaped here. Invisible and direction-changing characters are made visible, since they can make a page lie.
"""

from __future__ import annotations

import re

from tale_core.drawing.text import WIDE, shortened, width, wrapped
from tale_core.i18n import again
from tale_core.text import sanitize

__all__ = ["MAX_SHOWN", "answer_text", "literal", "sanitize", "shortened", "whole", "wrapped"]

MAX_SHOWN = 20_000
"""Characters of one answer drawn in the page. The store keeps all of it, and the page offers it as a file."""

# Addresses are made into links after escapes are undone; an invisible word joiner keeps them text.
AUTOLINK = re.compile(r"(://|www\.|@)", re.IGNORECASE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:^&=@/])")


def whole(text: str) -> str:
    """A table's cell that no narrow screen breaks into lines: the table is scrolled instead."""
    text = text.replace(" ", "\u00a0").replace("–", "\u2060–\u2060").replace("-", "-\u2060")
    return WIDE.sub("\u2060\\g<0>\u2060", text).replace("\u2060\u2060", "\u2060")


def clip(text: str, limit: int = MAX_SHOWN) -> tuple[str, bool]:
    """The first `limit` characters, and whether anything was left out."""
    return (text, False) if len(text) <= limit else (text[:limit], True)


def answer_text(text: str) -> tuple[str, bool]:
    """A model's answer for `st.text`: clipped, visible; and whether it was clipped."""
    shown, clipped = clip(text)
    return sanitize(shown), clipped


def literal(text: str, limit: int = 300) -> str:
    """One line for a Markdown label that shows exactly `text`: nothing is interpreted, `$` stays a dollar sign."""
    line = " ".join(sanitize(again(text)).split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    line = AUTOLINK.sub("\u2060\\1\u2060", line)
    return _MARKDOWN.sub(r"\\\1", line)


def finding(text: str) -> str:
    """A sentence of 600 letters at most, as it was written, no line of which begins with a % sign."""
    return literal(text, 600).replace(" %", "\u00a0%")


def as_numbers(text: str) -> str:
    """A stored sentence, in the reader's language, with its shares as the pages write them.

    "9%" and "-16%" become "9 %" and "−16 %".
    """
    return re.sub(r"(?<![\w.])-(?=\d)", "−", re.sub(r"(?<=\d)%", " %", again(text)))


def fitting(text: str, letters: int) -> str:
    """The beginning of one line that takes the room of so many Latin letters."""
    line = " ".join(sanitize(text).split())
    if width(line) <= letters:
        return line
    while width(line) >= letters:
        line = line[: -max(1, (width(line) - letters) // 2)]
    return line.rstrip() + "…"
