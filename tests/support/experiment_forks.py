"""Run by tests/experiments/test_kill.py: goes on with one experiment in forked children, and kills each when told to.

A line on standard input is the seconds until the kill, from the fork or, after "begun ", from when the child has taken
up the experiment; or it is "end" to let the child finish. After each child a line says how it ended: the signal that
killed it (negative) or its exit code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import tale_core.estimators.zero_shot
import tale_core.grading.expressions  # noqa: F401
from benchmarks.kills_worker import warm_up
from tale_core.experiments import ExperimentDone, ExperimentStarted, run_experiment, stored_plan
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.endpoints import resolve
from tale_core.store import open_store


async def go_on(experiment_id: str, base_url: str, begun: int) -> bool:
    client = OpenAIClient(resolve("counted", base_url=base_url), retry=NO_RETRY)
    store = open_store()
    async for event in run_experiment(stored_plan(store, experiment_id).checked(), client, store):
        if isinstance(event, ExperimentStarted):
            os.write(begun, b".")
        if isinstance(event, ExperimentDone):
            return event.results.complete
    return False


def main() -> None:
    experiment_id, base_url = sys.argv[1:]
    asyncio.run(warm_up())
    print("ready", flush=True)
    for line in sys.stdin:
        hears, tells = os.pipe()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if asyncio.run(go_on(experiment_id, base_url, tells)) else 3
            finally:
                os._exit(code)
        os.close(tells)
        if line.strip() != "end":
            if line.startswith("begun "):
                os.read(hears, 1)  # b"" at once if the child has died.
            time.sleep(float(line.split()[-1]))
            os.kill(child, signal.SIGKILL)
        os.close(hears)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
