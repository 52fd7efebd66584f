r"""Reading numbers out of answers and comparing them exactly.

Decisions that are matters of taste, made once here:

- A percent sign is a hint, not a factor: "50%" equals "50%", "50" and "0.5", because questions ask "what percentage"
  and known answers come with and without the sign. Two percentages are compared as written.
- Rounding: a decimal with two decimals or more that is no whole number equals what it is the rounding of ("66.67" and
  200/3), if it has three significant digits, or the other is far more precise or cannot be written as a decimal ("0.33"
  and 1/3). Nothing is rounded to a whole number. Floating point noise (8 decimals or more) is forgiven up to 1e-9.
- A unit that one side alone names is ignored; where both do, see `units`. 万, 亿, dozen, hundred, million … are
  factors; so are K, M and B glued to a number ("5K"), which may also be a unit: 5 for "5K" is for a person to say.
- Times ("3:30"), ratios ("1:2"), dates and versions are no numbers, "±5" is not 5 and "5!" is 120.
- In a phrase with several numbers and no "=" nothing is read: which one is meant is for a person to say.
"""

from __future__ import annotations

import re
from collections import deque
from dataclasses import dataclass, replace
from fractions import Fraction

from tale_core.grading.clean import clean, looks_like_math
from tale_core.grading.text import is_negated
from tale_core.grading.units import Unit, compound, conversion, parse_unit, relatives
from tale_core.grading.words import PARTS, number_word, with_symbols

MAX_ANSWER_CHARS = 400
"""A longer string is no number and no expression, so only the scanner has to be linear."""

_FACTORS = {
    "dozen": 12,
    "hundred": 100,
    "thousand": 10**3,
    "million": 10**6,
    "billion": 10**9,
    "trillion": 10**12,
    "lakh": 10**5,
    "crore": 10**7,
    "k": 10**3,
    "m": 10**6,
    "mil": 10**6,
    "mn": 10**6,
    "b": 10**9,
    "bn": 10**9,
    "百": 10**2,
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
_FACTOR_WORD = (
    r"(?:dozen|hundred|thousand|million|billion|trillion|lakh|crore)\b"
    r"|万亿|千万|百万|亿|万|百(?!分)|千(?![克米瓦卡帕焦赫伏牛])"
)
_PARTS = "|".join(sorted(PARTS, key=len, reverse=True))
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
    (?:(?P<glued>(?:[KkMB]|bn|mn|mil)(?![A-Za-z/^·*]))     # 5K, 1.2M
      |(?:\ |-)?(?P<part>{_PARTS})\b                        # 2 thirds
      |\ and\ a\ (?P<more>half|quarter|third)\b             # 2 and a half
      |(?:\ ?(?P<factor>{_FACTOR_WORD}))?(?:\ ?(?P<again>{_FACTOR_WORD}))?)
"""
# Times, ratios, dates, versions and names with digits in them are swallowed whole, so that no part of them is read.
_OPAQUE = r"""
    (?<![\d.])\d{1,6}(?:\.\d{1,6})?(?:(?::|\ :\ )\d{1,6}(?:\.\d{1,6})?){1,4}(?![\d:])
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
_BARE_NAME = re.compile(r"\\?[A-Za-z]+'?(?:_?\{?\w{1,9}\}?)?(?:\([\w, ]{1,9}\))?|\([a-z](?:, ?[a-z]){1,3}\)")
_BELOW_ZERO = re.compile(r"\s*(?:below|under) zero|(?:在)?零度?以下|^零下", re.IGNORECASE)
_OPERATOR = re.compile(r"[±√^*=<>≤≥≠|∞×÷+!]|\\[a-zA-Z]")
_SYMBOLS = frozenset({"C", "T", "F", "S", "Ω"})
"""Units whose letter is a variable's, unless it stands apart."""
_UNIT_BEHIND = re.compile(
    r"(?P<first>[ -]?(?:(?:square|cubic|sq\.?) )?°?[^\W\d_]{1,13}(?:\^\{?-?\d\}?)?)(?:(?: ?/ ?"
    r"| per )[^\W\d_]{1,13}(?:\^\{?-?\d\}?)?)?"
)
_AND_A_HALF = re.compile(r"(?P<unit>个|小时|分钟|天|年|米|公里|斤|公斤|吨|升|块|倍)半")
_NO_UNIT = r"(?!(?:in|for|per|of|out|over|after|on|at|by|from|with|when|if|is|are|was|which|that|since|as|each|than)\b)"
_JOINED = re.compile(
    rf"\s*(?:{_NO_UNIT}[^\W\d_]{{1,12}}\.?\s*)?(?:(?:,\s*)?(?:to|or|and|through|by|x|至|到|或|和|与|零|又)"
    rf"|[-~:,/&×(])?\s*\$?(?=-?\.?\d)",
    re.IGNORECASE,
)
OUT_OF = re.compile(
    r"(?<![\w.,/])(\d{1,9})"
    r"(?: out of(?: every| the)? | of (?:the |these |those |every |all )?| in (?=\d{1,9}(?: ?[.,;:!)]|$)))"
    r"(\d{1,9})(?![\w/,.]*\d)(?! ?%)(?=[ ,.;:!)]|$)",
    re.IGNORECASE,
)
"""Some of a number of things: their count or their share ("3 out of 5")."""
BOUND = re.compile(
    r"(?:(?<!no )(?<!not )(?<!n't )(?<!not be )(?<!n't be )(?<!\d )"
    r"\b(?:(?:less|fewer|more|greater|higher|lower|larger|smaller|bigger)\s+than|under|below|above|beyond"
    r"|exceed(?:s|ed|ing)?|(?:(?:is|are|was|were)\s+|^)(?:well |just )?over)"
    r"|(?<![不])(?:少于|小于|低于|多于|大于|高于|超过)|不到)\s*$",
    re.IGNORECASE,
)
"""What makes the number behind it a bound and no answer; "no more than 48" may be one."""
_COMMA = re.compile(
    r"(?P<sign>-?)(?P<whole>\d{1,3}(?:(?P<dots>[. '])\d{3}(?:(?P=dots)\d{3}){0,9})"
    r"|\d{1,12})(?:,(?P<comma>\d{1,12}))?(?P<rest>\D{0,40})"
)


@dataclass(frozen=True, slots=True)
class Number:
    """A number as written.

    Attributes:
        value: Exact value, percent sign ignored.
        places: Decimals as written; None for fractions and powers of ten.
        percent: Whether a percent sign stood beside it.
        unit: The unit behind it; None where there is none, or none that is understood.
        perhaps: What it may mean as well ("5K" may be 5 of a unit), for a person to say.
    """

    value: Fraction
    places: int | None = None
    percent: bool = False
    unit: Unit | None = None
    perhaps: Fraction | None = None


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
    sign = -1 if g["sign"] == "-" else 1
    factor: Fraction | int = 1
    for word in (g["factor"], g["again"], g["glued"]):
        factor *= _FACTORS.get((word or "").lower(), 1)
    if g["part"]:
        factor = Fraction(1, PARTS[g["part"]])
    if g["more"]:
        value, places = value + Fraction(1, PARTS[g["more"]]), None
    perhaps = sign * value if g["glued"] or g["part"] else None
    places = places if factor == 1 else None
    return Number(sign * value * factor, places, bool(g["pct"] or g["zhpct"]), perhaps=perhaps)


_STRICT = re.compile(_NUMBER, re.VERBOSE)


def strict_number(text: str) -> Number | None:
    """The number that `text` is, alone or with a unit ("$1,000", "5 apples", "18 km/h"); None when it is not one."""
    return _strict(with_symbols(clean(text))) if len(text) <= MAX_ANSWER_CHARS else None


def _strict(s: str) -> Number | None:
    below = _BELOW_ZERO.search(s)
    s = _BELOW_ZERO.sub("", s).strip() if below else s
    start = _PREFIX.match(s)
    m = _STRICT.match(s, start.end() if start else 0)
    if not m:
        spelling = s[start.end() :] if start else s
        percent = spelling.startswith("百分之")
        spelt = number_word(spelling.removeprefix("百分之"))
        spelt = number_word(s) if spelt is None else spelt
        number = None if spelt is None else Number(spelt, 0 if spelt.denominator == 1 else None, percent)
    else:
        number = _with_unit(m, s[m.end() :].strip())
    return replace(number, value=-number.value) if number and below and number.value > 0 else number


def _with_unit(m: re.Match[str], rest: str) -> Number | None:
    """The number of a match, if what follows it is a unit and nothing else."""
    if rest.startswith("(") and rest.endswith(")"):
        rest = rest[1:-1].strip()
    half = _AND_A_HALF.match(rest)
    rest = half["unit"] + rest[half.end() :] if half else rest
    unit = parse_unit(rest)
    if rest in _SYMBOLS and m.string[m.end() : m.end() + 1] == " ":
        rest = ""
    if rest and not _UNIT.fullmatch(rest) and not (unit and unit.known):
        return None
    number = _number(m)
    if number and half:
        number = replace(number, value=number.value + Fraction(1, 2), places=None)
    return replace(number, unit=unit) if number else None


def readings(text: str) -> tuple[Number, ...]:
    """Every number that the answer `text` may mean: one when it is clear, none when it is no number, else several."""
    if len(text) > MAX_ANSWER_CHARS:
        return ()
    s = with_symbols(clean(text))
    if quantity := compound(s):
        return (Number(quantity[0], unit=quantity[1]),)
    if (part := OUT_OF.fullmatch(s)) and int(part[2]):
        return (Number(Fraction(int(part[1]), int(part[2])), perhaps=Fraction(int(part[1]))),)
    inside = s[1:-1] if s[:1] in "([{" and s[-1:] in ")]}" and "," not in s else ""
    for candidate in (s, inside, after_equals(s), re.sub(r"\([^()]*\)", " ", s).strip()):
        number = _strict(clean(candidate)) if candidate else None
        if number is not None:
            return (number,)
    if looks_like_math(s) or is_negated(s) or _OPERATOR.search(s):
        return ()
    found = all_numbers(s)
    first = re.search(r"[-+]?\d", s)
    return () if len(found) == 1 and first and BOUND.search(s, 0, first.start()) else found


def all_numbers(s: str) -> tuple[Number, ...]:
    """The different numbers in a cleaned text, in order."""
    return tuple({n: None for m in _SCAN.finditer(s) if m["number"] and (n := _number(m)) is not None})


def decimal_comma(text: str) -> Fraction | None:
    """The value of a number written with a decimal comma or with dots between thousands, as one reading of it."""
    m = _COMMA.fullmatch(clean(text)) if len(text) <= MAX_ANSWER_CHARS else None
    if not m or not (m["comma"] or m["dots"]) or (m["rest"].strip() and parse_unit(m["rest"]) is None):
        return None
    if m["comma"] and len(m["comma"]) == 3 and not m["dots"]:
        return None  # thousands
    whole = re.sub(r"\D", "", m["whole"])
    return (-1 if m["sign"] == "-" else 1) * Fraction(f"{whole}.{m['comma'] or 0}")


def after_equals(s: str) -> str:
    """What follows the last "=", unless the left side makes it an equation rather than a result ("x^2 = 18")."""
    *left, right = _sides(re.sub(r"≒|\\(?:equiv|simeq)(?![a-z])", "=", s))
    if not left or any(part.rstrip().endswith(("<", ">", "!", ":", "\\ne", "\\neq", "\\le", "\\ge")) for part in left):
        return ""
    if len(left) == 1 and _BARE_NAME.fullmatch(right.strip()) and not re.search(r"[a-zA-Z\\]", left[0]):
        return left[0].strip()  # "2 = x"
    equation = any(_VARIABLE.search(part) and not _BARE_NAME.fullmatch(part.strip()) for part in left)
    if not re.search(r"[a-zA-Z]", left[0]) and _VARIABLE.search(right):
        equation = True  # "7 = 11a + c"
    return "" if equation else right.strip()


def _sides(s: str) -> list[str]:
    """An expression taken apart at its equals and almost-equals signs outside of braces."""
    parts, depth, start = [], 0, 0
    s = re.sub(r"\\approx(?![a-z])", "≈", s)
    for i, ch in enumerate(s):
        depth += (ch == "{") - (ch == "}")
        if ch in "=≈" and depth <= 0:
            parts.append(s[start:i])
            start = i + 1
    return [*parts, s[start:]]


def last_numbers(s: str, most: int) -> list[re.Match[str]]:
    """The last numbers (group "number") in running text without markup. Linear in the length of `s`."""
    return list(deque((m for m in _SCAN.finditer(s) if m["number"]), maxlen=most))


def last_number(s: str) -> re.Match[str] | None:
    """The last one of them."""
    return next(iter(last_numbers(s, 1)), None)


def several_numbers(s: str) -> bool:
    """Whether a cleaned phrase begins with numbers that belong together ("3 to 5", "1:2", "1 hour 30 minutes")."""
    start = _PREFIX.match(s)
    first = _SCAN.match(s, start.end() if start else 0)
    if not first or first["name"]:
        return False
    joined = _JOINED.match(s, first.end())
    return bool(first["opaque"] or joined)


def leading_number(text: str) -> str | None:
    """The number that `text` begins with, after a currency sign or "about"; None when it begins with something else."""
    s = clean(text[:MAX_ANSWER_CHARS])
    start = _PREFIX.match(s)
    m = _SCAN.match(s, start.end() if start else 0)
    if not m or not m["number"] or looks_like_math(s):
        return None
    return with_unit(s, m)


def with_unit(s: str, m: re.Match[str]) -> str:
    """The number of a match as written, with the unit of measure that follows it: "5 cm" is not "5 m"."""
    number = m["number"].strip()
    behind = _UNIT_BEHIND.match(s, m.end())
    for text in (behind.group(), behind["first"]) if behind else ():
        unit = parse_unit(text)
        if text.strip() == "in" and re.match(r" [a-z]", s[m.end() + len(text) :]):
            continue  # "108 in all" is no length.
        if unit and unit.known:
            number = f"{number}{text}"
            break
    below = _BELOW_ZERO.match(s, m.start() + len(number))
    return f"{number}{below.group()}" if below else number


def same_number(a: Number, b: Number) -> bool:
    """Whether two numbers are the same under the rules at the top of this module. Symmetric."""
    factor = conversion(a.unit, b.unit)
    if factor is None:
        return False
    if factor != 1:
        return _close(Number(a.value * factor), Number(b.value))
    if a.percent == b.percent:
        return _close(a, b)
    share, plain = (a, b) if a.percent else (b, a)
    as_part = Number(share.value / 100, None if share.places is None else share.places + 2)
    return _close(share, plain) or _close(as_part, plain)


def may_be_same(a: Number, b: Number) -> bool:
    """Whether two numbers that are not the same could be: another meaning of a short form, a unit that nobody named."""
    if (a.perhaps is not None and a.perhaps == b.value) or (b.perhaps is not None and b.perhaps == a.value):
        return True
    named, bare = (a, b) if a.unit else (b, a)
    return (
        bare.unit is None and any(named.value * factor == bare.value for factor in relatives(named.unit))
        if named.unit
        else False
    )


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
