"""`RayClient`: the workers of a cluster as one model; implements `tale_core.types.Client`.

Everything that decides (plan, limits, throttle, store) stays in this process, so that each answer is written once and
the table is the one that the local engine makes. A worker that goes away takes its calls along: they are raised as a
failure that may pass, with what had arrived, and asked again on another worker by whoever runs the plan.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator
from contextlib import suppress
from typing import Any

from tale_core.cluster.worker import Portion, to_model_error
from tale_core.errors import WorkerLostError
from tale_core.i18n import t
from tale_core.types import Completion, Delta, Price, Request, Usage

LOST_S = 1.0
"""Seconds that a worker which went away gets no calls, if there is another one."""
_keys = itertools.count()


class RayClient:
    """Asks a model from the workers of a cluster.

    Args:
        workers: Their actors.
        model: Name of the model.
        endpoint: Where it runs, as the local engine would store it.
        price: What its tokens cost.
    """

    def __init__(self, workers: list[Any], *, model: str, endpoint: str, price: Price | None) -> None:
        self._workers = workers
        self._model, self._endpoint, self._price = model, endpoint, price
        self._busy = [0] * len(workers)
        self._lost_until = [0.0] * len(workers)

    @property
    def model(self) -> str:
        """Name of the model."""
        return self._model

    @property
    def endpoint(self) -> str:
        """Where it runs."""
        return self._endpoint

    @property
    def price(self) -> Price | None:
        """What its tokens cost."""
        return self._price

    async def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Yield the answer's pieces as a worker sends them, then the whole answer.

        Raises:
            WorkerLostError: The worker went away.
            ModelError: As the worker's client raised it.
        """
        from ray.exceptions import RayError

        at, key = self._pick(), f"{os.getpid()}-{next(_keys)}"
        worker, began = self._workers[at], time.monotonic()
        text: list[str] = []
        reasoning: list[str] = []
        ended = False
        self._busy[at] += 1
        try:
            async for reference in worker.ask.remote(key, request):
                portion: Portion = await reference
                for delta in portion.deltas:
                    text.append(delta.text)
                    reasoning.append(delta.reasoning)
                    yield delta
                if portion.done is not None:
                    ended = True
                    yield portion.done
                    return
                if portion.error is not None:
                    ended = True
                    raise to_model_error(portion.error)
            ended = True
            raise self._lost("".join(text), "".join(reasoning), began)
        except RayError:
            ended = True
            self._lost_until[at] = time.monotonic() + LOST_S
            raise self._lost("".join(text), "".join(reasoning), began) from None
        finally:
            self._busy[at] -= 1
            if not ended:
                worker.stop.remote(key)

    async def count_tokens(self, text: str) -> int:
        """As the workers' client counts; a rough count while no worker answers."""
        if not text:
            return 0
        from ray.exceptions import RayError

        with suppress(RayError, TimeoutError):
            async with asyncio.timeout(10):
                return int(await self._workers[self._pick()].count_tokens.remote(text))
        return -(-len(text.encode("utf-8", "replace")) // 4)

    async def aclose(self) -> None:
        """Nothing to do: the workers belong to the engine."""

    def _pick(self) -> int:
        """The worker with the fewest calls among those that did not just go away."""
        now = time.monotonic()
        return min(range(len(self._workers)), key=lambda i: (self._lost_until[i] > now, self._busy[i], i))

    def _lost(self, text: str, reasoning: str, began: float) -> WorkerLostError:
        error = WorkerLostError(
            t("A worker of the cluster went away while it was asking."), t("The call is made again elsewhere.")
        )
        if text or reasoning:
            # The endpoint's own count died with the worker: about four bytes make a token.
            tokens = -(-len((text + reasoning).encode("utf-8", "replace")) // 4)
            error.partial = Completion(
                text=text,
                reasoning_text=reasoning,
                usage=Usage(0, tokens, estimated=True),
                finish_reason="error",
                ttft_s=None,
                latency_s=time.monotonic() - began,
            )
        return error
