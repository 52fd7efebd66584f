"""Searches and sweeps whose answers people judged: found anew from what was answered, and back again."""

from __future__ import annotations

import random
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from tale_core.calls.budget_ledger import Spent
from tale_core.calls.events import CallFinished
from tale_core.elasticity.engine import SweepDone, SweepPlan, sweep
from tale_core.elasticity.view import SweepView
from tale_core.estimators.rows import rows_from_store
from tale_core.labels import Labeling
from tale_core.labels.labeling import KEPT, rederive
from tale_core.labels.text import moved_words
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.runs.views import view_of
from tale_core.search.engine import SearchDone, SearchPlan, SearchResult, SearchStep, search
from tale_core.search.view import SearchView
from tale_core.store import QueueFilter, Store, new_session_id
from tale_core.types import CallRecord, Question, SessionRecord
from tests.labels import samples

ALL = QueueFilter(which="all", overlap=0)
CATS = Question("How many legs have 3 cats?", answer="12", kind="number")
MODES = ("tale", "paper", "reference")


def tokens_of(budget: int | None) -> int:
    return 100 if budget is None else budget - 5


def searched(store: Store, answers: Mapping[int | None, str], *, vanilla_tokens: int = 100) -> str:
    """A stored search in which each budget (None: vanilla) was answered so; budgets in the order they were tried."""
    session_id = new_session_id("search")
    steps, best, least = [], None, float(vanilla_tokens)
    calls = []
    for i, (budget, answer) in enumerate(answers.items()):
        role = "vanilla" if budget is None else "probe"
        call = samples.answer(
            session_id, CATS, f"{session_id} {budget}: [[{answer}]]", role=role, requested_budget=budget,
            tokens=tokens_of(budget), phase="vanilla" if budget is None else "bisect",
        )  # fmt: skip
        calls.append(call)
        right = answer == CATS.answer
        if budget is not None and right and tokens_of(budget) < least:
            best, least = budget, float(tokens_of(budget))
        steps.append(
            {
                "index": i, "phase": call.phase, "budget": budget, "outcome": call.outcome.value,
                "tokens": float(tokens_of(budget)), "cut": False, "elastic": False, "low": 0, "high": 100,
                "best_budget": best, "best_tokens": least, "samples": 1, "right": int(right), "reused": False,
            }
        )  # fmt: skip
    failed = answers[None] != CATS.answer
    done = SearchResult(
        "tale", best, None if failed else least, "vanilla-wrong" if failed else "converged", float(vanilla_tokens),
        0.0, None, Spent(),
    ).document()  # fmt: skip
    store.create_session(
        SessionRecord(
            id=session_id, kind="search", question=CATS, model=samples.MODEL, endpoint="embedded", estimator="",
            template="paper", status="done", plan=SearchPlan(CATS).document(), calls=tuple(calls),
            result={"steps": steps, "done": done},
        )
    )  # fmt: skip
    return session_id


def found(store: Store, session_id: str) -> SearchResult:
    view = view_of(store.get_session(session_id))
    assert isinstance(view, SearchView) and view.result is not None
    return view.result


def judge(labeling: Labeling, session_id: str, budget: int | None, verdict: Any) -> Any:
    labeling.sync()
    ada = labeling.sit_down("Ada")
    target = next(
        t for t in labeling.queue.ahead(ada, ALL, limit=99)
        if t.call is not None and (t.call.session_id, t.call.requested_budget) == (session_id, budget)
    )  # fmt: skip
    return labeling.judge(ada, target, verdict)


def test_a_budget_whose_answer_was_wrong_after_all_is_no_optimum_and_the_row_moves(
    store: Store, labeling: Labeling
) -> None:
    session = searched(store, {None: "12", 50: "12", 25: "12", 12: "13"})
    assert found(store, session).optimal_budget == 25
    moved = judge(labeling, session, 25, "wrong")
    result = found(store, session)
    assert (result.optimal_budget, result.optimal_tokens) == (50, 45.0)
    (row,) = rows_from_store(store)
    assert row.optimal_budget == 50 and moved.rows == 0
    labeling.undo("ada")
    assert found(store, session).optimal_budget == 25
    assert KEPT not in (store.get_session(session).result or {})


def test_a_budget_whose_answer_was_right_after_all_becomes_the_optimum(store: Store, labeling: Labeling) -> None:
    session = searched(store, {None: "12", 50: "12", 25: "13"})
    judge(labeling, session, 25, "right")
    view = view_of(store.get_session(session))
    assert isinstance(view, SearchView) and view.result is not None
    assert view.result.optimal_budget == 25
    assert [(s.budget, s.right, s.best_budget) for s in view.steps] == [(None, 1, None), (50, 1, 50), (25, 1, 25)]


def test_a_search_whose_vanilla_answer_was_wrong_after_all_is_no_row(store: Store, labeling: Labeling) -> None:
    session = searched(store, {None: "12", 50: "12"})
    moved = judge(labeling, session, None, "wrong")
    result = found(store, session)
    assert (result.optimal_budget, result.stop_reason) == (None, "vanilla-wrong")
    assert rows_from_store(store) == [] and moved.rows == -1
    assert "1 row left the estimator's training data." in moved_words(moved)
    assert labeling.undo("ada").rows == 1
    assert len(rows_from_store(store)) == 1


def test_a_search_that_failed_never_becomes_a_row_by_a_label(store: Store, labeling: Labeling) -> None:
    session = searched(store, {None: "13"})
    moved = judge(labeling, session, None, "right")
    assert moved.rows == 0 and rows_from_store(store) == []
    assert found(store, session).optimal_budget is None


def test_an_only_probe_that_turns_right_makes_a_row(store: Store, labeling: Labeling) -> None:
    session = searched(store, {None: "12", 50: "13"})
    assert rows_from_store(store) == []
    moved = judge(labeling, session, 50, "right")
    assert moved.rows == 1 and "1 row added to the estimator's training data." in moved_words(moved)
    assert [r.optimal_budget for r in rows_from_store(store)] == [50]
    assert found(store, session).stop_reason == "converged"


def marked(calls: tuple[CallRecord, ...]) -> tuple[CallRecord, ...]:
    """The calls as after labels that say what the grader said."""
    return tuple(replace(c, labelled="verdict") for c in calls)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("seed", range(8))
async def test_labels_that_say_what_the_grader_said_leave_every_mode_of_search_as_it_was(mode: Any, seed: int) -> None:
    model = SimulatedModel.stated(random.Random(seed))
    session = await _run_search(SearchPlan(CATS, mode=mode), SimulatedClient(model, answer="12", chunk=64))
    again = rederive(replace(session, calls=marked(session.calls)))
    assert again.rows == 0 and again.result is not None
    assert {k: v for k, v in again.result.items() if k != KEPT} == session.result
    assert rederive(replace(session, result=again.result)).result == session.result


async def _run_search(plan: SearchPlan, client: Any) -> SessionRecord:
    calls, steps, done = [], [], None
    async for event in search(plan, client):
        if isinstance(event, CallFinished):
            calls.append(event.call)
        elif isinstance(event, SearchStep):
            steps.append(event.document())
        elif isinstance(event, SearchDone):
            done = event.result.document()
    return SessionRecord(
        "search-x", plan.question, client.model, client.endpoint, "", status="done", kind="search",
        plan=plan.document(), template=plan.template, result={"steps": steps, "done": done}, calls=tuple(calls),
    )  # fmt: skip


async def test_a_sweep_shows_the_accuracies_and_the_finding_that_labels_give_it(
    store: Store, labeling: Labeling
) -> None:
    plan = SweepPlan(CATS, budgets=(60, 20), repeats=1)
    calls, done = [], None
    session_id = new_session_id("sweep")
    client = ScriptedClient(lambda request: f"{request.messages[-1].content[-40:]} [[12]]")
    async for event in sweep(plan, client, session_id=session_id):
        if isinstance(event, CallFinished):
            calls.append(event.call)
        elif isinstance(event, SweepDone):
            done = event.result.document()
    store.create_session(
        SessionRecord(
            session_id, CATS, client.model, client.endpoint, "", status="done", kind="sweep", plan=plan.document(),
            result={"done": done, "finished": 4, "planned": 4}, calls=tuple(calls),
        )
    )  # fmt: skip
    before = view_of(store.get_session(session_id))
    assert isinstance(before, SweepView) and before.result is not None
    assert [p.accuracy for p in before.result.points] == [1.0] * 4
    judge(labeling, session_id, 20, "wrong")
    after = view_of(store.get_session(session_id))
    assert isinstance(after, SweepView) and after.result is not None
    assert {p.budget: p.accuracy for p in after.result.points if p.kind == "budget"} == {60: 1.0, 20: 0.0}
    assert after.result.spent == before.result.spent and after.result.rebound == before.result.rebound
    labeling.undo("ada")
    assert view_of(store.get_session(session_id)) == before
