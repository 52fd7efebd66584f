"""`Labeling`: what somebody who labels can do, whole.

What a search or a sweep has found is worked out anew from its answers once people have judged them (`rederive`).
Nothing is asked again: the best budget is the best of those that were tried. What was found when it ran is kept beside
it and comes back when the labels go.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from tale_core.elasticity.engine import SweepPlan, SweepResult, judged_again
from tale_core.errors import InputError
from tale_core.estimators.rows import rows_from_sessions
from tale_core.i18n import t
from tale_core.labels.marks import Markable
from tale_core.search.engine import VANILLA, SearchPlan, SearchResult, SearchStep
from tale_core.search.samples import Samples
from tale_core.store import (
    Change,
    LabelQueue,
    LabelStore,
    LabelTarget,
    Moved,
    QueueFilter,
    Rederived,
    Store,
    Verdict,
    until_graded,
)
from tale_core.types import CallRecord, Level, SessionRecord

KEPT = "before_labels"
"""Key of a result under which what was found when it ran is kept."""


class Labeling:
    """The labels of one store.

    Args:
        store: Where answers and labels are.

    Attributes:
        queue: What to label next, and how far everybody is.
    """

    def __init__(self, store: Store) -> None:
        self.store, self.queue = store, LabelQueue(store)
        self._labels = LabelStore(store, rederive)

    def sit_down(self, name: str) -> str:
        """Note an annotator; the key by which everything else knows them.

        Raises:
            InputError: The name cannot be used.
        """
        return self._labels.add_annotator(name)

    def sync(self) -> int:
        """Take in answers that were stored since, with the labels that hold for them already; how many were new."""
        return until_graded(lambda grades: self._labels.sync(grades))

    def next(self, annotator: str, wanted: QueueFilter) -> LabelTarget | None:
        """What to look at now; None at the end of the queue."""
        return self.queue.next(annotator, wanted)

    def judge(self, annotator: str, target: LabelTarget, verdict: Verdict) -> Moved:
        """Say that an answer is right or wrong, or that one cannot tell.

        A second verdict of the same person on the same answer (a double press, a tab that is behind) changes nothing.
        """
        settle = target.kind == "settle"
        return self.commit([Change(annotator, "verdict", target.key, target.question_key, verdict, settle=settle)])

    def judge_alike(self, annotator: str, target: LabelTarget, verdict: Verdict) -> Moved:
        """Say the same of every answer to the question from which the grader reads the same; undone together."""
        changes = [
            Change(annotator, "verdict", key, target.question_key, verdict)
            for key in self.queue.alike(annotator, target)
        ]
        return self.commit(changes, batch=True)

    def give_answer(self, annotator: str, target: LabelTarget, answer: str) -> Moved:
        """Give the question's known answer: all its stored answers are graded against it."""
        # Where people disagree about an answer, its verdict is what is to be settled, not the question's known answer.
        settle = target.kind == "settle" and target.key == target.question_key
        key = target.question_key
        return self.commit([Change(annotator, "gold", key, key, answer.strip(), settle=settle, replace=True)])

    def mark(self, annotator: str, answer: Markable, sentence: int) -> Moved:
        """Say after which sentence an answer is settled; a second mark of the same person moves the first.

        Raises:
            InputError: It has no such sentence.
            NotFoundError: The answer is not stored.
        """
        if not 1 <= sentence <= len(answer.sentences):
            raise InputError(
                t("There is no sentence {value!r}.", value=str(sentence)), t("Give its number, counted from 1.")
            )
        self.sync()
        mark = Change(
            annotator, "mark", answer.key, answer.question_key, str(sentence), settle=answer.settles, replace=True
        )
        return self.commit([mark])

    def skip(self, annotator: str, target: LabelTarget) -> Moved:
        """Not now: it comes again when everything else is done."""
        settle = target.kind == "settle"
        skip = Change(
            annotator, "skip", target.key, target.question_key, settle=settle, replace=settle, seen=target.skipped
        )
        return self.commit([skip])

    def undo(self, annotator: str, *, event: int | None = None) -> Moved:
        """Take back the annotator's last deed; only if it is this event, where one is given."""
        return until_graded(lambda grades: self._labels.undo(annotator, grades, event=event))

    def commit(self, changes: Sequence[Change], *, batch: bool = False, dry: bool = False) -> Moved:
        """Write changes, all or none.

        Args:
            changes: In order.
            batch: They are undone together.
            dry: Write nothing; only say what would move.

        Raises:
            InputError: A value that is no label.
            NotFoundError: A target that is not there.
        """
        name = secrets.token_hex(8) if batch else None
        return until_graded(lambda grades: self._labels.commit(changes, grades, batch=name, dry=dry))


def catch_up(store: Store) -> None:
    """Bring labels to answers that were stored since; called when a session ends, so that it shows them at once.

    A store that fails is left for the next time: labels must not fail the session that has just ended.
    """
    LabelStore(store, rederive).catch_up()


def rederive(session: SessionRecord) -> Rederived:
    """The result of a search or sweep with the outcomes that its calls have now, and the training rows it gains."""
    found = _found(session)
    rows = len(rows_from_sessions([replace(session, result=found)])) - len(rows_from_sessions([session]))
    return Rederived(found, rows)


def _found(session: SessionRecord) -> dict[str, Any] | None:
    if session.result is None:
        return None
    plain = {key: value for key, value in session.result.items() if key != KEPT}
    first: dict[str, Any] = session.result.get(KEPT) or plain
    if not any(call.labelled for call in session.calls):
        return first
    try:
        again = _search(session, first) if session.kind == "search" else _sweep(session, first)
    except (KeyError, TypeError, ValueError):
        return session.result  # Written by another version: its numbers stay as they are.
    return {**first, **again, KEPT: first}


def _sweep(session: SessionRecord, first: dict[str, Any]) -> dict[str, Any]:
    if not first.get("done"):
        return {}
    found = judged_again(SweepPlan.from_document(session.plan), SweepResult.from_document(first["done"]), session.calls)
    return {"done": found.document()}


def _search(session: SessionRecord, first: dict[str, Any]) -> dict[str, Any]:
    plan = SearchPlan.from_document(session.plan)
    steps = [SearchStep.from_document(s) for s in first.get("steps", ())]
    samples = [_samples(plan, session.calls, step.budget) for step in steps]
    if not steps or any(not one.calls for one in samples):
        return {}
    again: list[SearchStep] = []
    best, least = None, steps[0].tokens
    for step, seen in zip(steps, samples, strict=True):
        ties = plan.mode == "paper" and step.phase == "bisect"
        if step.budget is not None and seen.passed and (step.tokens < least or (ties and step.tokens == least)):
            best, least = step.budget, step.tokens
        known = {"outcome": seen.outcome, "right": seen.right, "best_budget": best, "best_tokens": least}
        again.append(replace(step, **known))  # type: ignore[arg-type]
    found = {"steps": [step.document() for step in again]}
    if not first.get("done"):
        return found
    done = _result(SearchResult.from_document(first["done"]), samples[0], best, least)
    return {**found, "done": done.document()}


def _samples(plan: SearchPlan, calls: Sequence[CallRecord], budget: Level | None) -> Samples:
    role = "vanilla" if budget is None else "probe"
    mine = [c for c in calls if (c.role, c.level) == (role, budget) and c.status == "done"]
    found = Samples(plan.samples, plan.rule)
    found.calls = sorted(mine, key=lambda c: c.repeat_index)
    return found


def _result(first: SearchResult, vanilla: Samples, best: Level | None, least: float) -> SearchResult:
    if not vanilla.passed:
        reason = VANILLA.get(vanilla.outcome, "vanilla-refused")
        return replace(first, optimal_budget=None, optimal_tokens=None, stop_reason=reason, possible_gain=0.0)
    if first.stop_reason in VANILLA.values():
        return first  # It was never searched. That it could be now, the page says.
    reason = "nothing-below" if best is None and first.stop_reason == "converged" else first.stop_reason
    return replace(first, optimal_budget=best, optimal_tokens=least, stop_reason=reason)
