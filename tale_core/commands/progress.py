"""Progress on standard error while a model is fetched and loaded."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING

from tale_core.models.choice import EMBEDDED, ModelChoice, open_client
from tale_core.models.embedded import ServerInfo
from tale_core.models.prepare import preparation
from tale_core.models.weights_progress import FetchProgress
from tale_core.types import Client

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID


def _bars() -> Progress:
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30))
    return Progress(*columns, console=Console(stderr=True), transient=True)


@contextmanager
def fetch_bar() -> Iterator[Callable[[FetchProgress], None]]:
    """A bar for one fetch; the block gets the function that moves it."""
    with _bars() as bars:
        task = bars.add_task("Looking for the model…", total=None)

        def move(p: FetchProgress) -> None:
            bars.update(task, description=p.message, completed=p.done_bytes, total=p.total_bytes or None)

        yield move


@contextmanager
def count_bar(words: str, unit: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar that counts; the block gets the function that moves it."""
    with _bars() as bars:
        task = bars.add_task(f"{words}…", total=total)

        def move(count: int) -> None:
            bars.update(task, description=f"{words}: {count:,} {unit}", completed=count)

        yield move


@contextmanager
def row_bars() -> Iterator[Callable[[str, int, int], None]]:
    """A bar for each table of a copy; the block gets the function that moves it."""
    with _bars() as bars:
        tasks: dict[str, TaskID] = {}

        def move(table: str, done: int, total: int) -> None:
            if table not in tasks:
                tasks[table] = bars.add_task(table, total=total)
            bars.update(tasks[table], completed=done)

        yield move


async def open_with_progress(choice: ModelChoice) -> Client:
    """A client for `choice`; shows how far the embedded model is while it waits."""
    if choice.kind != EMBEDDED:
        return await open_client(choice)
    async with _showing(choice.model):
        return await open_client(choice)


async def server_with_progress(name: str) -> ServerInfo:
    """The embedded model's server; shows how far it is while it waits."""
    async with _showing(name):
        return await preparation(name).server()


@asynccontextmanager
async def _showing(name: str) -> AsyncIterator[None]:
    shower = asyncio.create_task(_show(name))
    try:
        yield
    finally:
        shower.cancel()
        await asyncio.gather(shower, return_exceptions=True)


async def _show(name: str) -> None:
    await asyncio.sleep(0.5)  # A server that is already there needs no progress.
    with _bars() as bars:
        task = bars.add_task("…", total=None)
        while True:
            status = preparation(name).status()
            total = 1.0 if status.fraction is not None else None
            bars.update(task, description=status.message, completed=status.fraction or 0.0, total=total)
            await asyncio.sleep(0.2)
