"""Getting the embedded model ready in the background, once per process, with a status that anybody can read.

A page is there at once and shows the status; an Ask waits for it; an endpoint can be used meanwhile.
"""

from __future__ import annotations

import asyncio
import logging
import threading
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Literal

from tale_core.errors import AdapterFileError, AdapterNotLoadedError, InputError, ServerStartError, TaleError
from tale_core.i18n import again, t
from tale_core.models.adapters import registry as adapters
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.run_folder import RunFolder
from tale_core.models.embedded.server import ServerInfo, ensure_server, lease, server_status
from tale_core.models.weights.fetch import FetchProgress
from tale_core.settings import get_settings
from tale_core.types import Client

log = logging.getLogger(__name__)

State = Literal["idle", "fetching", "loading", "ready", "failed"]


@dataclass(frozen=True, slots=True)
class Readiness:
    """How far the embedded model is.

    Attributes:
        message: What happens now, in plain words.
        fraction: 0 to 1 while fetching, None when it cannot be told.
        eta_s: Seconds left, None when it cannot be told.
    """

    name: str
    state: State
    message: str
    fraction: float | None = None
    eta_s: float | None = None

    @property
    def busy(self) -> bool:
        """True while something happens that a page should follow."""
        return self.state in ("fetching", "loading")


class Preparation:
    """One model's way from nothing to a running server, in a thread of its own.

    Args:
        name: Catalog name.

    Raises:
        UnknownModelError: No such name.
    """

    def __init__(self, name: str) -> None:
        self._model = embedded_model(name)
        self._lock = threading.Lock()
        self._status = Readiness(name, "idle", t("Not started."))
        self._error: TaleError | None = None
        self._thread: threading.Thread | None = None
        self._cancel = threading.Event()
        self._info: ServerInfo | None = None
        self._adding = threading.Lock()
        # Held until this process ends: a page or a command that has asked once will ask again.
        self._lease = ExitStack()
        self._leased = False

    def status(self) -> Readiness:
        """How far it is, in the language of the person asking: it is one state for all who use this process."""
        status, error = self._status, self._error
        message = str(error) if status.state == "failed" and error is not None else again(status.message)
        return replace(status, message=message)

    def start(self) -> None:
        """Start it unless it runs. When it is ready, check that the server still is, and restart it if not."""
        with self._lock:
            if self._thread is not None and self._thread.is_alive():
                return
            self._error = None
            self._cancel.clear()
            if self._status.state != "ready":
                self._say("loading", t("Looking for the model…"))
            self._thread = threading.Thread(target=self._work, name=f"tale-prepare-{self._model.name}", daemon=True)
            self._thread.start()

    def cancel(self) -> None:
        """Stop fetching; what has arrived is kept."""
        self._cancel.set()

    def release(self) -> None:
        """Give the lease back: the server leaves when nobody else uses it."""
        self._lease.close()
        self._leased = False

    async def server(self, adapter: str = "") -> ServerInfo:
        """Wait until the server is ready.

        Args:
            adapter: Key of an adapter that it must have loaded.

        Raises:
            WeightsError: The weights cannot be had.
            ServerStartError: The server did not start.
            AdapterNotLoadedError: There is no such adapter, or it cannot be loaded.
        """
        info = await self._ready()
        if not adapter or adapter in info.adapters:
            return info
        return await asyncio.to_thread(self._with_adapter, adapter)

    def _with_adapter(self, key: str) -> ServerInfo:
        with self._adding:  # Answers that want the same adapter at the same moment: the first loads it.
            try:
                one = adapters.find(key)
                if one.about.base != self._model.name:
                    raise AdapterNotLoadedError(adapters.other_base(one, self._model.name), adapters.choose_base(one))
                self._info = ensure_server(self._model.name, adapter=one, cancel=self._cancel)
            except (InputError, AdapterFileError) as e:
                raise AdapterNotLoadedError(e.message, e.hint) from e
            return self._info

    async def _ready(self) -> ServerInfo:
        if self._leased and self._status.state == "ready":
            # The usual case, without a thread of its own: it stands between a question and its first token.
            info = await asyncio.to_thread(server_status, self._model.name)
            if info is not None:
                return info
        self.start()
        # Polled: a thread that waits for minutes would take a place in the pool that the grader needs.
        while (thread := self._thread) is not None and thread.is_alive():
            await asyncio.sleep(0.02)
        if self._error is not None:
            raise self._error
        if self._info is None:
            raise ServerStartError(t("The model server did not get ready."), t("Ask again."))
        return self._info

    def _work(self) -> None:
        try:
            if not self._leased:
                self._lease.enter_context(lease(self._model.name))
                self._leased = True
            self._info = ensure_server(
                self._model.name,
                progress=lambda words: self._say("loading", words),
                fetch_progress=self._fetched,
                cancel=self._cancel,
            )
            self._say("ready", t("{model} is ready.", model=self._model.title))
        except TaleError as e:
            self._fail(e)
        except Exception as e:
            log.exception("preparing the embedded model failed unexpectedly")
            what = t("Preparing the model failed ({error}).", error=type(e).__name__)
            self._fail(ServerStartError(what, t("The log has the details.")))

    def _fail(self, error: TaleError) -> None:
        self._error = error
        self._say("failed", str(error))

    def _fetched(self, p: FetchProgress) -> None:
        fraction = p.done_bytes / p.total_bytes if p.total_bytes and p.phase in ("downloading", "checking") else None
        self._say("fetching", p.message, fraction, p.eta_s)

    def _say(self, state: State, message: str, fraction: float | None = None, eta_s: float | None = None) -> None:
        self._status = replace(self._status, state=state, message=message, fraction=fraction, eta_s=eta_s)


_all: dict[str, Preparation] = {}
_all_lock = threading.Lock()


def preparation(name: str) -> Preparation:
    """The process's preparation of this model; it is not started by asking for it.

    Args:
        name: Catalog name; a model with an adapter ("name+adapter") is prepared as its base.

    Raises:
        UnknownModelError: No such name.
    """
    name = name.partition("+")[0]
    with _all_lock:
        if name not in _all:
            _all[name] = Preparation(name)
        return _all[name]


async def open_embedded(name: str) -> Client:
    """A client for the embedded model, ready to use; waits for weights and server.

    Raises:
        UnknownModelError: No such name.
        WeightsError: The weights cannot be had.
        ServerStartError: The server did not start.
    """
    from tale_core.models.embedded.client import EmbeddedClient

    one = preparation(name)
    run = RunFolder.of(embedded_model(name), get_settings())
    return EmbeddedClient(await one.server(), run=run, server=one.server)


def forget_all() -> None:
    """Forget every preparation (for tests: each has folders of its own)."""
    with _all_lock:
        for one in _all.values():
            one.cancel()
            one.release()
        _all.clear()


__all__ = ["Preparation", "Readiness", "forget_all", "open_embedded", "preparation"]
