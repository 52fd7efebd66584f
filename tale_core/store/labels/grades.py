"""Answers graded against the known answer that people gave: outside of transactions, since it may take a while.

Whoever writes labels asks for grades (`GradesNeeded`), which are made here, and is asked again.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TypeVar

from tale_core.errors import StoreError
from tale_core.grading import grade, infer_kind
from tale_core.grading.lines import reader
from tale_core.i18n import t
from tale_core.store.labels.types import Graded, Grades, GradesNeeded, ToGrade

T = TypeVar("T")
_TRIES = 20
"""Times that somebody else may change the same known answers while they are graded here."""


def until_graded(work: Callable[[Grades], T]) -> T:
    """Do what needs grades, again and again with those that it asked for.

    Raises:
        StoreError: Others change the same known answers all the time.
    """
    grades: dict[tuple[str, str], dict[str, Graded]] = {}
    for _ in range(_TRIES):
        try:
            return work(grades)
        except GradesNeeded as e:
            for one in e.wanted:
                grades.setdefault((one.question_key, one.gold), {}).update(_graded(one))
    raise StoreError(t("Others change the same known answers all the time."), t("Try again in a moment."))


def _graded(wanted: ToGrade) -> dict[str, Graded]:
    """The grade of every answer against the known answer, by key.

    A question that came with a known answer keeps the way in which its answers are compared; else the new answer says.
    """
    question = wanted.question
    known = replace(question, answer=wanted.gold, kind=question.kind if question.answer is not None else None)
    known = replace(known, kind=infer_kind(known))
    found = {}
    for one in wanted.answers:
        read = reader(one.template)
        result = grade(one.text, known, finish_reason=one.finish_reason, read=read)  # type: ignore[arg-type]
        found[one.key] = Graded(result.outcome.value, result.extraction.value, result.extraction.method)
    return found
