"""Answers of the questions about arithmetic, worked out from their facts."""

from __future__ import annotations

from fractions import Fraction as F

from tests.question_checks.tools import LIMIT, only, unused


def en_arith_001() -> object:
    tray = [(row, place) for row in range(6) for place in range(8)]
    return len(tray[5:])


def en_arith_002() -> object:
    floor = 0 + 3
    for move in (9, -14, 6):
        floor += move
    return floor


def en_arith_003() -> object:
    results = {"7 × 8": sum([7] * 8), "6 × 9": sum([6] * 9), "116 ÷ 2": 116 // 2, "81 − 24": 81 - 24}
    return max(results, key=lambda name: results[name])


def en_arith_004() -> object:
    worth = {"coin": 4}
    worth["gem"] = sum(worth["coin"] for _ in range(7))
    bag = ["gem"] * 3 + ["coin"] * 5
    return sum(worth[item] for item in bag) - 50


def en_arith_005() -> object:
    roll = F("30")
    for _ in range(14):
        roll -= F("1.8")
    return roll


@unused(52)
def en_arith_006() -> object:
    aboard = [f"first-{i}" for i in range(19)]
    aboard = aboard[8:] + [f"second-{i}" for i in range(13)]
    return len(aboard[::2])


def en_arith_007() -> object:
    shown, presses = {11}, 0
    while 25 not in shown:
        shown = {n * 2 for n in shown} | {n - 3 for n in shown}
        presses += 1
    return presses


def en_arith_008() -> object:
    return sum(25 for _ in range(37) for _ in range(4))


def en_arith_009() -> object:
    wanted = sum([57] * 6)
    values = {"58 × 6 − 1": 58 * 6 - 1, "58 × 6 − 6": 58 * 6 - 6, "56 × 6 + 1": 56 * 6 + 1, "60 × 6 − 3": 60 * 6 - 3}
    same = [name for name, value in values.items() if value == wanted and str(7) not in name]
    return only(same)


def en_arith_010() -> object:
    line = "".join(str(n) for n in range(1, 2026))
    assert line.startswith("12345678910111213")
    return int(line[2026 - 1])


def zh_arith_001() -> object:
    return sum(25 for _ in range(18)) - 130


def zh_arith_002() -> object:
    return len([place for page in range(5) for line in range(22) for place in range(30)])


def zh_arith_003() -> object:
    return sum(46 for _ in range(99)) + 46


def zh_arith_004() -> object:
    whole = only(n for n in range(LIMIT) if n - 63 == 48)
    return whole - 36


def zh_arith_005() -> object:
    return sum(int(digit) for n in range(1, 100 + 1) for digit in str(n))
