r"""What a text says of its numbers that makes one of them no answer.

"50, not 48" says 50, "So 48 is wrong." says nothing, and neither does "more than 48". Behind an answer may stand what
it is for ("= 119 pies in 7 days"), why ("because 7 > 6"), a calculation in brackets ("48 (6 rows of 8)") and the number
of a step or a table. Linear in the length of the text: of each number the sentence before it is read, a window of it.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from tale_core.grading.numbers import BOUND, all_numbers, last_number, last_numbers

WINDOW = 300
"""Characters around a number that are read."""
SENTENCE_END = re.compile(r"[.!?](?=\s)|[。！？\n]")
_MOST_PASSED_OVER = 12
_NOWHERE = -1

_RIGHT = r"(?:right|correct|possible|it\b|the (?:right |correct |final )?answer)"
_NOT = (
    r"(?:\b(?:not|never|neither|nor|cannot|rather than|instead of|as opposed to|doubt)\b|\b\w{2,6}n't\b"
    r"|不会?是|不可能是|并非|而非|不等于|不为)"
)
_FILLERS = (
    r"(?:\s*\b(?:be|are|have|has|get|equals?|equal to|exactly|quite|simply|really|actually|think|believe|mean|say|that"
    r"|it(?:'s| is| was)|there (?:are|is)|the (?:final |right |correct )?(?:answer|total|result|number)(?: is| was)?"
    r")\b)"
)
_DENIED = re.compile(
    rf"[\s(]*(?:\b(?:and|but|it is|it's|is)\s+)?{_NOT}{_FILLERS}{{0,4}}\s*"
    r"(?:[-+]?\d[\d.]{0,20}\s*(?:,|\bor\b|\bnor\b|\band\b|[、或和])\s*){0,3}$",
    re.IGNORECASE,
)
_CONTRASTED = re.compile(r"\s?(?:[^\W\d_]{1,20}\s?){0,2}[\s,;:-]*")
"""What may stand between an answer and the number that it is not: a unit and a comma."""
CALLED_WRONG = re.compile(
    r"\s*(?:[^\W\d_]{1,20}\s+){0,2}"
    rf"(?:(?:is|are|was|were|would be|seems?|looks?)\s+(?:not\s+{_RIGHT}|wrong|incorrect|false|impossible|too\s)"
    rf"|(?:(?:is|are|was|were|would)n't|can(?:not|'t))\s+(?:be\s+)?{_RIGHT})"
    r"|,?\s*(?:but|which)\s+(?:(?:it|that|this)\s+)?(?:is not|isn't|is wrong)(?=\s*(?:[.!,;]|$|so\b|right|correct))"
    r"|\s*\(\s*(?:wrong|incorrect)\b|\s*(?:个|元)?(?:是|就)?(?:不对|不正确|错误|错的|错了|不可能)",
    re.IGNORECASE,
)
"""What may follow a number that the text calls wrong."""
_LABEL = re.compile(
    r"(?:\b(?:step|table|figure|fig\.?|eq\.?|equation|section|reference|ref\.?)\s?[#(]?|(?P<zh>步骤|方法|表|图|式|第)\s?)$",
    re.IGNORECASE,
)
_BEHIND_ZH_LABEL = re.compile(r"\s?(?:步|题|所示|中|[。，,.;；:：)]|$)")
"""Else the word before a number is what is counted: 手表 3 块."""
_REASON = re.compile(r",?\s+(?:because|(?<=, )(?:since|as))\b|因为", re.IGNORECASE)
_CONCLUSION = re.compile(
    r"\b(?:therefore|thus|hence|so|then|gives?|yields?|implies|means)\b|所以|因此|故|得", re.IGNORECASE
)
_RESULT = re.compile(r"[=≈]\s*\$?(?=-?[\d.])")
_FOR_WHAT = re.compile(
    r"(?!.*(?:[,;:=≈]|\bround|\btotal|\bmean))[^\n]*"
    r"\b(?P<for>(?:in|for|after|over|to|on|of|from|per|than|within|during|by|with|at|since|because|if|until|before"
    r"|every|each|between)(?:\s+[^\W\d_]+){0,3})",
    re.IGNORECASE,
)
"""Between the result of a calculation and a number that only says for what: "= 119 pies in 7 days"."""
_WORDS_OR_SUM = re.compile(
    r"(?!(?:arcsin|arccos|arctan|sqrt|sin|cos|tan|cot|sec|csc|log|ln|exp|pi)(?![a-zA-Z]))[^\W\d_]{2}|[㐀-鿿]"
    r"|\d\s*[-+*/×÷=]\s*\d"
)
_OPERATORS = "-+*/=^×÷,(<>≤≥"


class Stated(NamedTuple):
    """The last number that a text states as a result; None where it holds no number at all.

    Attributes:
        text: Up to the words that are passed over.
        aside: What stands in brackets behind the number.
    """

    number: re.Match[str] | None
    text: str
    aside: str = ""


def last_stated(s: str) -> Stated | None:
    """The last number that a text without markup states; None where it states none of those it holds."""
    whole, aside, names_alone, numbers = s, "", True, last_numbers(s, _MOST_PASSED_OVER)
    if not numbers:
        return Stated(None, s)
    for number in reversed(numbers):
        if number.end() > len(s):
            continue
        at = number.start("number")
        begin = max([m.end() for m in SENTENCE_END.finditer(s, max(0, at - WINDOW), at)] or [max(0, at - WINDOW)])
        before, behind = s[begin:at].rstrip("$€£¥-+ "), s[number.end() : number.end() + WINDOW]
        label = _LABEL.search(before)
        if label and (not label["zh"] or _BEHIND_ZH_LABEL.match(behind)):
            s, aside = s[: begin + label.start()], ""
            continue
        names_alone = False
        end = _end_without(before, behind)
        if end == _NOWHERE:
            return None
        if end is not None:
            s, aside = s[: begin + end], ""
            continue
        opened = before.rfind("(")
        inside = s[begin + opened + 1 : number.end()] + behind.partition(")")[0]
        if not _is_aside(before[: max(0, opened)], inside, behind):
            return Stated(number, s, aside)
        aside = f"({inside.strip()})" if len(all_numbers(inside)) == 1 else ""
        s = s[: begin + opened]
    # Where names are all there is ("table 5"), one of them may be what was asked for.
    return Stated(numbers[-1], whole) if names_alone else None


def _end_without(before: str, behind: str) -> int | None:
    """Where a sentence ends when its last number is passed over; None where that number stands.

    `_NOWHERE`: it does not, and the sentence states no other.

    Args:
        before: The sentence before the number.
        behind: What follows it.
    """
    if BOUND.search(before) or CALLED_WRONG.match(behind):
        return _NOWHERE
    if denied := _DENIED.search(before):
        earlier = last_number(before[: denied.start()])
        contrasted = earlier and _CONTRASTED.fullmatch(before, earlier.end(), denied.start())
        return denied.start() if contrasted else _NOWHERE
    reason = _REASON.search(before)
    if reason and not _CONCLUSION.search(before, reason.end()) and last_number(before[: reason.start()]):
        return reason.start()
    sign = max((m.end() for m in _RESULT.finditer(before)), default=None)
    result = next(iter(last_numbers(before[sign:], _MOST_PASSED_OVER)), None) if sign is not None else None
    if sign is None or result is None or before[sign : sign + result.start("number")].strip():
        return None
    rest = _FOR_WHAT.fullmatch(before, sign + result.end())
    return rest.start("for") if rest else None


def _is_aside(before: str, inside: str, behind: str) -> bool:
    """Whether brackets at the end of a sentence add words or a calculation to the number before them."""
    ended = re.match(r"[^()]*\)[\s*.!。！]*(?:$|\n|(?<=[.!。！]))", behind) if ")" in behind else True
    return bool(
        ended
        and ")" not in inside
        and (before[-1:].isspace() or before[-1:] >= "㐀")  # Chinese sets no space before brackets.
        and before.rstrip()[-1:] not in _OPERATORS
        and _WORDS_OR_SUM.search(inside)
        and last_number(before)
    )
