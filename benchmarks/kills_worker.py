"""Jobs that are killed, each in a forked child; run by `benchmarks.kills` with the numbers of pairs of pipes.

A line of a pair's first is an order as JSON: what to do, and after how many seconds from its beginning to kill it (null
lets it end). After each child a line on the second says how it ended and when, how long it had waited for a processor,
and what it had told until then.
"""

from __future__ import annotations

import asyncio
import json
import os
import select
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
MOST_S = 300.0
"""For a job that is to end by itself: one that hangs is killed."""


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
    url, store = order["url"], open_store(order["database"])

    async def opened() -> Client:
        return OpenAIClient(resolve("counted", base_url=url), retry=NO_RETRY)

    common: dict[str, Any] = {"store": store, "open_client": opened, "model": "counted", "endpoint": url}
    if order["kind"] == "experiment":
        made = stored_plan(store, order["resume"] or _experiment(order, store))
        tell(str(made.resume_of))
        seen = await ExperimentRun(made.checked(), **common, tables=False).run()
        return seen.status == "done"
    todo: Any = plan(order["kind"], order["question"])
    if order["resume"]:
        todo = resumed(view_of(store.get_session(order["resume"])))  # type: ignore[arg-type]
    run: Any = AskRun(todo.checked(), **common) if order["kind"] == "ask" else StudyRun(todo.checked(), **common)
    tell(run.id)
    return bool((await run.run()).status == "done")


def _experiment(order: dict[str, Any], store: Store) -> str:
    """The id of a new one, which nobody runs yet."""
    questions = tuple(Question(f"{order['question']} Time {i}.", answer="42") for i in range(60))
    new = ExperimentPlan(questions=questions, strategies=("vanilla", "fixed:30"), concurrency=6)
    made = create_experiment(new.checked(), store, model="counted", endpoint=order["url"])
    store.finish_session(str(made.resume_of), "failed")
    return str(made.resume_of)


def labelled(order: dict[str, Any], tell: Tell) -> bool:
    """Verdicts, each told once it is said to be stored."""
    labeling = Labeling(open_store(order["database"]))
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


def heard(hears: int, seconds: float) -> tuple[bytes, bool]:
    """What a child tells in this time, and whether it has ended."""
    told, ends = b"", time.monotonic() + seconds
    while select.select([hears], [], [], max(0.0, ends - time.monotonic()))[0]:
        piece = os.read(hears, 65536)
        told += piece
        if not piece:
            return told, True
    return told, False


def waited_s(pid: int) -> float:
    """How long a child's threads were ready and no processor was free, as Linux tells it; elsewhere 0."""
    found = 0.0
    with suppress(OSError, ValueError):
        for one in Path(f"/proc/{pid}/task").iterdir():
            found += int((one / "schedstat").read_text().split()[1]) / 1e9
    return found


def serve(take: int, tell: int) -> None:
    """Take orders until there are no more."""
    with open(take) as orders, open(tell, "w") as answers:
        for line in orders:
            answers.write(json.dumps(killed(json.loads(line))) + "\n")
            answers.flush()


def killed(order: dict[str, Any]) -> dict[str, Any]:
    """Have the job done by a child, kill it at its moment, and say how it ended."""
    hears, tells = os.pipe()
    pid = os.fork()
    if pid == 0:
        child(order, tells)
    os.close(tells)
    told = os.read(hears, 4096)  # It has begun, or is dead.
    more, ended = heard(hears, MOST_S if order["kill_after"] is None else order["kill_after"])
    waited = waited_s(pid)
    if not ended:
        os.kill(pid, signal.SIGKILL)
    at = time.monotonic()
    while piece := os.read(hears, 65536):
        more += piece
    code = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    os.close(hears)
    return {"code": code, "at": at, "waited": waited, "told": (told + more).decode().split()}


def main() -> None:
    """Import everything once, and serve every pair of pipes by a process of its own."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Whoever gives the orders decides when they end.
    asyncio.run(warm_up())
    pairs = [tuple(map(int, one.split(","))) for one in sys.argv[1:]]
    for mine in pairs:
        if os.fork() == 0:
            for other in pairs:
                if other != mine:
                    os.close(other[0]), os.close(other[1])
            serve(*mine)
            os._exit(0)
    for take, tell in pairs:
        os.close(take), os.close(tell)
    for _ in pairs:
        os.wait()


if __name__ == "__main__":
    main()
