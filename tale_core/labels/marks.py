"""Marks: the sentence of a finished answer at which a person finds the answer settled, as a label of its own.

They end where an answer is closed to find out (`tale_core.calls.settling`), so that what a person says and what the
probes say is about the same places; what is no sentence by itself (a list's number, "e.g.", an empty line) belongs to
the one beside it.
"""

from __future__ import annotations

import re
from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate, pairwise

from tale_core.budgets.forcing import FORCED
from tale_core.calls.settling import Settled, sentence_ends, settled_place, trace_of
from tale_core.grading.lines import evaluated
from tale_core.store import LabelTarget, answer_key, mark_target, question_key
from tale_core.types import CallRecord, Question

_WORD = re.compile(r"\w")
_OPEN = re.compile(r"^\s*(?:\d{1,3}|[A-Za-z])\.[ \t]+$|(?:^|[\s(])(?:e\.g|i\.e|cf|vs|Dr|Mr|Mrs|Ms)\.\s*$")
"""A full stop that ends no sentence."""


@dataclass(frozen=True, slots=True)
class Markable:
    """An answer of which one sentence can be marked.

    Attributes:
        key: The label's target.
        question_key: Of its question.
        sentences: The trace in parts, each with the white space behind it; together they are the trace.
        settles: People marked different sentences, and the next mark decides.
    """

    key: str
    question_key: str
    sentences: tuple[str, ...]
    settles: bool = False


def sentences(call: CallRecord) -> tuple[str, ...]:
    """The sentences of an answer, its thought first; together they are the trace."""
    return in_sentences(trace_of(call))


def in_sentences(trace: str) -> tuple[str, ...]:
    """A trace in parts, each with the white space behind it."""
    cuts = [0, *sentence_ends(trace), len(trace)]
    parts: list[str] = []
    for piece in (trace[a:b] for a, b in pairwise(cuts)):
        if parts and (not _WORD.search(piece) or _OPEN.search(parts[-1]) or not _WORD.search(parts[-1])):
            parts[-1] += piece
        elif piece:
            parts.append(piece)
    return tuple(parts)


def markable(call: CallRecord, question: Question) -> Markable | None:
    """What can be marked of an answer; None of one that is no prose of two sentences or more, or was forced out."""
    parts = sentences(call)
    own = call.status == "done" and FORCED not in call.adjustments and not evaluated(call.prompt_template)
    if not own or len(parts) < 2:
        return None
    asked = question_key(question.text, question.options)
    answer = answer_key(asked, call.text, cut=call.finish_reason == "length")
    return Markable(mark_target(answer, call.reasoning_text), asked, parts)


def markable_target(target: LabelTarget) -> Markable | None:
    """The same of what is in front of an annotator."""
    if target.call is None or (found := markable(target.call, target.question)) is None:
        return None
    return Markable(target.mark_key, target.question_key, found.sentences, settles=target.of_mark)


def suggested(call: CallRecord, found: Settled | None) -> int | None:
    """The sentence that the probes suggest, from 1: where the model's own answer stopped changing.

    None where nobody asked, no answer was read, or only its end settles it.
    """
    if found is None or found.answer is None or found.at_token >= found.of_tokens:
        return None
    ends = list(accumulate(len(part) for part in sentences(call)))
    return bisect_left(ends, settled_place(call, found)) + 1
