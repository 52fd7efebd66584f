"""Answers of the questions about number theory, worked out from their facts."""

from __future__ import annotations

import itertools
import math

import sympy

from tests.question_checks.tools import BASE, HUNDRED, only, unused


def en_nt_001() -> object:
    return next(n for n in itertools.count(50 + 1) if n % 6 == 0 and n % 8 == 0)


def en_nt_002() -> object:
    bags = max(n for n in range(1, 48 + 1) if 48 % n == 0 and 60 % n == 0)
    return (48 + 60) // bags


def en_nt_003() -> object:
    return 7**2026 % BASE


def en_nt_004() -> object:
    return sum(7200 % root**2 == 0 for root in range(1, math.isqrt(7200) + 1))


@unused(2, 3)
def en_nt_005() -> object:
    return sum(math.factorial(n) for n in range(1, 50 + 1)) % 15


def en_nt_006() -> object:
    digits = str(math.prod(range(1, 250 + 1)))
    return len(digits) - len(digits.rstrip("0"))


def en_nt_007() -> object:
    return next(n for n in itertools.count(1) if (n % 3, n % 5, n % 7) == (2, 3, 4))


def en_nt_008() -> object:
    return next(n for n in itertools.count(1) if str(n * n).endswith("444"))


def en_nt_009() -> object:
    return only(n for n in (91, 87, 97, 119) if all(n % d for d in range(2, n)))


def en_nt_010() -> object:
    start = [n % 2 for n in range(1, 20 + 1)]
    states = {(start.count(0), start.count(1))}
    for _ in range(19):
        both_even = {(even - 1, odd) for even, odd in states if even >= 2}
        both_odd = {(even + 1, odd - 2) for even, odd in states if odd >= 2}
        mixed = {(even - 1, odd) for even, odd in states if even >= 1 and odd >= 1}
        states = both_even | both_odd | mixed
    return "yes" if any(odd == 1 for _, odd in states) else "no"


def zh_nt_001() -> object:
    return only(n for n in range(0, 78, 2) if n + (n - 2) + (n - 2 - 2) == 78)


def zh_nt_002() -> object:
    return only(n for n in range(60, 70 + 1) if n % 4 == 1 and n % 6 == 1)


def zh_nt_003() -> object:
    primes = list(sympy.primerange(39))
    return only(p * q for p, q in itertools.combinations_with_replacement(primes, 2) if p + q == 39)


def zh_nt_004() -> object:
    return int(str(2**2026)[-2:])


def zh_nt_005() -> object:
    return sum(n == 19 * sum(map(int, str(n))) for n in range(HUNDRED, HUNDRED * BASE))


def zh_nt_006() -> object:
    return only(n for n in (120, 62, 90, 84) if n % 3 == 0 and n % 4 == 0 and n % 5 != 0)
