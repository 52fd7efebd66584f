"""Calls made from a cluster: the parts without Ray, and the whole on a cluster of two workers on this machine."""

from __future__ import annotations

import asyncio
import json
import os
import pickle
import signal
import sys
from collections import Counter
from collections.abc import AsyncGenerator, Iterator
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from tale_core.calls.retry import RetryPolicy
from tale_core.cli.main import main
from tale_core.errors import InputError, RateLimitedError, WorkerLostError
from tale_core.experiments import ExperimentPlan
from tale_core.experiments.export import experiment_document
from tale_core.i18n import t, use_language
from tale_core.models.choice import ModelChoice, endpoint_choice, group_choice, open_client
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.groups.config import Member
from tale_core.models.groups.state import POLL_S
from tale_core.models.testing.scripted import Reply as Scripted
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.serving.ray import client as client_module
from tale_core.serving.ray import gates as gates_module
from tale_core.serving.ray import worker as worker_module
from tale_core.serving.ray.client import RayClient
from tale_core.serving.ray.engine import RayEngine
from tale_core.serving.ray.gates import AWAY_S, SILENT_S, SLOWEST_POLL_S, ClusterGates, Keeper
from tale_core.serving.ray.worker import Portion, Worker
from tale_core.settings import get_settings
from tale_core.store import Store, open_store
from tale_core.types import Delta, Message, Question, Request, Sampling
from tests.faults.runs import disturbed
from tests.support.counting_endpoint import CountingEndpoint, Reply

QUICK = RetryPolicy(base_s=0.05, outage_s=60.0)
NARROW = Member(base_url="http://127.0.0.1:1/v1", most=2)
REQUEST = Request((Message("user", "6 times 7?"),), Sampling())


class Here:
    """A keeper that is asked as an actor is, without a cluster."""

    def __init__(self, keeper: Keeper, *, away: bool = False) -> None:
        self._keeper, self.away = keeper, away

    def __getattr__(self, name: str) -> Any:
        async def remote(*given: Any) -> Any:
            if self.away:
                raise ConnectionError("the keeper is on its way to another node")
            return getattr(self._keeper, name)(*given)

        return type("Method", (), {"remote": staticmethod(remote)})


def test_the_limit_of_an_endpoint_counts_for_all_workers_together() -> None:
    keeper = Keeper()
    assert keeper.enter("a", NARROW) == keeper.enter("b", NARROW) == 0
    assert keeper.enter("a", NARROW) == POLL_S
    keeper.leave("b", NARROW)
    assert keeper.enter("a", NARROW) == 0
    keeper.leave("b", NARROW)  # A place is given back once.
    assert keeper.enter("b", NARROW) == POLL_S


def test_calls_of_a_minute_are_counted_over_all_workers() -> None:
    now = [0.0]
    keeper, slow = Keeper(lambda: now[0]), Member(base_url="http://127.0.0.1:1/v1", per_minute=2)
    assert keeper.enter("a", slow) == keeper.enter("b", slow) == 0
    now[0] = 10.0
    assert keeper.enter("c", slow) == pytest.approx(50.0)


def test_places_of_a_worker_that_went_away_are_free_when_it_begins_again_or_was_silent_for_long() -> None:
    now = [0.0]
    keeper = Keeper(lambda: now[0])
    for holder in ("a", "b"):
        assert keeper.enter(holder, NARROW) == 0
    keeper.begin("a")
    assert keeper.enter("c", NARROW) == 0 and keeper.enter("c", NARROW) == POLL_S
    now[0] = SILENT_S + 1  # "b" and "c" have not been heard of.
    keeper.sign("a")
    assert keeper.enter("a", NARROW) == keeper.enter("a", NARROW) == 0
    keeper.leave("b", NARROW)  # It comes back from the dead and has nothing to give.
    assert keeper.enter("a", NARROW) == POLL_S


async def test_who_waits_asks_less_and_less_often_and_nobody_gets_in_without_the_keeper() -> None:
    here = Here(Keeper())
    gates = ClusterGates(here, "a")
    assert [await gates.enter(NARROW) for _ in range(2)] == [0, 0]
    waits = [await gates.enter(NARROW) for _ in range(40)]
    assert waits[0] == POLL_S and waits == sorted(waits) and waits[-1] == SLOWEST_POLL_S
    await gates.leave(NARROW)
    assert await gates.enter(NARROW) == 0
    here.away = True
    assert await gates.enter(NARROW) == AWAY_S
    await gates.leave(NARROW)
    assert await gates.enter(Member(base_url="http://127.0.0.1:1/v1")) == 0  # Without limits nobody is asked.
    assert gates._signs is not None
    gates._signs.cancel()


class Slow(Here):
    """A keeper whose answers are on their way until they are let through."""

    def __init__(self, keeper: Keeper) -> None:
        super().__init__(keeper)
        self.through = asyncio.Event()

    def __getattr__(self, name: str) -> Any:
        at_once = super().__getattr__(name)

        async def remote(*given: Any) -> Any:
            found = await at_once.remote(*given)
            if name == "enter":
                await self.through.wait()
            return found

        return type("Method", (), {"remote": staticmethod(remote)})


@pytest.mark.parametrize("why", ["stop", "silence"])
async def test_a_place_that_arrives_after_a_stop_or_too_late_is_given_back(
    why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    if why == "silence":
        monkeypatch.setattr(gates_module, "SILENT_S", 0.05)
    keeper = Keeper()
    slow = Slow(keeper)
    gates = ClusterGates(slow, "a")
    asking = [asyncio.create_task(gates.enter(NARROW)) for _ in range(3)]  # The third one is refused.
    await asyncio.sleep(0.01)
    assert keeper.enter("b", NARROW) == POLL_S
    if why == "stop":
        for task in asking:
            task.cancel()
    ended = await asyncio.gather(*asking, return_exceptions=True)
    assert why == "stop" or ended == [AWAY_S] * 3
    slow.through.set()
    await asyncio.sleep(0.01)
    assert keeper.enter("b", NARROW) == keeper.enter("b", NARROW) == 0
    assert gates._signs is not None
    gates._signs.cancel()


def worker_of(client: ScriptedClient) -> Worker:
    worker = Worker(endpoint_choice(model="counted", base_url="http://127.0.0.1:1/v1"))
    worker._client = client
    return worker


async def test_a_worker_sends_an_answer_in_portions_and_the_whole_at_the_end() -> None:
    worker = worker_of(ScriptedClient(lambda _: Scripted("6 times 7 is [[42]]")))
    portions = [portion async for portion in worker.ask("1", REQUEST)]
    pieces = "".join(delta.text for portion in portions for delta in portion.deltas)
    assert pieces == "6 times 7 is [[42]]" and len(portions) < 5
    assert portions[-1].done is not None and portions[-1].done.text == pieces
    assert all(portion.done is None and portion.error is None for portion in portions[:-1])
    assert worker._running == {}


async def test_an_error_crosses_to_the_other_side_with_what_had_arrived_and_can_be_said_in_another_language() -> None:
    error = RateLimitedError(t("It still does not answer."), "Wait.", retry_after_s=7.0)
    worker = worker_of(ScriptedClient(lambda _: Scripted("6 times 7", error=error, error_after=2)))
    portions = [pickle.loads(pickle.dumps(portion)) async for portion in worker.ask("1", REQUEST)]
    crossed = portions[-1].error
    assert isinstance(crossed, RateLimitedError) and crossed.retry_after_s == 7.0
    assert crossed.partial is not None and crossed.partial.text == "6 times"
    with use_language("zh"):
        assert str(crossed).startswith("它仍然")


async def test_a_mistake_in_a_worker_is_told_and_not_taken_for_a_worker_that_went_away() -> None:
    def mistaken(_: Request) -> Scripted:
        raise ZeroDivisionError

    worker = worker_of(ScriptedClient(mistaken))
    portions = [portion async for portion in worker.ask("1", REQUEST)]
    assert "failed (ZeroDivisionError)" in str(portions[-1].error)


async def test_stop_closes_the_request_and_a_call_that_was_stopped_before_never_begins() -> None:
    client = ScriptedClient(lambda _: Scripted("a b c", delay_s=30.0))
    worker = worker_of(client)
    asked: asyncio.Task[list[Portion]] = asyncio.create_task(_all(worker, "1"))
    while not client.requests:
        await asyncio.sleep(0.001)
    await worker.stop("1")
    portions = await asyncio.wait_for(asked, 5)
    assert all(portion.done is None for portion in portions)
    await worker.stop("2")
    assert await _all(worker, "2") == [] and len(client.requests) == 1
    assert worker._stopped == {} and worker._running == {}


async def test_names_of_calls_that_had_ended_before_they_were_stopped_are_not_kept_for_ever(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(worker_module, "MOST_STOPPED", 3)
    worker = worker_of(ScriptedClient(lambda _: Scripted("[[42]]")))
    for at in range(9):
        await worker.stop(str(at))
    assert list(worker._stopped) == ["6", "7", "8"]


async def test_a_worker_that_waits_says_that_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(worker_module, "SIGN_S", 0.02)
    worker = worker_of(ScriptedClient(lambda _: Scripted("[[42]]", delay_s=0.1)))
    portions = await _all(worker, "1")
    assert portions[0] == Portion() and portions[-1].done is not None and portions[-1].done.text == "[[42]]"


class Silent:
    """A worker's actor that sends some text and then nothing more."""

    def __init__(self, *deltas: Delta) -> None:
        self.stopped: list[str] = []
        self.ask = SimpleNamespace(remote=lambda _key, _request: self._portions(deltas))
        self.stop = SimpleNamespace(remote=self.stopped.append)

    async def _portions(self, deltas: tuple[Delta, ...]) -> AsyncGenerator[Any, None]:
        sent: asyncio.Future[Portion] = asyncio.get_running_loop().create_future()
        sent.set_result(Portion(deltas))
        yield sent
        await asyncio.Event().wait()


@pytest.mark.ray
async def test_a_worker_that_falls_silent_is_lost_told_to_stop_and_not_asked_while_there_is_another(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(client_module, "SILENT_S", 0.05)
    silent, other = Silent(Delta("6 times 7 is")), Silent()
    client = RayClient([silent, other], model="counted", endpoint="http://127.0.0.1:1/v1", price=None)
    with pytest.raises(WorkerLostError) as lost:
        await _drain(client)
    assert len(silent.stopped) == 1 and client._pick() == 1 and client._busy == [0, 0]
    partial = lost.value.partial
    assert partial is not None and partial.text == "6 times 7 is" and partial.usage.estimated
    assert partial.usage.prompt_tokens == 3 and partial.usage.completion_tokens == 3  # About four bytes a token.


async def _all(worker: Worker, key: str) -> list[Portion]:
    return [portion async for portion in worker.ask(key, REQUEST)]


def test_without_ray_the_error_names_the_command_that_installs_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match="requirements-ray"):
        RayEngine()
    given = ["run", _file(tmp_path, 2), "--model", "counted", "--base-url", "http://127.0.0.1:1/v1"]
    assert main([*given, "--engine", "ray"]) == 2
    assert "pip install -r requirements-ray.txt" in capsys.readouterr().err
    assert open_store().count_sessions() == 0  # Nothing was begun.


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (["--ray-workers", "2"], "without --engine ray"),
        (["--engine", "ray", "--ray-workers", "0"], "from 1 to"),
        (["--engine", "ray", "--db", "postgresql://me:secret@db/tale"], "--db holds a password"),
        (["--engine", "ray", "--model", "smollm2-135m"], "answers on this machine only"),
    ],
)
@pytest.mark.parametrize("command", ["run", "search", "sweep"])
def test_flags_that_do_not_fit_are_told(
    given: list[str], told: str, command: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    endpoint = [] if "--model" in given else ["--model", "counted", "--base-url", "http://127.0.0.1:1/v1"]
    what = [_file(tmp_path, 2)] if command == "run" else ["What is 6 times 7?", "--answer", "42"]
    assert main([command, *what, *endpoint, *given]) == 2
    assert told in capsys.readouterr().err


# The whole, on a cluster of this machine.


@pytest.fixture(scope="module")
def cluster() -> Iterator[RayEngine]:
    before = signal.getsignal(signal.SIGTERM)
    with RayEngine(workers=2) as engine:
        assert signal.getsignal(signal.SIGTERM) is before
        yield engine


def scripted(prompt: str) -> Reply:
    """Right, wrong and unreadable answers of many lengths, decided by the prompt alone."""
    at = sum(prompt.encode()) % 10
    answer = "I cannot say" if at == 0 else "[[41]]" if at < 3 else "[[42]]"
    return Reply("thus " * (at + 1) + answer, delay_s=0.002, prompt_tokens=len(prompt.split()))


def plan_of(questions: int) -> ExperimentPlan:
    asked = tuple(Question(f"What is 6 times 7, asked for the time {i}?", answer="42") for i in range(questions))
    return ExperimentPlan(questions=asked, strategies=("vanilla", "fixed:25"), concurrency=16)


def _file(folder: Path, questions: int) -> str:
    path = folder / "questions.jsonl"
    rows = [{"question": one.text, "answer": one.answer} for one in plan_of(questions).questions]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return str(path)


def table(found: Any) -> list[dict[str, Any]]:
    """The rows of a table to the digit, but for how long it took."""
    rows: list[dict[str, Any]] = experiment_document(found)["rows"]
    return [{name: value for name, value in row.items() if not name.startswith("latency")} for row in rows]


async def _again(worker: Any) -> int:
    from ray.exceptions import RayActorError

    async with asyncio.timeout(90):
        while True:
            try:
                return int(await worker.ready.remote())
            except RayActorError:  # It is being started.
                await asyncio.sleep(0.1)


def _stored_once(store: Store, experiment_id: str, calls: int) -> None:
    done = Counter((c.unit, c.step) for c in store.get_session(experiment_id).calls if c.status == "done")
    assert len(done) == calls and set(done.values()) == {1}


MOST = 8


@pytest.fixture(scope="module")
def endpoint() -> Iterator[CountingEndpoint]:
    with CountingEndpoint(scripted) as made:
        yield made


@pytest.fixture
def lab(endpoint: CountingEndpoint) -> ModelChoice:
    """The endpoint with a limit, as a group."""
    endpoint.counts.clear()
    path = get_settings().data_dir / "endpoint-groups.toml"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f'[[lab.endpoints]]\nbase_url = "{endpoint.base_url}"\nmost = {MOST}\n')
    return group_choice("lab")


@pytest.mark.ray
@pytest.mark.timeout(300)  # It starts the cluster, and waits until a killed worker is there again.
async def test_the_table_is_that_of_the_local_engine_though_a_worker_is_killed(
    cluster: RayEngine, endpoint: CountingEndpoint, lab: ModelChoice, tmp_path: Path
) -> None:
    plan = plan_of(150)
    stores = [open_store(f"sqlite:///{tmp_path / name}.db") for name in ("local", "ray")]
    local = await disturbed(plan, await open_client(lab, retry=NO_RETRY), stores[0], retry=QUICK)
    assert endpoint.requests == plan.planned
    endpoint.counts.clear()
    endpoint.most_open = 0
    client = await cluster.open(lab)
    pids = [await worker.ready.remote() for worker in client._workers]
    assert len({*pids, os.getpid()}) == 3
    kill = lambda: os.kill(pids[0], signal.SIGKILL)  # noqa: E731
    ray = await disturbed(plan, client, stores[1], at=plan.planned // 3, disturb=kill, retry=QUICK)
    assert table(ray) == table(local) and ray.complete
    _stored_once(stores[1], ray.experiment_id, plan.planned)
    # What was in flight on the killed worker was asked for again, and nothing else.
    assert plan.planned <= endpoint.requests <= plan.planned + 2 * plan.concurrency
    # Both workers together kept the endpoint's limit, of which the plan wanted more.
    assert 1 < endpoint.most_open <= MOST < plan.concurrency
    assert await _again(client._workers[0]) not in pids  # The cluster has put another one in its place.
    for store in stores:
        store.close()


@pytest.mark.ray
async def test_a_stop_closes_what_the_workers_are_asking(
    cluster: RayEngine, endpoint: CountingEndpoint, lab: ModelChoice, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "_reply", lambda _: Reply("never", delay_s=30.0))
    client = await cluster.open(lab)
    asking = [asyncio.create_task(_drain(client)) for _ in range(4)]
    async with asyncio.timeout(60):
        while endpoint.requests < 4:
            await asyncio.sleep(0.01)
    for task in asking:
        task.cancel()
    await asyncio.gather(*asking, return_exceptions=True)
    async with asyncio.timeout(20):
        while any([await worker.calls.remote() for worker in client._workers]):
            await asyncio.sleep(0.01)


async def _drain(client: RayClient) -> None:
    async for _ in client.stream(REQUEST):
        pass


@pytest.mark.ray
def test_the_command_line_runs_on_a_cluster(
    cluster: RayEngine,
    endpoint: CountingEndpoint,
    lab: ModelChoice,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given: list[dict[str, Any]] = []

    def engine(**options: Any) -> Any:
        given.append(options)
        print("(raylet) A worker died.")  # As Ray does it, on standard output.
        return nullcontext(cluster)  # The workers that are there already: starting others takes long.

    monkeypatch.setattr("tale_core.serving.ray.engine.RayEngine", engine)
    told = ["--strategies", "vanilla", "--json", "--engine", "ray", "--ray-workers", "2"]
    assert main(["run", _file(tmp_path, 6), "--model", lab.model, *told]) == 0
    assert endpoint.requests == 6 and given == [{"address": None, "workers": 2}]
    said = capsys.readouterr()
    assert json.loads(said.out)["rows"][0]["n"] == 6 and "2 workers" in said.err and "(raylet)" in said.err


@pytest.mark.ray
@pytest.mark.parametrize("command", ["search", "sweep", "many"])
def test_searches_and_sweeps_run_on_a_cluster_and_find_what_they_find_here(
    cluster: RayEngine,
    endpoint: CountingEndpoint,
    lab: ModelChoice,
    command: str,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    given = [command, "What is 6 times 7, asked for the time 2?", "--answer", "42"]
    if command == "many":
        given = ["search", "--dataset", _file(tmp_path, 4), "--mode", "paper", "--at-once", "3"]
    given += ["--model", lab.model, "--fresh", "--json"]
    monkeypatch.setattr("tale_core.serving.ray.engine.RayEngine", lambda **_: nullcontext(cluster))
    found = []
    for at, engine in enumerate((["--engine", "local"], ["--engine", "ray"])):
        assert main([*given, *engine, "--db", f"sqlite:///{tmp_path / str(at)}.db"]) == 0
        document = json.loads(capsys.readouterr().out)
        names = ("found", "nothing_found", "failed", "spent") if command == "many" else ("result", "spent", "points")
        found.append({name: document[name] for name in names if name in document})
    assert found[0] == found[1] and found[0] and endpoint.requests == 2 * found[0]["spent"]["calls"]


def test_a_cluster_that_does_not_answer_is_told_in_words(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def init(**given: Any) -> None:
        assert given["address"] == "10.0.0.1:6379"
        raise ConnectionError("Could not connect.")

    monkeypatch.setitem(sys.modules, "ray", SimpleNamespace(init=init, is_initialized=lambda: False))  # type: ignore[arg-type]
    given = ["run", _file(tmp_path, 2), "--model", "counted", "--base-url", "http://127.0.0.1:1/v1"]
    assert main([*given, "--engine", "ray", "--ray-address", "10.0.0.1:6379"]) == 2
    told = capsys.readouterr().err
    assert "The Ray cluster at 10.0.0.1:6379 cannot be used: Could not connect." in told and "Traceback" not in told


def test_a_lost_worker_is_a_failure_that_may_pass() -> None:
    lost = WorkerLostError("A worker went away.")
    assert RetryPolicy().wait_s(lost, tries=1, waited_s=0.0) is not None
    assert RetryPolicy().wait_s(lost, tries=9, waited_s=0.0, answered=True) is not None
