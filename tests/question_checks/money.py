"""Answers of the questions about money, worked out from their facts."""

from __future__ import annotations

import itertools
import operator
from fractions import Fraction as F

from tests.question_checks.tools import (
    GRAMS_PER_KG,
    LIMIT,
    METRES_PER_KM,
    MINUTES_PER_HOUR,
    ML_PER_LITRE,
    minutes_of,
    only,
    unused,
)


def en_money_001() -> object:
    basket = [3] * 4 + [2] * 6
    return sum(basket)


def en_money_002() -> object:
    return F(20) - F("6.35") - F("2.80")


def en_money_003() -> object:
    dollars_per_gram = {
        "750 g for $1.80": F("1.80") / 750,
        "500 g for $1.40": F("1.40") / 500,
        "2 kg for $5.20": F("5.20") / (2 * GRAMS_PER_KG),
        "5 kg for $13.50": F("13.50") / (5 * GRAMS_PER_KG),
    }
    return min(dollars_per_gram, key=lambda pack: dollars_per_gram[pack])


def en_money_004() -> object:
    fare, paid_metres = F(4), F(2) * METRES_PER_KM
    while paid_metres < F("5.1") * METRES_PER_KM:
        fare, paid_metres = fare + F("0.50"), paid_metres + 250
    return fare


def en_money_005() -> object:
    return only(share for share in range(LIMIT) if 12 * share + 60 == 150 + 66)


def en_money_006() -> object:
    coins = (5, 10, 20)
    piles = itertools.product(range(30 // min(coins) + 1), repeat=len(coins))
    return sum(sum(map(operator.mul, pile, coins)) == 30 for pile in piles)


@unused(14)
def en_money_007() -> object:
    return sum([9] * 2 + [5] * 3)


def en_money_008() -> object:
    return next(minutes for minutes in itertools.count() if F(12) + F("0.08") * minutes > 20)


def en_money_009() -> object:
    offers = itertools.product(range(25 + 1), repeat=3)
    return min(3 * one + 10 * four + 21 * nine for one, four, nine in offers if one + 4 * four + 9 * nine >= 25)


def en_money_010() -> object:
    ash = F(48) / 4
    return only(noor for noor in range(48) if ash + (ash + 5) + noor == 48)


def zh_money_001() -> object:
    return sum([F("1.5")] * 8) + sum([2] * 3)


def zh_money_002() -> object:
    halves = int(F("7.5") * 2)
    return sum(F(8 if n < 5 * 2 else 6) / 2 for n in range(halves))


def zh_money_003() -> object:
    total = 168 + 45
    return total - sum(15 for spent in range(1, total + 1) if spent % 100 == 0)


def zh_money_004() -> object:
    per_litre = {
        "500 毫升装，9.5 元": F("9.5") / 500 * ML_PER_LITRE,
        "1 升装，17.8 元": F("17.8"),
        "2 升装，36 元": F(36) / 2,
        "3 升装，52.8 元": F("52.8") / 3,
    }
    return min(per_litre, key=lambda pack: per_litre[pack])


def zh_money_005() -> object:
    stay = minutes_of("12:35") - minutes_of("9:20")
    started_hours = len(range(0, stay, 1 * MINUTES_PER_HOUR))
    return 6 * started_hours if stay > 30 else 0


def zh_money_006() -> object:
    notes = (1, 5, 10)
    piles = itertools.product(range(1, 50 + 1), repeat=len(notes))
    return sum(sum(map(operator.mul, pile, notes)) == 50 for pile in piles)
