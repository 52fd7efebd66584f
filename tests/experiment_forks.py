"""Run by test_experiments_kill: goes on with one experiment in forked children, and kills each when told to.

A line on standard input is the seconds until the kill, or "end" to let the child finish. After each child a line says
how it ended: the signal that killed it (negative) or its exit code.
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
import time

import openai  # noqa: F401  (imported once here, not once a child)

import tale_core.estimators.zero_shot
import tale_core.grading.expressions
import tale_core.models.client
import tale_core.models.client_loopback  # noqa: F401
from tale_core.experiments import ExperimentDone, run_experiment, stored_plan
from tale_core.models.client import OpenAIClient
from tale_core.models.client_retry import NO_RETRY
from tale_core.models.endpoints import resolve
from tale_core.store import open_store


async def go_on(experiment_id: str, base_url: str) -> bool:
    client = OpenAIClient(resolve("counted", base_url=base_url), retry=NO_RETRY)
    store = open_store()
    async for event in run_experiment(stored_plan(store, experiment_id), client, store):
        if isinstance(event, ExperimentDone):
            return event.results.complete
    return False


def main() -> None:
    experiment_id, base_url = sys.argv[1:]
    print("ready", flush=True)
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            code = 1
            try:
                code = 0 if asyncio.run(go_on(experiment_id, base_url)) else 3
            finally:
                os._exit(code)
        if line.strip() != "end":
            time.sleep(float(line))
            os.kill(child, signal.SIGKILL)
        print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)


if __name__ == "__main__":
    main()
