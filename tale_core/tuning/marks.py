"""Marked answers as answers to learn from: a right answer up to the sentence that a person marked, closed there.

So brief traces teach the model: what came after the answer was settled is not learnt. Nothing is made up: what closes a
trace is what the model itself answered when it was closed there, or the value that the whole answer came to, and it is
graded again.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from tale_core.budgets.forcing import whole_text
from tale_core.calls.settling import announced, closed_at, probe_at, trace_of
from tale_core.grading import equivalent, grade, infer_kind
from tale_core.labels.marks import sentences
from tale_core.models import tokens
from tale_core.store import MarkedAnswer, StoredAnswer
from tale_core.tuning.examples import MARKED
from tale_core.types import Outcome


def answers(marked: Iterable[MarkedAnswer]) -> list[StoredAnswer]:
    """What `examples.build` takes: each marked answer that is right, up to its mark and closed there."""
    return [found for one in marked if (found := _closed(one)) is not None]


def _closed(one: MarkedAnswer) -> StoredAnswer | None:
    call, parts = one.call, sentences(one.call)
    if call.outcome is not Outcome.CORRECT or call.finish_reason != "stop" or not 1 <= one.sentence < len(parts):
        return None  # A mark at the last sentence says that all of it was needed.
    text = _text(one, len("".join(parts[: one.sentence])))
    if text is None or not _right(one, text):
        return None
    share = tokens.count(text) / max(1, tokens.count(trace_of(call)))
    return StoredAnswer(
        one.question, text, max(1, round((call.completion_tokens or 0) * share)), Outcome.CORRECT, whole=True,
        vanilla=False, template=MARKED, budget=None, optimum=None, temperature=call.sampling.temperature,
        session_id=call.session_id, kind="mark",
    )  # fmt: skip


def _text(one: MarkedAnswer, end: int) -> str | None:
    """The trace up to there, closed by the model's own answer from there, else by the value that it came to."""
    if (probe := probe_at(one.call, one.probes, end)) is not None:
        return whole_text(probe)
    if not announced(one.call):
        return None
    request = closed_at(one.call, end)
    return whole_text(replace(one.call, messages=request.messages, text=str(one.call.extracted)))


def _right(one: MarkedAnswer, text: str) -> bool:
    question = replace(one.question, kind=infer_kind(one.question))
    found = grade(text, question, finish_reason="stop")
    if question.answer is not None:
        return found.outcome is Outcome.CORRECT
    given, known = found.extraction.value, one.call.extracted  # A person said that the whole answer is right.
    alike = given is not None and known is not None and equivalent(given, known, infer_kind(question), question.options)
    return alike is True
