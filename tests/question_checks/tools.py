"""What the checks share: unit constants, clock times, and the decorator that names a number nobody needs.

A check may use a number only if it stands in its question; everything that every reader knows without being told (sixty
minutes in an hour) is a named constant here instead of a literal there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import TypeVar

T = TypeVar("T")
Check = Callable[[], object]

SECONDS_PER_MINUTE = 60
MINUTES_PER_HOUR = 60
HOURS_PER_DAY = 24
SECONDS_PER_HOUR = SECONDS_PER_MINUTE * MINUTES_PER_HOUR
MINUTES_PER_DAY = MINUTES_PER_HOUR * HOURS_PER_DAY
MONTHS_PER_YEAR = 12
METRES_PER_KM = 1000
CM_PER_METRE = 100
MM_PER_METRE = 1000
GRAMS_PER_KG = 1000
KG_PER_TONNE = 1000
ML_PER_LITRE = 1000
LITRES_PER_CUBIC_METRE = 1000
SQUARE_METRES_PER_HECTARE = 10_000
HUNDRED = 100
PERCENT = Fraction(1, HUNDRED)
ZHE = Fraction(1, 10)
"""打折: a discount is named in tenths of the price."""
DEGREES_IN_TRIANGLE = 180
FULL_TURN = 360
BASE = 10
"""Our decimal system."""
LIMIT = 10_000
"""Far beyond every answer: the end of a brute-force search."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
WEEKDAYS_ZH = ("星期一", "星期二", "星期三", "星期四", "星期五", "星期六", "星期日")


def unused(*numbers: float) -> Callable[[Check], Check]:
    """Declare numbers of the question that its answer does not need, such as a red herring."""

    def mark(check: Check) -> Check:
        check.unused = frozenset(Fraction(str(n)) for n in numbers)  # type: ignore[attr-defined]
        return check

    return mark


def only(found: Iterable[T]) -> T:
    """Return the single element; a puzzle with no solution or with several is a broken puzzle."""
    solutions = list(found)
    if len(solutions) != 1:
        raise AssertionError(f"expected one solution, found {solutions}")
    return solutions[0]


def minutes_of(clock: str) -> int:
    """Return the minutes since midnight of a 24-hour time such as "9:05"."""
    hours, minutes = clock.split(":")
    return int(hours) * MINUTES_PER_HOUR + int(minutes)


def clock_of(minutes: int) -> str:
    """Return the 24-hour time of minutes since midnight, the day dropped."""
    return f"{minutes // MINUTES_PER_HOUR % HOURS_PER_DAY}:{minutes % MINUTES_PER_HOUR:02d}"


def after(names: tuple[str, ...], name: str, steps: int) -> str:
    """Return the name so many steps on in an endless cycle of names, counted one by one."""
    place = names.index(name)
    for _ in range(steps):
        place = 0 if place + 1 == len(names) else place + 1
    return names[place]
