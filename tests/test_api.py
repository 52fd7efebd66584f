"""`import tale_core as tale`: what docs/api.md shows, in scripts, in notebooks and awaited."""

from __future__ import annotations

import ast
import asyncio
import inspect
import math
import re
import subprocess
import sys
from dataclasses import replace
from decimal import Decimal
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy
import pandas
import pytest

import tale_core as tale
from tale_core import Limits
from tale_core.errors import InputError, ModelError, SessionFailedError
from tale_core.experiments import ExperimentPlan
from tale_core.experiments.estimate import cost_estimate
from tale_core.i18n import use_language
from tale_core.models import choice as choices
from tale_core.models.testing.scripted import ScriptedClient, count
from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel
from tale_core.settings import REPO_ROOT
from tale_core.types import Client, Outcome, Price, Question, Request, Sampling
from tests.support.counting_endpoint import CountingEndpoint, Reply

DOCUMENT = (REPO_ROOT / "docs" / "api.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL)


def simulated() -> SimulatedClient:
    return SimulatedClient(SimulatedModel.monotone(vanilla=120, right_from=20), "71", chunk=50)


@pytest.fixture
def instead_of_the_model(monkeypatch: pytest.MonkeyPatch) -> None:
    """What the document asks is answered by no model."""

    async def opened(choice: choices.ModelChoice, **_: object) -> Client:
        return replace(simulated(), model=choice.model, endpoint=choice.endpoint)

    monkeypatch.setattr("tale_core.api.model.open_with_progress", opened)


@pytest.mark.usefixtures("instead_of_the_model")
@pytest.mark.parametrize("block", BLOCKS, ids=["waited for", "awaited"])
async def test_the_lines_of_the_document_do_what_they_say(
    block: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # In a running event loop, as in a notebook.
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    code = compile(block, "docs/api.md", "exec", flags=ast.PyCF_ALLOW_TOP_LEVEL_AWAIT)
    if (running := eval(code, names)) is not None:
        await running
    if "answers" in names:
        assert {a.budget for a in names["answers"]} == {50} and len(names["budgets"]) == 3
        return
    assert names["found"].result.optimal_budget in range(18, 24)
    assert {c.record.outcome for c in names["answer"].calls.values()} == {Outcome.CORRECT}
    assert "plotly" in (tmp_path / "elasticity.html").read_text(encoding="utf-8")
    assert "[[71]]" in capsys.readouterr().out.replace(" ", "")


def test_ten_lines_show_it() -> None:
    assert len([line for line in BLOCKS[0].splitlines() if line.strip()]) <= 10


def test_every_job_is_there_twice_with_the_same_arguments_and_all_names_are_in_the_document() -> None:
    for name in ("ask", "search", "sweep", "run", "estimate"):
        waited, awaited = getattr(tale, name), getattr(tale, f"{name}_async")
        assert inspect.signature(waited).parameters == inspect.signature(awaited).parameters
        assert inspect.iscoroutinefunction(awaited) and waited.__name__ == name
        for argument in inspect.signature(waited).parameters:
            assert f"        {argument}: " in waited.__doc__, f"{name}: {argument} is not explained"
    assert not [name for name in tale.__all__ if name not in DOCUMENT]
    assert set(tale.__all__) <= set(dir(tale))


def test_importing_it_loads_nothing_and_a_function_stays_one_when_a_module_of_its_name_is_loaded() -> None:
    code = (
        "import sys, tale_core as tale\n"
        "assert [m for m in sys.modules if m.startswith('tale_core')] == ['tale_core'], sys.modules\n"
        "import tale_core.ask.plan, tale_core.search.engine\n"
        "from tale_core.search.engine import SearchPlan\n"
        "assert callable(tale.ask) and callable(tale.search), (tale.ask, tale.search)\n"
        "assert not any(m in sys.modules for m in ('pandas', 'plotly', 'streamlit', 'openai'))\n"
        "from tale_core import *\n"
        "assert ask is tale.ask and callable(table)\n"
        "assert not any(m in sys.modules for m in ('plotly', 'streamlit', 'openai'))\n"
        "try: tale.nothing\n"
        "except AttributeError as e: print(e)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO_ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "module 'tale_core' has no attribute 'nothing'\n", done.stderr


def test_what_it_returns_is_stored_and_comes_back_the_same_with_its_table_and_its_chart() -> None:
    client = simulated()
    kept = [
        tale.ask("What is 23 + 48?", answer="71", budget=30, model=client),
        tale.search("What is 23 + 48?", answer="71", model=client),
        tale.sweep("What is 23 + 48?", answer="71", budgets=[60, 10], repeats=2, model=client),
        tale.run([Question("What is 23 + 48?", answer="71")], "vanilla, fixed:40", model=client),
    ]
    assert not client.closed and len(tale.open_store().list_sessions()) == 4
    for record in kept:
        again = tale.open_session(getattr(record, "session_id", None) or record.experiment_id)
        assert type(again) is type(record)
        one, other = tale.table(record), tale.table(again)
        assert isinstance(one, pandas.DataFrame) and len(one) >= 2
        pandas.testing.assert_frame_equal(one, other)
        assert tale.plot(record).to_json() == tale.plot(again).to_json() != tale.plot(record, dark=True).to_json()
    laid = tale.plot(kept[2], overlays={"the same": kept[2]})
    assert {"the same"} <= {trace.name for trace in laid.data}
    assert list(tale.table(tale.load_dataset("shipped", limit=2)).columns)[:3] == ["text", "id", "answer"]


def test_what_is_known_is_not_paid_for_again() -> None:
    client = simulated()
    first = tale.sweep("What is 23 + 48?", answer="71", budgets=[60, 10], model=client)
    asked = len(client.requests)
    again = tale.sweep("What is 23 + 48?", answer="71", budgets=[60, 10], model=client)
    assert len(client.requests) == asked and again.spent.calls == 0
    assert again.result is not None and first.result is not None and again.result.points == first.result.points
    tale.sweep("What is 23 + 48?", answer="71", budgets=[60, 10], model=client, reuse=False)
    assert len(client.requests) == 2 * asked


def test_any_endpoint_is_asked_and_its_failure_is_raised_with_what_there_is() -> None:
    with CountingEndpoint(lambda prompt: Reply("[[71]]")) as endpoint:
        where = {"model": "m", "base_url": endpoint.base_url, "api_key": "sk-of-a-test"}
        done = tale.ask("What is 23 + 48?", answer="71", budget=20, **where)
        assert done.calls["budgeted"].text == "[[71]]" and done.endpoint == endpoint.base_url
        assert tale.estimate("What is 23 + 48?", estimator="fixed:7", **where).budget == 7
    with CountingEndpoint(lambda prompt: Reply(status=400)) as endpoint:
        where["base_url"] = endpoint.base_url
        with pytest.raises(SessionFailedError) as caught:
            tale.ask("What is 23 + 48?", budget=20, **where)
        assert caught.value.view.status == "failed" and "sk-of-a-test" not in str(caught.value)
        with pytest.raises(ModelError):
            tale.estimate("What is 23 + 48?", estimator="zero-shot", **where)


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (lambda: tale.ask("q", budget=5, estimator="zero-shot"), "A budget and an estimator"),
        (lambda: tale.ask(" ", budget=5, model=simulated()), "The question is empty"),
        (lambda: tale.ask(Question("q"), answer="5", budget=5, model=simulated()), "Put the answer into the Question"),
        (lambda: tale.ask("q", budget=0, model=simulated()), "fixed budget"),
        (lambda: tale.ask("q", base_url="http://127.0.0.1:1/v1"), "base_url was given without a model"),
        (lambda: tale.ask("q", model=simulated(), api_key="k"), "Give the client alone"),
        (lambda: tale.ask("q", model="no-such-model"), "no-such-model"),
        (lambda: tale.search("q", model=simulated()), "The known answer is missing"),
        (lambda: tale.search("q", answer="1", model=simulated(), limits=tale.Limits(max_cost_usd=1)), "is unknown"),
        (lambda: tale.run("shipped", limit=0, model=simulated()), "limit"),
        (lambda: tale.run([Question("q")], limit=1, model=simulated()), "loaded already"),
        (lambda: tale.run([], model=simulated()), "no questions"),
        (lambda: tale.run([Question("q")], ["no-such"], model=simulated()), "no-such"),
        (lambda: tale.plot(tale.load_dataset("shipped", limit=1)), "Loaded has no chart"),
        (lambda: tale.plot(tale.run([Question("q")], ["vanilla"], model=simulated())), "nothing to draw"),
        (lambda: tale.table(5), "int has no table"),
        (lambda: tale.ask(5, budget=5, model=simulated()), "not int"),
        (lambda: tale.ask("q", answer=["5"], budget=5, model=simulated()), "text or a number, not ['5']"),
        (lambda: tale.ask("q", answer=math.inf, budget=5, model=simulated()), "text or a number, not inf"),
        (lambda: tale.ask("q", budget=1.5, model=simulated()), "budget is 1.5. Give a whole number."),
        (lambda: tale.run(["q"], ["vanilla"], repeats="2", model=simulated()), "repeats is '2'. Give a whole"),
        (lambda: tale.run(["q"], ["vanilla"], limits=Limits(max_calls=2.5), model=simulated()), "max_calls is 2.5."),
        (lambda: tale.ask("q", sampling=Sampling(temperature=math.nan), model=simulated()), "temperature is nan."),
        (lambda: tale.run({"question": "q"}, model=simulated()), "not dict"),
        (lambda: tale.run(pandas.DataFrame({"a": [1], "b": [2]}), model=simulated()), "column"),
        (lambda: tale.load_dataset("shipped", limit=1.5), "A limit of 1.5"),
        (lambda: tale.sweep("q", budgets=[math.nan], model=simulated()), "nan is no budget"),
        (lambda: tale.sweep("q", budgets=[math.inf], model=simulated()), "inf is no budget"),
        (lambda: tale.sweep("q", budgets=[10.5], model=simulated()), "10.5 is no budget"),
        (lambda: tale.sweep("q", budgets=["10"], model=simulated()), "'10' is no budget"),
    ],
)
def test_what_is_wrong_is_said_before_anything_is_sent(call: Any, told: str) -> None:
    with pytest.raises(InputError, match=re.escape(told)):
        call()


def test_what_a_notebook_holds_is_taken_as_it_is_meant() -> None:
    frame = pandas.DataFrame({"q": ["What is 23 + 48?", "Why?"], "a": [71.0, float("nan")]})
    found = tale.run([Question(q, answer=a) for q, a in zip(frame.q, frame.a, strict=True)], ["vanilla"],
                     model=simulated())  # fmt: skip
    assert found.status == "done"
    assert tale.run(["What is 23 + 48?"], ["vanilla"], model=simulated()).status == "done"
    missing = pandas.array([None], dtype="Int64")[0]
    assert tale.ask("Why?", answer=missing, budget=50, model=simulated()).status == "done"
    budgets = pandas.Series([20.0, 80.0]).astype("int32")
    swept = tale.sweep("What is 23 + 48?", answer=71, budgets=budgets, repeats=1, model=simulated())
    assert {p.budget for p in swept.result.points} >= {20, 80} and swept.plan.question.answer == "71"


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (numpy.float32(0.1), "0.1"), (numpy.float16(2.5), "2.5"), (numpy.float64(71.0), "71"), (numpy.int8(-3), "-3"),
        (Decimal("0.10"), "0.10"), (Fraction(1, 3), "1/3"), (1e22, str(10**22)), (numpy.float32("nan"), None),
        (Decimal("nan"), None), (pandas.NaT, None), (pandas.NA, None), ("1e3", "1e3"),
    ],
)  # fmt: skip
def test_a_known_answer_has_the_digits_that_its_own_type_shows(given: Any, known: str | None) -> None:
    assert tale.sweep("q", answer=given, points=2, repeats=1, model=simulated()).plan.question.answer == known


def test_numbers_of_numpy_are_stored_as_any_wherever_one_is_given() -> None:
    two, warm = numpy.int64(2), numpy.float32(0.7)
    limits = Limits(max_calls=numpy.int64(20), max_tokens=5e5)
    sampling = Sampling(temperature=warm, seed=numpy.int32(7), max_tokens=numpy.uint16(900))
    found = tale.run(["What is 23 + 48?"], ["vanilla"], repeats=two, limits=limits, concurrency=2.0,
                     sampling=sampling, reuse=numpy.bool_(False), model=simulated())  # fmt: skip
    assert (found.results.rows[0].n, found.plan.sampling) == (2, Sampling(0.7, seed=7, max_tokens=900))
    swept = tale.sweep("What is 23 + 48?", points=two, lowest=numpy.int64(20), repeats=two, model=simulated())
    assert tale.open_session(swept.session_id).plan == swept.plan
    searched = tale.search("What is 23 + 48?", answer=71, samples=two, start=numpy.int64(30), worth=numpy.float32(0.1),
                           model=simulated())  # fmt: skip
    assert tale.open_session(searched.session_id).plan == searched.plan and searched.plan.worth == 0.1


def test_a_pandas_table_is_a_data_set_with_its_columns_found_as_those_of_a_file() -> None:
    frame = pandas.DataFrame({"question": ["What is 23 + 48?", "Half of 1?", "Why?"], "answer": [71.0, 0.5, None]})
    found = tale.run(frame.head(2), ["vanilla"], model=simulated())
    assert [q.answer for q in found.plan.questions] == ["71", "0.5"]
    single = frame.astype({"answer": "float32"}).assign(answer=lambda f: f.answer + 0.1)
    assert tale.run(single[1:2], ["vanilla"], model=simulated()).plan.questions[0].answer == "0.6"


@pytest.mark.parametrize("name", ["enforced:60", "early-exit"])
def test_what_is_told_to_be_the_most_bounds_every_request_of_an_answer_that_is_forced_out(name: str) -> None:
    def script(request: Request) -> str:
        begun = request.messages[-1].content if request.continued else ""
        return str(begun.count("so")) if "Final answer" in begun else "so " * (300 - begun.count("so"))

    price = Price(3.0, 15.0, "2026-01-01")
    client = ScriptedClient(script, continues=True, price=price)
    told = ExperimentPlan(
        questions=(Question("What is 6 x 7?"),), strategies=(name,), sampling=Sampling(max_tokens=400)
    )
    most = cost_estimate(told.checked(), count=count, price=price)
    ran = tale.run([Question("What is 6 x 7?")], [name], model=client, sampling=Sampling(max_tokens=400))
    assert len(client.requests) > 1 and ran.results.spent.tokens <= (most.tokens_worst or 0)


def test_stopping_a_waiting_call_stops_the_spending_and_the_session_says_so() -> None:
    code = (
        "import os, signal, threading, tale_core as tale\n"
        "from tale_core.models.testing.simulated import SimulatedClient, SimulatedModel\n"
        "client = SimulatedClient(SimulatedModel.flat(vanilla=5000), '71', delay_s=0.01)\n"
        "def stop():\n"
        "    while not client.requests: pass\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "threading.Thread(target=stop, daemon=True).start()\n"
        "try: tale.ask('What is 23 + 48?', budget=50, model=client)\n"
        "except KeyboardInterrupt: print(tale.open_store().list_sessions()[0].status, client.open_streams)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=REPO_ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout.split() == ["cancelled", "0"], done.stderr


async def test_cancelling_an_awaited_call_ends_its_session() -> None:
    client = SimulatedClient(SimulatedModel.flat(vanilla=5000), "71", delay_s=0.01)
    task = asyncio.create_task(tale.ask_async("What is 23 + 48?", budget=50, model=client))
    while not client.requests:
        await asyncio.sleep(0.01)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert tale.open_store().list_sessions()[0].status == "cancelled" and client.open_streams == 0


def test_it_speaks_the_language_of_whoever_calls() -> None:
    with use_language("zh"), pytest.raises(InputError, match="同时给出了预算和估计器"):
        tale.ask("q", budget=5, estimator="zero-shot")
