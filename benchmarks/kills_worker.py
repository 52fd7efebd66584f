"""Jobs that are killed, each in a forked child; run by `benchmarks.kills`.

A line on standard input is an order as JSON: what to do, and after how many seconds from its beginning to kill it (null
lets it end). After each child a line says how it ended and when, and what it had told until then.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import tale_core.estimators.zero_shot
import tale_core.grading.expressions  # noqa: F401
from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun
from tale_core.elasticity.engine import SweepPlan
from tale_core.errors import ConnectionFailedError
from tale_core.experiments import ExperimentPlan, create_experiment, stored_plan
from tale_core.experiments.run import ExperimentRun
from tale_core.labels import Labeling
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.endpoints import resolve
from tale_core.runs.study import StudyRun
from tale_core.runs.views import resumed, view_of
from tale_core.search.engine import SearchPlan
from tale_core.store import Archive, QueueFilter, Store, import_archive, open_store
from tale_core.types import Client, Message, Question, Request, Sampling

Tell = Callable[[str], None]


def plan(kind: str, question: str) -> AskPlan | SearchPlan | SweepPlan:
    """A fresh plan of one question."""
    asked = Question(question, answer="42")
    if kind == "ask":
        return AskPlan(asked, estimator="fixed:40")
    if kind == "search":
        return SearchPlan(asked, samples=2, mode="paper")
    return SweepPlan(asked, budgets=(20, 40, 80), repeats=3, sampling=Sampling(temperature=0.7))


async def asked(order: dict[str, Any], tell: Tell) -> bool:
    """An Ask, a search, a sweep or an experiment, from its beginning or from where one was killed; whether it ended."""
    url, store = order["url"], open_store()

    async def opened() -> Client:
        return OpenAIClient(resolve("counted", base_url=url), retry=NO_RETRY)

    common: dict[str, Any] = {"store": store, "open_client": opened, "model": "counted", "endpoint": url}
    if order["kind"] == "experiment":
        made = stored_plan(store, order["resume"] or _experiment(order, store))
        tell(str(made.resume_of))
        seen = await ExperimentRun(made, **common, tables=False).run()
        return seen.status == "done"
    todo: Any = plan(order["kind"], order["question"])
    if order["resume"]:
        todo = resumed(view_of(store.get_session(order["resume"])))  # type: ignore[arg-type]
    run: Any = AskRun(todo, **common) if order["kind"] == "ask" else StudyRun(todo, **common)
    tell(run.id)
    return bool((await run.run()).status == "done")


def _experiment(order: dict[str, Any], store: Store) -> str:
    """The id of a new one, which nobody runs yet."""
    questions = tuple(Question(f"{order['question']} Time {i}.", answer="42") for i in range(60))
    new = ExperimentPlan(questions=questions, strategies=("vanilla", "fixed:30"), concurrency=6)
    made = create_experiment(new, store, model="counted", endpoint=order["url"])
    store.finish_session(str(made.resume_of), "failed")
    return str(made.resume_of)


def labelled(order: dict[str, Any], tell: Tell) -> bool:
    """Verdicts, each told once it is said to be stored."""
    labeling = Labeling(open_store())
    who = labeling.sit_down("Ada")
    tell("begun")
    for target in iter(lambda: labeling.next(who, QueueFilter()), None):
        labeling.judge(who, target, "right")
        tell(target.key)
    return True


def imported(order: dict[str, Any], tell: Tell) -> bool:
    """An archive, into a database of its own."""
    store = open_store(order["database"])
    tell("begun")
    with Archive(Path(order["archive"])) as archive:
        import_archive(store, archive, existing="replace")
    return True


def work(order: dict[str, Any], tell: Tell) -> bool:
    """Do what is ordered."""
    if order["kind"] == "labels":
        return labelled(order, tell)
    if order["kind"] == "import":
        return imported(order, tell)
    return run_to_end(asked(order, tell))


def run_to_end(job: Awaitable[bool]) -> bool:
    """In a loop of its own."""

    async def done() -> bool:
        return await job

    return asyncio.run(done())


async def warm_up() -> None:
    """Import here, and not once a child, all that a call imports: nobody listens on port 9."""
    client = OpenAIClient(resolve("counted", base_url="http://127.0.0.1:9/v1"), retry=NO_RETRY)
    with suppress(ConnectionFailedError):
        async for _ in client.stream(Request((Message("user", "?"),))):
            pass
    await client.aclose()


def child(order: dict[str, Any], pipe: int) -> None:
    """Never returns."""
    code = 1
    try:
        code = 0 if work(order, lambda words: _tell(pipe, words)) else 3
    finally:
        os._exit(code)


def _tell(pipe: int, words: str) -> None:
    os.write(pipe, f"{words}\n".encode())


def main() -> None:
    """Take orders until standard input ends."""
    asyncio.run(warm_up())
    print("ready", flush=True)
    for line in sys.stdin:
        order = json.loads(line)
        hears, tells = os.pipe()
        pid = os.fork()
        if pid == 0:
            child(order, tells)
        os.close(tells)
        told = os.read(hears, 4096)  # It has begun, or is dead.
        if order["kill_after"] is not None:
            time.sleep(order["kill_after"])
            os.kill(pid, signal.SIGKILL)
        killed_at = time.monotonic()
        while piece := os.read(hears, 65536):
            told += piece
        code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        os.close(hears)
        print(json.dumps({"code": code, "at": killed_at, "told": told.decode().split()}), flush=True)


if __name__ == "__main__":
    main()
