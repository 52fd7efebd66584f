r"""Units behind a number: which they are, to which power, and whether two of them can stand for each other.

A unit that a known answer does not name is free. Where both sides name one, "5 m" is not "5 cm", not "5 m^2" and not
"5 s", and is "500 cm". Names that are no units of measure ("apples", "fruits") say nothing, but a power of one does.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

_TABLE: dict[str, dict[str, tuple[int | str, str]]] = {
    "length": {
        "m": (1, "meter meters metre metres 米"),
        "km": (1000, "kilometer kilometers kilometre kilometres 千米 公里"),
        "dm": ("1/10", "decimeter decimeters 分米"),
        "cm": ("1/100", "centimeter centimeters centimetre centimetres 厘米"),
        "mm": ("1/1000", "millimeter millimeters millimetre millimetres 毫米"),
        "nm": ("1/1000000000", "nanometer nanometers"),
        "in": ("0.0254", "inch inches"),
        "ft": ("0.3048", "foot feet"),
        "yd": ("0.9144", "yard yards"),
        "mi": ("1609.344", "mile miles"),
    },
    "mass": {
        "kg": (1000, "kilogram kilograms 千克 公斤"),
        "g": (1, "gram grams 克"),
        "mg": ("1/1000", "milligram milligrams 毫克"),
        "tonne": (1000000, "tonnes 吨"),
        "lb": ("453.59237", "lbs pound pounds"),
        "oz": ("28.349523125", "ounce ounces"),
    },
    "time": {
        "s": (1, "sec secs second seconds 秒 秒钟"),
        "ms": ("1/1000", "millisecond milliseconds 毫秒"),
        "min": (60, "mins minute minutes 分钟 分"),
        "h": (3600, "hr hrs hour hours 小时 时"),
        "day": (86400, "days 天"),
        "week": (604800, "weeks 周 星期"),
    },
    "months": {"month": (1, "months 个月"), "year": (12, "yr yrs years 年")},
    "volume": {"l": (1, "L liter liters litre litres 升"), "ml": ("1/1000", "milliliter milliliters millilitre 毫升")},
    "dollars": {"dollar": (1, "dollars usd"), "cent": ("1/100", "cents")},
    "yuan": {"yuan": (1, "元 块 rmb cny"), "jiao": ("1/10", "角"), "fen": ("1/100", "")},
    "force": {"N": (1, "newton newtons 牛 牛顿")},
    "energy": {"J": (1, "joule joules 焦耳"), "kj": (1000, "kilojoule kilojoules")},
    "power": {"W": (1, "watt watts 瓦"), "kw": (1000, "kilowatt kilowatts")},
    "celsius": {"°c": (1, "celsius 摄氏度")},
    "fahrenheit": {"°f": (1, "fahrenheit")},
    "angle": {"°": (1, "degree degrees deg 度")},
}
_KNOWN: dict[str, tuple[str, Fraction]] = {
    name: (dimension, Fraction(factor))
    for dimension, members in _TABLE.items()
    for symbol, (factor, others) in members.items()
    for name in (symbol, *others.split())
}
_DEGREES = frozenset({"celsius", "fahrenheit"})
""""5 degrees" may be said of either."""
_MONEY = frozenset({"dollars", "yuan"})
"""Said of a day, a piece or a person as people like; that says nothing of the amount."""
_COMPOUND = {"mph": "mi/h", "kph": "km/h", "kmph": "km/h", "km/hr": "km/h", "sqft": "ft^2", "cc": "cm^3"}
_SPELLED = tuple(
    (re.compile(pattern, re.IGNORECASE), by)
    for pattern, by in (
        (r"\\(?:,|;|:|!| |quad|left|right)|~", " "),
        (r"\\[dt]?frac ?\{([^{}]{1,30})\} ?\{([^{}]{1,30})\}", r"\1/\2"),
        (r"\\(?:cdot|times)|[·⋅×*]", " "),
        (r"\^ ?\{ ?(-?\d) ?\}", r"^\1"),
        (r"\\?%", " "),
        (r"\b(?:square\s|sq\.?\s?)([^\W\d_]+)", r"\1^2"),
        (r"\bcubic\s([^\W\d_]+)", r"\1^3"),
        (r"平方(千米|公里|米|分米|厘米|毫米)", r"\1^2"),
        (r"立方(千米|米|分米|厘米|毫米)", r"\1^3"),
        (r"([^\W\d_]+)\s(?:squared|square)\b", r"\1^2"),
        (r"([^\W\d_]+)\scubed\b", r"\1^3"),
        (r"\b(?:per|an?)\b|每", "/"),
        (r"[{}()\[\]$\\]", " "),
    )
)
_ITEM = re.compile(r"\s*(?P<over>/)?\s*(?P<name>°[CF]?|℃|℉|[^\W\d_]+)\.?(?:\s?\^(?P<power>-?\d))?", re.IGNORECASE)
_MAX_CHARS = 60


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit as written.

    Attributes:
        powers: Dimension (or the name itself, where it is no unit of measure) and its power, sorted.
        factor: What one of it is in the smallest table unit of its dimensions.
        known: Every name stands in the table.
    """

    powers: tuple[tuple[str, int], ...]
    factor: Fraction
    known: bool


def parse_unit(text: str) -> Unit | None:
    """The unit that a short text is; None when it is none ("", a formula, a sentence)."""
    text = text.strip(" .,;:!?。、\t\n")
    if not text or len(text) > _MAX_CHARS:
        return None
    for pattern, by in _SPELLED:
        text = pattern.sub(by, text)
    text = _COMPOUND.get(text.strip().lower(), text.strip())
    powers: dict[str, int] = {}
    factor, known = Fraction(1), True
    for name, power in _items(text):
        if name == "":
            return None
        dimension, one = _KNOWN.get(name, (name, None))
        known = known and one is not None
        factor *= (one or 1) ** power
        powers[dimension] = powers.get(dimension, 0) + power
    if all(power < 0 for power in powers.values()) and "^" not in text:
        return None  # "a day": how often, not what
    return Unit(tuple(sorted(powers.items())), factor, known)


def _items(text: str) -> Iterator[tuple[str, int]]:
    """Names with their powers; ("", 0) when the text is no unit."""
    at, sign = 0, 1
    while at < len(text):
        m = _ITEM.match(text, at)
        if not m:
            yield "", 0
            return
        sign = -1 if m["over"] else sign
        # A letter alone is a unit in its own case only: "5n" is no newtons.
        name = m["name"] if len(m["name"]) == 1 else m["name"].lower()
        name = name.replace("℃", "°c").replace("℉", "°f")
        if name not in _KNOWN and name.endswith("s") and len(name) > 3:
            name = name[:-1]
        yield name, sign * int(m["power"] or 1)
        at = m.end()


def conversion(given: Unit | None, gold: Unit | None) -> Fraction | None:
    """How many of the known answer's unit one of the given is; 1 where units say nothing; None where they exclude.

    A unit on one side alone says nothing.
    """
    if given is None or gold is None:
        return Fraction(1)
    if given.powers == gold.powers:
        return given.factor / gold.factor if given.known and gold.known else Fraction(1)
    a, b = dict(given.powers), dict(gold.powers)
    if {*a, *b} - _DEGREES == {"angle"} and "angle" not in a.keys() & b.keys():
        return Fraction(1)
    if given.known and gold.known and not (_MONEY & a.keys() & b.keys()):
        return None
    return None if any(a[name] != b[name] for name in a.keys() & b.keys()) else Fraction(1)


def relatives(unit: Unit) -> frozenset[Fraction]:
    """What one of a known unit is in the other units of its kind, for answers whose unit nobody named."""
    if not unit.known or len(unit.powers) != 1:
        return frozenset()
    dimension, power = unit.powers[0]
    return frozenset(unit.factor / factor**power for kind, factor in set(_KNOWN.values()) if kind == dimension) - {
        Fraction(1)
    }


_PIECE = r"(?P<n{i}>\d{{1,9}}(?:\.\d{{1,9}})?)[ -]?(?P<u{i}>[^\W\d_]{{1,12}})\.?"
_SUM = re.compile(
    r"\s*(?:,\s*|and\s+|又|零)?".join(_PIECE.format(i=i) for i in range(2))
    + rf"(?:\s*(?:,\s*(?:and\s+)?|and\s+)?{_PIECE.format(i=2)})?",
    re.IGNORECASE,
)


def compound(text: str) -> tuple[Fraction, Unit] | None:
    """A quantity in two or three units of one kind ("1 hour 30 minutes", "5 ft 3 in") in the smallest of them."""
    m = _SUM.fullmatch(text.strip())
    if not m:
        return None
    total, last, dimension = Fraction(0), None, None
    for i in range(3):
        if not m[f"n{i}"]:
            break
        unit = parse_unit(m[f"u{i}"])
        if unit is None or not unit.known or (last and (unit.powers != dimension or unit.factor >= last.factor)):
            return None
        dimension, last = unit.powers, unit
        total += Fraction(m[f"n{i}"]) * unit.factor
    assert last is not None
    return total / last.factor, last


def find_compound(text: str) -> re.Match[str] | None:
    """The last stretch of `text` that may be a quantity in several units."""
    last = next(iter(deque(_SUM.finditer(text), maxlen=1)), None)
    return last if last and compound(last.group()) else None
