"""Wherever answers in lines are asked for, shown, kept or graded again, a calculator reads them and says so."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tale_core.ask.plan import AskPlan, CallFinished, EstimateReady, ask
from tale_core.elasticity.engine import SweepDone, SweepPlan, sweep
from tale_core.experiments.columns import COLUMNS, document, table
from tale_core.experiments.estimate import cost_estimate
from tale_core.experiments.plan import ExperimentPlan
from tale_core.experiments.table import StrategyRow
from tale_core.history.text import provenance
from tale_core.i18n import use_language
from tale_core.labels import Labeling
from tale_core.models.testing.scripted import ScriptedClient, count
from tale_core.runs.documents import answer_document
from tale_core.search.engine import SearchDone, SearchPlan, search
from tale_core.store import QueueFilter, open_store
from tale_core.store.answers import stored_answers
from tale_core.strategies import hint_of, title_of, tool_of
from tale_core.types import Outcome, Question, Request, Sampling
from tests.labels import samples

PENS = Question("A box holds 6 rows of 8 pens. How many pens?", answer="48", kind="number")
LINES = "rows = 6\npens = 8\nboxes = 1\nspare = 0\nanswer = rows * pens * boxes + spare"
SHORT = "answer = 6 * 8"


def in_lines(request: Request) -> str:
    """As many lines as the budget allows; under two of them the model forgets a number."""
    found = re.search(r"at most (\d+) line", request.messages[-1].content)
    if found is None:
        return LINES
    n = int(found[1])
    return "answer = 6 * 9" if n < 2 else "\n".join([*LINES.splitlines()[: min(n, 5) - 1], SHORT])


async def test_a_search_finds_the_fewest_lines_that_keep_the_value_right() -> None:
    plan = SearchPlan(PENS, template="assignments")
    events = [e async for e in search(plan, ScriptedClient(in_lines))]
    assert isinstance(events[-1], SearchDone)
    found = events[-1].result
    assert found.optimal_budget is not None and 15 <= found.optimal_budget < count(LINES)
    assert found.optimal_tokens < found.vanilla_tokens == count(LINES)


async def test_a_sweep_measures_what_lines_cost() -> None:
    plan = SweepPlan(PENS, template="assignments", budgets=(10, 30), repeats=1, sampling=Sampling(temperature=0.0))
    events = [e async for e in sweep(plan, ScriptedClient(in_lines))]
    assert isinstance(events[-1], SweepDone)
    points = {p.budget: p for p in events[-1].result.points if p.kind != "direct"}
    assert (points[None].accuracy, points[30].accuracy, points[10].accuracy) == (1.0, 1.0, 0.0)
    assert points[30].tokens_mean < points[None].tokens_mean


async def test_an_ask_can_answer_in_lines_beside_the_vanilla_answer() -> None:
    client = ScriptedClient(lambda r: SHORT if "assignments" in r.messages[-1].content else "six times eight: [[48]]")
    events = [e async for e in ask(AskPlan(PENS, estimator="lines").checked(), client)]
    calls = {e.call.role: e.call for e in events if isinstance(e, CallFinished)}
    assert not any(isinstance(e, EstimateReady) for e in events) and len(client.requests) == 2
    assert (calls["vanilla"].prompt_template, calls["vanilla"].extracted_by) == ("paper", "brackets")
    assert (calls["budgeted"].prompt_template, calls["budgeted"].extracted_by) == ("assignments", "lines")
    assert {c.outcome for c in calls.values()} == {Outcome.CORRECT}


async def test_the_document_of_an_answer_has_its_lines_with_their_values() -> None:
    client = ScriptedClient(lambda r: "pens = 6 * 8\nanswer = pens * boxes")
    plan = AskPlan(PENS, estimator="fixed:30", template="assignments")
    calls = {e.call.role: e.call async for e in ask(plan.checked(), client) if isinstance(e, CallFinished)}
    told = answer_document(calls["budgeted"])
    assert told is not None and told["outcome"] == "unparsed" and told["lines"]["answer"] is None
    assert told["lines"]["problem"] == "No line before gives “boxes” a value."
    assert told["lines"]["lines"][0] == {"text": "pens = 6 * 8", "value": "48", "problem": None}
    prose = ScriptedClient(lambda r: "[[48]]")
    calls = {
        e.call.role: e.call
        async for e in ask(AskPlan(PENS, estimator="fixed:30").checked(), prose)
        if isinstance(e, CallFinished)
    }
    assert (answer_document(calls["vanilla"]) or {})["lines"] is None


def test_a_known_answer_given_later_grades_lines_by_their_value_and_prose_by_its_words() -> None:
    store = open_store()
    asked = Question(PENS.text, kind="number")
    samples.asked(store, asked, "rows = 6\nanswer = rows * 8", role="vanilla", prompt_template="assignments")
    samples.asked(store, asked, "It is [[48]].", role="vanilla")
    samples.asked(store, asked, "It is [[48]]!", role="vanilla", prompt_template="assignments")
    labeling = Labeling(store)
    labeling.sync()
    ada = labeling.sit_down("Ada")
    target = labeling.next(ada, QueueFilter())
    assert target is not None
    labeling.give_answer(ada, target, "48")
    found = {c.text: c for s in store.list_sessions(10) for c in store.get_session(s.id).calls}
    assert (found["rows = 6\nanswer = rows * 8"].outcome, found["rows = 6\nanswer = rows * 8"].extracted) == (
        "correct",
        "48",
    )
    assert found["rows = 6\nanswer = rows * 8"].extracted_by == "lines"
    assert found["It is [[48]]."].outcome == "correct" and found["It is [[48]]!"].outcome == "unparsed"
    store.close()


def test_what_a_tool_worked_out_teaches_no_adapter_that_has_none() -> None:
    store = open_store()
    samples.asked(store, PENS, "It is [[48]].", "[[48]]")
    samples.asked(store, PENS, SHORT, role="budgeted", prompt_template="assignments")
    assert {a.text for a in stored_answers(store, model=samples.MODEL)} == {"It is [[48]].", "[[48]]"}
    store.close()


def test_an_estimate_counts_the_worked_examples_of_lines() -> None:
    def prompts(*strategies: str, template: str = "paper") -> int:
        return cost_estimate(
            ExperimentPlan(questions=(PENS,), strategies=strategies, template=template), count=count, price=None
        ).tokens_about

    assert prompts("lines") > prompts("chain-of-draft") + 300
    assert prompts("vanilla", template="assignments") > prompts("vanilla") + 300
    assert prompts("direct", template="assignments") == prompts("direct")


def test_results_name_the_tool_where_a_strategy_has_one() -> None:
    names = ("lines", "lines-vote:3", "fixed:50@assignments", "vanilla", "vanilla@lines", "tuned:lines", "gone")
    assert [tool_of(name) for name in names] == ["calculator"] * 3 + [None] * 4
    for where in ("page", "report", "terminal"):
        shown = dict(table(COLUMNS, where, [_row("vanilla"), _row("lines")]))
        assert shown["Tool"] == ["–", "a calculator"]
        assert "Tool" not in dict(table(COLUMNS, where, [_row("vanilla")]))
    assert document(COLUMNS, _row("lines"))["tool"] == "calculator"


def _row(strategy: str) -> StrategyRow:
    return StrategyRow(strategy, 1, 1, 0, 1, 1, None, None, None, None, None, None, None, None, 0, 0, 0)


@pytest.mark.parametrize(("language", "word"), [("en", "calculator"), ("zh", "计算器")])
def test_it_is_called_the_use_of_a_tool_wherever_it_is_named(language: Any, word: str) -> None:
    with use_language(language):
        assert word in title_of("lines") and word in title_of("lines-vote:3")
        assert word in hint_of("lines") and word in hint_of("lines-vote:3")
        told = provenance(model="m", endpoint="e", template="assignments", sampling="", created_at=None)
        assert word in told
