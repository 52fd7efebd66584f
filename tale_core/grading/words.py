"""Numbers written in words, English and Chinese ("twenty-one apples", "十八个").

Knows number words alone: a phrase that holds anything but a number and a short unit is no number.
"""

from __future__ import annotations

import re

_TEENS = (
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_SMALL = {word: value for value, word in enumerate(_TEENS.split())}
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9}
_ENGLISH = re.compile(rf"(?:{'|'.join([*_SMALL, *_TENS, *_SCALES, 'hundred', 'and', 'minus'])})\b[\s-]*")
_MAX_UNIT_WORDS = 2

_ZH_DIGITS = {ch: value for value, ch in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_ZH_PLACES = {"十": 10, "百": 100, "千": 1000}
# Only after a listed unit: "一样" and "一些" begin with a numeral and are no numbers.
_CHINESE = re.compile(
    r"(?P<number>[零〇一二两三四五六七八九十百千万亿]{1,20}?)"
    r"(?:个|元|块|块钱|本|人|天|次|件|棵|岁|只|条|张|页|米|厘米|千米|公里|千克|公斤|克|吨|升|小时|分钟|秒|年|月|周|倍|种|名|位|头|辆)?"
)


def number_word(text: str) -> int | None:
    """The whole number that `text` spells, with a unit or without; None when it spells none."""
    chinese = _CHINESE.fullmatch(text.strip())
    if chinese:
        return _chinese(chinese["number"])
    found: list[str] = []
    rest = text.strip().lower()
    while m := _ENGLISH.match(rest):
        found.append(m.group().strip(" -\t\n"))
        rest = rest[m.end() :]
    if not found or found[-1] in {"and", "minus"} or len(rest.split()) > _MAX_UNIT_WORDS:
        return None
    return _english(found) if re.fullmatch(r"[a-z ]*", rest) else None


def _english(found: list[str]) -> int | None:
    sign = -1 if found[0] == "minus" else 1
    total, part = 0, None
    for word in found[1:] if sign < 0 else found:
        if word in _SMALL or word in _TENS:
            value = _SMALL.get(word, _TENS.get(word, 0))
            # "two three" is two numbers, "twenty three" is one.
            if part is not None and (part % 10 or (part % 100 and value >= 10) or part == 0):
                return None
            part = (part or 0) + value
        elif word == "hundred":
            part = (part or 1) * 100
        elif word in _SCALES:
            total, part = total + (part or 1) * _SCALES[word], None
        elif word == "minus":
            return None
    return sign * (total + (part or 0))


def _chinese(text: str) -> int | None:
    if not any(ch in _ZH_PLACES or ch in "万亿" for ch in text):
        return int("".join(str(_ZH_DIGITS[ch]) for ch in text))
    total = section = digit = 0
    for ch in text:
        if ch in _ZH_DIGITS:
            digit = _ZH_DIGITS[ch]
        elif ch in _ZH_PLACES:
            section, digit = section + (digit or 1) * _ZH_PLACES[ch], 0
        else:
            total, section, digit = (total + section + digit) * (10**4 if ch == "万" else 10**8), 0, 0
    return total + section + digit
