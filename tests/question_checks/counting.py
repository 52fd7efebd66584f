"""Answers of the questions about counting, worked out from their facts."""

from __future__ import annotations

import itertools
from functools import cache

from tests.question_checks.tools import LIMIT, only


def en_count_001() -> object:
    return len(range(0, 60 + 1, 4))


def en_count_002() -> object:
    return sum("7" in str(n) and "3" not in str(n) for n in range(1, 1000 + 1))


def en_count_003() -> object:
    extras = [("soup", i) for i in range(3)] + [("dessert", i) for i in range(2)]
    return len(set(itertools.product(range(4), extras)))


def en_count_004() -> object:
    pairs = itertools.combinations(range(8), 2)
    return sum((b - a) % 8 not in (1, 8 - 1) for a, b in pairs)


def en_count_005() -> object:
    return len(set(itertools.permutations("PEPPER")))


def en_count_006() -> object:
    routes = {(0, 0): 1}
    for x, y in itertools.product(range(4 + 1), repeat=2):
        if (x, y) != (0, 0):
            ways = routes.get((x - 1, y), 0) + routes.get((x, y - 1), 0)
            routes[x, y] = 0 if (x, y) == (2, 2) else ways
    return routes[4, 4]


def en_count_007() -> object:
    climbs = [c for n in range(1, 9 + 1) for c in itertools.product((1, 2, 3), repeat=n) if sum(c) == 9]
    return sum(5 not in itertools.accumulate(c) for c in climbs)


def en_count_008() -> object:
    return sum(sum(i == p for i, p in enumerate(order)) == 1 for order in itertools.permutations(range(5)))


def en_count_009() -> object:
    sizes = (itertools.combinations(range(1, 10 + 1), size) for size in range(10 + 1))
    chosen = itertools.chain.from_iterable(sizes)
    return sum(all(b - a != 5 - 4 for a, b in itertools.pairwise(numbers)) for numbers in chosen)


def en_count_010() -> object:
    return only(n for n in range(1, LIMIT) if n + 1 - 9 == 14)


def en_count_011() -> object:
    @cache
    def coverings(empty: frozenset[tuple[int, int]]) -> int:
        if not empty:
            return 1
        x, y = min(empty)
        return sum(coverings(empty - {(x, y), other}) for other in ((x + 1, y), (x, y + 1)) if other in empty)

    board = frozenset(itertools.product(range(6), range(3)))
    assert len(board) == 9 * 1 * 2
    return coverings(board)


def zh_count_001() -> object:
    pieces, minutes = 1, 0
    while pieces < 7:
        minutes += 3 if pieces == 1 else 1 + 3
        pieces += 1
    return minutes


def zh_count_002() -> object:
    return len({n for n in itertools.permutations((0, 2, 5, 8), 3) if n[0] != 0})


def zh_count_003() -> object:
    paintings = itertools.product("红黄蓝", repeat=4)
    return sum(all(p[i] != p[(i + 1) % 4] for i in range(4)) for p in paintings)


def zh_count_004() -> object:
    rows = itertools.permutations("甲乙丙丁戊")
    return sum("甲" not in (r[0], r[-1]) and abs(r.index("甲") - r.index("乙")) > 1 for r in rows)


def zh_count_005() -> object:
    return sum(n % 3 != 0 and n % 5 != 0 for n in range(1, 300 + 1))
