"""Answers of the questions about science, worked out from their facts."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

from tests.question_checks.tools import LIMIT, METRES_PER_KM, MINUTES_PER_HOUR, only


def en_sci_001() -> object:
    seconds = {"diver": F(6) * METRES_PER_KM / 1500, "walker": F("1.5") * METRES_PER_KM / 340}
    return min(seconds, key=lambda who: seconds[who])


def en_sci_002() -> object:
    return F(108, len(list(itertools.product(range(5), range(4), range(2)))))


def en_sci_003() -> object:
    bacteria = 50
    for _ in range(0, 3 * MINUTES_PER_HOUR, 20):
        bacteria += bacteria
    return bacteria


def en_sci_004() -> object:
    return only(c for c in range(-LIMIT, LIMIT) if F(c * 9, 5) + 32 == c)


def en_sci_005() -> object:
    grams = F(96)
    for _ in range(0, 32, 8):
        grams /= 2
    return grams


def en_sci_006() -> object:
    moments = {"left": 30 * F("1.6"), "right": 24 * F("2.1")}
    return max(moments, key=lambda side: moments[side])


def en_sci_007() -> object:
    million = METRES_PER_KM**2
    return F(780 * million, 300000)


def zh_sci_001() -> object:
    density = {"甲": F(54, 20), "乙": F(117, 15), "丙": F(213, 30)}
    return max(density, key=lambda block: density[block])


def zh_sci_002() -> object:
    grams = [80] * 300 + [30] * 200
    return F(sum(grams), len(grams))


def zh_sci_003() -> object:
    parallel = 1 / (F(1, 6) + F(1, 3))
    return 12 / (parallel + 4)
