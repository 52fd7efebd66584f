"""Text that is drawn into a picture: how wide it is, where it breaks into lines, what plotly must not interpret."""

from __future__ import annotations

import html
import re
import textwrap

from tale_core.text import sanitize

WIDE = re.compile("[\u1100-\u115f\u2e80-\ua4cf\uac00-\ud7a3\uf900-\ufaff\ufe30-\ufe6f\uff00-\uff60\uffe0-\uffe6]")
# A Chinese character with the marks that may not begin a line after it, or those that may not end one before it.
PIECE = re.compile(
    rf"[ ]+|[（“《]*(?:{WIDE.pattern}|[^ （“《]+?(?=$|[ ]|[（“《]|{WIDE.pattern}))[，。、；：！？）”》…]*|[（“《]+"
)
_UNIT = re.compile(r"(?<=\d) (?=%)")
FOOTNOTES = ("†", "‡")
_MARKS = ("，", "。", "；", "：", "！", "？", "、")


def width(text: str) -> int:
    """How wide a text is, in Latin letters: a Chinese character takes the room of two."""
    return len(text) + len(WIDE.findall(text))


def wrapped(text: str, letters: int) -> list[str]:
    """Lines of at most so many letters, for titles drawn into a picture.

    Chinese breaks between any characters; a number and its % stay together.
    """
    text = _UNIT.sub("\u00a0", " ".join(text.split()))
    return [line.replace("\u00a0", " ") for line in _lines(text, letters)]


def _lines(text: str, letters: int) -> list[str]:
    if not WIDE.search(text):
        return textwrap.wrap(text, letters)
    lines: list[list[str]] = [[]]
    for piece in PIECE.findall(text):
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
    """One line of at most so many letters; what is left out is told by the placeholder.

    A mark of a footnote at the end stays: what the footnote says is true of the short name too.
    """
    if text.endswith(FOOTNOTES) and width(text) > letters:
        return shortened(text[:-1], letters - 1, placeholder=placeholder) + text[-1]
    if not WIDE.search(text):
        return textwrap.shorten(text, letters, placeholder=placeholder)
    lines = wrapped(text, letters)
    return lines[0] if len(lines) == 1 else wrapped(text, letters - len(placeholder))[0] + placeholder


def plain(text: str) -> str:
    """Text for plotly, which reads a little HTML, and TeX between dollar signs."""
    return html.escape(sanitize(text), quote=False).replace("$", "$\u2060")


def unescaped(text: str) -> str:
    """The text that `plain` was given."""
    return html.unescape(text.replace("$\u2060", "$"))
