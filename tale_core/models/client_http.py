"""The connection under the client: the SDK set up so that a key goes to its endpoint and nowhere else.

Knows the SDK's and the HTTP library's settings, llama.cpp's `/tokenize` and the list of models; knows no answers.
"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from tale_core.models.client_errors import ResponseTooLongError
from tale_core.models.client_secrets import guard_logs
from tale_core.models.endpoint_url import is_loopback_host
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings

if TYPE_CHECKING:
    import httpx2
    from openai import AsyncOpenAI

MAX_BYTES = 128 * 1024 * 1024
"""Longest response that is read, in bytes on the wire; an endless line has no other end."""
_KEPT_HEADERS = ("host", "accept", "accept-encoding", "connection", "user-agent", "authorization", "content-")
# The embedded server may close an idle connection just when it is used again, which would look like its death; a new
# one costs a tenth of a millisecond on loopback. Elsewhere it costs a TLS handshake, and the retries cover the race.
_KEPT_ALIVE = {True: 0, False: 32}
_MAX_CONNECTIONS = 64
_OPENAI_HOST = "api.openai.com"


@dataclass
class Connection:
    """The SDK and its HTTP client, bound to one event loop."""

    sdk: AsyncOpenAI = field(repr=False)
    http: httpx2.AsyncClient = field(repr=False)
    endpoint: Endpoint
    loop: asyncio.AbstractEventLoop = field(repr=False)

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
        page = await self.sdk.models.list()
        data = getattr(page, "data", None)
        if not isinstance(data, list):
            return None
        return tuple(name for m in data if isinstance(name := getattr(m, "id", None), str))

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

    from tale_core.models.client_loopback import loopback_transport

    host = urlsplit(endpoint.base_url).hostname or ""
    kept_alive = _KEPT_ALIVE[endpoint.embedded]
    guard_logs([endpoint.secret])
    http = httpx2.AsyncClient(
        transport=loopback_transport(max_connections=_MAX_CONNECTIONS, kept_alive=kept_alive)
        if _is_plain(endpoint.base_url)
        else None,
        verify=trust,
        timeout=httpx2.Timeout(settings.request_timeout_s, connect=settings.connect_timeout_s),
        limits=httpx2.Limits(max_connections=_MAX_CONNECTIONS, max_keepalive_connections=kept_alive),
        follow_redirects=False,  # the SDK's own client follows them
        trust_env=not is_loopback_host(host),  # a proxy in the environment is not for this machine
        event_hooks={"request": [_OnlyOurHeaders(endpoint)], "response": [_cap]},
    )
    sdk = AsyncOpenAI(
        base_url=endpoint.base_url,
        # Without a value the SDK would take OPENAI_API_KEY; where there is no key, the hook above removes this one.
        api_key=endpoint.secret or "none",
        default_headers={"Accept-Encoding": "identity"},
        max_retries=0,
        timeout=httpx2.Timeout(settings.request_timeout_s, connect=settings.connect_timeout_s),
        http_client=http,
    )
    return Connection(sdk, http, endpoint, loop)


def certificates(url: str) -> ssl.SSLContext:
    """Whom TLS trusts: the usual authorities, or nobody where no TLS is spoken."""
    import httpx2

    from tale_core.models.client_loopback import no_tls

    host = urlsplit(url).hostname or ""
    return no_tls() if _is_plain(url) else httpx2.create_ssl_context(trust_env=not is_loopback_host(host))


def _is_plain(url: str) -> bool:
    """Whether it is this machine that is asked, without TLS."""
    parts = urlsplit(url)
    return parts.scheme == "http" and is_loopback_host(parts.hostname or "")


class _OnlyOurHeaders:
    """Sends the endpoint's own key or none.

    The SDK adds headers from OPENAI_ORG_ID, OPENAI_PROJECT_ID and OPENAI_CUSTOM_HEADERS; they are for OpenAI alone.
    """

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.is_openai = urlsplit(endpoint.base_url).hostname == _OPENAI_HOST

    async def __call__(self, request: httpx2.Request) -> None:
        for name in list(request.headers):
            if not self.is_openai and not name.lower().startswith(_KEPT_HEADERS):
                del request.headers[name]
        if self.endpoint.secret:
            request.headers["Authorization"] = f"Bearer {self.endpoint.secret}"
        else:
            request.headers.pop("Authorization", None)


async def _cap(response: httpx2.Response) -> None:
    response.stream = _capped(response.stream)


def _capped(stream: Any) -> Any:
    import httpx2

    class Capped(httpx2.AsyncByteStream):
        async def __aiter__(self) -> AsyncIterator[bytes]:
            total = 0
            async for part in stream:
                total += len(part)
                if total > MAX_BYTES:
                    raise ResponseTooLongError
                yield part

        async def aclose(self) -> None:
            await stream.aclose()

    return Capped()
