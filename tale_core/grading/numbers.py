r"""Reading numbers out of answers and comparing them exactly.

Knows digits, separators, fractions, percent signs, units and the LaTeX around them; knows no questions and no letters.
Decisions that are matters of taste, made once here:

- A percent sign is a hint, not a factor: "50%" equals "50%", "50" and "0.5", because questions ask "what percentage"
  and known answers come with and without the sign. Two percentages are compared as written.
- Rounding: a decimal with two decimals or more that is no whole number equals what it is the rounding of ("66.67" and
  200/3), if it has three significant digits, or the other is far more precise or cannot be written as a decimal ("0.33"
  and 1/3). Nothing is rounded to a whole number. Floating point noise (8 decimals or more) is forgiven up to 1e-9.
- Units are ignored; 万, 亿, thousand, million … are factors. Times ("3:30"), dates and versions are no numbers.
- In a phrase with several numbers and no "=" nothing is read: which one is meant is for a person to say.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction

from tale_core.grading.clean import clean, looks_like_math, strip_markup
from tale_core.grading.text import is_negated
from tale_core.grading.words import number_word

MAX_ANSWER_CHARS = 400
"""A longer string is no number and no expression, so only the scanner has to be linear."""

_FACTORS = {
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "千": 10**3,
    "万": 10**4,
    "百万": 10**6,
    "千万": 10**7,
    "亿": 10**8,
    "万亿": 10**12,
}

# Every repetition is bounded, so that a try at one place costs a constant and a scan is linear.
_D = r"\d{1,60}(?!\d)"
_INT = rf"(?:\d{{1,3}}(?:,\d{{2,3}}){{0,12}},\d{{3}}(?!\d)|\d{{1,3}}(?:[ ']\d{{3}}){{1,12}}(?!\d)|{_D})"
_DEC = rf"(?:{_INT}(?:\.\d{{1,60}}(?!\d))?|(?<![\w.])\.\d{{1,60}}(?!\d))"
_NUMBER = rf"""
    (?P<zhpct>百分之\ ?)?
    (?P<sign>(?<![\w).\]}}])[-+])?
    (?:
        (?P<whole>\d{{1,9}})(?:\ {{1,2}}|\ and\ |\ ?(?=\\frac))            # 1 1/2, 1\frac{{1}}{{2}}
        (?:(?P<mn>\d{{1,4}})\ ?/\ ?(?P<md>\d{{1,4}})(?![\d/])
          |\\frac\ ?\{{\ ?(?P<mln>\d{{1,4}})\ ?\}}\ ?\{{\ ?(?P<mld>\d{{1,4}})\ ?\}})
      | \\frac\ ?\{{\ ?(?P<ln>-?{_DEC})\ ?\}}\ ?\{{\ ?(?P<ld>{_DEC})\ ?\}}  # \frac{{3}}{{4}}
      | \\frac\ ?(?P<sn>\d)\ ?(?P<sd>\d)(?!\d)                            # \frac34
      | (?P<n>{_DEC})\ ?/\ ?(?P<d>{_DEC})(?!\ ?[/^])
      | (?:(?P<m>{_DEC})\ ?(?:\\times|\\cdot|[x×·*])\ ?)?10\ ?\^\ ?(?:\{{\ ?(?P<p>[-+]?\d{{1,3}})\ ?\}}
          |\(?(?P<q>[-+]?\d{{1,3}})(?!\d)\)?)                             # 1.5 x 10^3
      | (?P<x>{_DEC})(?:[eE](?P<e>[-+]?\d{{1,3}})(?![\w.]))?(?!\ ?\^)
    )
    (?P<pct>\ ?(?:%|percent\b|per\ cent\b))?
    (?:\ ?(?P<factor>(?:thousand|million|billion|trillion)\b|万亿|千万|百万|亿|万|千(?![克米瓦卡帕焦赫伏牛])))?
"""
# Times, dates, versions and names with digits in them are swallowed whole, so that no part of them is read.
_OPAQUE = r"""
    (?<!\d)\d{1,4}(?::\d{2}){1,3}(?![\d:])
  | (?<!\d)\d{1,4}(?P<sep>[-/])\d{1,2}(?P=sep)\d{1,4}(?!\d)
  | (?<!\d)\d{1,6}(?:\.\d{1,6}){2,4}(?!\d)
"""
_SCAN = re.compile(
    rf"(?P<opaque>{_OPAQUE})|(?<!\d)(?<!\d\.)(?<!\^)(?<!\^\{{)(?<!\^-)(?P<number>{_NUMBER})"
    r"|(?P<name>\\?[A-Za-z_][A-Za-z_0-9]*+)",
    re.VERBOSE,
)
# Letters that stand for a unit when they follow a number alone ("5 m"); the others are variables ("2x").
_UNIT = re.compile(
    r" ?(?!(?:[a-zB-EGIO-UX-Z](?<![mgshld])|[abcnxyz]{2,3})(?![a-zA-Z°']))(?!(?:pi|sqrt|or|and|to)\b|或|到|至|π|√)"
    r"[^\W\d_][^\d=<>+*^\\(){}\[\]|√π∞,;:]{0,40}(?:\^\{?[23]\}?)?|[ ]?[°℃℉'\"]{1,2}[CF]?"
)
_PREFIX = re.compile(
    r"(?:(?:usd|us|rmb|cny|eur|gbp|hk|rs\.?|about|approximately|approx\.?|around|roughly|exactly|only|just|a total of|"
    r"大约|约|一共|总共|共|人民币|为|是|[≈~])\s?){0,3}",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"(?<![a-zA-Z\\])[b-chkn-rt-z](?![a-zA-Z])")
_BARE_NAME = re.compile(r"[A-Za-z](?:_?\{?\w{1,9}\}?)?(?:\(\w{1,9}\))?")


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written.

    Attributes:
        value: Exact value, percent sign ignored.
        places: Decimals as written; None for fractions and powers of ten.
        percent: Whether a percent sign stood beside it.
    """

    value: Fraction
    places: int | None = None
    percent: bool = False


def _fraction(numerator: str, denominator: str) -> Fraction | None:
    below = _decimal(denominator)
    return _decimal(numerator) / below if below else None


def _decimal(text: str) -> Fraction:
    return Fraction(re.sub(r"[, ']", "", text))


def _number(m: re.Match[str]) -> Number | None:
    """The number of a match of `_NUMBER`; None for a denominator of zero."""
    g = m.groupdict()
    places: int | None = None
    value: Fraction | None
    if g["whole"]:
        part = _fraction(g["mn"] or g["mln"], g["md"] or g["mld"])
        value = None if part is None else int(g["whole"]) + part
    elif g["ln"] or g["sn"] or g["n"]:
        value = _fraction(g["ln"] or g["sn"] or g["n"], g["ld"] or g["sd"] or g["d"])
    elif g["p"] or g["q"]:
        value = _decimal(g["m"] or "1") * Fraction(10) ** int(g["p"] or g["q"])
    else:
        value = _decimal(g["x"])
        if g["e"]:
            value *= Fraction(10) ** int(g["e"])
        else:
            places = len(g["x"].partition(".")[2])
    if value is None:
        return None
    factor = _FACTORS.get((g["factor"] or "").lower(), 1)
    sign = -1 if g["sign"] == "-" else 1
    return Number(sign * value * factor, places if factor == 1 else None, bool(g["pct"] or g["zhpct"]))


_STRICT = re.compile(_NUMBER, re.VERBOSE)


def strict_number(text: str) -> Number | None:
    """The number that `text` is, alone or with a unit ("$1,000", "5 apples", "18 km/h"); None when it is not one."""
    return _strict(clean(text)) if len(text) <= MAX_ANSWER_CHARS else None


def _strict(s: str) -> Number | None:
    start = _PREFIX.match(s)
    m = _STRICT.match(s, start.end() if start else 0)
    if not m:
        spelt = number_word(s)
        return None if spelt is None else Number(Fraction(spelt), 0)
    rest = s[m.end() :].rstrip()
    return _number(m) if not rest or _UNIT.fullmatch(rest) else None


def readings(text: str) -> tuple[Number, ...]:
    """Every number that the answer `text` may mean: one when it is clear, none when it is no number, else several."""
    if len(text) > MAX_ANSWER_CHARS:
        return ()
    s = clean(text)
    inside = s[1:-1] if s[:1] in "([{" and s[-1:] in ")]}" and "," not in s else ""
    for candidate in (s, inside, _after_equals(s), re.sub(r"\([^()]*\)", " ", s).strip()):
        number = _strict(clean(candidate)) if candidate else None
        if number is not None:
            return (number,)
    if looks_like_math(s) or is_negated(s):
        return ()
    return tuple({n: None for m in _SCAN.finditer(s) if m["number"] and (n := _number(m)) is not None})


def _after_equals(s: str) -> str:
    """What follows the last "=", unless the left side makes it an equation rather than a result ("x^2 = 18")."""
    *left, right = re.sub(r"≈|≒|\\approx", "=", s).split("=")
    if any(part.rstrip().endswith(("<", ">", "!")) for part in left):
        return ""
    equation = any(_VARIABLE.search(part) and not _BARE_NAME.fullmatch(part.strip()) for part in left)
    return "" if equation or not left else right


def last_number(text: str) -> str | None:
    """The last number in running text that is tidy already, as written. Linear in the length of `text`."""
    last = None
    for m in _SCAN.finditer(strip_markup(text)):
        if m["number"]:
            last = m["number"].strip()
    return last


def leading_number(text: str) -> str | None:
    """The number that `text` begins with, after a currency sign or "about"; None when it begins with something else."""
    s = clean(text[:MAX_ANSWER_CHARS])
    start = _PREFIX.match(s)
    m = _SCAN.match(s, start.end() if start else 0)
    if not m or not m["number"] or looks_like_math(s):
        return None
    return m["number"].strip()


def same_number(a: Number, b: Number) -> bool:
    """Whether two numbers are the same under the rules at the top of this module. Symmetric."""
    if a.percent == b.percent:
        return _close(a, b)
    share, plain = (a, b) if a.percent else (b, a)
    as_part = Number(share.value / 100, None if share.places is None else share.places + 2)
    return _close(share, plain) or _close(as_part, plain)


def _close(a: Number, b: Number) -> bool:
    if a.value == b.value:
        return True
    gap = abs(a.value - b.value)
    if max(a.places or 0, b.places or 0) >= 8 and gap <= max(abs(a.value), abs(b.value)) / 10**9:
        return True
    return _rounds_to(a, b) or _rounds_to(b, a)


def _rounds_to(short: Number, long: Number) -> bool:
    if short.places is None or short.places < 2 or short.value.denominator == 1:
        return False
    if long.places is not None and long.places <= short.places:
        return False
    if abs(long.value - short.value) > Fraction(1, 2 * 10**short.places):
        return False
    significant = len(str(abs(short.value * 10**short.places).numerator))
    far_more_precise = long.places is not None and long.places >= short.places + 2
    return significant >= 3 or far_more_precise or not _terminates(long.value)


def _terminates(value: Fraction) -> bool:
    rest = value.denominator
    for prime in (2, 5):
        while rest % prime == 0:
            rest //= prime
    return rest == 1
