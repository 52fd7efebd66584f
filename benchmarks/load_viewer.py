"""A browser-like viewer of the app: one websocket that speaks Streamlit's own protocol, with Streamlit's own messages.

It keeps what a browser keeps (the values of the widgets, the address, the fragments that run by the clock) and draws
nothing.
"""

from __future__ import annotations

import asyncio
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from http.cookiejar import CookieJar
from typing import Any, Self
from urllib.parse import parse_qs, urlencode

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.WidgetStates_pb2 import WidgetState
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import WebSocketException
from websockets.typing import Subprotocol

LONGEST_S = 60.0
"""Seconds that a viewer waits for anything."""


@dataclass
class Viewer:
    """One browser tab.

    Args:
        port: Where the app listens, on loopback.
        token: Of the owner's link, for somebody who comes by it.

    Attributes:
        problems: Exceptions and errors that the pages have shown, in words.
    """

    port: int
    token: str = ""
    problems: list[str] = field(default_factory=list)
    _socket: ClientConnection | None = None
    _values: dict[str, WidgetState] = field(default_factory=dict)
    _ids: dict[str, str] = field(default_factory=dict)
    _off: set[str] = field(default_factory=set)
    _page: str = ""
    _query: str = ""
    _hashes: dict[str, str] = field(default_factory=dict)
    _finished: int = 0
    _running: bool = False
    _news: asyncio.Event = field(default_factory=asyncio.Event)
    _clocks: dict[str, asyncio.Task[None]] = field(default_factory=dict)
    _reader: asyncio.Task[None] | None = None

    async def __aenter__(self) -> Self:
        cookie = await asyncio.to_thread(_cookie, self.port, self.token)
        self._socket = await connect(
            f"ws://127.0.0.1:{self.port}/_stcore/stream", max_size=None, open_timeout=LONGEST_S,
            origin=f"http://127.0.0.1:{self.port}", subprotocols=[Subprotocol("streamlit")], proxy=None,  # type: ignore[arg-type]
            additional_headers={"Cookie": cookie} if cookie else None,
        )  # fmt: skip
        self._reader = asyncio.create_task(self._read())
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._stop_clocks()
        assert self._socket is not None and self._reader is not None
        self._reader.cancel()
        await asyncio.gather(self._reader, return_exceptions=True)
        await self._socket.close()

    async def open(self, page: str, query: str = "") -> float:
        """Open a page by its name ("" is the first one); seconds until it is drawn."""
        self._page, self._query = page, query
        self._values.clear()
        self._ids.clear()
        return await self._rerun()

    async def fill(self, key: str, text: str) -> float:
        """Type into a box and leave it; seconds until the page is drawn again."""
        self._values[key] = WidgetState(id=self._id(key), string_value=text)
        return await self._rerun()

    def write(self, key: str, text: str) -> None:
        """Type into a box of a form, which is sent with the form's button."""
        self._values[key] = WidgetState(id=self._id(key), string_value=text)

    def part(self, name: str) -> str:
        """A part of the address; "" where it has none of this name."""
        return parse_qs(self._query).get(name, [""])[-1]

    async def press(self, key: str, *, until: Callable[[], bool] | None = None) -> float:
        """Press a button; seconds until the page is drawn again, or until something is there."""
        self._values[key] = WidgetState(id=self._id(key), trigger_value=True)
        return await self._rerun(until)

    def has(self, key: str) -> bool:
        """Whether a widget of this key was drawn since the last time that everything was drawn anew."""
        return key in self._ids

    def can(self, key: str) -> bool:
        """Whether a widget of this key is there and not greyed out: a browser lets nobody press it else."""
        return key in self._ids and key not in self._off

    async def until(self, there: Callable[[], bool]) -> None:
        """Wait for something that the app sends by itself.

        Raises:
            TimeoutError: It did not come.
        """
        async with asyncio.timeout(LONGEST_S):
            while not there():
                self._news.clear()
                await self._news.wait()

    async def settled(self) -> None:
        """Wait until nothing runs."""
        await self.until(lambda: not self._running)

    def _id(self, key: str) -> str:
        if key not in self._ids:
            raise KeyError(f"there is no widget {key!r} on {self._page or 'the first page'}")
        return self._ids[key]

    async def _rerun(self, until: Callable[[], bool] | None = None) -> float:
        began, before = time.perf_counter(), self._finished
        self._stop_clocks()
        message = self._message()
        for key in [key for key, value in self._values.items() if value.WhichOneof("value") == "trigger_value"]:
            del self._values[key]
            self._ids.pop(key, None)
        await self._send(message)
        await self.until(until or (lambda: self._finished > before))
        return time.perf_counter() - began

    def _message(self, fragment: str = "") -> BackMsg:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_name, state.fragment_id = self._query, self._page, fragment
        # The first time a browser knows the page's name alone, from its address.
        state.page_script_hash = self._hashes.get(self._page, "")
        state.is_auto_rerun = bool(fragment)
        state.widget_states.widgets.extend(self._values.values())
        state.context_info.timezone, state.context_info.locale = "UTC", "en-US"
        state.context_info.url = f"http://127.0.0.1:{self.port}/{self._page}"
        return message

    async def _send(self, message: BackMsg) -> None:
        assert self._socket is not None
        await self._socket.send(message.SerializeToString())

    async def _read(self) -> None:
        assert self._socket is not None
        try:
            async for data in self._socket:
                assert isinstance(data, bytes)
                message = ForwardMsg()
                message.ParseFromString(data)
                self._take(message)
                self._news.set()
            self.problems.append("the connection was closed")
        except WebSocketException as e:
            self.problems.append(f"the connection broke: {e}")

    def _take(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "script_finished":
            self._running = False
            if message.script_finished == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
                self.problems.append("a page does not compile")
            self._finished += message.script_finished == ForwardMsg.FINISHED_SUCCESSFULLY
        elif kind == "page_info_changed":
            self._query = message.page_info_changed.query_string
        elif kind == "auto_rerun":
            self._start_clock(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "stop_auto_rerun":
            for fragment in message.stop_auto_rerun.fragment_ids:
                if (clock := self._clocks.pop(fragment, None)) is not None:
                    clock.cancel()
        elif kind == "new_session":
            self._running = True
        elif kind == "navigation":
            self._pages(message.navigation)
        elif kind == "page_not_found":
            self.problems.append(f"there is no page {message.page_not_found.page_name!r}")
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._drawn(message.delta.new_element)

    def _pages(self, navigation: Any) -> None:
        names = {page.page_script_hash: "" if page.is_default else page.url_pathname for page in navigation.app_pages}
        self._hashes = {name: hashed for hashed, name in names.items()}
        self._page = names[navigation.page_script_hash]

    def _drawn(self, element: Any) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            self.problems.append(f"{element.exception.type}: {element.exception.message}")
        elif kind == "alert" and element.alert.format == Alert.ERROR:
            self.problems.append(element.alert.body)
        elif kind is not None and (name := getattr(getattr(element, kind), "id", "")):
            # "$$ID-<hash>-<key>"; widgets without a key end in None.
            key = name.split("-", 2)[-1]
            self._ids[key] = name
            (self._off.add if getattr(getattr(element, kind), "disabled", False) else self._off.discard)(key)

    def _start_clock(self, fragment: str, seconds: float) -> None:
        async def tick() -> None:
            while True:
                await asyncio.sleep(seconds)
                await self._send(self._message(fragment))

        if (before := self._clocks.get(fragment)) is not None:
            before.cancel()
        self._clocks[fragment] = asyncio.create_task(tick())

    def _stop_clocks(self) -> None:
        for clock in self._clocks.values():
            clock.cancel()
        self._clocks.clear()


def _cookie(port: int, token: str) -> str:
    """What the first page of a visit sets: who this browser is, a balancer's mark of the process that it stays with."""
    jar = CookieJar()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
    query = f"?{urlencode({'token': token})}" if token else ""
    opener.open(f"http://127.0.0.1:{port}/{query}", timeout=LONGEST_S).close()
    return "; ".join(f"{one.name}={one.value}" for one in jar)
