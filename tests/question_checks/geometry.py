"""Answers of the questions about geometry, worked out from their facts."""

from __future__ import annotations

import itertools
from fractions import Fraction as F

import sympy

from tests.question_checks.tools import DEGREES_IN_TRIANGLE, LIMIT, only


def en_geom_001() -> object:
    return sum((14, 9, 14, 9)) - 2


def en_geom_002() -> object:
    base = [(x, y) for x in range(4, 30 - 4) for y in range(4, 20 - 4)]
    return len(base) * 4


def en_geom_003() -> object:
    parts = (2, 3, 7)
    largest, half_turn = max(parts), sum(parts)
    if len(set(parts)) == 1:
        return "equilateral"
    right = F(half_turn, 2)
    return "right-angled" if largest == right else "obtuse-angled" if largest > right else "acute-angled"


def en_geom_004() -> object:
    side = only(n for n in range(125) if n**3 == 125)
    edge = (0, side - 1)
    cubes = itertools.product(range(side), repeat=3)
    return sum(sum(place in edge for place in cube) == 2 for cube in cubes)


def en_geom_005() -> object:
    inside = [(x, y) for x in range(0, 6) for y in range(0, 8) if x > 0 and y > 0 and F(x, 6) + F(y, 8) < 1]
    return len(inside)


def en_geom_006() -> object:
    square = F("6.5") ** 2 - F("2.5") ** 2
    return only(h for h in range(LIMIT) if h**2 == square)


def en_geom_007() -> object:
    corners = {(x, y) for x in (0, 6 - 1) for y in (0, 6 - 1)}
    board = set(itertools.product(range(6), repeat=2)) - corners
    assert len(corners) == 4
    squares = 0
    for size in range(1, 6 + 1):
        for x, y in itertools.product(range(6), repeat=2):
            squares += {(x + i, y + j) for i in range(size) for j in range(size)} <= board
    return squares


def en_geom_008() -> object:
    lines = range(7)
    vertices = len(list(itertools.combinations(lines, 2)))
    bounded_edges = sum(len([other for other in lines if other != line]) - 1 for line in lines)
    return bounded_edges - vertices + 1


def en_geom_009() -> object:
    return only(side**2 for side in range(36) if side * 4 == 36)


def zh_geom_001() -> object:
    return len(list(itertools.product(range(12), range(12 - 5))))


def zh_geom_002() -> object:
    corners = list(itertools.product((0, 1), repeat=3))
    edges = sum(sum(a != b for a, b in zip(p, q, strict=True)) == 1 for p, q in itertools.combinations(corners, 2))
    return F(60, edges) ** 3


def zh_geom_003() -> object:
    sides = only(n for n in range(LIMIT) if (n - 2) * DEGREES_IN_TRIANGLE == 1260)
    pairs = itertools.combinations(range(sides), 2)
    return sum((b - a) % sides not in (1, sides - 1) for a, b in pairs)


def zh_geom_004() -> object:
    return (sympy.pi * 6**2) / (sympy.pi * 4**2)


def zh_geom_005() -> object:
    pegs = list(itertools.product(range(4), repeat=2))
    assert len(pegs) == 16
    squares = set()
    for (x, y), (dx, dy) in itertools.product(pegs, itertools.product(range(-4, 4), repeat=2)):
        corners = frozenset({(x, y), (x + dx, y + dy), (x + dx - dy, y + dy + dx), (x - dy, y + dx)})
        if (dx, dy) != (0, 0) and corners <= set(pegs):
            squares.add(corners)
    return len(squares)


def zh_geom_006() -> object:
    cubes = set(itertools.product(range(0, 8, 2), range(0, 6, 2), range(0, 4, 2)))
    hidden = 0
    for x, y, z in cubes:
        hidden += sum((x + dx, y + dy, z + dz) in cubes for dx, dy, dz in set(itertools.permutations((0, 0, 2))))
        hidden += sum((x - dx, y - dy, z - dz) in cubes for dx, dy, dz in set(itertools.permutations((0, 0, 2))))
    return hidden * 2**2
