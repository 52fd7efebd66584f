"""The connections under the client: the SDK set up so that a key goes to its endpoint and nowhere else.

`connect` makes one connection; `Pools` keeps several of them, so that many requests at the same time do not wait for
each other.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from tale_core.models.client.responses import RESPONSES
from tale_core.models.endpoint_url import is_azure, is_loopback_host, split_version
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.text import guard_logs, safe_text

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

MAX_BYTES = 128 * 1024 * 1024
"""Longest response that is read, in bytes on the wire; an endless line has no other end."""
_KEPT_HEADERS = (b"host", b"accept", b"connection", b"user-agent", b"content-")
# The embedded server may close an idle connection just when it is used again, which would look like its death; a new
# one costs a tenth of a millisecond on loopback. Elsewhere it costs a TLS handshake, and the retries cover the race.
_KEPT_ALIVE = {True: 0, False: 32}
_MAX_CONNECTIONS = 64
_OPENAI_HOST = "api.openai.com"
SHARE = 4
"""Requests in flight in one pool before the next one is opened."""
MOST = 32
"""Pools at the most; past that the fullest get fuller."""


@dataclass
class Connection:
    """The SDK and its HTTP client, bound to one event loop."""

    sdk: AsyncOpenAI = field(repr=False)
    http: httpx2.AsyncClient = field(repr=False)
    endpoint: Endpoint
    loop: asyncio.AbstractEventLoop = field(repr=False)

    async def stream(self, sent: dict[str, Any]) -> Any:
        """Send a request; the SDK's stream once the response's headers have come, its body still unread.

        Raises:
            Exception: Anything the SDK raises.
        """
        from openai import AsyncStream

        # The whole address: the SDK would put it together anew for each request.
        path = f"{str(self.sdk.base_url).rstrip('/')}/{RESPONSES if 'input' in sent else 'chat/completions'}"
        # As plain JSON: building the SDK's typed chunks is a third of the processor time that a token takes. The SDK's
        # own `stream` says only that the body is not read there; what is asked for stands in what is sent.
        return await self.sdk.post(path, body=sent, cast_to=object, stream=True, stream_cls=AsyncStream[object])

    async def tokenize(self, text: str) -> int | None:
        """Count with llama.cpp's own tokenizer (`POST /tokenize`, beside /v1); None when the server has none."""
        import httpx2

        root = self.endpoint.base_url.removesuffix("/v1")
        try:
            response = await self.http.post(f"{root}/tokenize", json={"content": text})
            found = response.json().get("tokens") if response.status_code == 200 else None
        except (httpx2.HTTPError, httpx2.StreamError, OSError, ValueError, AttributeError):
            return None
        return len(found) if isinstance(found, list) else None

    async def models(self) -> tuple[str, ...] | None:
        """Names in the endpoint's list of models; None when what it sent is no such list.

        Raises:
            Exception: Anything the SDK raises.
        """
        body = await self.sdk.get("/models", cast_to=object)
        data = body.get("data") if isinstance(body, dict) else body  # Together sends the list alone.
        if not isinstance(data, list):
            return None
        named = (m.get("id") for m in data if isinstance(m, dict))
        return tuple(safe_text(name) for name in named if isinstance(name, str))

    async def close(self) -> None:
        """Close every connection; those of a loop that has ended are gone already."""
        if self.loop is asyncio.get_running_loop():
            await self.sdk.close()


def connect(
    endpoint: Endpoint, settings: Settings, loop: asyncio.AbstractEventLoop, *, trust: ssl.SSLContext
) -> Connection:
    """Set the SDK up for one endpoint. Opens no connection yet.

    Args:
        endpoint: Where, and with which key.
        settings: Time limits.
        loop: The event loop that it will be used in.
        trust: Whose certificates are believed (`certificates`).
    """
    import httpx2
    from openai import AsyncOpenAI

    from tale_core.models.client.guard import ANYWHERE, GuardedBackend, Rule, allowed
    from tale_core.models.client.transport import PlainClient, loopback_transport

    rule = Rule(public_only=True, allowed=allowed(settings.allowed_addresses)) if endpoint.guarded else ANYWHERE
    plain = _is_plain(endpoint.base_url)
    url, api_version = split_version(endpoint.base_url)
    host = urlsplit(url).hostname or ""
    kept_alive = _KEPT_ALIVE[endpoint.embedded]
    guard_logs([endpoint.secret])
    http = PlainClient(
        transport=loopback_transport(max_connections=_MAX_CONNECTIONS, kept_alive=kept_alive, rule=rule)
        if plain
        else None,
        verify=trust,
        timeout=httpx2.Timeout(settings.request_timeout_s, connect=settings.connect_timeout_s),
        limits=httpx2.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=kept_alive),
        follow_redirects=False,  # the SDK's own client follows them
        # A proxy in the environment is not for this machine, and would look a name up again, unjudged.
        trust_env=not (endpoint.guarded or is_loopback_host(host)),
        event_hooks={"request": [_OnlyOurHeaders(endpoint)], "response": [_cap]},
    )
    if not plain:
        # As in `loopback_transport`: there is no argument for the network backend. Proxies keep their own.
        cast("Any", http._transport)._pool._network_backend = GuardedBackend(rule)
    sdk = AsyncOpenAI(
        base_url=url,
        default_query={"api-version": api_version} if api_version else None,
        # Without a value the SDK would take OPENAI_API_KEY; where there is no key, the hook above removes this one.
        api_key=endpoint.secret or "none",
        default_headers={"Accept-Encoding": "identity", "Connection": "keep-alive"},
        max_retries=0,
        timeout=httpx2.Timeout(settings.request_timeout_s, connect=settings.connect_timeout_s),
        http_client=http,
    )
    return Connection(sdk, http, endpoint, loop)


_SILENT_S = 600.0
"""A model that thinks is silent for minutes; whoever asked leaves when they like (OpenAI's client after 10 minutes)."""


def passing(base_url: str, settings: Settings, *, connections: int, pools: int = 1) -> list[httpx2.AsyncClient]:
    """Clients for requests of other programs, which go on as they are: no header of ours, no redirect followed.

    Args:
        base_url: Normalised; whoever starts the program names it, so that private networks are open to it.
        settings: Time limits.
        connections: Requests at the same time, of each.
        pools: How many clients: each looks through all of its connections for every request.
    """
    trust = certificates(base_url)
    return [_passing(base_url, settings, connections, trust) for _ in range(pools)]


def _passing(base_url: str, settings: Settings, connections: int, trust: ssl.SSLContext) -> httpx2.AsyncClient:
    import httpx2

    from tale_core.models.client.guard import ANYWHERE, GuardedBackend
    from tale_core.models.client.transport import loopback_transport

    plain = _is_plain(base_url)
    client = httpx2.AsyncClient(
        transport=loopback_transport(max_connections=connections, kept_alive=connections) if plain else None,
        verify=trust,
        timeout=httpx2.Timeout(max(settings.request_timeout_s, _SILENT_S), connect=settings.connect_timeout_s),
        limits=httpx2.Limits(max_connections=connections, max_keepalive_connections=connections),
        follow_redirects=False,
        trust_env=not is_loopback_host(urlsplit(base_url).hostname or ""),
        event_hooks={"response": [_cap]},
    )
    if not plain:
        cast("Any", client._transport)._pool._network_backend = GuardedBackend(ANYWHERE)
    return client


def certificates(url: str) -> ssl.SSLContext:
    """Whom TLS trusts: the usual authorities, or nobody where no TLS is spoken."""
    import httpx2

    from tale_core.models.client.transport import no_tls

    host = urlsplit(url).hostname or ""
    return no_tls() if _is_plain(url) else httpx2.create_ssl_context(trust_env=not is_loopback_host(host))


def _is_plain(url: str) -> bool:
    """Whether it is this machine that is asked, without TLS."""
    parts = urlsplit(url)
    return parts.scheme == "http" and is_loopback_host(parts.hostname or "")


def key_header(base_url: str, key: str) -> tuple[str, str]:
    """Name and value of the header with a key: Azure has one of its own; a bearer there is a token of Entra, a JWT."""
    if is_azure(base_url) and not key.startswith("eyJ"):
        return "api-key", key
    return "Authorization", f"Bearer {key}"


class _OnlyOurHeaders:
    """Sends the endpoint's own key or none.

    The SDK adds headers from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS; they are for OpenAI alone.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.is_openai = urlsplit(endpoint.base_url).hostname == _OPENAI_HOST

    async def __call__(self, request: httpx2.Request) -> None:
        import httpx2

        # In one pass: taking one header after the other out costs more than the rest of a request.
        sent = [(name, value) for name, value in request.headers.raw if self._may_stay(name.lower())]
        if self.endpoint.secret:
            name, value = key_header(self.endpoint.base_url, self.endpoint.secret)
            sent.append((name.encode(), value.encode()))
        request.headers = httpx2.Headers(sent)

    def _may_stay(self, name: bytes) -> bool:
        return name != b"authorization" and (self.is_openai or name.startswith(_KEPT_HEADERS))


async def _cap(response: httpx2.Response) -> None:
    from tale_core.models.client.transport import Capped

    response.stream = Capped(response.stream, MAX_BYTES)


class Pools:
    """Connections to one endpoint, bound to one event loop. None is opened before it is lent."""

    def __init__(self, endpoint: Endpoint, settings: Settings, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._endpoint, self._settings = endpoint, settings
        self._trust = certificates(endpoint.base_url)
        self._made: list[Connection] = []
        self._flying: list[int] = []

    @contextmanager
    def lend(self) -> Iterator[Connection]:
        """A connection for one request; it counts as in flight until the block ends."""
        at = self._pick()
        self._flying[at] += 1
        try:
            yield self._made[at]
        finally:
            self._flying[at] -= 1

    def _pick(self) -> int:
        # The first with room, not the emptiest: connections that are kept alive are used again.
        for at, flying in enumerate(self._flying):
            if flying < SHARE:
                return at
        if len(self._made) == MOST:
            return self._flying.index(min(self._flying))
        self._made.append(connect(self._endpoint, self._settings, self.loop, trust=self._trust))
        self._flying.append(0)
        return len(self._made) - 1

    async def close(self) -> None:
        """Close every connection."""
        for connection in self._made:
            await connection.close()
