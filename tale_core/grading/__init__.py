"""Grading: which answer a text gives, and whether it is the known one.

What it leans on: `extract` finds the answer in a text, `numbers`, `choice` and `text` compare, `expressions` asks
math-verify where numbers do not decide. It makes no call to a model. All functions are safe in any thread; `grade` and
`equivalent` may wait up to a few seconds for another process when both sides are mathematical expressions, and `graded`
is `grade` for an event loop.

The kinds never mix: letters are looked for only in questions with options, numbers only in questions about numbers.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from functools import lru_cache

from tale_core.grading.choice import chosen
from tale_core.grading.clean import clean, looks_like_math
from tale_core.grading.compare import same_quantity, without_unit
from tale_core.grading.expressions import WouldWaitError, at_once
from tale_core.grading.extract import NOTHING, boxed_answer, extract, is_one_sentence
from tale_core.grading.numbers import after_equals, strict_number
from tale_core.grading.text import nothing_there, same_text
from tale_core.grading.thinking import split_thinking
from tale_core.grading.units import compound
from tale_core.grading.words import is_number_alone
from tale_core.types import AnswerKind, Extraction, FinishReason, Grade, Outcome, Question

Reader = Callable[[str, AnswerKind, tuple[str, ...]], Extraction]
"""Finds the final answer in a text, as `extract` does."""
_SHORT = 4_000
"""Characters of an answer that is graded within three milliseconds."""
_LETTER = re.compile(r"(?:(?i:option|choice|answer)\s|选项\s?)?\(?[A-E]\)?")
_ASKS_FOR_A_NUMBER = re.compile(
    r"\bhow (?:many|much|far|long|old|tall|fast|often)\b|\bwhat (?:percent|fraction|number)|"
    r"\b(?:calculate|compute|evaluate)\b|"
    r"\bwhat is [^?\n]{0,30}\d\s*[-+*/×÷^%]|多少|几(?!何)|计算|\d\s*[-+*/×÷^]\s*\d[^?\n]{0,20}=\s*\?",
    re.IGNORECASE,
)


def infer_kind(question: Question) -> AnswerKind:
    """How answers to a question are compared.

    Its own `kind` if it has one; choice with options, or when the known answer is a letter alone; number when the known
    answer is a number or an expression, or, while nobody knows the answer, when the question asks for a quantity; else
    text.
    """
    return question.kind or _inferred(question)


@lru_cache(maxsize=1024)
def _inferred(question: Question) -> AnswerKind:
    """For a question without a kind of its own; an experiment asks for each of its strategies."""
    if question.options:
        return "choice"
    gold = known_answer(question)
    if gold is None:
        return "number" if _asks_for_a_number(question.text) else "text"
    has_digit = any(ch.isdigit() for ch in clean(gold))
    bare = clean(gold)
    if _LETTER.fullmatch(bare):
        return "choice"
    value = after_equals(bare) or bare
    number = has_digit and (strict_number(value) or strict_number(value.strip("()[]{} ")) or compound(value))
    return (
        "number"
        if number or is_number_alone(value) or any(map(looks_like_math, (bare, value, without_unit(value)[0])))
        else "text"
    )


def _asks_for_a_number(text: str) -> bool:
    """Whether a question asks for a quantity. "What is …" does when there are numbers to calculate with."""
    text = text[:10_000]
    figures = re.findall(r"\d+", text)
    return bool(_ASKS_FOR_A_NUMBER.search(text) or (len(figures) > 1 and re.search(r"\bwhat\b", text, re.IGNORECASE)))


def known_answer(question: Question) -> str | None:
    r"""The known answer without what leads to it (`####`, `\boxed`, "The answer is …"); None when there is none."""
    answer = (question.answer or "").rpartition("####")[2].strip()
    if "boxed" in answer or "fbox" in answer:
        answer = boxed_answer(answer) or answer
    announced = extract(answer, "text", question.options)
    return (announced.value if announced.method == "phrase" else answer) or None


def equivalent(given: str, gold: str, kind: AnswerKind, options: tuple[str, ...] = ()) -> bool | None:
    """Whether an extracted answer is the known one; None when that could not be decided.

    Numbers are compared exactly (rules: `numbers`), other mathematics by math-verify, choices by letter or
    option text, free text word for word (rules: `text.same_text`).
    """
    if kind != "choice" and nothing_there(given) and nothing_there(given) == nothing_there(gold):
        return True
    if kind == "number":
        return same_quantity(given, gold)
    if kind == "choice":
        known = chosen(gold, options)
        return chosen(given, options) == known if known else same_text(given, gold)
    return _same_words(given, gold)


def _same_words(given: str, gold: str) -> bool | None:
    verdict = same_text(given, gold)
    if verdict is not True and (value := after_equals(clean(gold))):
        verdict = same_text(after_equals(clean(given)) or given, value)  # "V_1 : V_2 = 11 : 21"
    return verdict


def grade(
    text: str,
    question: Question,
    *,
    finish_reason: FinishReason | None,
    read: Reader = extract,
) -> Grade:
    """The outcome of one answer, with what was extracted from it. Never raises.

    A call that failed or was filtered is an error, one that was cancelled is ungraded, and one that was cut by the
    token limit is truncated even if an answer can be read from it: it was not finished, so it is neither right nor
    wrong. These three need no known answer; without one the rest is ungraded. A `finish_reason` of None is unknown.
    `read` finds the answer where a text is written in a way of its own (`tale_core.grading.lines.reader`).
    """
    kind = infer_kind(question)
    gold = known_answer(question)
    extraction = read(text, kind, question.options)
    if finish_reason in ("error", "content_filter"):
        return Grade(Outcome.ERROR, extraction)
    if finish_reason == "length":
        return Grade(Outcome.TRUNCATED, extraction)
    if finish_reason == "cancelled" or gold is None:
        return Grade(Outcome.UNGRADED, extraction)
    verdict = None if extraction.value is None else equivalent(extraction.value, gold, kind, question.options)
    bare = split_thinking(text).answer.strip()
    if bare == gold and verdict is not True:
        # A bare answer that is the known answer to the letter is right, whatever could be read from it.
        return Grade(Outcome.CORRECT, Extraction(bare, "whole"))
    if extraction.value is None:
        return Grade(Outcome.UNPARSED, extraction)
    if verdict is False and _exclaimed(text, extraction, gold, kind):
        verdict = None
    if extraction.method == "whole" and verdict is not True and not is_one_sentence(text):
        # The last sentence of a long text is an answer only when it turns out to be the known one.
        return Grade(Outcome.UNPARSED, NOTHING)
    return Grade({True: Outcome.CORRECT, False: Outcome.WRONG, None: Outcome.UNGRADED}[verdict], extraction)


async def graded(text: str, question: Question, *, finish_reason: FinishReason | None, read: Reader = extract) -> Grade:
    """`grade` in an event loop: in a thread only where it takes time, for handing work over costs more than most."""
    if len(text) <= _SHORT:
        try:
            with at_once():
                return grade(text, question, finish_reason=finish_reason, read=read)
        except WouldWaitError:
            pass
    return await asyncio.to_thread(grade, text, question, finish_reason=finish_reason, read=read)


def _exclaimed(text: str, extraction: Extraction, gold: str, kind: AnswerKind) -> bool:
    """Whether the "!" behind a number in a sentence makes it right if it is a factorial's: "It is 5!" for 120."""
    value = extraction.value or ""
    if kind != "number" or extraction.method not in ("phrase", "last-number") or f"{value}!" not in text:
        return False
    return equivalent(f"{value}!", gold, kind) is True
