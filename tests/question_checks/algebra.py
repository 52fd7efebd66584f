"""Answers of the questions about algebra, worked out from their facts."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

import sympy

from tests.question_checks.tools import LIMIT, only


def en_alg_001() -> object:
    return only(n for n in range(-40, 40) if n * 3 + 7 == 40)


def en_alg_002() -> object:
    return only(cargo for cargo in range(15 + 1) if 3 * cargo + 2 * (15 - cargo) == 37)


def en_alg_003() -> object:
    return 4 * only(parrot for parrot in range(LIMIT) if 4 * parrot + 12 == 2 * (parrot + 12))


def en_alg_004() -> object:
    mug, bowl = sympy.symbols("mug bowl")
    return sympy.solve([2 * mug + 3 * bowl - 1900, 3 * mug + 2 * bowl - 1850], [mug, bowl])[bowl]


def en_alg_005() -> object:
    x = sympy.Symbol("x")
    wanted = (x + 3) ** 2 - (x - 3) ** 2
    options = {"12x": 12 * x, "18": sympy.Integer(18), "6x": 6 * x, "2x² + 18": 2 * x**2 + 18}
    return only(name for name, value in options.items() if sympy.expand(wanted - value) == 0)


def en_alg_006() -> object:
    x = sympy.Symbol("x")
    roots = sympy.solve(x**2 - 10 * x + 18, x)
    return sympy.expand(sum(root**3 for root in roots))


def en_alg_007() -> object:
    x = sympy.Symbol("x", positive=True)
    values = {sympy.radsimp(sympy.expand(r**5 + 1 / r**5)) for r in sympy.solve(x + 1 / x - 3, x)}
    return only(sympy.simplify(value) for value in values)


def en_alg_008() -> object:
    figures = list(itertools.islice(itertools.count(5, 9 - 5), 20))
    assert figures[2] == 13
    return figures[-1]


def en_alg_009() -> object:
    return "yes" if any(x * x + x == 182 for x in range(-182, 182)) else "no"


def zh_alg_001() -> object:
    first, second, days = 120, 80, 0
    while first != second:
        first, second, days = first - 5, second + 5, days + 1
    return days


def zh_alg_002() -> object:
    return only(n for n in range(LIMIT) if F(n + 15, 4) == 9)


def zh_alg_003() -> object:
    return only(right for right in range(20 + 1) if 5 * right - 2 * (20 - right) == 72)


def zh_alg_004() -> object:
    pairs = itertools.combinations_with_replacement(range(1, 54), 2)
    return only(x + y for x, y in pairs if x * y + x + y == 54)


def zh_alg_005() -> object:
    x = sympy.Symbol("x")
    f = 2 * x - 1
    return only(sympy.solve(f.subs(x, f) - 13, x))
