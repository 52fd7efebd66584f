"""The part `proxy`: what the drop-in endpoint adds to the first byte's time with 64 streams at once, and its errors.

Rounds of 64 streams, begun one after the other while the first ones wait, go straight to an endpoint that answers after
a fixed time, and through `tale proxy` before it, by turns in one run. Client, proxy and endpoint share this machine:
what is timed holds their waiting for a processor too.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from statistics import median, quantiles
from typing import NamedTuple

import httpx2

from benchmarks.figures import Goal, Interval, median_interval
from benchmarks.fixed_endpoint import asked_of, fixed_endpoint
from benchmarks.machine import load
from benchmarks.parts import Options, PartResult, Table
from tale_core.models.client.http import passing
from tale_core.settings import get_settings
from tale_core.store import TrafficStore, open_store

STREAMS, REQUESTS, LATENCY_S = 64, 1280, 1.0
ASKED = {"model": "m", "stream": True, "messages": [{"role": "user", "content": "What is six times seven?"}]}


class Round(NamedTuple):
    """Seconds to the first byte of each stream, and how many failed."""

    first: list[float]
    errors: int


def run(options: Options) -> PartResult:
    """Measure."""
    before = load()
    asked = options.limit or REQUESTS
    with fixed_endpoint(LATENCY_S) as direct, _proxy(direct) as through:
        rounds = asyncio.run(_by_turns(direct, through, max(2, asked // STREAMS)))
        seen = asked_of(direct)
        counted = (
            sum(one.done for one in TrafficStore(open_store()).models()) - STREAMS
        )  # The first round opens connections.
    added = [(median(b.first) - median(a.first)) * 1000 for a, b in rounds if a.first and b.first]
    ratio = [median(b.first) / median(a.first) for a, b in rounds if a.first and b.first]
    sent = STREAMS * len(rounds)
    errors = sum(b.errors for _, b in rounds)
    goals = (
        Goal("the proxy adds at most 20 ms to the median time to the first byte", "at most", 20,
             median_interval(added), "ms"),
        Goal(f"no error in {sent:,} requests through it", "at most", 0, _exactly(errors)),
        Goal("every request through it is counted once", "at least", 1.0, _exactly(counted / max(1, sent - errors))),
    )  # fmt: skip
    table = Table(
        f"Time to the first byte, {STREAMS} streams at once, an endpoint that answers after {LATENCY_S * 1000:.0f} ms",
        ("way", "requests", "errors", "median ms", "p95 ms"),
        tuple(_row(name, [pair[place] for pair in rounds]) for place, name in enumerate(("straight", "through"))),
    )
    data = {"added_ms": added, "ratio": ratio, "errors": errors, "counted": counted, "seen": seen, "sent": sent,
            "load_before": before}  # fmt: skip
    return PartResult("proxy", (table,), goals, data, (f"Through against straight: {median(ratio):.2f} times.",))


def _row(name: str, rounds: list[Round]) -> tuple[str, ...]:
    first = [s * 1000 for one in rounds for s in one.first]
    return (name, f"{STREAMS * len(rounds):,}", f"{sum(one.errors for one in rounds):,}", f"{median(first):.1f}",
            f"{quantiles(first, n=20)[-1]:.1f}")  # fmt: skip


def _exactly(value: float) -> Interval:
    return median_interval([value])


@contextmanager
def _proxy(upstream: str) -> Iterator[str]:
    command = [sys.executable, "-m", "tale_core", "proxy", "--upstream", upstream, "--sample", "0", "--json"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as process:
        assert process.stdout is not None
        try:
            yield json.loads(process.stdout.readline())["base_url"]
        finally:
            process.terminate()
            process.wait(30)


async def _by_turns(direct: str, through: str, turns: int) -> list[tuple[Round, Round]]:
    clients = [passing(url, get_settings(), connections=STREAMS)[0] for url in (direct, through)]
    try:
        for client, url in zip(clients, (direct, through), strict=True):
            await _round(client, url)  # Connections are open from here on.
        found = []
        for _ in range(turns):
            found.append((await _round(clients[0], direct), await _round(clients[1], through)))
        return found
    finally:
        for client in clients:
            await client.aclose()


async def _round(client: httpx2.AsyncClient, url: str) -> Round:
    found = await asyncio.gather(*(_one(client, url, LATENCY_S * place / STREAMS) for place in range(STREAMS)))
    return Round([first for first in found if first is not None], found.count(None))


async def _one(client: httpx2.AsyncClient, url: str, wait_s: float) -> float | None:
    """Seconds to the first byte; None where it failed or did not end as a stream does."""
    await asyncio.sleep(wait_s)
    began, first, tail = time.perf_counter(), None, b""
    try:
        async with client.stream("POST", f"{url}/chat/completions", json=ASKED) as answer:
            async for piece in answer.aiter_raw():
                first = first or time.perf_counter() - began
                tail = (tail + piece)[-20:]
            return first if answer.status_code == 200 and tail.endswith(b"data: [DONE]\n\n") else None
    except httpx2.HTTPError:
        return None
