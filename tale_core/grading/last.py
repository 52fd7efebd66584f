r"""The last quantity of a text that announces no answer: a last resort, and called that wherever it is shown.

An expression at the end is taken whole: "$2\sqrt{29}$" is not 29, and "(3, 5)" not 5. A number of which the text says
that it is no answer is passed over (`stated`). Linear in the length of the text: only what stands around the last
numbers is read.
"""

from __future__ import annotations

import re
from collections import deque
from typing import Literal

from tale_core.grading.clean import clean, looks_like_math, strip_markup
from tale_core.grading.numbers import (
    MAX_ANSWER_CHARS,
    OUT_OF,
    after_equals,
    last_number,
    leading_number,
    readings,
    strict_number,
    with_unit,
)
from tale_core.grading.stated import SENTENCE_END, WINDOW, Stated, last_stated
from tale_core.grading.units import find_compound
from tale_core.grading.words import operation_at

Method = Literal["last-number", "expression"]

_SPAN = re.compile(
    rf"\\\[((?:[^\\]|\\(?![\[\]])){{1,{MAX_ANSWER_CHARS}}})\\\]|\\\(((?:[^\\]|\\(?![()])){{1,{MAX_ANSWER_CHARS}}})\\\)"
    rf"|\$\$([^$]{{1,{MAX_ANSWER_CHARS}}})\$\$"
    rf"|(?<![\\$\w])\$(?!\d[\d,.]*(?:\s|$))([^$\n]{{1,{MAX_ANSWER_CHARS}}})\$(?!\d)"
)
_TAIL = 8_000
"""Characters from the end in which a last resort is looked for: what stands farther from it is no answer."""
_FUNCTION = r"(?:arcsin|arccos|arctan|sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|pi)(?![a-zA-Z])"
_RUN = re.compile(
    rf"(?:\d+(?:[.,]\d+)*(?:[a-zA-Z](?![a-zA-Z]))?%?|\\[a-zA-Z]+|(?<![a-zA-Z]){_FUNCTION}"
    r"|(?<![a-zA-Z'])[a-zA-Z](?![a-zA-Z'])"
    r"|[-+*/=^_±×÷·<>≤≥√π∞|,;(){}\[\]!≈]|(?<=[})\d])%|(?<=\d) to (?=\d)|(?<=[\d)]) (?:or|and) (?=-?\d"
    r"|[a-zA-Z](?:_\w)? ?=)|[ \t])+"
)
_LOOSE_LETTERS = re.compile(r"^(?:[a-zA-Z][\s,;]+(?![-+*/=^<>(\\!|≤≥≠∈]))+|(?:(?<=[\d)])[\s,;]+[aAI])+$")
_EDGE = " \t,;:*_`"
_LIST_CUE = re.compile(
    r"(?:\bare|\bsolutions?|\bvalues?|\broots?|\bzeros?|\bbetween|解[是为]|分别[是为]|:)[\s*_]*$", re.IGNORECASE
)
_FROM = re.compile(r"\bfrom\s*$", re.IGNORECASE)
_JOINED = re.compile(r" or | and ")
_ARROW = re.compile(r"(?:[-=]+>|→|⇒|⟹|\\(?:to|(?:L|l)?ong?rightarrow|(?:R|r)ightarrow|implies)(?![a-zA-Z]))")
_TIME = re.compile(
    r"\b(?:in|after|during|over|within)\s+(?:the |those |these |just |only |about )?\d[\d.,]{0,12}\s?"
    r"(?:second|minute|hour|day|week|month|year)s?\b",
    re.IGNORECASE,
)
"""A time that may be the answer, or only say in what time: a person decides where another number stands before it."""
_NAMED_VALUE = re.compile(r"\s*\\?[a-zA-Z](?:_\{?\w\}?)?\s*=[^=]+")


def last_quantity(text: str) -> tuple[str | None, Method]:
    """The last number or expression in a tidy text, as written, and what it is; None where there is neither."""
    text = text[-_TAIL:]
    s = strip_markup(text)
    bare = s if len(text) <= 2 * MAX_ANSWER_CHARS else ""
    stated = last_stated(s)
    if looks_like_math(bare) or (stated and strict_number(bare)):
        return _reduced(bare, listed=True, written=None, bare=True)
    if stated is None:
        return None, "last-number"
    span = next(iter(deque(_SPAN.finditer(text), maxlen=1)), None)
    if stated.text == s and span and not any(ch.isdigit() for ch in text[span.end() :]):
        inside = next(g for g in span.groups() if g is not None).strip()
        if any(ch.isdigit() for ch in inside) or looks_like_math(clean(inside)):
            return _reduced(strip_markup(inside), listed=True, written=None)
    value, method = _around(stated)
    return (f"{value} {stated.aside}" if value and stated.aside else value), method


def _around(stated: Stated) -> tuple[str | None, Method]:
    """The number with the expression that it belongs to."""
    number, s, _ = stated
    if number is None:
        return None, "last-number"
    begin = max(0, number.start() - WINDOW)
    window, place = s[begin : number.end() + WINDOW], number.start() - begin
    if (m := find_compound(window)) and m.start() <= place < m.end():
        return m.group().strip(), "expression"
    if m := next((m for m in OUT_OF.finditer(window) if m.start() <= place < m.end()), None):
        return m.group(), "expression"
    if (operation := operation_at(window, place)) is not None:
        return operation, "expression"
    if (time := _TIME.search(window, max(0, place - 30))) and time.start() <= place < time.end():
        sentence = max((m.end() for m in SENTENCE_END.finditer(window, 0, place)), default=0)
        if (earlier := last_number(window[sentence : time.start()])) is not None:
            return window[sentence + earlier.start("number") : time.end()], "expression"
    written = with_unit(s, number)
    run = next((m for m in _RUN.finditer(window) if m.start() <= place < m.end()), None)
    if run is None:
        return written, "last-number"
    before = window[: run.start()]
    if " to " in run.group() and _FROM.search(before):
        return written, "last-number"
    return _reduced(_balanced(run.group()), listed=bool(_LIST_CUE.search(before)), written=written)


def _reduced(expression: str, *, listed: bool, written: str | None, bare: bool = False) -> tuple[str | None, Method]:
    """The part of an expression that is its result: what follows the last comma or equals sign, unless it is a list.

    Args:
        expression: Without markup.
        listed: What stands around it says that it is a list.
        written: The last number in it, with its unit, as written in the text.
        bare: It is the whole text, so that what follows a number belongs to it.
    """
    expression = _ARROW.split(expression.rstrip(_EDGE))[-1]
    expression = _LOOSE_LETTERS.sub("", expression.strip(_EDGE)).strip(_EDGE)
    pieces = _pieces(expression)
    named = len(pieces) > 1 and all(map(_NAMED_VALUE.fullmatch, pieces))
    # "x = 2 or 3" are two values of one name.
    named = named or (bare and bool(_NAMED_VALUE.fullmatch(pieces[0])) and not any("=" in p for p in pieces[1:]))
    plain = all("=" not in piece for piece in pieces)
    if len(pieces) > 1 and not named and not (listed and plain):
        expression = pieces[-1].strip(_EDGE)
    if not named and "≈" not in expression and "\\approx" not in expression:
        expression = after_equals(expression) or expression
    found = readings(expression)
    if len(found) == 1:
        if written and [n.value for n in readings(written)] == [found[0].value]:
            return written, "last-number"
        return (None if bare else leading_number(expression)) or expression, "last-number"
    if found or looks_like_math(clean(expression)):
        return expression, "expression"
    return written, "last-number"


def _pieces(expression: str) -> list[str]:
    """An expression taken apart at commas before spaces, semicolons and "and" or "or" outside of brackets."""
    pieces, depth, start, i = [], 0, 0, 0
    while i < len(expression):
        ch = expression[i]
        depth += (ch in "([{") - (ch in ")]}")
        joined = _JOINED.match(expression, i)
        if depth <= 0 and (joined or ch == ";" or (ch == "," and not expression[i + 1 : i + 2].isdigit())):
            pieces.append(expression[start:i])
            start = i = joined.end() if joined else i + 1
            continue
        i += 1
    pieces.append(expression[start:])
    return [piece for piece in pieces if piece.strip(_EDGE)] or [expression]


def _balanced(run: str) -> str:
    """The stretch of a run around its end in which every bracket has its partner."""
    open_at: list[int] = []
    start = 0
    for i, ch in enumerate(run):
        if ch in "([{":
            open_at.append(i)
        elif ch in ")]}":
            # Half-open intervals have brackets of two kinds.
            if open_at:
                open_at.pop()
            else:
                start = i + 1
    return run[max(start, open_at[-1] + 1) if open_at else start :]
