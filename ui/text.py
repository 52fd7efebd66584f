"""Text that other people or models wrote, made safe to show: hostile until shown otherwise.

Answers are drawn with `st.text`, which interprets nothing; labels and titles are Markdown, so what goes into them is
escaped here. Invisible and direction-changing characters are made visible, since they can make a page lie.
"""

from __future__ import annotations

import re
import textwrap

from tale_core.visible import visible

__all__ = ["MAX_SHOWN", "answer_text", "clip", "literal", "shortened", "visible", "whole", "width", "wrapped"]

MAX_SHOWN = 20_000
"""Characters of one answer drawn in the page. The store keeps all of it, and the page offers it as a file."""

# Addresses are made into links after escapes are undone; an invisible word joiner keeps them text.
_AUTOLINK = re.compile(r"(://|www\.|@)", re.IGNORECASE)
_MARKDOWN = re.compile(r"([\\`*_{}\[\]()#+\-.!|<>$~:^&=@/])")


_WIDE = re.compile("[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]")
# A Chinese character with the marks that may not begin a line after it, or those that may not end one before it.
_PIECE = re.compile(
    rf"\s+|[（“《]*(?:{_WIDE.pattern}|[^\s（“《]+?(?=$|\s|[（“《]|{_WIDE.pattern}))[，。、；：！？）”》…]*|[（“《]+"
)
_MARKS = ("，", "。", "；", "：", "！", "？", "、")


def width(text: str) -> int:
    """How wide a text is, in Latin letters: a Chinese character takes the room of two."""
    return len(text) + len(_WIDE.findall(text))


def wrapped(text: str, letters: int) -> list[str]:
    """Lines of at most so many letters, for titles drawn into a picture; Chinese breaks between any characters."""
    text = " ".join(text.split())
    if not _WIDE.search(text):
        return textwrap.wrap(text, letters)
    lines: list[list[str]] = [[]]
    for piece in _PIECE.findall(text):
        while lines[-1] and width("".join(lines[-1]) + piece.rstrip()) > letters:
            lines.append(_carried(lines[-1], letters))
        lines[-1].append(piece)
    return [line for pieces in lines if (line := "".join(pieces).strip())]


def _carried(line: list[str], letters: int) -> list[str]:
    """Take off a full line what had better begin the next: what follows its last mark, if that is past the middle."""
    for i in range(len(line) - 1, 0, -1):
        if width("".join(line[:i])) < letters / 2:
            break
        if line[i - 1].rstrip().endswith(_MARKS):
            rest = line[i:]
            del line[i:]
            return rest
    return []


def shortened(text: str, letters: int, *, placeholder: str = "…") -> str:
    """One line of at most so many letters; what is left out is told by the placeholder."""
    if not _WIDE.search(text):
        return textwrap.shorten(text, letters, placeholder=placeholder)
    lines = wrapped(text, letters)
    return lines[0] if len(lines) == 1 else wrapped(text, letters - len(placeholder))[0] + placeholder


def whole(text: str) -> str:
    """A table's cell that no narrow screen breaks into lines: the table is scrolled instead."""
    text = text.replace(" ", "\u00a0").replace("–", "\u2060–\u2060").replace("-", "-\u2060")
    return _WIDE.sub("\u2060\\g<0>\u2060", text).replace("\u2060\u2060", "\u2060")


def clip(text: str, limit: int = MAX_SHOWN) -> tuple[str, bool]:
    """The first `limit` characters, and whether anything was left out."""
    return (text, False) if len(text) <= limit else (text[:limit], True)


def answer_text(text: str) -> tuple[str, bool]:
    """A model's answer for `st.text`: clipped, visible; and whether it was clipped."""
    shown, clipped = clip(text)
    return visible(shown), clipped


def literal(text: str, limit: int = 300) -> str:
    """One line for a Markdown label that shows exactly `text`: nothing is interpreted, `$` stays a dollar sign."""
    line = " ".join(visible(text).split())
    if len(line) > limit:
        line = line[: limit - 1].rstrip() + "…"
    line = _AUTOLINK.sub("\u2060\\1\u2060", line)
    return _MARKDOWN.sub(r"\\\1", line)


def fitting(text: str, letters: int) -> str:
    """The beginning of one line that takes the room of so many Latin letters."""
    line = " ".join(visible(text).split())
    if width(line) <= letters:
        return line
    while width(line) >= letters:
        line = line[: -max(1, (width(line) - letters) // 2)]
    return line.rstrip() + "…"
