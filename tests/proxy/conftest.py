from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any, NamedTuple

import pytest

from tale_core.proxy.app import Proxy
from tale_core.proxy.plan import ProxyPlan
from tale_core.settings import get_settings
from tale_core.store import TrafficStore, open_store
from tests.support.upstream import Answer, Upstream, serving


class Noted:
    """Notes what an app answers: path, status, headers and bytes."""

    def __init__(self, app: Any) -> None:
        self.app = app
        self.answers: list[tuple[Any, ...]] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        head: list[Any] = [scope["path"]]
        body = bytearray()

        async def noting(message: Any) -> None:
            if message["type"] == "http.response.start":
                ours = (b"content-length", b"transfer-encoding")
                head.extend([message["status"], sorted(h for h in message["headers"] if h[0] not in ours)])
            body.extend(message.get("body", b""))
            if message["type"] == "http.response.body" and not message.get("more_body"):
                self.answers.append((*head, bytes(body)))
            await send(message)

        await self.app(scope, receive, noting)

    async def aclose(self) -> None:
        if hasattr(self.app, "aclose"):
            await self.app.aclose()


class Running(NamedTuple):
    """A proxy before an upstream, and what each answered."""

    url: str
    direct: str
    upstream: Upstream
    proxy: Proxy
    traffic: TrafficStore
    straight: list[tuple[Any, ...]]
    through: list[tuple[Any, ...]]


Start = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def started() -> Start:
    """Serve a proxy before an upstream that answers by a function."""

    @contextmanager
    def start(
        reply: Callable[[dict[str, Any]], Answer] = lambda body: Answer(), *, api_key: str | None = None, **plan: Any
    ) -> Iterator[Running]:
        upstream = Upstream(reply)
        noted = Noted(upstream)
        with serving(noted) as direct:
            traffic = TrafficStore(open_store())
            proxy = Proxy(ProxyPlan(direct, **{"sample": 0.0} | plan), traffic, get_settings(), api_key=api_key)
            passed = Noted(proxy)
            with serving(passed) as url:
                yield Running(url, direct, upstream, proxy, traffic, noted.answers, passed.answers)

    return start
