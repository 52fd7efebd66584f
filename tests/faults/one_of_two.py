"""Runs an experiment in a process of its own when it is told to, and prints its id."""

from __future__ import annotations

import asyncio

from tale_core.experiments import ExperimentStarted, run_experiment
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.store import open_store
from tests.faults import runs


async def main() -> None:
    # Their own answers are looked up in what the other has stored, too: reuse is left out.
    from dataclasses import replace

    client = ScriptedClient(lambda _: Reply("6 times 7 is [[42]]", delay_s=0.002))
    async for event in run_experiment(replace(runs.plan(), reuse=False).checked(), client, open_store()):
        if isinstance(event, ExperimentStarted):
            print(event.experiment_id, flush=True)


if __name__ == "__main__":
    print("ready", flush=True)
    input()
    asyncio.run(main())
