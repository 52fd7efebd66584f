"""What models write as assignments, made Python: `1,000`, `$5`, `20%`, `3 × 4`, `答案 ＝ 7`, in a fence or in prose.

A line becomes tokens, tokens become a line of plain Python, and `ast` says what it is. Nothing here knows values.
"""

from __future__ import annotations

import ast
import keyword
import re
import threading
from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

MAX_LINE = 600
"""Characters of one assignment. With `MAX_DEPTH` it keeps Python's own parser far from its limits."""
MAX_DEPTH = 20
"""Brackets inside of brackets."""
KEYWORD = "_keyword"
"""Stands behind a name that Python keeps for itself (`class = 30`)."""

_SIGNS = {code: chr(code - 0xFEE0) for code in range(0xFF01, 0xFF5F)}  # Full-width forms.
_SIGNS |= dict.fromkeys(map(ord, "×✕✖⋅·∙∗"), "*") | dict.fromkeys(map(ord, "÷∕⁄"), "/")
_SIGNS |= dict.fromkeys(map(ord, "−–—‒﹣"), "-") | dict.fromkeys(map(ord, "“”"), '"')
_SIGNS |= {0x3000: " ", ord("￥"): "¥", ord("、"): ",", ord("。"): ".", ord("²"): "**2", ord("³"): "**3"}
_TOKEN = re.compile(
    r"""(?P<space>\s+) | (?P<comment>\#[^\n]*) | (?P<money>[$€£¥₹])
    | (?P<number>(?:[0-9][0-9_]*(?:\.[0-9]*)?|\.[0-9]+)(?:[eE][-+]?[0-9]+(?!\w))?) | (?P<name>[^\W\d]\w*)
    | (?P<text>"[^"\\]*"|'[^'\\]*') | (?P<op>\*\*=|//=|\*\*|//|[-+*/%]=|[=!<>:]=|->|[-+*/%^=(),\[\]{}:;.<>|&~@])
    | (?P<other>.)""",
    re.VERBOSE | re.DOTALL,
)
_MARKS = re.compile(r"(?:[-*•>]\s+|\d{1,2}[.)]\s+|[`$*])+(?=[^\W\d]\w*\s*=)")
_FENCE = re.compile(r"\s*(?:```|~~~)")
_ASSIGNMENT = re.compile(r"([^\W\d]\w*)\s*(?::\s*\w+\s*)?(?:\*\*|//|[-+*/%])?=(?!=)")
_COINS = frozenset({"元", "美元", "人民币"})
_BLOCK = re.compile(r"(?:try|except\b.{0,80}|finally|else|elif\b.{0,80})\s*:")
_A_BLOCK = tuple(ast.parse("if 0: pass").body)
_PARSING, _TRIES = threading.Lock(), 100


@dataclass(frozen=True, slots=True)
class Written:
    """A line of an answer: one as it stands, or several that a bracket holds together.

    Attributes:
        text: As written.
        name: What it seems to give a value to; None where it looks like no assignment.
        code: What it is as Python; None where it is none.
    """

    text: str
    name: str | None = None
    code: tuple[ast.stmt, ...] | None = None


@dataclass(frozen=True, slots=True)
class _Token:
    kind: str
    text: str
    start: int
    end: int

    def is_op(self, *signs: str) -> bool:
        return self.kind == "op" and self.text in signs


_NONE = _Token("space", "", -1, -1)


def written(text: str) -> Iterator[Written]:
    """The lines of an answer, without fences and empty ones."""
    lines = [line for line in text.splitlines() if line.strip() and not _FENCE.match(line)]
    at = 0
    while at < len(lines):
        taken = _held_together(lines, at)
        yield _read("\n".join(lines[at : at + taken]))
        at += taken


def _held_together(lines: list[str], at: int) -> int:
    """How many lines from here on one open bracket holds together; 1 where it is never closed."""
    open_, size = 0, 0
    for n, line in enumerate(lines[at:], 1):
        size += len(line)
        if size > MAX_LINE or (n > 1 and _ASSIGNMENT.match(line.strip())):
            return 1
        bare = line.partition("#")[0].translate(_SIGNS)
        open_ += sum(map(bare.count, "([")) - sum(map(bare.count, ")]"))
        if open_ <= 0:
            return n
    return 1


def _read(text: str) -> Written:
    line = text.strip().translate(_SIGNS)
    if marks := _MARKS.match(line):
        line = line[marks.end() :]
    if text.strip().startswith(("`", "$", "**")):
        line = line.rstrip("`$*")
    found = _ASSIGNMENT.match(line)
    seems = Written(text, found[1] if found else None)
    if _BLOCK.fullmatch(line):
        return replace(seems, code=_A_BLOCK)
    tokens = _tokens(line) if len(line) <= MAX_LINE else None
    return replace(seems, code=None if tokens is None else _parsed(tokens, line.endswith(":")))


def _parsed(tokens: list[_Token], opens: bool) -> tuple[ast.stmt, ...] | None:
    """The statements of a line, with Python's own words as names where they make sense as nothing else."""
    plain = " ".join(token.text for token in tokens)
    renamed = " ".join(
        token.text + KEYWORD if token.kind == "name" and keyword.iskeyword(token.text) else token.text
        for token in tokens
    )
    for code in (f"{plain} pass" if opens else plain, renamed):
        try:
            return _statements(code)
        except (SyntaxError, ValueError, MemoryError, RecursionError):
            continue
    return None


def _statements(code: str) -> tuple[ast.stmt, ...]:
    # Python 3.11 counts one depth for all threads that parse, and finds it wrong where two of them do
    # (python/cpython#106905): ours take turns, and where the other one is a library's the line is parsed again.
    for _ in range(_TRIES):
        with _PARSING:
            try:
                return tuple(ast.parse(code).body)
            except SystemError:
                continue
    return tuple(ast.parse(code).body)


def _tokens(line: str) -> list[_Token] | None:
    """Python's tokens of a line; None where there are signs that no assignment has."""
    found = [
        _Token(str(m.lastgroup), m.group(), m.start(), m.end())
        for m in _TOKEN.finditer(line)
        if m.lastgroup not in ("space", "comment")
    ]
    while found and found[-1].is_op(".", ",", ";"):
        found.pop()
    found = _without_money(found)
    if any(token.kind in ("other", "money") for token in found) or _depth(found) > MAX_DEPTH:
        return None
    return _without_claim(_percent(_thousands(found)))


def _without_money(tokens: list[_Token]) -> list[_Token]:
    """`$5` and `5元` are 5."""
    kept = []
    for before, token, after in zip([_NONE, *tokens], tokens, [*tokens[1:], _NONE], strict=False):
        coin = token.kind == "money" or token.text in _COINS
        if not (coin and "number" in (before.kind, after.kind if token.kind == "money" else "")):
            kept.append(token)
    return kept


def _depth(tokens: list[_Token]) -> int:
    depth = most = 0
    for token in tokens:
        depth += token.is_op("(", "[", "{") - token.is_op(")", "]", "}")
        most = max(most, depth)
    return most


def _thousands(tokens: list[_Token]) -> list[_Token]:
    """`1,000` is one number; in a list or a call (`max(1,200)`) only where it can be nothing else."""
    spaced = any(a.is_op(",") and a.end < b.start for a, b in pairwise(tokens))
    kept: list[_Token] = []
    lists: list[bool] = []
    at = 0
    while at < len(tokens):
        token = tokens[at]
        if token.is_op("(", "["):
            lists.append(token.text == "[" or (bool(kept) and kept[-1].kind == "name"))
        elif token.is_op(")", "]") and lists:
            lists.pop()
        groups = _groups(tokens, at)
        if groups and lists and lists[-1] and not spaced and not any(g.startswith("0") for g in groups):
            groups = []
        last = tokens[at + 2 * len(groups)]
        kept.append(replace(token, text=token.text + "".join(groups), end=last.end))
        at += 1 + 2 * len(groups)
    return kept


def _groups(tokens: list[_Token], at: int) -> list[str]:
    """The groups of three digits that follow a number after commas without a space."""
    groups: list[str] = []
    if tokens[at].kind != "number" or not re.fullmatch(r"[1-9]\d{0,2}", tokens[at].text):
        return groups
    end = tokens[at].end
    for comma, group in zip(tokens[at + 1 :: 2], tokens[at + 2 :: 2], strict=False):
        touching = comma.is_op(",") and comma.start == end and group.start == comma.end
        if not touching or not re.fullmatch(r"\d{3}(?:\.\d*)?", group.text):
            break
        groups.append(group.text)
        end = group.end
        if "." in group.text:
            break
    return groups


def _percent(tokens: list[_Token]) -> list[_Token]:
    """`20%` and `20% of` are a share; `17 % 5` is what is left over."""
    kept: list[_Token] = []
    for token, after in zip(tokens, [*tokens[1:], _NONE], strict=False):
        before = kept[-1] if kept else _NONE
        if token.is_op("^"):
            kept.append(replace(token, text="**"))
        elif token.is_op("%") and before.kind in ("number", "name") and not _left_over(before, token, after):
            kept[-1] = replace(before, text=f"({before.text} / 100)")
        elif token.text == "of" and before.text.endswith("/ 100)"):
            kept.append(replace(token, kind="op", text="*"))
        else:
            kept.append(replace(token, text=_digits(token.text)) if token.kind == "number" else token)
    return kept


def _left_over(before: _Token, percent: _Token, after: _Token) -> bool:
    if after.is_op("-", "+"):
        return before.end < percent.start
    return after.text != "of" and (after.kind in ("number", "name", "text") or after.is_op("(", "["))


def _digits(number: str) -> str:
    """Without underscores and the zeros in front that Python refuses."""
    number = number.replace("_", "")
    return number.lstrip("0") or "0" if number.isdecimal() else number


def _without_claim(tokens: list[_Token]) -> list[_Token]:
    """`total = 3 + 4 = 7` claims a result: the calculator finds its own."""
    places = [i for i, token in enumerate(tokens) if token.is_op("=")]
    if len(places) < 2 or not _closed(tokens[: places[1]]) or any(token.is_op(";") for token in tokens):
        return tokens
    between = tokens[places[0] + 1 : places[1]]
    return tokens if len(between) == 1 and between[0].kind == "name" else tokens[: places[1]]


def _closed(tokens: list[_Token]) -> bool:
    return sum(t.is_op("(", "[") for t in tokens) == sum(t.is_op(")", "]") for t in tokens)
