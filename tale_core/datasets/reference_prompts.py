"""The prompts of the paper's public repository, taken apart: the question, its options, how it was asked, the budget.

Its files of predictions hold the whole prompt as `question`. The texts around it are those of its prompt file
(github.com/GeniusHTX/TALE, `utils/prompt_template.py`) and the older ones of OpenCompass that it mentions.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from tale_core.types import Language

Asked = Literal["direct", "vanilla", "budgeted", "bare"]

_BUDGET = re.compile(r"use less than (-?\d{1,9}) tokens|使用少于\s*(-?\d{1,9})\s*tokens", re.IGNORECASE)
_STEPS = re.compile(r"(?:let'?s think step by step|让我们一步一步思考)", re.IGNORECASE)
_DIRECTLY = re.compile(
    r"please answer the following question (?:directly )?and give the answer directly|请直接回答下面的问题",
    re.IGNORECASE,
)
_FORMAT = re.compile(
    r"please give the response by strictly following this format|请严格按照如下格式回答"
    r"|here is a multiple-choice question about mathematics|以下是一道关于数学的单项选择题",
    re.IGNORECASE,
)
_CHINESE = re.compile("[\u4e00-\u9fff]")
_OPTION = re.compile(r"([A-Z])\. ?(.*)")


class Unwrapped(NamedTuple):
    """A prompt taken apart.

    Attributes:
        text: The question alone; "" when the prompt holds none.
        options: In the order A, B, C, …; empty without options.
        asked: How it was asked; "bare" is the question with nothing but, perhaps, a format.
        budget: The number of tokens that it asked for, whatever it is; None when it named none.
        language: Of the question.
    """

    text: str
    options: tuple[str, ...]
    asked: Asked
    budget: int | None
    language: Language


def unwrap(prompt: str) -> Unwrapped:
    """Take a prompt apart. Lines that are no part of a known wrapping stay with the question."""
    lines = prompt.replace("\r\n", "\n").strip().split("\n")
    taken: list[str] = []
    while lines and _wraps(lines[0]):
        taken.append(lines.pop(0))
    while lines and (_wraps(lines[-1]) or not lines[-1].strip()):
        taken.append(lines.pop())
    if lines:
        lines[0] = lines[0].removeprefix("Q: ")
    text, options = _with_options(lines)
    wrapping = "\n".join(taken)
    budget = _budget(wrapping)
    asked: Asked = "bare"
    if budget is not None:
        asked = "budgeted"
    elif _STEPS.search(wrapping):
        asked = "vanilla"
    elif _DIRECTLY.search(wrapping):
        asked = "direct"
    return Unwrapped(text, options, asked, budget, "zh" if _CHINESE.search(text) else "en")


def _wraps(line: str) -> bool:
    """Whether a whole line belongs to the wrapping: it begins with one of its sentences."""
    start = line.strip().removeprefix("Q: ")
    return any(pattern.match(start) for pattern in (_STEPS, _DIRECTLY, _FORMAT))


def _budget(wrapping: str) -> int | None:
    found = _BUDGET.search(wrapping)
    return int(next(g for g in found.groups() if g is not None)) if found else None


def _with_options(lines: list[str]) -> tuple[str, tuple[str, ...]]:
    """The text before the last run of lines "A. …", "B. …", …, and what stands behind each letter."""
    whole = "\n".join(lines).strip()
    for start in range(len(lines) - 1, 0, -1):
        if not lines[start].startswith("A."):
            continue
        options: list[str] = []
        for line in lines[start:]:
            found = _OPTION.match(line)
            if found and found.group(1) == chr(ord("A") + len(options)):
                options.append(found.group(2))
            elif options:
                options[-1] += f"\n{line}"
        if len(options) > 1:
            return "\n".join(lines[:start]).strip(), tuple(option.strip() for option in options)
    return whole, ()
