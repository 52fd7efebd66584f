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


class Running(NamedTuple):
    """A proxy before an upstream."""

    url: str
    direct: str
    upstream: Upstream
    proxy: Proxy
    traffic: TrafficStore


Start = Callable[..., AbstractContextManager[Running]]


@pytest.fixture
def started() -> Start:
    """Serve a proxy before an upstream that answers by a function."""

    @contextmanager
    def start(
        reply: Callable[[dict[str, Any]], Answer] = lambda body: Answer(), *, api_key: str | None = None, **plan: Any
    ) -> Iterator[Running]:
        upstream = Upstream(reply)
        with serving(upstream) as direct:
            traffic = TrafficStore(open_store())
            proxy = Proxy(ProxyPlan(direct, **{"sample": 0.0} | plan), traffic, get_settings(), api_key=api_key)
            with serving(proxy) as url:
                yield Running(url, direct, upstream, proxy, traffic)

    return start
