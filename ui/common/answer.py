"""A model's whole answer as people read it: mathematics and plain Markdown set, everything else just as it was written.

The text is hostile. It becomes Markdown in which nothing can be a link, an image, HTML or a command to the page, and no
sum of money is set as mathematics. What is too long for that stays plain text; a switch shows the raw text of all.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache

import streamlit as st

from tale_core.i18n import t
from ui.common.text import AUTOLINK, answer_text

LONGEST = 8_000
"""Letters of an answer that is set: more would keep a browser busy."""
RAW = "raw_answers"
_DEEPEST = 24
"""Spaces before a line at most: lists in lists in lists."""
_MATH = re.compile(
    r"\\\((?P<inline>(?:(?!\\\)|\n\s*\n).){1,600}?)\\\)|\\\[(?P<block>(?:(?!\\\]).){1,1200}?)\\\]"
    r"|^[ ]*\$\$(?P<dollars>[^$]{1,1200}?)\$\$[ ]*$",
    re.DOTALL | re.MULTILINE,
)
_FENCE = re.compile(
    r"^(?P<indent>[ ]{0,8})(?P<mark>`{3,}|~{3,})[^\n`]*\n(?P<code>.*?)\n[ ]{0,8}(?P=mark)[ \t]*$", re.M | re.S
)
_CODE = re.compile(r"(?<!`)(?P<mark>`{1,2})(?!`)(?P<code>[^`\n]+)(?P=mark)(?!`)")
# What draws outside of its line, names addresses, or defines something that may never end.
_BANNED = re.compile(
    r"\\(?:href|url|html\w*|include\w*|input|def|[gex]def|let|futurelet|global|(?:re)?new\w*|providecommand|"
    r"rule|[hmk]kern|mskip|[hv]space|[hv]?phantom|[rl]lap|raise\w*|lower|smash|char|catcode|csname)(?![a-z])",
    re.IGNORECASE,
)
_MARKER = re.compile(r"^ *(?P<mark>[-*+]|\d{1,3}[.)])(?= )")
_WORTH = re.compile(
    r"\\[(\[]|\*\*\S|^ *(?:[-*+]|\d{1,3}[.)]) |^#{1,6} |^ *(?:`{3}|~{3})|`[^`\n]+`|^\|.+\|\s*$|^\s*\$\$", re.MULTILINE
)
_SIGNS = re.compile(
    r"\ue000\d+\ue001|\\(?P<escaped>.?)|(?P<sign>[<>&\[\]$~^:=@])|(?P<run>[*_]{4,})|(?<=\w)(?P<inner>_)(?=\w)"
)
_PUNCTUATION = frozenset("!\"#$%&'*+,-./:;<=>?@\\^_`{|}~")
_KEPT = "\ue000{}\ue001"
_PLACE = re.compile("\ue000(\\d+)\ue001")


def draw_answer(text: str) -> None:
    """A whole answer, set unless the reader asked for the raw text or it is plain prose."""
    shown, clipped = answer_text(text)
    markdown = None if clipped or st.session_state.get(RAW) else set_text(shown)
    if markdown is None:
        st.text(shown or t("(no text)"))
    else:
        st.markdown(markdown)


def raw_switch(*texts: str) -> None:
    """The switch between set and raw text, where one of these answers is set differently."""
    if any(set_text(answer_text(text)[0]) is not None for text in texts):
        st.toggle(
            t("Raw text"), key=RAW, persist_state="session",
            help=t("Show the answers exactly as the model wrote them, with nothing set as mathematics or Markdown."),
        )  # fmt: skip


@lru_cache(maxsize=256)
def set_text(text: str) -> str | None:
    """The answer as Markdown that is safe to draw; None where plain text says as much, or it is too long.

    Args:
        text: Of `answer_text`.
    """
    if len(text) > LONGEST or "\ue000" in text or "\ue001" in text or not _WORTH.search(text):
        return None
    kept: list[str] = []

    def keep(markdown: str) -> str:
        kept.append(markdown)
        return _KEPT.format(len(kept) - 1)

    text = text.replace("\r\n", "\n").replace("\t", "    ")
    text = _FENCE.sub(lambda m: keep(_fenced(m)), text)
    text = _CODE.sub(lambda m: keep(f"{m['mark']}{m['code']}{m['mark']}"), text)
    text = _MATH.sub(lambda m: _mathematics(m, keep), text)
    lines = _Lines()
    text = "\n".join(lines.line(line) for line in text.split("\n"))
    while _PLACE.search(text):  # Code may stand inside of what was kept later.
        text = _PLACE.sub(lambda m: kept[int(m[1])], text)
    return text


def _fenced(found: re.Match[str]) -> str:
    """A block of code without its language: some languages are drawn as pictures."""
    indent = found["indent"]
    return f"{indent}{found['mark']}\n{found['code']}\n{indent}{found['mark']}"


def _mathematics(found: re.Match[str], keep: Callable[[str], str]) -> str:
    formula = found["inline"] or found["block"] or found["dollars"]
    if _BANNED.search(formula) or _PLACE.search(formula) or not formula.strip():
        return found[0]
    # A dollar inside of a formula would end it.
    formula = re.sub(r"\\?\$", lambda _: r"\text{\textdollar}", formula.strip())
    if found["inline"]:
        return keep(f"${' '.join(formula.split())}$")
    inside = " ".join(formula.split())
    return keep(f"$${inside}$$")


class _Lines:
    """Line after line: signs that would do something are escaped, and none is indented so far that it becomes code."""

    def __init__(self) -> None:
        self._offset = 0

    def line(self, line: str) -> str:
        """The line as Markdown; what follows stands below it, as it did."""
        words = line.strip(" ")
        if not words:
            return ""
        if re.fullmatch(r"-{3,}|\*{3,}|_{3,}", words):
            return "\n---\n"
        if re.fullmatch(r"\|[\s:|-]+\|", words):
            return words
        if marker := _MARKER.match(line):
            return self._item(line, words, marker["mark"])
        if heading := re.match(r"#{1,6} +(.*)", words):
            self._offset = 0
            return f"\n##### {_inside(heading[1])}\n"
        if words[0] == "|" == words[-1]:
            return _inside(words)
        if line[0] != " ":
            self._offset = 0
        first = "\\" if words[0] in "#|" or words in ("-", "--", "+", "*") else ""
        return f"{self._indented(line)}{first}{_inside(words)}  "

    def _item(self, line: str, words: str, mark: str) -> str:
        indent = self._indented(line)
        self._offset = len(indent) + len(mark) + 1
        return f"{indent}{mark} {_inside(words[len(mark) :].lstrip(' '))}  "

    def _indented(self, line: str) -> str:
        return " " * min(len(line) - len(line.lstrip(" ")), self._offset + 3 if self._offset else 3, _DEEPEST)


def _inside(words: str) -> str:
    """One line's words: emphasis stays, and every other sign that Markdown would read is shown as it is."""
    return _SIGNS.sub(_sign, AUTOLINK.sub("\u2060\\1\u2060", words))


def _sign(found: re.Match[str]) -> str:
    if found["escaped"] is not None:
        after = found["escaped"]
        return f"\\{after}" if after in _PUNCTUATION else "\\\\" + (f"\\{after}" if after in "[]" else after)
    signs = found["sign"] or found["run"] or found["inner"]
    return "".join(f"\\{sign}" for sign in signs) if signs else found[0]
