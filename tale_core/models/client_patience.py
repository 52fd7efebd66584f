"""How long a silence may last, for a whole stream of waits with one timer.

`asyncio.timeout` sets and cancels a timer for every token; here one timer looks, when it is due, whether the wait that
runs by then has lasted too long. Knows tasks and clocks; knows no network.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from typing import TypeVar

T = TypeVar("T")


class Patience:
    """Time limits for waits of one task at a time, one after the other. Call `close` after the last."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.TimerHandle | None = None
        self._waiting: asyncio.Task[object] | None = None
        self._deadline = 0.0
        self._expired = False

    async def wait(self, work: Awaitable[T], seconds: float) -> T:
        """The result of `work`, which is cancelled after so many seconds.

        Raises:
            TimeoutError: It took longer.
        """
        task = asyncio.current_task()
        assert task is not None
        cancelling = task.cancelling()
        self._deadline = self._loop.time() + seconds
        self._expired = False
        if self._timer is None or self._timer.when() > self._deadline:
            self._set()
        self._waiting = task
        try:
            result = await work
        except BaseException as e:
            # As in asyncio.timeout: a cancellation that came from elsewhere at the same time goes first.
            if self._expired and task.uncancel() <= cancelling and isinstance(e, asyncio.CancelledError):
                raise TimeoutError from None
            raise
        finally:
            self._waiting = None
        if self._expired:
            task.uncancel()
        return result

    def close(self) -> None:
        """Forget the timer."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _set(self) -> None:
        self.close()
        self._timer = self._loop.call_at(self._deadline, self._look)

    def _look(self) -> None:
        self._timer = None
        if self._waiting is None:
            return
        if self._loop.time() < self._deadline:
            self._set()
            return
        self._expired = True
        self._waiting.cancel()
