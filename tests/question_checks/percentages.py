"""Answers of the questions about percentages, worked out from their facts."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

import sympy

from tests.question_checks.tools import HUNDRED, LIMIT, PERCENT, ZHE, only


def en_pct_001() -> object:
    return 80 * (1 - 15 * PERCENT)


def en_pct_002() -> object:
    end = (1 + 20 * PERCENT) * (1 - 20 * PERCENT)
    change = abs(end - 1) / PERCENT
    return f"{change}% {'lower' if end < 1 else 'higher'}" if change else "unchanged"


def en_pct_003() -> object:
    return 640 * (75 * PERCENT) * (45 * PERCENT)


def en_pct_004() -> object:
    dry = sympy.Symbol("dry")
    return only(sympy.solve((1 - sympy.Rational(20, HUNDRED)) * dry - (1 - sympy.Rational(90, HUNDRED)) * 40, dry))


def en_pct_005() -> object:
    salt = 300 * 8 * PERCENT
    return only(gone for gone in range(300) if salt / (300 - gone) == 12 * PERCENT)


def en_pct_006() -> object:
    return 240 - sum(35 * PERCENT for _ in range(240))


def en_pct_007() -> object:
    coupons = (lambda price: price - 30, lambda price: price * (1 - 30 * PERCENT))
    prices = [second(first(180)) for first, second in itertools.permutations(coupons)]
    return max(prices) - min(prices)


def en_pct_008() -> object:
    return only(n for n in range(LIMIT) if n * (1 + 25 * PERCENT) * (1 - 20 * PERCENT) * (1 + 10 * PERCENT) == 440)


def en_pct_009() -> object:
    points = 50 - 40
    return f"{points} percentage points, which is {F(points, 40) / PERCENT}% more than before"


def zh_pct_001() -> object:
    return 250 - 250 * 92 * PERCENT


def zh_pct_002() -> object:
    return only(price for price in range(LIMIT) if price * 8 * ZHE == 360)


def zh_pct_003() -> object:
    second = F(HUNDRED)
    first = second * (1 + 25 * PERCENT)
    return f"{(first - second) / first / PERCENT}%"


def zh_pct_004() -> object:
    balance = F(20000)
    for _ in range(2):
        balance += balance * 2 * PERCENT
    return balance


def zh_pct_005() -> object:
    return only(x for x in range(LIMIT) if x * 25 + 200 * 10 == (x + 200) * 20)
