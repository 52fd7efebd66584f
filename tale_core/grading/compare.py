r"""Whether two quantities, expressions, lists, equations or matrices are the same.

Numbers are compared exactly (`numbers`), matrices cell by cell, equations with equations; math-verify decides what is
left. None stands for what a person must decide.
"""

from __future__ import annotations

import re
from fractions import Fraction

from tale_core.grading.clean import clean, looks_like_math, to_latex
from tale_core.grading.expressions import math_equal
from tale_core.grading.numbers import (
    MAX_ANSWER_CHARS,
    Number,
    after_equals,
    all_numbers,
    decimal_comma,
    may_be_same,
    readings,
    same_number,
)
from tale_core.grading.text import words
from tale_core.grading.units import Unit, conversion, parse_unit
from tale_core.grading.words import with_symbols

_MAX_SEVERAL = 3
"""Numbers in one answer up to which a person is asked which is meant; more is a list, and wrong."""
_RELATION = re.compile(r"=|<|>|≤|≥|≠|\\(?:n?e|neq|l[et]q?|g[et]q?|equiv)(?![a-zA-Z])")
_EQUALS = re.compile(r"(?<![<>!:])=")
_MATRIX = re.compile(
    r"\\begin ?\{(?P<name>[pbvBV]?matrix|smallmatrix|array)\*?\}(?:\{[^{}]*\})?(?P<body>.*?)\\end ?\{(?P=name)\*?\}",
    re.DOTALL,
)
_LISTED = re.compile(r"\s*\[(\s*\[[^\[\]]*\]\s*(?:,\s*\[[^\[\]]*\]\s*)*)\]\s*")
_NAMED = re.compile(r"\s*(?P<name>\\?[a-zA-Z]+(?:_\{?\w{1,9}\}?)?)\s*=\s*(?P<value>[^=]+)")
_PARTS = re.compile(r",|;|(?<![a-zA-Z\\])(?:or|and)(?![a-zA-Z])|\\(?:lor|vee|wedge|land)(?![a-z])|[或和、]")
_THOUSANDS = re.compile(r",\d{3}(?!\d)")
_RANGE = re.compile(r"(\d{1,9}(?:\.\d{1,9})?) ?- ?(\d{1,9}(?:\.\d{1,9})?)(?: ?[^\W\d_]{2,20})?")
# A letter alone is a variable rather than a unit.
_UNIT_BEHIND = re.compile(
    r"(?P<expression>.*[\w)}\]!])(?: |(?<=[)}]))(?P<unit>[^\W\d_]{2}[^\d(){}=+]{0,30}(?:\^\{?\d\}?)?)"
)
_MEMBER = re.compile(r"^\s*[a-zA-Z]\s*(?:∈|\\in(?![a-z]))\s*")
_ONE_TERM = re.compile(r"\s*[-+]?[\d./ ]*\\?[a-zA-Z](?:\s?\^\s?\{?[-\d]+\}?)?\s*")
_RATIO = re.compile(r"\s*(\d+(?:\.\d+)?)\s*:\s*(\d+(?:\.\d+)?)(?:\s*:\s*(\d+(?:\.\d+)?))?\s*")


def same_quantity(given: str, gold: str) -> bool | None:
    """Whether an answer is the known number, expression, list, equation or matrix; None for a person to say."""
    if len(given) > MAX_ANSWER_CHARS or len(gold) > MAX_ANSWER_CHARS:
        return words(given) == words(gold)
    left, right = (_unnamed(_MEMBER.sub("", with_symbols(clean(s)))) for s in (given, gold))
    if _squeezed(left) == _squeezed(right):
        return True
    for compare in (_same_matrix, _same_ratio, _same_list, _same_approximation, _same_relation):
        verdict = compare(left, right)
        if verdict != "open":
            return {"same": True, "different": False}.get(verdict)
    return _same_value(after_equals(left) or left, after_equals(right) or right)


def _same_value(left: str, right: str) -> bool | None:
    a, b = readings(left), readings(right)
    if (m := _RANGE.fullmatch(left)) and len(b) == 1 and Fraction(m[1]) < Fraction(m[2]):
        # "3-5 days" says no number; it may also be a difference.
        return None if b[0].value in (Fraction(m[1]), Fraction(m[2]), Fraction(m[1]) - Fraction(m[2])) else False
    if len(a) == 1 and len(b) == 1:
        return same_number(a[0], b[0]) or (None if _undecided(left, a[0], right, b[0]) else False)
    comma = _decimal_comma(left, a, right, b)
    if comma is not False:
        return comma
    (bare, unit), (known, known_unit) = without_unit(left), without_unit(right)
    if (len(a) == 1 or looks_like_math(bare)) and (len(b) == 1 or looks_like_math(known)):
        factor = conversion(unit, known_unit)
        if factor is None:
            return False
        return math_equal(to_latex(known), to_latex(bare if factor == 1 else f"({factor})({bare})"))
    if words(left) == words(right) and not looks_like_math(left):
        return True
    meant = len(b) == 1 and len(a) <= _MAX_SEVERAL and any(same_number(x, b[0]) for x in a)
    return None if meant else False


def without_unit(s: str) -> tuple[str, Unit | None]:
    r"""A cleaned expression without the unit of measure behind it ("2\sqrt{3} cm"), and that unit."""
    m = _UNIT_BEHIND.fullmatch(s)
    unit = parse_unit(m["unit"]) if m else None
    return (m["expression"], unit) if m and unit and unit.known else (s, None)


def _undecided(left: str, a: Number, right: str, b: Number) -> bool:
    """Whether two different numbers may be the same all the same."""
    if may_be_same(a, b):
        return True
    aside = [n for inside in re.findall(r"\(([^()]*)\)", left) for n in all_numbers(inside)]
    if len(aside) == 1 and len(all_numbers(left)) == 2 and same_number(aside[0], b):
        return True
    return decimal_comma(left) == b.value or decimal_comma(right) == a.value


def _decimal_comma(left: str, a: tuple[Number, ...], right: str, b: tuple[Number, ...]) -> bool | None:
    """A decimal comma on one side: a known "5,5" is 5.5 where that is given; an answer "3,5" is for a person to say."""
    if len(a) == 1 and (known := decimal_comma(right)) is not None and same_number(a[0], Number(known)):
        return True
    if len(b) == 1 and (said := decimal_comma(left)) is not None and same_number(Number(said), b[0]):
        return None
    return False


def _squeezed(s: str) -> str:
    return re.sub(r"\s+", "", s) if looks_like_math(s) else re.sub(r"\s+", " ", s)


def _parts(s: str) -> list[str]:
    """The items of a list: taken apart at commas, semicolons, "and" and "or" outside of brackets."""
    parts, depth, start, i = [], 0, 0, 0
    while i < len(s):
        depth += (s[i] in "([{") - (s[i] in ")]}")
        m = _PARTS.match(s, i) if depth <= 0 else None
        if m and not (m.group() == "," and _THOUSANDS.match(s, i) and s[i - 1 : i].isdigit()):
            parts.append(s[start:i])
            start = i = m.end()
            continue
        i += 1
    return [part.strip() for part in (*parts, s[start:]) if part.strip()]


def _assigned(s: str) -> list[tuple[str, str]]:
    """Names and values of a list of assignments; [] when it is none."""
    named = [_NAMED.fullmatch(part) for part in _parts(s)]
    return [(m["name"], m["value"].strip()) for m in named if m] if all(named) else []


def _unnamed(s: str) -> str:
    """A list of values of one name without the name: "x = 3 or x = -2" is "3, -2", as is "x = 3 or -2"."""
    first, *rest = _parts(s) or [""]
    if rest and (m := _NAMED.fullmatch(first)) and not any("=" in part for part in rest):
        return ", ".join([m["value"].strip(), *rest])
    named = _assigned(s)
    bases = {re.sub(r"_.*", "", name) for name, _ in named}
    return ", ".join(value for _, value in named) if len(named) > 1 and len(bases) == 1 else s


def _listed(s: str) -> tuple[str, list[str]]:
    """How a list is bracketed ("" for not at all), and its items."""
    s = s.strip()
    if s[:2] == "\\{" and s[-2:] == "\\}":
        return "{}", _parts(s[2:-2])
    if s and s[0] in "([{" and s[-1] in ")]}" and _closes_at_end(s):
        return s[0] + s[-1], _parts(s[1:-1])
    return "", _parts(s)


def _closes_at_end(s: str) -> bool:
    depth = 0
    for i, ch in enumerate(s):
        depth += (ch in "([{") - (ch in ")]}")
        if depth == 0:
            return i == len(s) - 1
    return False


def _same_list(left: str, right: str) -> str:
    """Lists of two items or more, item by item: sets and bare lists in any order, pairs and intervals in theirs."""
    named, known = _assigned(left), _assigned(right)
    if len(named) > 1 and len(known) > 1 and {n for n, _ in named} == {n for n, _ in known}:
        values = dict(known)
        return _all_same([same_quantity(value, values[name]) for name, value in named])
    if len(known) > 1 or len(named) > 1:
        left = ", ".join(v for _, v in named) if len(named) > 1 else left
        right = ", ".join(v for _, v in known) if len(known) > 1 else right
    (how, items), (known_how, known_items) = _listed(left), _listed(right)
    if len(items) < 2 and len(known_items) < 2:
        return "open"
    if len(items) < 2 or len(known_items) < 2 or any("=" in item for item in (*items, *known_items)):
        return "open"
    loose = {"", "{}"}
    if how not in loose and known_how not in loose and how != known_how:
        return "different"
    if len(items) != len(known_items):
        items, known_items = list(dict.fromkeys(items)), list(dict.fromkeys(known_items))
    if len(items) != len(known_items):
        return "different"
    in_order = _all_same([same_quantity(a, b) for a, b in zip(items, known_items, strict=True)])
    if in_order == "same":
        return "same" if how == known_how or "" in (how, known_how) else "undecided"
    if how in loose and known_how in loose:
        return _same_in_any_order(items, known_items)
    return in_order


def _verdict_words(verdict: bool | None) -> str:
    return "undecided" if verdict is None else "same" if verdict else "different"


def _all_same(verdicts: list[bool | None]) -> str:
    return "same" if all(verdicts) else "different" if False in verdicts else "undecided"


def _same_in_any_order(items: list[str], known: list[str]) -> str:
    rest = list(known)
    for item in items:
        verdicts = [same_quantity(item, other) for other in rest]
        if True not in verdicts:
            return "undecided" if None in verdicts else "different"
        del rest[verdicts.index(True)]
    return "same"


def _same_approximation(left: str, right: str) -> str:
    r"""A value with its rounding behind it ("x = \sqrt{2} ≈ 1.414") is either."""
    for side, other in ((left, right), (right, left)):
        exact, sign, rounded = re.sub(r"\\approx(?![a-z])", "≈", side).partition("≈")
        if sign and exact.strip() and "≈" not in rounded:
            verdicts = [same_quantity(after_equals(exact) or exact, other), same_quantity(rounded, other)]
            return "same" if True in verdicts else "undecided" if None in verdicts else "different"
    return "open"


def _same_matrix(left: str, right: str) -> str:
    a, b = _cells(left), _cells(right)
    if a is None and b is None:
        return "open"
    if a is None or b is None:
        flat = [cell for row in (a or b or ()) for cell in row[1:]]
        other = left if a is None else right
        listed = [part.strip() for part in other.strip("()[]{}<>\\ ").split(",")]
        alike = len(listed) == len(flat) and all(same_quantity(x, y) for x, y in zip(listed, flat, strict=True))
        return "undecided" if alike else "different"
    if len(a) != len(b) or any(len(x) != len(y) for x, y in zip(a, b, strict=True)):
        return "different"
    pairs = [(x, y) for row, other in zip(a, b, strict=True) for x, y in zip(row, other, strict=True)]
    if any(x in ("|", "") and x != y for x, y in pairs[:1]):
        return "different"
    return _all_same([same_quantity(x, y) if x and y else x == y for x, y in pairs])


def _cells(s: str) -> tuple[tuple[str, ...], ...] | None:
    r"""Rows of a matrix, the first cell of the first row telling a determinant ("|") from the rest ("()")."""
    s = s.strip().rstrip(".")
    outer = s[0] if s[:1] in ("(", "[", "|") and r"\begin" in s[:10] else ""
    if m := _MATRIX.fullmatch(s[1:-1].strip() if outer else s):
        kind = "|" if m["name"] in ("vmatrix", "Vmatrix") or outer == "|" else "()"
        body = re.sub(r"\\hline|\\cr(?![a-z])", r"\\\\", m["body"])
        rows = [tuple(cell.strip() for cell in row.split("&")) for row in body.split(r"\\") if row.strip()]
    elif m := _LISTED.fullmatch(s):
        kind = "()"
        rows = [tuple(cell.strip() for cell in row.split(",")) for row in re.findall(r"\[([^\[\]]*)\]", m.group(1))]
    else:
        return None
    return tuple((kind, *row) for row in rows)


def _same_ratio(left: str, right: str) -> str:
    a, b = _RATIO.fullmatch(left), _RATIO.fullmatch(right)
    if not (a or b):
        return "open"
    if a and b:
        x, y = ([Fraction(n) for n in m.groups() if n] for m in (a, b))
        if x == y:
            return "same"
        proportional = len(x) == len(y) and all(p * y[0] == q * x[0] for p, q in zip(x, y, strict=True))
        return "undecided" if proportional else "different"
    ratio, other = (a, right) if a else (b, left)
    assert ratio is not None
    numbers = readings(other)
    below = Fraction(ratio[2])
    share = Fraction(ratio[1]) / below if below and not ratio[3] else None
    return "undecided" if len(numbers) == 1 and numbers[0].value == share else "different"


def _same_relation(left: str, right: str) -> str:
    """Equations and inequalities: a known one is met by one alone; a given one by what stands on its right side."""
    a, b = _relates(left), _relates(right)
    if not a and not b:
        return "open"
    if _EQUALS.search(left) and _EQUALS.search(right):
        # Also a line that is solved for a name ("y = 2 - x/2").
        return _verdict_words(math_equal(to_latex(right), to_latex(left)))
    if b and not a:
        # "4" is no line and no inequality; an interval may be one.
        return "different" if len(readings(left)) == 1 or (_EQUALS.search(right) and _is_value(left)) else "open"
    if a and not b:
        if not _EQUALS.search(left):
            # "x >= 94" bounds what was asked for, and may say its least.
            bound = re.split(r"<=?|>=?|≤|≥|\\(?:l|g)(?:e|eq|t)?(?![a-zA-Z])", left)
            return "undecided" if len(bound) == 2 and same_quantity(bound[1], right) else "open"
        before, _, value = left.rpartition("=")
        verdict = same_quantity(value, right)
        # "x^2 = 18" has not been solved; "x + y = 18" names what was asked for.
        unsolved = bool(_ONE_TERM.fullmatch(before)) and not re.fullmatch(r"\s*\\?[a-zA-Z]\s*", before)
        return "undecided" if verdict and unsolved else _verdict_words(verdict)
    return "open"


def _relates(s: str) -> bool:
    """Whether it is an equation or an inequality, and no result ("x = 18", "12 + 6 = 18")."""
    return bool(_RELATION.search(s)) and not after_equals(s)


def _is_value(s: str) -> bool:
    return looks_like_math(s) and not _RELATION.search(s)
