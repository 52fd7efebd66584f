"""Progress on standard error: while a model is fetched and loaded, while something is counted, while a run goes on."""

from __future__ import annotations

import asyncio
import sys
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from tale_core.cli.output import console_of, say
from tale_core.types import Client

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress, TaskID

    from tale_core.elasticity.view import SweepView
    from tale_core.experiments.run import ExperimentView
    from tale_core.models.choice import ModelChoice
    from tale_core.models.embedded.server import ServerInfo
    from tale_core.models.weights.progress import FetchProgress
    from tale_core.runs.runner import Run
    from tale_core.search.view import SearchView

V = TypeVar("V", bound="SearchView | SweepView | ExperimentView")
REFRESH_S = 0.25


def _bars() -> Progress:
    from rich.progress import BarColumn, Progress, TextColumn

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30))
    return Progress(*columns, console=console_of(stderr=True), transient=True)


@contextmanager
def fetch_bar() -> Iterator[Callable[[FetchProgress], None]]:
    """A bar for one fetch; the block gets the function that moves it."""
    with _bars() as bars:
        task = bars.add_task("Looking for the model…", total=None)

        def move(p: FetchProgress) -> None:
            bars.update(task, description=p.message, completed=p.done_bytes, total=p.total_bytes or None)

        yield move


@contextmanager
def words_bar() -> Iterator[Callable[[str, float | None], None]]:
    """A bar over steps that say what they are; the block gets the function that moves it."""
    with _bars() as bars:
        task = bars.add_task("…", total=None)
        yield lambda words, share: bars.update(task, description=words, completed=share or 0.0, total=share and 1.0)


@contextmanager
def count_bar(words: str, unit: str, *, total: int | None = None) -> Iterator[Callable[[int], None]]:
    """A bar that counts; the block gets the function that moves it."""
    with _bars() as bars:
        task = bars.add_task(f"{words}…", total=total)

        def move(count: int) -> None:
            bars.update(task, description=f"{words}: {count:,} {unit}", completed=count)

        yield move


@contextmanager
def file_bar(words: str) -> Iterator[Callable[[int, int], None]]:
    """A bar over the bytes of a file; the block gets the function that moves it."""
    with _bars() as bars:
        task = bars.add_task(f"{words}…", total=None)
        yield lambda read, size: bars.update(task, completed=read, total=size)


@contextmanager
def timed_bar(words: str, *, total: int | None = None, transient: bool = False) -> Iterator[tuple[Progress, TaskID]]:
    """A bar with a count and the time that is left; the block gets it and its task."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(words), BarColumn(bar_width=30), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console_of(stderr=True), transient=transient) as bar:
        yield bar, bar.add_task(words, total=total)


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


async def open_with_progress(choice: ModelChoice, *, key: str | None = None, again: bool = True) -> Client:
    """A client for `choice`; shows how far the embedded model is while it waits.

    Args:
        choice: The model.
        key: Its endpoint's, where the environment has none.
        again: The client tries again what may pass; an experiment does that itself, with fewer calls at a time.
    """
    from tale_core.models.choice import EMBEDDED, open_client
    from tale_core.models.client.retry import NO_RETRY

    if choice.kind != EMBEDDED:
        return await open_client(choice, key=key, retry=None if again else NO_RETRY)
    async with _meanwhile(_show(choice.model)):
        return await open_client(choice)


async def server_with_progress(name: str, adapter: str = "") -> ServerInfo:
    """The embedded model's server, with this adapter loaded; shows how far it is while it waits."""
    from tale_core.models.embedded.prepare import preparation

    async with _meanwhile(_show(name)):
        return await preparation(name).server(adapter)


async def watched(run: Run[V], draw: Callable[[Console], Coroutine[Any, Any, None]], *, name: str) -> V:
    """Run to the end, drawn on the terminal meanwhile: nothing where standard error is no terminal.

    Args:
        run: Not begun yet.
        draw: Draws it for ever.
        name: What its id is called.
    """

    async def show() -> None:
        console = console_of(stderr=True)
        if not console.is_terminal or threading.current_thread() is not threading.main_thread():
            return
        while run.view().phase == "preparing":  # Fetching and loading draw a bar of their own.
            await asyncio.sleep(REFRESH_S)
        await draw(console)

    say(f"{name} {run.id}", file=sys.stderr)
    async with _meanwhile(show()):
        return await run.run()


@asynccontextmanager
async def _meanwhile(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    shower = asyncio.create_task(work)
    try:
        yield
    finally:
        shower.cancel()
        await asyncio.gather(shower, return_exceptions=True)


async def _show(name: str) -> None:
    from tale_core.models.embedded.prepare import preparation

    await asyncio.sleep(0.5)  # A server that is already there needs no progress.
    with _bars() as bars:
        task = bars.add_task("…", total=None)
        while True:
            status = preparation(name).status()
            total = 1.0 if status.fraction is not None else None
            bars.update(task, description=status.message, completed=status.fraction or 0.0, total=total)
            await asyncio.sleep(0.2)
