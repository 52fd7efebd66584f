"""Answers of the questions about logic, worked out from their facts."""

from __future__ import annotations

import itertools
from functools import cache

from tests.question_checks.tools import MONTHS_PER_YEAR, only, unused


def en_logic_001() -> object:
    def fits(order: tuple[str, ...]) -> bool:
        rank = {kite: place for place, kite in enumerate(order)}
        return rank["blue"] < rank["red"] < rank["green"] < rank["white"]

    return only(order for order in itertools.permutations(("red", "green", "blue", "white")) if fits(order))[1]


def en_logic_002() -> object:
    boxes = ("red", "green", "blue")
    return only(key for key in boxes if [key == "red", key != "green", key != "red"].count(True) == 1)


def en_logic_003() -> object:
    worlds = itertools.product((True, False), repeat=2)
    robin, ash = only((r, a) for r, a in worlds if r == (r != a) and a == (not r))
    return only(name for name, honest in (("Robin", robin), ("Ash", ash)) if honest)


def en_logic_004() -> object:
    def fits(ash: str, kit: str, noor: str, wren: str) -> bool:
        return (
            ash not in ("flute", "drum")
            and kit not in ("violin", "piano")
            and noor not in ("violin", "drum")
            and wren not in ("drum", "piano")
            and (noor != "flute" or ash == "violin")
        )

    return only(p for p in itertools.permutations(("flute", "drum", "violin", "piano")) if fits(*p))[-1]


def en_logic_005() -> object:
    worlds = itertools.product((True, False), repeat=5)
    return only(sum(w) for w in worlds if all(w[k - 1] == (w.count(False) == k) for k in range(1, 5 + 1)))


def en_logic_006() -> object:
    lamps = list(itertools.product((True, False), repeat=len(("brass", "old", "broken"))))
    shops = [set(s) for size in range(len(lamps) + 1) for s in itertools.combinations(lamps, size)]
    possible = [s for s in shops if all(old for brass, old, _ in s if brass) and any(old and bad for _, old, bad in s)]
    return "yes" if all(any(brass and bad for brass, _, bad in s) for s in possible) else "no"


def en_logic_007() -> object:
    @cache
    def weighings(coins: int) -> int:
        if coins == 1:
            return 0
        splits = ((pan, coins - 2 * pan) for pan in range(1, coins // 2 + 1))
        return 1 + min(max(weighings(pan), weighings(rest) if rest else 0) for pan, rest in splits)

    return weighings(20)


def en_logic_008() -> object:
    def implies(premise: bool, conclusion: bool) -> bool:
        return conclusion if premise else True

    def meanings(rain: bool, cancelled: bool) -> dict[str, bool]:
        return {
            "If the match is cancelled, it rains.": implies(cancelled, rain),
            "If it does not rain, the match is not cancelled.": implies(not rain, not cancelled),
            "It rains and the match is cancelled.": rain and cancelled,
            "If the match is not cancelled, it does not rain.": implies(not cancelled, not rain),
        }

    worlds = list(itertools.product((True, False), repeat=2))
    return only(name for name in meanings(True, True) if all(meanings(*w)[name] == implies(*w) for w in worlds))


@unused(3, 5)
def en_logic_009() -> object:
    lamps = dict.fromkeys(range(1, 50 + 1), False)
    for child in range(1, 49 + 1, 2):
        for number in range(child, 50 + 1, child):
            lamps[number] = not lamps[number]
    return sum(lamps.values())


def en_logic_010() -> object:
    @cache
    def wins(stones: int) -> bool:
        return any(not wins(stones - take) for take in (1, 3, 4) if take <= stones)

    return only(take for take in (1, 3, 4) if not wins(47 - take))


def en_logic_011() -> object:
    beads = itertools.cycle(("circle", "circle", "square", "triangle"))
    return next(itertools.islice(beads, 50 - 1, None))


def zh_logic_001() -> object:
    orders = ["".join(p) for p in itertools.permutations("甲乙丙丁")]
    fitting = [o for o in orders if o[0] != "甲" and o[-1] == "丁" and "丙乙" in o]
    return only(fitting)[0]


def zh_logic_002() -> object:
    def truths(who: str) -> int:
        second_claim = who == "小禾"
        return [who != "小林", second_claim, not second_claim].count(True)

    return only(who for who in ("小林", "小雨", "小禾") if truths(who) == 1)


def zh_logic_003() -> object:
    drinks = itertools.permutations(("水", "茶", "牛奶"))
    yellow = {y for r, y, _ in drinks if "茶" not in (r, y) and y != "牛奶"}
    return only(yellow) if len(yellow) == 1 else "无法确定"


def zh_logic_004() -> object:
    def fits(honest: tuple[bool, ...]) -> bool:
        claims = [not honest[i - 1] and not honest[(i + 1) % 10] for i in range(10)]
        return list(honest) == claims

    return min(sum(circle) for circle in itertools.product((True, False), repeat=10) if fits(circle))


def zh_logic_005() -> object:
    most_without_pair = sum(min(1, 13) for month in range(MONTHS_PER_YEAR))
    return "是" if most_without_pair < 13 else "否"


def zh_logic_006() -> object:
    lights = itertools.islice(itertools.cycle("红红黄蓝蓝蓝"), 100)
    return list(lights).count("红")
