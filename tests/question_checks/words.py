"""Answers of the questions about words, worked out from their facts."""

from __future__ import annotations

import collections
import string

from tests.question_checks.tools import only


def en_word_001() -> object:
    return "drawer"[::-1]


def en_word_002() -> object:
    abc = string.ascii_lowercase
    assert (abc[abc.index("a") + 3], abc[abc.index("b") + 3], abc[abc.index("x") + 3 - len(abc)]) == ("d", "e", "a")
    return "".join(abc[abc.index(letter) - 3] for letter in "ulyhu")


def en_word_003() -> object:
    return sum(letter == "s" for letter in "possessions")


def en_word_004() -> object:
    return sorted(["plum", "pepper", "peach", "plate", "pear"])[3 - 1]


def en_word_005() -> object:
    return "".join(letter for letter in "lantern" if "lantern".count(letter) == 1)


def en_word_006() -> object:
    letters = dict(enumerate(string.ascii_lowercase, start=1))
    assert (letters[2], letters[26]) == ("b", "z")
    return "".join(letters[n] for n in (3, 8, 5, 19, 20))


def en_word_007() -> object:
    words = ("stale", "least", "tales", "steel")
    letters = collections.Counter("".join(sorted(word)) for word in words)
    return only(word for word in words if letters["".join(sorted(word))] == 1)


def en_word_008() -> object:
    letters = collections.Counter("the quick boat sails past the quiet island".replace(" ", ""))
    return only(letter for letter, n in letters.items() if n == max(letters.values()))


def zh_word_001() -> object:
    return "".join(reversed("秋中望月明"))


def zh_word_002() -> object:
    return sum(char == "红" for char in "红花绿叶映红墙，红灯高挂红门旁")


def zh_word_003() -> object:
    line = collections.deque("春夏秋冬")
    for turn in range(1, 10 + 1):
        line.append(line.popleft())
        assert turn > 1 or "".join(line) == "夏秋冬春"
    return "".join(line)


def zh_word_004() -> object:
    poem = "春江潮水连海平海上明月共潮生"
    places = range(1, len(poem) + 1, 4 - 1)
    assert 7 in places
    return [poem[place - 1] for place in places][-1]
