"""Grading: which answer a text gives, and whether it is the known one.

Knows questions, known answers and outcomes. What it leans on: `extract` finds the answer in a text,
`numbers`, `choice` and `text` compare, `expressions` asks math-verify where numbers do not
decide. It makes no call to a model. All functions are synchronous and safe in any thread; `grade` and `equivalent` may
wait up to a few seconds for another process when both sides are mathematical expressions.

The kinds never mix: letters are looked for only in questions with options, numbers only in questions about numbers.
"""

from __future__ import annotations

import re

from tale_core.grading.choice import chosen
from tale_core.grading.clean import clean, looks_like_math, to_latex
from tale_core.grading.expressions import math_equal
from tale_core.grading.extract import NOTHING, extract_answer, is_one_sentence
from tale_core.grading.numbers import MAX_ANSWER_CHARS, readings, same_number, strict_number
from tale_core.grading.text import same_text, words
from tale_core.types import AnswerKind, Extraction, FinishReason, Grade, Outcome, Question

_MAX_SEVERAL = 3
"""Numbers in one answer up to which a person is asked which is meant; more is a list, and wrong."""

_ASKS_FOR_A_NUMBER = re.compile(
    r"\bhow (?:many|much|far|long|old|tall|fast|often)\b|\bwhat (?:percent|fraction|number)|"
    r"\b(?:calculate|compute|evaluate)\b|"
    r"\bwhat is [^?\n]{0,30}\d\s*[-+*/×÷^%]|多少|几(?!何)|计算|\d\s*[-+*/×÷^]\s*\d[^?\n]{0,20}=\s*\?",
    re.IGNORECASE,
)


def infer_kind(question: Question) -> AnswerKind:
    """How answers to a question are compared.

    Its own `kind` if it has one; choice with options; number when the known answer is a number or an expression, or,
    while nobody knows the answer, when the question asks for a quantity; else text.
    """
    if question.kind is not None:
        return question.kind
    if question.options:
        return "choice"
    gold = known_answer(question)
    if gold is None:
        return "number" if _asks_for_a_number(question.text) else "text"
    has_digit = any(ch.isdigit() for ch in clean(gold))
    return "number" if (has_digit and strict_number(gold)) or looks_like_math(clean(gold)) else "text"


def _asks_for_a_number(text: str) -> bool:
    """Whether a question asks for a quantity. "What is …" does when there are numbers to calculate with."""
    text = text[:10_000]
    figures = re.findall(r"\d+", text)
    return bool(_ASKS_FOR_A_NUMBER.search(text) or (len(figures) > 1 and re.search(r"\bwhat\b", text, re.IGNORECASE)))


def known_answer(question: Question) -> str | None:
    """The known answer without GSM8K's worked solution before `####`; None when there is none."""
    answer = (question.answer or "").rpartition("####")[2].strip()
    return answer or None


def extract(text: str, kind: AnswerKind, options: tuple[str, ...] = ()) -> Extraction:
    """The final answer in a model's text. Never raises; linear in the length of `text`.

    Args:
        text: What the model wrote, whole or cut.
        kind: How the answer will be compared.
        options: Option texts, for choices.

    Returns:
        The answer as written (full-width forms folded) and how it was found; value None and method "none" when there
        is nothing, or only a copied placeholder.
    """
    return extract_answer(text, kind, options)


def equivalent(given: str, gold: str, kind: AnswerKind, options: tuple[str, ...] = ()) -> bool | None:
    """Whether an extracted answer is the known one; None when that could not be decided.

    Numbers are compared exactly (rules: `numbers`), other mathematics by math-verify, choices by letter or
    option text, free text word for word (rules: `text.same_text`).
    """
    if kind == "number":
        return _same_quantity(given, gold)
    if kind == "choice":
        known = chosen(gold, options)
        return chosen(given, options) == known if known else same_text(given, gold)
    return same_text(given, gold)


def grade(text: str, question: Question, *, finish_reason: FinishReason | None) -> Grade:
    """The outcome of one answer, with what was extracted from it. Never raises.

    A call that failed or was filtered is an error, one that was cancelled is ungraded, and one that was cut by the
    token limit is truncated even if an answer can be read from it: it was not finished, so it is neither right nor
    wrong. These three need no known answer; without one the rest is ungraded. A `finish_reason` of None is unknown.
    """
    kind = infer_kind(question)
    extraction = extract(text, kind, question.options)
    gold = known_answer(question)
    if finish_reason in ("error", "content_filter"):
        return Grade(Outcome.ERROR, extraction)
    if finish_reason == "length":
        return Grade(Outcome.TRUNCATED, extraction)
    if finish_reason == "cancelled" or gold is None:
        return Grade(Outcome.UNGRADED, extraction)
    if extraction.value is None:
        return Grade(Outcome.UNPARSED, extraction)
    verdict = equivalent(extraction.value, gold, kind, question.options)
    if extraction.method == "whole" and verdict is not True and not is_one_sentence(text):
        # The last sentence of a long text is an answer only when it turns out to be the known one.
        return Grade(Outcome.UNPARSED, NOTHING)
    return Grade({True: Outcome.CORRECT, False: Outcome.WRONG, None: Outcome.UNGRADED}[verdict], extraction)


def _same_quantity(given: str, gold: str) -> bool | None:
    if len(given) > MAX_ANSWER_CHARS or len(gold) > MAX_ANSWER_CHARS:
        return words(given) == words(gold)
    a, b = readings(given), readings(gold)
    if len(a) == 1 and len(b) == 1:
        return same_number(a[0], b[0])
    left, right = clean(given), clean(gold)
    if left == right:
        return True
    if (len(a) == 1 or looks_like_math(left)) and (len(b) == 1 or looks_like_math(right)):
        return math_equal(to_latex(right), to_latex(left))
    if words(left) == words(right) and not looks_like_math(left):
        return True
    meant = len(b) == 1 and len(a) <= _MAX_SEVERAL and any(same_number(x, b[0]) for x in a)
    return None if meant else False
