"""Numbers and operations in words, English and Chinese ("twenty-one apples", "三分之二", "half of 48", "6 乘 8").

A phrase that holds anything but a number and a short unit is no number.
"""

from __future__ import annotations

import re
from fractions import Fraction

_TEENS = (
    "zero one two three four five six seven eight nine ten "
    "eleven twelve thirteen fourteen fifteen sixteen seventeen eighteen nineteen"
)
_SMALL = {word: value for value, word in enumerate(_TEENS.split())}
_DECADES = "twenty thirty forty fifty sixty seventy eighty ninety"
_TENS = {word: 10 * value for value, word in enumerate(_DECADES.split(), start=2)}
_SCALES = {"thousand": 10**3, "million": 10**6, "billion": 10**9, "dozen": 12}
_MINUS = frozenset({"minus", "negative"})
_ENGLISH = re.compile(rf"(?:{'|'.join([*_SMALL, *_TENS, *_SCALES, 'hundred', 'and', *_MINUS])})\b[\s-]*")
_ORDINALS = (
    "third fourth fifth sixth seventh eighth ninth tenth eleventh twelfth thirteenth fourteenth fifteenth sixteenth "
    "seventeenth eighteenth nineteenth twentieth"
)
PARTS = {
    "half": 2,
    "halves": 2,
    "quarter": 4,
    "quarters": 4,
    "hundredth": 100,
    "hundredths": 100,
    "thousandth": 1000,
    "thousandths": 1000,
} | {word + end: value for value, word in enumerate(_ORDINALS.split(), start=3) for end in ("", "s")}
"""What one part is called, and how many make a whole."""
_PART = re.compile(rf"(?:{'|'.join(sorted(PARTS, key=len, reverse=True))})\b")
_ARTICLE = re.compile(
    r"(?:an?\s+)(?=half\b|quarter\b|third\b|fourth\b|fifth\b|sixth\b|eighth\b|tenth\b|hundred|thousand|million"
    r"|billion|dozen)"
)
_MAX_UNIT_WORDS = 2
_ALONE = re.compile(
    rf"(?:an? )?(?:(?:{'|'.join([*_SMALL, *_TENS, *_SCALES, *PARTS, *_MINUS, 'hundred', 'and', 'a'])})\b[\s-]*)+"
    "|[负零〇一二两三四五六七八九十百千万亿点分之又半]+"
)

_ZH_DIGITS = {ch: value for value, ch in enumerate("零一二三四五六七八九")} | {"〇": 0, "两": 2}
_ZH_PLACES = {"十": 10, "百": 100, "千": 1000}
_ZH_NUMBER = "[零〇一二两三四五六七八九十百千万亿]"
# Only after a listed unit: "一样" and "一些" begin with a numeral and are no numbers.
_ZH_UNITS = (
    "(?:个|元|块|块钱|本|人|天|次|件|棵|岁|只|条|张|页|米|厘米|千米|公里|千克|公斤|克|吨|升|小时|分钟|秒|年|月|周|倍|度|摄氏度"
    "|种|名|位|头|辆)?"
)
_ZH_MINUS = r"(?P<minus>负|零下)?\s?"
_CHINESE = re.compile(
    rf"{_ZH_MINUS}(?:(?:(?P<whole>{_ZH_NUMBER}{{1,20}}|\d{{1,9}})又)?"
    rf"(?P<below>{_ZH_NUMBER}{{1,20}}?|\d{{1,9}})分之(?P<above>{_ZH_NUMBER}{{1,20}}|\d{{1,9}})"
    rf"|(?P<half>一半)|(?P<number>{_ZH_NUMBER}{{1,20}}?)(?:点(?P<places>[零〇一二三四五六七八九]{{1,20}}))?){_ZH_UNITS}"
)


_N = r"-?\d[\d,]{0,15}(?:\.\d{1,12})?"
_PARTS_OF = {
    "half": "1/2", "a third": "1/3", "one third": "1/3", "two thirds": "2/3", "a quarter": "1/4", "one quarter": "1/4",
    "three quarters": "3/4", "a fifth": "1/5", "a tenth": "1/10", "twice": "2", "double": "2", "triple": "3",
}  # fmt: skip
_WRITTEN = {
    "plus": "+", "minus": "-", "times": "*", "multiplied by": "*", "divided by": "/", "added to": "+",
    "加": "+", "减": "-", "乘": "*", "乘以": "*", "除以": "/",
}  # fmt: skip
_OPERATIONS = re.compile(
    rf"(?:the )?(?P<named>sum|product|difference|quotient) (?:of|between) (?P<na>{_N}) and (?P<nb>{_N})"
    rf"|(?:the )?square root of (?P<root>{_N})"
    rf"|\b(?P<part>{'|'.join(_PARTS_OF)})(?: of)?(?: the)? (?P<whole>{_N})"
    rf"|(?P<percent>{_N}) ?(?:%|percent) of (?:the )?(?P<base>{_N})"
    rf"|(?P<times>{_N}|two|three|four|five|six|seven|eight|nine|ten) times as [a-z]{{3,8}} as (?P<as>{_N})"
    rf"|(?P<more>{_N}) (?P<which>more|less|fewer) than (?P<than>{_N})"
    rf"|(?P<a>{_N}) ?(?P<op>{'|'.join(sorted(_WRITTEN, key=len, reverse=True))}) ?(?P<b>{_N})"
    rf"|(?P<power>{_N}) (?P<to>squared|cubed)\b|(?P<zh>{_N}) ?的 ?(?:(?P<zhn>{_N}) ?倍|(?P<zhhalf>一半))",
    re.IGNORECASE,
)


def operation_at(text: str, place: int) -> str | None:
    """The operation in words that the character at `place` belongs to, as written."""
    return next((m.group() for m in _OPERATIONS.finditer(text) if m.start() <= place < m.end()), None)


def with_symbols(text: str) -> str:
    """The text with operations on numbers written in symbols: "half of 48" is "(1/2*48)"."""
    return _OPERATIONS.sub(_in_symbols, text) if any(ch.isdigit() for ch in text) else text


def _in_symbols(m: re.Match[str]) -> str:
    g = {name: value.lower() if value else "" for name, value in m.groupdict().items()}
    if g["named"]:
        sign = {"sum": "+", "product": "*", "quotient": "/"}.get(g["named"])
        both = (g["na"], g["nb"])
        return f"({sign.join(both)})" if sign else "(" + "-".join(sorted(both, key=_plain, reverse=True)) + ")"
    if g["root"]:
        return f"sqrt({g['root']})"
    if g["part"]:
        return f"({_PARTS_OF[g['part']]}*{g['whole']})"
    if g["percent"]:
        return f"({g['percent']}/100*{g['base']})"
    if g["times"]:
        return f"({_SMALL.get(g['times'], g['times'])}*{g['as']})"
    if g["more"]:
        return f"({g['than']}{'+' if g['which'] == 'more' else '-'}{g['more']})"
    if g["power"]:
        return f"{g['power']}^{2 if g['to'] == 'squared' else 3}"
    if g["zh"]:
        return f"({g['zh']}*{g['zhn'] or '1/2'})"
    return f"{g['a']}{_WRITTEN[g['op']]}{g['b']}"


def _plain(number: str) -> float:
    return float(number.replace(",", ""))


def number_word(text: str) -> Fraction | None:
    """The number that `text` spells, with a unit or without; None when it spells none. "百分之" is the caller's."""
    text = text.strip()
    if m := _CHINESE.fullmatch(text):
        return None if m["below"] in ("百", "100") else _chinese_number(m)
    return _english_number(text.lower())


def is_number_alone(text: str) -> bool:
    """Whether a text is a number in words and nothing else: "sixty-five" and "a third", and no "Seven Samurai"."""
    return bool(_ALONE.fullmatch(text.strip().lower())) and number_word(text) is not None


def _english_number(text: str) -> Fraction | None:
    sign = 1
    if m := re.match(r"(?:minus|negative)\s+", text):
        sign, text = -1, text[m.end() :]
    whole, rest = _cardinal(text)
    between = (
        re.match(r"(?:and\s+)?(?:an?\s+|one[\s-]+)?(?=half\b|quarter\b|third\b)", rest) if whole is not None else None
    )
    if whole is not None and between and between.group():
        # "two and a half", "three and one quarter"
        part = _PART.match(rest, between.end())
        assert part is not None
        whole, rest = whole + Fraction(1, PARTS[part.group()]), rest[part.end() :]
        value: Fraction | None = whole
    else:
        value, rest = _with_part(text, whole, rest)
    unit = rest.split()
    most = _MAX_UNIT_WORDS + 2 if unit[:1] == ["of"] else _MAX_UNIT_WORDS
    if value is None or len(unit) > most or not re.fullmatch(r"[a-z -]*", rest) or any(map(_ENGLISH.match, unit)):
        return None
    return sign * value


def _with_part(text: str, whole: Fraction | None, rest: str) -> tuple[Fraction | None, str]:
    """A cardinal, or a fraction: "two thirds", "a quarter", "half", "two and three quarters"."""
    if whole is None:
        article = _ARTICLE.match(text)
        rest = text[article.end() :] if article else text
        if article or rest.startswith("half"):
            if part := _PART.match(rest):
                return Fraction(1, PARTS[part.group()]), rest[part.end() :]
            scale, after = _cardinal("one " + rest) if article else (None, rest)
            return scale, after
        return None, rest
    if part := _PART.match(rest):
        return whole / PARTS[part.group()], rest[part.end() :]
    return whole, rest


def _cardinal(text: str) -> tuple[Fraction | None, str]:
    """The whole number that a text begins with, and what follows it."""
    found: list[str] = []
    rest = text
    while m := _ENGLISH.match(rest):
        word = m.group().strip(" -\t\n")
        if word in _MINUS or (word == "and" and not (found and _ENGLISH.match(rest, m.end()))):
            break
        found.append(word)
        rest = rest[m.end() :]
    if not found:
        return None, text
    if "and" in found and (part := _PART.match(rest)):
        # "two and three quarters": what stands before "and" is whole, what stands behind it counts the parts.
        at = found.index("and")
        whole, count = _english(found[:at]), _english(found[at + 1 :])
        if whole is not None and count is not None and PARTS[part.group()] <= 20:
            return whole + Fraction(count, PARTS[part.group()]), rest[part.end() :]
    value = _english(found)
    return (None if value is None else Fraction(value)), rest


def _english(found: list[str]) -> int | None:
    total, part = 0, None
    for word in found:
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
    return total + (part or 0)


def _chinese_number(m: re.Match[str]) -> Fraction | None:
    sign = -1 if m["minus"] else 1
    if m["half"]:
        return Fraction(sign, 2)
    if m["below"]:
        below = _chinese(m["below"])
        return None if not below else sign * (_chinese(m["whole"] or "0") + Fraction(_chinese(m["above"]), below))
    places = m["places"] or ""
    decimals = Fraction(_chinese(places), 10 ** len(places)) if places else Fraction(0)
    return sign * (_chinese(m["number"]) + decimals)


def _chinese(text: str) -> int:
    if text.isdecimal():
        return int(text)
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
