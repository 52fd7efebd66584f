"""Tidying text before anything is read from it, and comparing free text.

Signs and operators are words here: "-9 x" is not "9 x", and "qE - mg" not "qE + mg". A hyphen inside of words is none.
Every function is linear in the length of its input: model output is hostile until proven otherwise.
"""

from __future__ import annotations

import re
import unicodedata
from contextlib import suppress
from datetime import datetime
from functools import cache

_VULGAR = re.compile(r"(?<=\d)(?=[¼½¾⅐-⅞])")
_SUPERSCRIPT = re.compile(r"[⁺⁻]?[⁰¹²³⁴-⁹]+")
_SUPERSCRIPTS = str.maketrans("⁺⁻⁰¹²³⁴⁵⁶⁷⁸⁹", "+-0123456789")
# Minus signs and dashes that people type for minus; the em dash stays, it separates clauses.
_SIGNS = str.maketrans({"−": "-", "‐": "-", "‑": "-", "‒": "-", "–": "-", "﹣": "-", "⁄": "/", "∕": "/", "’": "'"})
# Control characters but for line break and tab, text direction marks, zero-width characters, lone surrogates.
_INVISIBLE = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\xad\u0600-\u0605\u061c\u06dd\u070f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff"
    "\ufff9-\ufffb\ud800-\udfff\U000e0001\U000e0020-\U000e007f]"
)
_MAX_MARKS = 30
"""Combining marks kept in a row, as in Unicode's stream-safe format: NFKC sorts them in quadratic time."""

_MOMENTS = (
    "%Y-%m-%d", "%Y/%m/%d", "%Y年%m月%d日", "%B %d %Y", "%b %d %Y", "%d %B %Y", "%d %b %Y",
    "%H:%M", "%H:%M:%S", "%I:%M %p", "%I:%M%p", "%I %p", "%I%p",
)  # fmt: skip
"""Dates and times of day that can be read in one way alone; 05/03/2021 is none."""
_MAX_MOMENT = 40
_BESIDE_MOMENT = re.compile(
    r"(?<=\d)(?:st|nd|rd|th)\b|,|\b(?:mon|tues|wednes|thurs|fri|satur|sun)day\b|\b(?:at|on|of|the)\b"
)
_MOST_WORDS = 12
_CARDINALS = "zero one two three four five six seven eight nine ten eleven twelve"
_ORDINALS = "first second third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth"
_AS_DIGITS = {word: str(i) for i, word in enumerate(_CARDINALS.split())} | {
    word: f"{i}{({1: 'st', 2: 'nd', 3: 'rd'}).get(i, 'th')}" for i, word in enumerate(_ORDINALS.split(), start=1)
}
"""Numbers in words -> in figures: "World War Two" is "World War 2"."""
_NOTHING = (
    dict.fromkeys(
        ("no solution", "no solutions", "empty set", "∅", r"\emptyset", r"\varnothing", "{}", "无解", "空集"), 1
    )
    | dict.fromkeys(("does not exist", "doesn't exist", "dne", "不存在"), 2)
    | dict.fromkeys(("undefined", "not defined", "未定义", "无定义", "无意义"), 3)
)
"""Ways to say that there is nothing to find -> which of them say the same."""
_BEFORE_NOTHING = re.compile(r"(?:there (?:is|are)|it is|the)\s+|[\s.$。]+$")
_SEPARATOR = re.compile(r"\s*(?:,\s*and\b|[,;、和与]|\band\b)\s*")
_NEGATIONS = frozenset(
    ("not", "no", "never", "neither", "nor", "isnt", "arent", "wasnt", "werent", "dont", "doesnt", "didnt", "cannot")
) | {"cant", "wont"}
_ZH_NEGATIONS = ("不是", "并非", "不", "没有", "非")
_YES = frozenset({"yes", "true", "correct", "right", "是", "是的", "对", "正确", "真"})
_NO = frozenset({"no", "false", "incorrect", "wrong", "否", "不是", "错", "错误", "不正确", "假"})
# Followed by punctuation or nothing: "No, it is prime" answers no, "no idea" does not.
_FIRST_WORD = re.compile(
    r"[\s\"'*]*(是的|不是|不正确|正确|错误|[是否对错真假]|[a-z]+)(?=[\s*\"']*(?:$|[.,;:!。，、；！-]|[一-鿿]))"
)
_CJK = "㐀-䶿一-鿿぀-ヿ"
_WORD = re.compile(
    rf"\d+(?:[.:/,]\d+)+|[{_CJK}]|(?:(?![{_CJK}_])\w)+(?:'\w+|\+\+(?!\w)|#(?!\w))?|%|[-+/=<>^!±×÷≤≥≠√|*]"
)
_OPERATORS = frozenset("-+/=<>^!±×÷≤≥≠√|*")
_PUNCTUATION = frozenset("-/<>!|*")
"""Operators that are punctuation beside words."""
_WRAPPED = re.compile(r"\\(?:text|textbf|textit|textrm|mathrm|mathbf|mathit|mathsf|mbox|operatorname)\s?\{([^{}]*)\}")
_APOSTROPHE = re.compile(r"(?<=[^\W\d_])'(?=[^\W\d_])")
_INITIALS = re.compile(r"\b(?:[a-z]\.){2,}")
_TAG = re.compile(r"</?[a-z]{1,6}>")
_RATIO = re.compile(r"(?<=\d) ?: ?(?=\d)")


@cache
def _long_marks() -> re.Pattern[str]:
    """More combining marks in a row than are kept."""
    marks = "".join(re.escape(chr(i)) for i in range(0x300, 0x1F000) if unicodedata.combining(chr(i)))
    return re.compile(f"([{marks}]{{{_MAX_MARKS}}})[{marks}]+")


def tidy(text: str) -> str:
    """Fold what looks alike: full-width forms, superscripts (`²` to `^2`), minus signs; drop what cannot be seen."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return _INVISIBLE.sub("", text)
    text = _SUPERSCRIPT.sub(lambda m: "^" + m.group().translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", _long_marks().sub(r"\1", _VULGAR.sub(" ", text)))
    return _INVISIBLE.sub("", text).translate(_SIGNS)


def words(text: str) -> tuple[str, ...]:
    """Words, signs and operators of a free-text answer: case, punctuation, articles and markup gone.

    Each CJK character is a word. A hyphen, a slash or an exclamation mark counts only beside a digit or a symbol.
    """
    folded = unicodedata.normalize("NFKC", _WRAPPED.sub(r" \1 ", tidy(text)).casefold())
    folded = _APOSTROPHE.sub("", _INITIALS.sub(lambda m: m.group().replace(".", ""), folded))
    folded = _RATIO.sub(":", _TAG.sub(" ", folded.replace("**", " ")))
    found = list(_WORD.finditer(folded))
    kept: list[str] = []
    for i, m in enumerate(found):
        word = m.group()
        if word in ("a", "an", "the") and (word == "the" or (i + 1 < len(found) and len(found[i + 1].group()) > 1)):
            continue
        if word in _PUNCTUATION and not _operates(folded, found, i):
            continue
        kept.append(_AS_DIGITS.get(word, word))
    return tuple(kept) or tuple(m.group() for m in found if m.group() not in _OPERATORS)


def _operates(text: str, found: list[re.Match[str]], i: int) -> bool:
    """Whether a mark that is punctuation beside words is an operator where it stands."""
    m = found[i]
    before, after = text[m.start() - 1 : m.start()], text[m.end() : m.end() + 1]
    left = found[i - 1].group() if i else ""
    right = found[i + 1].group() if i + 1 < len(found) else ""
    if m.group() == "!":
        return bool(before) and (before.isdigit() or before in ")}")
    spaced = not before.strip() and not after.strip()
    short = 2 if spaced else 1
    beside_left = bool(left) and (before == ")" or _is_symbol(left, short))
    if m.group() == "-" and not beside_left:
        # A sign stands at the beginning or behind another operator, and before what it belongs to.
        return _is_symbol(right, 1 if not after.strip() else 2) and (
            not left or left in _OPERATORS or (not before.strip() and bool(after.strip()))
        )
    return beside_left and (_is_symbol(right, short) or not right) if m.group() != "-" else _is_symbol(right, short)


def _is_symbol(word: str, most: int) -> bool:
    """Whether a word is a number or as short as a variable."""
    return bool(word) and (word[0].isdigit() or (len(word) <= most and word.isascii()))


def same_text(given: str, gold: str) -> bool | None:
    """Whether two free-text answers say the same; None when a person must look.

    True when their words are the same, when they are the same date or time of day, or when a yes/no answer begins with
    the known one. None when one contains the
    other, word for word and without a negation ("Paris, France" for "Paris", "Newton" for "Isaac Newton"). False
    otherwise: a known answer inside other words ("yes" in "yesterday") counts for nothing.
    """
    a, b = words(given), words(gold)
    if not b:
        return tidy(given).strip() == tidy(gold).strip()
    if a == b:
        return True
    truth = _polarity(given, gold)
    if truth is not None:
        return truth
    if (moment := _moment(gold)) is not None and _moment(given) == moment:
        return True
    if is_negated(given) != is_negated(gold) or _operators(a) != _operators(b):
        return False
    listed = [sorted(_SEPARATOR.split(tidy(one).casefold().strip(" ."))) for one in (given, gold)]
    if len(listed[0]) > 1 and listed[0] == listed[1]:
        return None  # The same things in another order.
    if len(b) > _MOST_WORDS:
        return None  # So long an answer can be given in other words.
    return None if a and (_contains(a, b) or _contains(b, a)) else False


def nothing_there(text: str) -> int:
    """Which way of saying that there is no answer a text is ("no solution", "DNE" …); 0 where it is none."""
    return _NOTHING.get(_BEFORE_NOTHING.sub("", tidy(text[:40]).casefold().strip(" $")), 0)


def _moment(text: str) -> datetime | None:
    """The date or the time of day that a text is; None where it is none."""
    if len(text) > _MAX_MOMENT or not any(ch.isdigit() for ch in text):
        return None
    folded = _BESIDE_MOMENT.sub(" ", tidy(text).casefold().replace(".m", "m").strip(" .。"))
    plain = " ".join(folded.replace("m.", "m").split())
    for form in _MOMENTS:
        with suppress(ValueError):
            return datetime.strptime(plain, form)
    return None


def _operators(found: tuple[str, ...]) -> list[str]:
    return [word for word in found if word in _OPERATORS]


def _polarity(given: str, gold: str) -> bool | None:
    """For a known answer that is yes or no: how an answer that begins with yes or no compares."""
    known = "".join(words(gold))
    if known not in _YES | _NO:
        return None
    first = _FIRST_WORD.match(tidy(given).casefold())
    if not first or first.group(1) not in _YES | _NO:
        return None
    return (first.group(1) in _YES) == (known in _YES)


def is_negated(text: str) -> bool:
    """Whether the text denies something ("not 18", "不是18")."""
    folded = tidy(text).casefold()
    return not _NEGATIONS.isdisjoint(words(folded)) or any(n in folded for n in _ZH_NEGATIONS)


def _contains(whole: tuple[str, ...], part: tuple[str, ...]) -> bool:
    # Joined with a separator no word can hold, so that the search is the linear one of str.
    return f"\x00{chr(0).join(part)}\x00" in f"\x00{chr(0).join(whole)}\x00"
