"""Answers of the questions about probability, worked out from their facts."""

from __future__ import annotations

import collections
import itertools
from fractions import Fraction as F

import sympy

from tests.question_checks.tools import only


def en_prob_001() -> object:
    bag = ["red"] * 5 + ["blue"] * 3 + ["yellow"] * 4
    return F(sum(colour != "blue" for colour in bag), len(bag))


def en_prob_002() -> object:
    sums = [sum(roll) for roll in itertools.product(range(1, 6 + 1), repeat=2)]
    return F(sums.count(9), len(sums))


def en_prob_003() -> object:
    tosses = ["".join(toss) for toss in itertools.product("HT", repeat=4)]
    return F(sum(toss.count("H") == 2 for toss in tosses), len(tosses))


def en_prob_004() -> object:
    lamps = ["faulty"] * 4 + ["works"] * (10 - 4)
    draws = list(itertools.permutations(lamps, 2))
    return F(draws.count(("works", "works")), len(draws))


def en_prob_005() -> object:
    written = [max(roll) for roll in itertools.product(range(1, 6 + 1), repeat=2)]
    return F(sum(written), len(written))


def en_prob_006() -> object:
    primes = [n for n in range(1, 8 + 1) if sum(n % d == 0 for d in range(1, n + 1)) == 2]
    return 400 * F(len(primes), 8)


def en_prob_007() -> object:
    draws = list(itertools.combinations(range(1, 9 + 1), 3))
    return F(sum(sum(draw) % 2 == 0 for draw in draws), len(draws))


def en_prob_008() -> object:
    wins = collections.Counter("Ash" if a * b % 2 == 0 else "Kit" for a in range(1, 6 + 1) for b in range(1, 6 + 1))
    return wins.most_common()[0][0]


def zh_prob_001() -> object:
    balls = "白" * 6 + "黑" * 4
    return F(balls.count("黑"), len(balls))


def zh_prob_002() -> object:
    rolls = list(itertools.product(range(1, 6 + 1), repeat=2))
    return F(sum(second > first for first, second in rolls), len(rolls))


def zh_prob_003() -> object:
    unlucky = max(sum(hand) for hand in itertools.product(range(10 + 1), repeat=4) if max(hand) < 3)
    return unlucky + 1


def zh_prob_004() -> object:
    p, six = sympy.Symbol("p"), sympy.Rational(1, 6)
    return only(sympy.solve(six + (1 - six) ** 2 * p - p, p))
