"""Tidying text before anything is read from it, and comparing free text.

Knows characters and words; knows no numbers, no letters of choices and no questions. Every function is linear in the
length of its input: model output is hostile until proven otherwise.
"""

from __future__ import annotations

import re
import unicodedata

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

_NEGATIONS = frozenset(
    {"not", "no", "never", "neither", "nor", "isn't", "aren't", "wasn't", "don't", "doesn't", "cannot", "can't"}
)
_ZH_NEGATIONS = ("不是", "并非", "不", "没有", "非")
_YES = frozenset({"yes", "true", "correct", "right", "是", "是的", "对", "正确", "真"})
_NO = frozenset({"no", "false", "incorrect", "wrong", "否", "不是", "错", "错误", "不正确", "假"})
# Followed by punctuation or nothing: "No, it is prime" answers no, "no idea" does not.
_FIRST_WORD = re.compile(
    r"[\s\"'*]*(是的|不是|不正确|正确|错误|[是否对错真假]|[a-z]+)(?=[\s*\"']*(?:$|[.,;:!。，、；！-]|[一-鿿]))"
)
_WORD = re.compile(r"\d+(?:[.:/]\d+)+|[㐀-䶿一-鿿぀-ヿ]|(?:(?![㐀-䶿一-鿿぀-ヿ_])\w)+(?:'\w+|\+\+|#)?|%")


def _limit_marks(text: str) -> str:
    kept, run = [], 0
    for ch in text:
        run = run + 1 if unicodedata.combining(ch) else 0
        if run <= _MAX_MARKS:
            kept.append(ch)
    return "".join(kept)


def tidy(text: str) -> str:
    """Fold what looks alike: full-width forms, superscripts (`²` to `^2`), minus signs; drop what cannot be seen."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii():
        return _INVISIBLE.sub("", text)
    text = _SUPERSCRIPT.sub(lambda m: "^" + m.group().translate(_SUPERSCRIPTS), text)
    text = unicodedata.normalize("NFKC", _limit_marks(_VULGAR.sub(" ", text)))
    return _INVISIBLE.sub("", text).translate(_SIGNS)


def words(text: str) -> tuple[str, ...]:
    """Words of a free-text answer: case, punctuation, articles and markup gone; each CJK character is a word."""
    folded = unicodedata.normalize("NFKC", tidy(text).casefold())
    found = _WORD.findall(folded)
    return tuple(w for w in found if w not in {"a", "an", "the"}) or tuple(found)


def same_text(given: str, gold: str) -> bool | None:
    """Whether two free-text answers say the same; None when a person must look.

    True when their words are the same, or when a yes/no answer begins with the known one. None when one contains the
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
    if is_negated(given) != is_negated(gold):
        return False
    return None if a and (_contains(a, b) or _contains(b, a)) else False


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
