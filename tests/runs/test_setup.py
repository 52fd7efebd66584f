"""Making TALE work for a model: from nothing to a working budget, within a cap, going on where it was stopped."""

from __future__ import annotations

import asyncio
import json
import random
import re
import threading
from dataclasses import replace
from typing import Any

import pytest

from tale_core.ask.plan import AskPlan, EstimateReady, ask
from tale_core.calibration.saved import usual_template
from tale_core.calls.budget_ledger import Limits
from tale_core.cli import flags
from tale_core.cli.main import main
from tale_core.datasets.ours import shipped
from tale_core.errors import InputError
from tale_core.estimators import KINDS, usual_estimator
from tale_core.models.choice import ModelChoice
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.runs import setup
from tale_core.runs.runner import runner
from tale_core.runs.setup import SetupPlan, SetupRun, SetupView, cost, readiness, setup_id
from tale_core.settings import get_settings
from tale_core.store import open_store
from tale_core.types import Question, Request
from tests.pages.app_page import opened, words

CHOICE = ModelChoice("endpoint", "scripted", "Scripted", base_url="http://127.0.0.1:9/v1")
QUESTIONS = tuple(q for q in shipped() if q.kind == "number" and q.difficulty in (1, 2, 3))
CAP = Limits(max_tokens=2_000_000)
BY_TEXT = {q.text.strip(): q for q in shipped()}


def needs(question: Question) -> int:
    """Tokens that an answer needs to be right: the longer the question, the more."""
    return 8 + len(question.text.split()) // 6 + random.Random(question.text).randint(0, 4)


def obeys_words(request: Request) -> Reply:
    """Keeps to a limit on words, ignores every other; right from `needs` tokens on."""
    prompt = request.messages[-1].content
    question = next(q for text, q in BY_TEXT.items() if text in prompt)
    found = re.search(r"at most (\d+) words?|最多用 (\d+) 个词", prompt)
    tokens = 120 if found is None else max(6, round(int(found[1] or found[2]) * 4 / 3))
    right = tokens >= needs(question)
    text = " then" * (tokens - 5) + f" [[{question.answer if right else '123456789'}]]"
    return Reply(text, chunks=(text,))  # Hundreds of answers, and nobody looks at how they arrive.


class Endpoint:
    """Counts what it is asked, and can be stopped in the middle."""

    def __init__(self, reply: Any = obeys_words, *, until: int | None = None) -> None:
        self.asked: list[Request] = []
        self.task: asyncio.Task[SetupView] | None = None
        self._reply, self._until = reply, until

    async def open(self) -> ScriptedClient:
        return ScriptedClient(self._said, model="scripted", endpoint=CHOICE.endpoint)

    def _said(self, request: Request) -> Reply:
        self.asked.append(request)
        if len(self.asked) == self._until and self.task is not None:
            self.task.cancel()
        return self._reply(request)


async def set_up(endpoint: Endpoint, **more: Any) -> SetupView:
    plan = SetupPlan(**{"questions": QUESTIONS, "searches": 20, "calibration": 6, "limits": CAP} | more)
    run = SetupRun(plan, store=open_store(), open_client=endpoint.open, choice=CHOICE)
    endpoint.task = asyncio.create_task(run.run())
    return await endpoint.task


@pytest.fixture(autouse=True)
def quickly(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Training is tested elsewhere: here one predictor is compared with the constant, or nothing is learnt."""
    kind = KINDS["regression"]
    assert kind.training is not None
    one = replace(kind, training=replace(kind.training, eligible=("neighbours",), shown=()))
    monkeypatch.setitem(KINDS, "regression", one)
    monkeypatch.setattr(setup, "TOOL_FREE", ("paper", "words"))
    if "learns" not in request.node.name:
        monkeypatch.setattr(setup, "learn", lambda at: None)


async def test_a_model_that_nobody_knows_learns_a_budget_that_works():
    endpoint = Endpoint()
    view = await set_up(endpoint)
    at = view.readiness
    assert (view.status, view.phase, view.error) == ("done", "ended", None)
    assert at.template is not None and at.template.template == usual_template("scripted", get_settings()) == "words"
    assert len(at.rows) >= 20 and at.use == "regression" == usual_estimator(model="scripted", template="words")
    assert len(at.sentences()) == 3 and view.spent.calls == len(endpoint.asked)
    unseen = [q for q in QUESTIONS if q.text not in {row.question.text for row in at.rows}][:5]
    for question in unseen:
        plan = AskPlan(question, estimator="regression", template="words")
        events = [e async for e in ask(plan.checked(model="scripted"), await endpoint.open())]
        (ready,) = (e.estimate for e in events if isinstance(e, EstimateReady))
        assert 8 <= ready.budget < 60, "learnt, and far below vanilla"


async def test_the_same_request_goes_on_where_it_was_stopped_and_pays_for_nothing_twice():
    whole = Endpoint()
    await set_up(whole)
    asked = {(r.messages, r.sampling.seed) for r in whole.asked}
    assert len(asked) == len(whole.asked), "nor within one run"
    again = Endpoint()
    view = await set_up(again)
    assert again.asked == [] and view.status == "done" and view.spent.calls == 0
    more = await set_up(again, searches=21)
    assert len(more.readiness.rows) >= 21 and not {(r.messages, r.sampling.seed) for r in again.asked} & asked


@pytest.mark.parametrize("after", [10, 40, 90])
async def test_a_stop_in_any_part_loses_what_was_in_flight_alone(after):
    first = Endpoint(until=after)
    stopped = await set_up(first)
    assert stopped.status == "cancelled" and not stopped.running
    second = Endpoint()
    view = await set_up(second)
    done = {r.messages for r in first.asked[: after - 8]}
    assert view.status == "done" and not done & {r.messages for r in second.asked}


@pytest.mark.parametrize("tokens", [800, 8_000])
async def test_the_cap_holds_for_all_parts_together_and_says_how_to_go_on(tokens):
    view = await set_up(Endpoint(), limits=Limits(max_tokens=tokens))
    assert view.status == "failed" and "another cap goes on" in (view.error or "")
    assert 0 < view.spent.tokens <= tokens


async def test_what_cannot_be_searched_says_so_and_what_cannot_be_learnt_leaves_one_budget():
    wrong = await set_up(Endpoint(lambda r: Reply("[[123456789]]")))
    assert wrong.status == "failed" and "No search found a budget" in (wrong.error or "")


async def test_one_budget_for_all_stands_where_there_are_too_few_searches():
    view = await set_up(Endpoint(), questions=QUESTIONS[:8])
    at = view.readiness
    assert view.status == "done" and at.estimator is None and at.budget is not None
    assert at.use == f"fixed:{at.budget}" and "One budget for all questions" in at.sentences()[-1]


def test_a_plan_without_a_cap_is_refused_and_its_cost_is_told_before():
    for wrong, said in (({"limits": Limits()}, "no cap"), ({"searches": 3}, "20 to"), ({"at_once": 0}, "1 to 256")):
        with pytest.raises(InputError, match=said):
            SetupPlan(**{"limits": CAP} | wrong).validate(None, "m")
    at = readiness(open_store(), CHOICE)
    first = cost(SetupPlan(limits=CAP), at, price=None, vanilla=[])
    assert first.calls > 250 and first.cost_usd is None
    known = replace(at, template=object())  # type: ignore[arg-type]
    assert cost(SetupPlan(limits=CAP), known, price=None, vanilla=[60]).tokens < first.tokens


def test_the_command_says_what_it_costs_then_does_it_and_prints_one_document(monkeypatch, capsys):
    endpoint = Endpoint()
    monkeypatch.setattr(flags, "opener", lambda choice, engine: endpoint.open)
    command = ["models", "setup", "--base-url", CHOICE.base_url, "--model", "scripted", "--questions", "6", "--json"]
    assert main([*command, "--searches", "20", "--estimate"]) == 0
    out, err = capsys.readouterr()
    told = json.loads(out)
    assert endpoint.asked == [] and told["template"] is None and told["use"] is None and told["status"] is None
    assert (
        f"{told['expected']['calls']:,} calls" in err and told["limits"]["max_tokens"] == 2 * told["expected"]["tokens"]
    )
    assert main([*command, "--searches", "20"]) == 0
    told = json.loads(capsys.readouterr().out)
    assert (told["template"], told["status"], told["use"]) == ("words", "done", f"fixed:{told['budget']}")
    assert told["searches"] >= 20 and told["spent"]["calls"] == len(endpoint.asked)
    asked = len(endpoint.asked)
    assert main([*command, "--searches", "20"]) == 0
    assert len(endpoint.asked) == asked and json.loads(capsys.readouterr().out)["spent"]["calls"] == 0


def test_the_page_says_what_it_costs_follows_what_runs_and_tells_what_was_found(monkeypatch):
    endpoint, gate = Endpoint(), threading.Event()

    async def opening() -> ScriptedClient:
        await asyncio.to_thread(gate.wait, 60)
        return await endpoint.open()

    monkeypatch.setattr("ui.setup.page.open_client", lambda choice, **options: opening())
    at = opened("pages/Setup.py", use=CHOICE)
    told = words(at.main)
    assert "Make TALE work for this model" in told and "What is left takes about" in told and not at.exception
    at.slider(key="setup_searches").set_value(20).run()
    at.button(key="setup").click().run()
    told = words(at.run().main)
    assert "0 of 20" in told and "Estimator" in told and "Reaching the model" in told and at.button(key="stop")
    gate.set()
    job = runner().get(setup_id(CHOICE))
    view = job.wait(60) if job is not None else None
    assert view is None or view.status == "done"
    told = words(at.run().main)
    assert "20 of 20" in told.replace("21 of 20", "20 of 20") and "One budget for all questions" in told
    assert not at.exception and "about 0 calls" in told, "an estimator is not learnt in this test"
