"""Answers of the questions about rates, worked out from their facts."""

from __future__ import annotations

import itertools
import math
from fractions import Fraction as F

import sympy

from tests.question_checks.tools import (
    METRES_PER_KM,
    MINUTES_PER_HOUR,
    SECONDS_PER_HOUR,
    SECONDS_PER_MINUTE,
    minutes_of,
    only,
)


def en_rate_001() -> object:
    return F(18, SECONDS_PER_MINUTE) * 150


def en_rate_002() -> object:
    north, south, minute = F(0), F(25), minutes_of("8:00")
    while north < south:
        minute += 1
        north += F(4, MINUTES_PER_HOUR)
        south -= F(3, MINUTES_PER_HOUR) if minute > minutes_of("9:00") else 0
    return north


def en_rate_003() -> object:
    level, minutes = F(1), 0
    while level > 0:
        level += F(1, 20) - F(1, 12)
        minutes += 1
    return minutes


def en_rate_004() -> object:
    road = math.lcm(12, 20)
    return F(road + road) / (F(road, 12) + F(road, 20))


def en_rate_005() -> object:
    loom_hours = [F(90, 6 * 3) for _ in range(4) for _ in range(5)]
    return sum(loom_hours)


def en_rate_006() -> object:
    pages, day = 200, 1
    while pages > 24:
        pages, day = pages - 24, day + 1
    return day


def en_rate_007() -> object:
    t = sympy.Symbol("t")
    return only(sympy.solve(24 * (1 - t / 6) - 30 * (1 - t / 5), t))


def en_rate_008() -> object:
    speed = F(72 * METRES_PER_KM, SECONDS_PER_HOUR)
    front, seconds = F(0), 0
    while front - 180 < 620:
        front, seconds = front + speed, seconds + 1
    return seconds


def en_rate_009() -> object:
    height = 0
    for day in itertools.count(1):
        height += 3 if day % 2 else 4
        if height >= 20:
            break
        height -= 2
    return day


def zh_rate_001() -> object:
    return F(9) / F("1.2")


def zh_rate_002() -> object:
    return only(b for b in range(50) if 3 * (50 - b) + 4 * 50 == 260)


def zh_rate_003() -> object:
    return next(s for s in itertools.count(1) if (5 * s) % 400 == (3 * s) % 400)


def zh_rate_004() -> object:
    hourly = [60] * 2 + [80] * 3
    return F(sum(hourly), len(hourly))


def zh_rate_005() -> object:
    boat, river = sympy.symbols("boat river")
    speeds = sympy.solve([(boat + river) * 4 - 60, (boat - river) * 6 - 60], [boat, river])
    return 60 / speeds[river]


def zh_rate_006() -> object:
    pool, spring, pumps = sympy.symbols("pool spring pumps")
    equations = [pool + 8 * spring - 5 * 8, pool + 4 * spring - 8 * 4, pool + 3 * spring - 3 * pumps]
    return sympy.solve(equations, [pool, spring, pumps])[pumps]
