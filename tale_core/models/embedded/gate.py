"""What `serve` puts in front of the embedded server, so that what is served is what was asked for.

llama.cpp answers whatever model a request names, and switches an adapter on only for a request that knows its number.
Here a request that names another model gets OpenAI's own error, and an adapter that is served is switched on for all.
Each request goes to whichever server is the model's at that moment.
"""

from __future__ import annotations

import asyncio
import json
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx2
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.types import Receive, Scope, Send

from tale_core.errors import TaleError
from tale_core.models.embedded.server import ServerInfo

MODELS = ("/models", "/v1/models")
OPEN = ("/health", "/v1/health")
"""What is answered without the key, as llama.cpp does."""
_KEPT = ("accept", "content-type")
_HOP = ("connection", "content-length", "keep-alive", "server", "transfer-encoding")
"""Headers that are about one connection, and not about the answer."""


class Gate:
    """An ASGI app; close it when it is done.

    Args:
        server: The server of the moment, with the adapter loaded.
        model: The only name that a request may give, or leave out.
        adapter: Key of the adapter that answers; "" for the model as it is.
        api_key: What a request must bring; a new one is made when None.
    """

    def __init__(
        self,
        server: Callable[[], Awaitable[ServerInfo]],
        *,
        model: str,
        adapter: str = "",
        api_key: str | None = None,
    ) -> None:
        self.model, self.api_key = model, api_key or secrets.token_urlsafe(32)
        self._server, self._adapter = server, adapter
        # A proxy in the environment is not for loopback.
        self._http = httpx2.AsyncClient(timeout=None, trust_env=False)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            return
        request = Request(scope, receive, send)
        response = await self._answer(request)
        await response(scope, receive, send)

    async def aclose(self) -> None:
        """Close the connections."""
        await self._http.aclose()

    async def _answer(self, request: Request) -> Response:
        if request.url.path not in OPEN and not self._has_key(request):
            return error(401, "Invalid API Key", kind="authentication_error", code="invalid_api_key")
        body = await request.body()
        body_json = _document(body)
        named = None if body_json is None else body_json.get("model")
        if named is not None and named != self.model:
            return self._unknown(named)
        try:
            info = await self._server()
        except TaleError as e:
            return error(503, str(e), kind="server_error", code="server_unavailable")
        if body_json is not None and self._adapter:
            # Every one by its number: what is not named keeps the scale that somebody gave it.
            on = [{"id": place, "scale": float(key == self._adapter)} for place, key in enumerate(info.adapters)]
            body = json.dumps(body_json | {"model": info.model, "lora": on}).encode()
        return await self._passed_on(request, body, info)

    def _has_key(self, request: Request) -> bool:
        scheme, _, key = request.headers.get("authorization", "").partition(" ")
        given = key.strip() if scheme.lower() == "bearer" else request.headers.get("x-api-key", "")
        return secrets.compare_digest(given.encode(), self.api_key.encode())

    def _unknown(self, named: object) -> Response:
        said = f"The model {str(named)[:100]!r} does not exist: this endpoint serves {self.model!r} alone."
        return error(404, said, kind="invalid_request_error", code="model_not_found", param="model")

    async def _passed_on(self, request: Request, body: bytes, info: ServerInfo) -> Response:
        root = info.base_url.removesuffix("/v1")
        headers = {name: request.headers[name] for name in _KEPT if name in request.headers}
        asked = self._http.build_request(
            request.method, f"{root}{request.url.path}", params=request.url.query.encode() or None, content=body,
            headers=headers | {"authorization": f"Bearer {info.api_key}"},
        )  # fmt: skip
        try:
            answer = await _unless_gone(request, self._http.send(asked, stream=True))
        except httpx2.HTTPError:
            said = "The model's server does not answer; it may be starting again. Try again in a few seconds."
            return error(502, said, kind="server_error", code="server_unavailable")
        if answer is None:
            return Response(status_code=499)  # Nobody is there to read it.
        if request.url.path in MODELS and self._adapter:
            return JSONResponse(self._named(json.loads(await answer.aread())), status_code=answer.status_code)
        kept = {name: value for name, value in answer.headers.items() if name.lower() not in _HOP}
        return StreamingResponse(_pieces(answer), status_code=answer.status_code, headers=kept)

    def _named(self, listed: Any) -> Any:
        """The list of models with the name that is served."""
        return {**listed, "data": [{**one, "id": self.model} for one in listed.get("data", ())]}


def error(status: int, message: str, *, kind: str, code: str, param: str | None = None) -> JSONResponse:
    """An error as OpenAI words it, so that its clients raise what they raise there."""
    content = {"message": message, "type": kind, "param": param, "code": code}
    return JSONResponse({"error": content}, status_code=status)


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body) if body else None
    except ValueError:
        return None  # The server says what is wrong with it.
    return found if isinstance(found, dict) else None


async def _unless_gone(request: Request, work: Awaitable[httpx2.Response]) -> httpx2.Response | None:
    """What the server answers, or None when the asker has gone: then the server stops generating."""
    answering, leaving = asyncio.ensure_future(work), asyncio.ensure_future(_gone(request))
    try:
        await asyncio.wait({answering, leaving}, return_when=asyncio.FIRST_COMPLETED)
        return await answering if answering.done() else None
    finally:
        for task in (answering, leaving):
            task.cancel()
        await asyncio.gather(answering, leaving, return_exceptions=True)


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _pieces(answer: httpx2.Response) -> AsyncIterator[bytes]:
    """The answer as it comes; leaving early closes the connection, so that the server stops generating."""
    try:
        async for piece in answer.aiter_raw():
            yield piece
    finally:
        await answer.aclose()
