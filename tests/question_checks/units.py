"""Answers of the questions about units, worked out from their facts."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

from tests.question_checks.tools import (
    CM_PER_METRE,
    LITRES_PER_CUBIC_METRE,
    METRES_PER_KM,
    MINUTES_PER_DAY,
    MINUTES_PER_HOUR,
    ML_PER_LITRE,
    MM_PER_METRE,
    SECONDS_PER_HOUR,
    SECONDS_PER_MINUTE,
    SQUARE_METRES_PER_HECTARE,
)


def en_unit_001() -> object:
    return F("2.4") * CM_PER_METRE / 15


def en_unit_002() -> object:
    left = F("1.5") * ML_PER_LITRE
    while left >= 180:
        left -= 180
    return left


def en_unit_003() -> object:
    metres_per_second = {
        "90 km/h": F(90 * METRES_PER_KM, SECONDS_PER_HOUR),
        "24 m/s": F(24),
        "1.4 km per minute": F("1.4") * METRES_PER_KM / SECONDS_PER_MINUTE,
        "2.6 km per 100 seconds": F("2.6") * METRES_PER_KM / 100,
    }
    return max(metres_per_second, key=lambda name: metres_per_second[name])


def en_unit_004() -> object:
    across, along = range(0, 4 * CM_PER_METRE, 25), range(0, int(F("3.5") * CM_PER_METRE), 25)
    return len(list(itertools.product(across, along)))


def en_unit_005() -> object:
    return sum([240] * 2 + [15] * 3 + [5] * 4)


def en_unit_006() -> object:
    diagonal_squared = (F("1.5") ** 2 + F("1.4") ** 2) * CM_PER_METRE**2
    return "yes" if diagonal_squared >= 204**2 else "no"


def en_unit_007() -> object:
    return 8 * F("5.5") * F(12, MM_PER_METRE) * LITRES_PER_CUBIC_METRE


def zh_unit_001() -> object:
    metres = {"甲": F("1.2") * METRES_PER_KM, "乙": F(1150), "丙": F(1 * METRES_PER_KM + 80)}
    return max(metres, key=lambda who: metres[who])


def zh_unit_002() -> object:
    return F(400 * 150, SQUARE_METRES_PER_HECTARE)


def zh_unit_003() -> object:
    minutes = {
        "0.15 天": F("0.15") * MINUTES_PER_DAY,
        "200 分钟": F(200),
        "3.5 小时": F("3.5") * MINUTES_PER_HOUR,
        "12500 秒": F(12500, SECONDS_PER_MINUTE),
    }
    return max(minutes, key=lambda span: minutes[span])
