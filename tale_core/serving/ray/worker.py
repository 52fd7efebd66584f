"""What runs in each worker of a cluster: it opens a client as this machine would, and streams answers in portions.

Keys are looked up where the worker runs, by the names of their variables; none travels.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass

from tale_core.errors import ModelError, TaleError
from tale_core.i18n import t
from tale_core.models.choice import ModelChoice, open_client
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.groups.config import Group
from tale_core.models.groups.state import Gates, GroupState
from tale_core.types import Client, Completion, Delta, Request

BATCH_S = 0.2
"""Seconds of an answer that go into one portion: a short answer is one portion."""
SIGN_S = 10.0
"""Seconds without anything after which an empty portion says that the worker is there."""
MOST_STOPPED = 10_000
"""Stopped calls that are remembered: the name of one that had ended already is never asked for again."""

Target = ModelChoice | Group
"""Whom a worker asks, without a key. A group is sent whole: its file is on the machine that runs the plan."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Portion:
    """What arrived of an answer since the last portion.

    Attributes:
        done: The whole answer; comes last.
        error: Why it ended; comes last.
    """

    deltas: tuple[Delta, ...] = ()
    done: Completion | None = None
    error: TaleError | None = None


class Worker:
    """Makes calls for a cluster.

    Args:
        target: Whom to ask.
        gates: Keep the limits of a group's endpoints, with all others that ask them.
        patient: Try again what may pass; without, the runner of the plan does.
    """

    def __init__(self, target: Target, gates: Gates | None = None, *, patient: bool = False) -> None:
        self._target, self._gates = target, gates
        self._retry = None if patient else NO_RETRY
        self._client: Client | None = None
        self._opening = asyncio.Lock()
        self._running: dict[str, asyncio.Task[None]] = {}
        self._stopped: dict[str, None] = {}

    async def ready(self) -> int:
        """Open the client; the number of this process.

        Raises:
            TaleError: It cannot be opened.
        """
        await self._open_client()
        return os.getpid()

    async def ask(self, key: str, request: Request) -> AsyncGenerator[Portion, None]:
        """Yield an answer in portions; the last one holds the whole answer or an error.

        Args:
            key: Names the call, for `stop`.
            request: What to ask.
        """
        if key in self._stopped:
            del self._stopped[key]
            return
        arrived: asyncio.Queue[Delta | Completion | TaleError | None] = asyncio.Queue()
        pump = self._running[key] = asyncio.create_task(self._pump(request, arrived))
        try:
            while True:
                portion, ended = await _portion(arrived)
                yield portion
                if ended:
                    return
        finally:
            self._running.pop(key, None)
            pump.cancel()
            await asyncio.gather(pump, return_exceptions=True)

    async def stop(self, key: str) -> None:
        """Close the request of a call: the endpoint stops generating. A call that has not begun never does."""
        if (pump := self._running.get(key)) is not None:
            pump.cancel()
        else:
            self._stopped[key] = None
            if len(self._stopped) > MOST_STOPPED:
                del self._stopped[next(iter(self._stopped))]

    async def calls(self) -> int:
        """How many calls it is making."""
        return len(self._running)

    async def count_tokens(self, text: str) -> int:
        """As the client counts."""
        return await (await self._open_client()).count_tokens(text)

    async def _pump(self, request: Request, arrived: asyncio.Queue[Delta | Completion | TaleError | None]) -> None:
        try:
            client = await self._open_client()
            async with aclosing(client.stream(request)) as stream:
                async for item in stream:
                    arrived.put_nowait(item)
        except TaleError as e:
            arrived.put_nowait(e)
        except Exception as e:
            log.exception("a worker failed unexpectedly")
            arrived.put_nowait(
                ModelError(
                    t("A worker of the cluster failed ({error}). Its log has the details.", error=type(e).__name__)
                )
            )
        finally:
            arrived.put_nowait(None)

    async def _open_client(self) -> Client:
        async with self._opening:
            if self._client is None:
                self._client = await self._open()
            return self._client

    async def _open(self) -> Client:
        if isinstance(self._target, Group):
            from tale_core.models.endpoints import read_secrets
            from tale_core.models.groups.client import open_group

            state = GroupState(self._target)
            state.gates = self._gates or state.gates
            found = read_secrets()
            return await asyncio.to_thread(open_group, self._target, secrets=found, retry=self._retry, state=state)
        return await open_client(self._target, retry=self._retry)


async def _portion(arrived: asyncio.Queue[Delta | Completion | TaleError | None]) -> tuple[Portion, bool]:
    """What arrives within `BATCH_S` of its first piece, and whether it is the end; empty after `SIGN_S` of nothing."""
    deltas: list[Delta] = []
    loop = asyncio.get_running_loop()
    until = loop.time() + SIGN_S
    while True:
        item: Delta | Completion | TaleError | None
        try:
            item = await asyncio.wait_for(arrived.get(), max(0.0, until - loop.time()))
        except TimeoutError:
            return Portion(tuple(deltas)), False
        if isinstance(item, Delta):
            until = until if deltas else loop.time() + BATCH_S
            deltas.append(item)
        elif isinstance(item, Completion):
            return Portion(tuple(deltas), done=item), True
        else:
            return Portion(tuple(deltas), error=item), True


def to_model_error(error: TaleError) -> ModelError:
    """The error as one that a client may raise."""
    return error if isinstance(error, ModelError) else ModelError(error.message, error.hint)
