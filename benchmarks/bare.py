"""The bare client: one HTTP client, lines of server-sent events, as little parsing as reading them allows.

What any program without our engine would at least do; the ruler that the stack is held against.
"""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from typing import Any

import httpx2

from benchmarks.clock import MeasurementError, Stream, Timed
from benchmarks.requests import Case
from tale_core.models.endpoints import Endpoint


class BareClient:
    """Asks the same questions as an Ask, without anything of ours between.

    Its HTTP client exists before the clock starts, which an Ask's does not: the strictest ruler.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self._endpoint = endpoint
        self._http = httpx2.AsyncClient(
            base_url=endpoint.base_url,
            headers={"Authorization": f"Bearer {endpoint.secret}"},
            timeout=httpx2.Timeout(300),
            # llama.cpp closes the connection after each stream though it promises to keep it: never use one again.
            limits=httpx2.Limits(max_keepalive_connections=0),
            trust_env=False,
        )

    async def run(self, cases: Sequence[Case], *, together: bool) -> Timed:
        """Both requests of every case: all at the same time, or one after the other.

        Raises:
            MeasurementError: The server refused or broke off.
        """
        bodies = [body for case in cases for body in case.bodies(self._endpoint)]
        started, cpu = time.perf_counter(), time.process_time()
        if together:
            streams = await asyncio.gather(*(self._answer(body, started) for body in bodies))
        else:
            streams = [await self._answer(body, started) for body in bodies]
        return Timed(tuple(streams), time.perf_counter() - started, time.process_time() - cpu, together)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _answer(self, body: dict[str, Any], started: float) -> Stream:
        stream = Stream()
        try:
            async with self._http.stream("POST", "chat/completions", json=body) as response:
                response.raise_for_status()
                async for line in response.aiter_lines():
                    if line.startswith("data: {"):
                        _take(json.loads(line[6:]), stream, started)
        except httpx2.HTTPError as e:
            raise MeasurementError(f"the bare client's request failed: {type(e).__name__}") from e
        return stream


def _take(chunk: dict[str, Any], stream: Stream, started: float) -> None:
    if chunk["choices"] and chunk["choices"][0]["delta"].get("content"):
        stream.text(time.perf_counter() - started)
    if usage := chunk.get("usage"):
        stream.tokens = usage["completion_tokens"]
        stream.prompt_tokens = usage["prompt_tokens"]
        stream.cached_tokens = (usage.get("prompt_tokens_details") or {}).get("cached_tokens")
