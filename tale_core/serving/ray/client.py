"""`RayClient`: the workers of a cluster as one model; implements `tale_core.types.Client`.

Everything that decides (plan, limits, throttle, store) stays in this process, so that each answer is written once and
the table is the one that the local engine makes. A worker that goes away takes its calls along: they are raised as a
failure that may pass, with what had arrived, and asked again on another worker by the runner of the plan.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import suppress
from typing import Any

from tale_core.errors import WorkerLostError
from tale_core.i18n import t
from tale_core.serving.ray.worker import Portion, to_model_error
from tale_core.types import Completion, Delta, Price, Request, Usage

LOST_S = 1.0
"""Seconds that a worker which went away gets no calls, if there is another one."""
SILENT_S = 60.0
"""A worker that sends nothing for so long, not even a sign of life, is taken for one that went away."""
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
            portions = aiter(worker.ask.remote(key, request))
            while (portion := await _next(portions)) is not None:
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
            raise _lost(request, "".join(text), "".join(reasoning), began)
        except (RayError, TimeoutError) as e:
            ended = isinstance(e, RayError)  # A silent one may still be asking.
            self._lost_until[at] = time.monotonic() + (LOST_S if ended else SILENT_S)
            raise _lost(request, "".join(text), "".join(reasoning), began) from None
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
        return _about(text)

    async def aclose(self) -> None:
        """Nothing to do: the workers belong to the engine."""

    def _pick(self) -> int:
        """The worker with the fewest calls among those that did not just go away."""
        now = time.monotonic()
        return min(range(len(self._workers)), key=lambda i: (self._lost_until[i] > now, self._busy[i], i))


async def _next(portions: AsyncIterator[Any]) -> Portion | None:
    """The next portion; None at the end.

    Raises:
        TimeoutError: The worker is silent.
    """
    async with asyncio.timeout(SILENT_S):
        try:
            found: Portion = await (await anext(portions))
        except StopAsyncIteration:
            return None
        return found


def _about(text: str) -> int:
    """Tokens, roughly: about four bytes make one."""
    return -(-len(text.encode("utf-8", "replace")) // 4)


def _lost(request: Request, text: str, reasoning: str, began: float) -> WorkerLostError:
    error = WorkerLostError(
        t("A worker of the cluster went away while it was asking."), t("The call is made again elsewhere.")
    )
    if text or reasoning:  # The endpoint's own count died with the worker.
        prompt = _about("\n".join(message.content for message in request.messages))
        error.partial = Completion(
            text=text,
            reasoning_text=reasoning,
            usage=Usage(prompt, _about(text + reasoning), estimated=True),
            finish_reason="error",
            ttft_s=None,
            latency_s=time.monotonic() - began,
        )
    return error
