"""The endpoint itself: an ASGI app that passes OpenAI's API on to one upstream.

Where nothing is changed, the bytes go through as they are, both ways. A whole answer, and the mark that ends a stream,
are handed on when the end is written down. A client that leaves closes the connection to the upstream.
"""

from __future__ import annotations

import asyncio
import json
import re
import secrets
import time
import uuid
import zlib
from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

import httpx2
from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import Receive, Scope, Send

from tale_core.access.hosts import known_host, own_page
from tale_core.errors import InputError
from tale_core.models.client.bodies import read_error
from tale_core.models.client.errors import ResponseTooLongError
from tale_core.models.client.http import MAX_BYTES, key_header, passing
from tale_core.models.embedded.gate import error
from tale_core.models.endpoint_url import split_version
from tale_core.proxy.book import Book
from tale_core.proxy.change import Change, Changed, applied, broken, demanded, left_alone
from tale_core.proxy.pairs import Answered, Pairs
from tale_core.proxy.plan import ProxyPlan
from tale_core.proxy.reading import Read, as_events, ended, read
from tale_core.proxy.wish import ALLOW, HEADER, Wish, wish
from tale_core.settings import Settings
from tale_core.store import Passed, TrafficStore

POOLS, CONNECTIONS = 16, 64
"""Pools of connections to the upstream, used by turns, and requests at the same time of each."""
MOST_BODY = 64 * 1024 * 1024
"""Bytes of a request."""
CHAT = "/v1/chat/completions"
COUNTED = {CHAT: "", "/v1/responses": "responses", "/v1/completions": "completions", "/v1/embeddings": "embeddings"}
"""Paths whose requests are counted, and why those of a path are left as they are: only chat completions are changed."""
STRATEGY, BUDGET, FALLBACK, UNCHANGED = "x-tale-strategy", "x-tale-budget", "x-tale-fallback", "x-tale-unchanged"
_CHANGE_AT_FAULT = frozenset((400, 404, 422))
"""Refusals that the plain request may not meet; a limit, a wrong key or an outage it would meet as well."""
_HOP = frozenset(("connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "te", "trailer",
                  "transfer-encoding", "upgrade", "host", "content-length", "accept-encoding"))  # fmt: skip
_WRONG = "invalid_request_error"
_OURS = (HEADER, ALLOW)
_KEYS = ("authorization", "api-key", "x-api-key")


class Proxy:
    """The app; close it when it is done.

    Args:
        plan: What it does.
        store: Where it counts.
        settings: Time limits.
        api_key: The upstream's, where it comes from the environment; else that of each client goes on.
    """

    def __init__(self, plan: ProxyPlan, store: TrafficStore, settings: Settings, *, api_key: str | None = None) -> None:
        self.plan, self._key = plan, api_key
        self.client_key = secrets.token_urlsafe(24) if api_key else None
        """What clients have to bring where the upstream's key is ours; None where each brings its own."""
        self._url, self._version = split_version(plan.upstream)
        self._clients = passing(plan.upstream, settings, connections=CONNECTIONS, pools=POOLS)
        self._turn = 0
        self.book = Book(store)
        self.pairs = Pairs(plan, store, self._asked_beside)

    async def aclose(self) -> None:
        """End the second requests, write what is left, and close the connections."""
        await self.pairs.aclose()
        await self.book.aclose()
        for client in self._clients:
            await client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        if scope["type"] != "http":
            return
        headers = Headers(scope=scope)
        refused = self._refused(scope, headers)
        body = b"" if refused else await _body(receive)
        if body is None:
            refused = error(413, f"A request may have {MOST_BODY:,} bytes.", kind=_WRONG, code="too_long")
        if refused is not None or body is None:
            assert refused is not None
            await refused(scope, receive, send)
            return
        work = asyncio.ensure_future(self._answer(scope, headers, body, send))
        leaving = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait({work, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            gone = not work.done()
            if gone:
                work.cancel()
            await asyncio.gather(work, leaving, return_exceptions=True)
        if not gone and not work.cancelled():
            work.result()

    def _refused(self, scope: Scope, headers: Headers) -> Response | None:
        if not known_host(headers.get("host"), ()):
            return error(421, "This endpoint does not go by that name: call it by its address in digits.",
                         kind=_WRONG, code="unknown_host")  # fmt: skip
        if not own_page(headers, method=scope["method"], websocket=False, allowed=()):
            return error(403, "A page of another site asked for this, and is refused.",
                         kind=_WRONG, code="foreign_page")  # fmt: skip
        path = scope["path"]
        if not path.startswith("/v1/") or ".." in path.split("/"):
            return error(404, f"There is nothing at {path[:100]!r}: what begins with /v1/ is passed on.",
                         kind=_WRONG, code="not_found")  # fmt: skip
        if self.client_key is not None:
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not secrets.compare_digest(
                given.strip().encode(), self.client_key.encode()
            ):
                return error(401, "Bring the key that was printed when this endpoint started.",
                             kind="authentication_error", code="invalid_api_key")  # fmt: skip
        return None

    async def _answer(self, scope: Scope, headers: Headers, body: bytes, send: Send) -> None:
        sent = self._headers(headers)
        path = scope["path"]
        if path not in COUNTED or scope["method"] != "POST":
            as_written = scope["raw_path"].decode("ascii")  # a%2Fb is no a/b.
            asked = self.request(scope["method"], as_written, scope["query_string"], sent, body)
            await _Through(send).of(asked, self.open)
            return
        document = _document(body)
        try:
            named = document.get("model") if document else None
            wished = wish(named if isinstance(named, str) else "", headers)
        except InputError as e:
            await _whole(send, error(400, str(e), kind=_WRONG, code="unknown_wish"))
            return
        one = _Request(self, path, document or {}, wished, body, sent, scope["query_string"])
        await one.run(send)

    # What one request is sent with

    def _headers(self, headers: Headers) -> list[tuple[bytes, bytes]]:
        dropped = (*_OURS, *(_KEYS if self._key else ()))
        kept = [
            (k, v) for k, v in headers.raw if k.decode("latin-1") not in _HOP and k.decode("latin-1") not in dropped
        ]
        return [*kept, *self.own_headers(), (b"accept-encoding", b"identity")]

    def own_headers(self) -> list[tuple[bytes, bytes]]:
        """The header with the upstream's key, where that is ours."""
        if not self._key:
            return []
        name, value = key_header(self.plan.upstream, self._key)
        return [(name.lower().encode(), value.encode())]

    def request(
        self, method: str, path: str, query: bytes, headers: list[tuple[bytes, bytes]], body: bytes
    ) -> httpx2.Request:
        """A request to the upstream, not sent."""
        given = query or (f"api-version={self._version}".encode() if self._version else b"")
        return self._clients[0].build_request(
            method, self._url + path.removeprefix("/v1"), params=given.decode("latin-1") or None, content=body or None,
            headers=httpx2.Headers(headers),
        )  # fmt: skip

    async def open(self, request: httpx2.Request) -> httpx2.Response:
        """Send; the body is read by whoever called, who closes it."""
        self._turn = (self._turn + 1) % POOLS
        return await self._clients[self._turn].send(request, stream=True)

    async def whole(self, body: Mapping[str, Any], headers: list[tuple[bytes, bytes]], query: bytes) -> httpx2.Response:
        """A whole answer, read to its end."""
        asked = {name: value for name, value in body.items() if name not in ("stream", "stream_options")}
        headers = [(k, v) for k, v in headers if k != b"accept"]
        answer = await self.open(self.request("POST", CHAT, query, headers, json.dumps(asked).encode()))
        try:
            await answer.aread()
        finally:
            await answer.aclose()
        return answer

    async def _asked_beside(self, body: Mapping[str, Any], answered: Answered) -> Read | None:
        try:
            answer = await self.whole(body, answered.headers, answered.query)
        except (httpx2.HTTPError, ResponseTooLongError):
            return None
        model = str(body.get("model", ""))
        if answer.status_code != 200:
            return None
        found = read(answer.content, model=model, upstream=self.plan.upstream)
        return None if found.failed else found


class _Request:
    """One request that is counted, from its row's begin to its end."""

    def __init__(
        self, proxy: Proxy, path: str, document: dict[str, Any], wished: Wish, body: bytes,
        headers: list[tuple[bytes, bytes]], query: bytes,
    ) -> None:  # fmt: skip
        self._proxy, self._path, self._wish, self._headers, self._query = proxy, path, wished, headers, query
        renamed = wished.model and document.get("model") != wished.model
        self._plain = {**document, "model": wished.model} if renamed else document
        self._body = json.dumps(self._plain).encode() if renamed else body
        self._streamed = document.get("stream") is True
        plan = proxy.plan
        why = COUNTED[path] or ("off" if wished.off else left_alone(self._plain, plan.allowed | wished.allowed))
        self._how: Change | None = None
        self._passed = Passed(
            uuid.uuid4().hex, plan.upstream, wished.model[:300], left_alone=why, streamed=self._streamed
        )  # fmt: skip
        self._told: dict[str, str] = {}
        self._fallback = ""
        self._added: frozenset[str] = frozenset()
        self._over_once = False
        self._began = time.monotonic()
        self._first: float | None = None

    async def run(self, send: Send) -> None:
        """Answer it."""
        proxy = self._proxy
        changed = await self._changed()
        through = _Through(send, self._told, self._over, self._note_first, streamed=self._streamed)
        try:
            await proxy.book.begin(self._passed)
            if changed is None:
                asked = proxy.request("POST", self._path, self._query, self._headers, self._body)
                await through.of(asked, proxy.open)
            elif not self._streamed or (self._how and self._how.doubtful) or demanded(self._plain) is not None:
                await self._checked(changed.body, send)
            else:
                body = json.dumps(changed.body).encode()
                asked = proxy.request("POST", CHAT, self._query, self._headers, body)
                self._added = _added(changed.body, self._plain)
                await through.of(asked, self._or_plain)
        except BaseException as e:
            if not self._over_once:  # It may have had its whole answer, and gone before the connection was closed.
                proxy.book.end_later(self._ended("left" if isinstance(e, asyncio.CancelledError) else "broken"))
            raise

    async def _changed(self) -> Changed | None:
        """The request as it is changed; None where it stays as it is."""
        wished, why = self._wish, self._passed.left_alone
        how = None if wished.off else wished.change or await self._proxy.pairs.choice(wished)
        if how is None or why:
            self._told |= {UNCHANGED: why} if how else {}
            return None
        url = self._proxy.plan.upstream
        changed = await asyncio.to_thread(applied, how, self._plain, model=wished.model, base_url=url)
        if changed is not None:
            self._how = how
            self._passed = replace(self._passed, strategy=how.name, budget=changed.budget)
            self._told[STRATEGY] = how.name
            self._told |= {} if changed.budget is None else {BUDGET: str(changed.budget)}
        return changed

    async def _or_plain(self, request: httpx2.Request) -> httpx2.Response:
        """Send the changed request; where the upstream refuses what was changed, the plain one."""
        answer = await self._proxy.open(request)
        try:
            if answer.status_code == 403:
                await answer.aread()
            if not self._at_fault(answer):
                return answer
        except BaseException:
            await answer.aclose()
            raise
        await answer.aclose()
        self._fallback = self._told[FALLBACK] = "refused"
        plain = self._proxy.request("POST", CHAT, self._query, self._headers, self._body)
        return await self._proxy.open(plain)

    def _at_fault(self, answer: httpx2.Response) -> bool:
        """Whether the upstream refuses what was changed; a 403, whose body has been read, where it names that."""
        if answer.status_code != 403:
            return answer.status_code in _CHANGE_AT_FAULT
        said = read_error(_document(answer.content)).words
        return any(re.search(rf"\b{re.escape(name)}\b", said) for name in self._added)

    def _note_first(self) -> None:
        self._first = self._first or time.monotonic() - self._began

    def _ended(self, status: Any, **known: Any) -> Passed:
        self._over_once = True
        took = time.monotonic() - self._began
        return replace(self._passed, status=status, ttft_s=self._first, latency_s=took, **known)

    async def _over(self, status: int | None, raw: bytes) -> None:
        """The upstream has answered, or broken off (status None): write it down, and perhaps ask once more."""
        answer = self._read(raw)
        if status is None or status >= 400 or answer.failed:
            await self._proxy.book.end(self._row(answer, status, "broken" if status is None else "refused"))
            return
        await self._proxy.book.end(self._row(answer, status, "done", 0, self._fallback))
        self._offer(answer, plain=answer if self._fallback else None, fallback=self._fallback)

    def _read(self, raw: bytes) -> Read:
        return read(raw, model=self._wish.model, upstream=self._proxy.plan.upstream)

    def _row(self, answer: Read, status: int | None, ended: str, dropped: int = 0, fallback: str = "") -> Passed:
        return self._ended(
            ended, http_status=status, prompt_tokens=answer.prompt_tokens, completion_tokens=answer.completion_tokens,
            thinking_tokens=answer.thinking_tokens, dropped_tokens=dropped, fallback=fallback,
            estimated=answer.estimated and answer.completion_tokens is not None,
        )  # fmt: skip

    def _offer(self, answer: Read, *, plain: Read | None = None, dropped: int = 0, fallback: str = "") -> None:
        if not self._passed.left_alone:
            known = Answered(self._plain, self._how, self._passed.budget, answer, plain, dropped, fallback,
                             self._headers, self._query)  # fmt: skip
            self._proxy.pairs.offer(known)

    async def _checked(self, body: Mapping[str, Any], send: Send) -> None:
        """Ask whole with the change; where the answer does not do, ask plainly. Both are counted."""
        assert self._how is not None
        try:
            self._added = _added(body, self._plain)
            answer = await self._proxy.whole(body, self._headers, self._query)
            found = self._read(answer.content)
            why = "refused" if self._at_fault(answer) else ""
            if answer.status_code < 400:
                why = broken(self._plain, found, self._how)
            dropped, plain = 0, None
            if why:
                self._told[FALLBACK] = why
                dropped = found.completion_tokens or 0
                answer = await self._proxy.whole(self._plain, self._headers, self._query)
                found = plain = self._read(answer.content)
        except (httpx2.HTTPError, ResponseTooLongError):
            await self._proxy.book.end(self._ended("broken"))
            await _whole(send, _unanswered())
            return
        self._note_first()
        ended = "refused" if answer.status_code >= 400 or found.failed else "done"
        await self._proxy.book.end(self._row(found, answer.status_code, ended, dropped, why))
        if ended == "done":
            self._offer(found, plain=plain, dropped=dropped, fallback=why)
        await _whole(send, self._as_asked(answer))

    def _as_asked(self, answer: httpx2.Response) -> Response:
        # The content is unpacked by now.
        dropped = _HOP | {"content-encoding"}
        kept = {k: v for k, v in answer.headers.items() if k.lower() not in dropped} | self._told
        content, document = answer.content, _document(answer.content)
        if self._how is not None and self._how.doubtful and document and not self._plain.get("logprobs"):
            choices = document.get("choices")
            for one in choices if isinstance(choices, list) else ():
                one.pop("logprobs", None)
            content = json.dumps(document, ensure_ascii=False).encode()
        if self._streamed and document and answer.status_code < 400:
            options = self._plain.get("stream_options")
            usage = isinstance(options, Mapping) and options.get("include_usage") is True
            kept["content-type"] = "text/event-stream; charset=utf-8"
            content = as_events(document, with_usage=usage)
        return Response(content, answer.status_code, headers=kept)


def _added(changed: Mapping[str, Any], plain: Mapping[str, Any]) -> frozenset[str]:
    """The parameters that a change set; messages are in every request, and named for other reasons too."""
    return frozenset(k for k, v in changed.items() if k != "messages" and plain.get(k) != v)


class _Through:
    """Hands an answer on as it comes."""

    def __init__(
        self, send: Send, told: Mapping[str, str] | None = None, over: Any = None, first: Any = None, *,
        streamed: bool = False,
    ) -> None:  # fmt: skip
        self._send, self._told, self._over, self._first, self._streamed = send, told or {}, over, first, streamed
        self._raw, self._closed, self._packed = bytearray(), False, ""

    async def of(self, request: httpx2.Request, open_: Any = None) -> None:
        """Send the request and hand its answer on."""
        try:
            answer = await open_(request)
        except httpx2.HTTPError:
            await self._ended(None)
            await _whole(self._send, _unanswered())
            return
        self._packed = answer.headers.get("content-encoding", "")
        try:
            await self._pass(answer)
        finally:
            await answer.aclose()

    async def _pass(self, answer: httpx2.Response) -> None:
        kind, status = answer.headers.get("content-type", ""), answer.status_code
        # Some upstreams stream under another label.
        live = kind.startswith("text/event-stream") or self._over is None or (self._streamed and status < 400)
        dropped = _HOP | {"content-encoding"} if answer.is_stream_consumed else _HOP
        headers = [(k.lower(), v) for k, v in answer.headers.raw if k.lower().decode("latin-1") not in dropped]
        headers += [(k.encode(), v.encode()) for k, v in self._told.items()]
        began = {"type": "http.response.start", "status": status, "headers": headers}
        try:
            if live:
                await self._send(began)
                await self._pieces(answer)
            else:
                self._raw += b"".join([piece async for piece in _raw(answer)])
                self._note_first()
        except (httpx2.HTTPError, ResponseTooLongError):
            await self._ended(None)
            if live:
                await self._send({"type": "http.response.body", "body": _BROKEN, "more_body": False})
            else:
                await _whole(self._send, _unanswered())
            return
        await self._ended(status)
        if not live:
            length = (b"content-length", str(len(self._raw)).encode())
            await self._send({**began, "headers": [*headers, length]})
        body = b"" if live else bytes(self._raw)
        await self._send({"type": "http.response.body", "body": body, "more_body": False})

    async def _pieces(self, answer: httpx2.Response) -> None:
        async for piece in _raw(answer):
            self._note_first()
            if self._over is not None:
                self._raw += piece
                # A picture is one line of megabytes in many pieces: only what can end a line is looked at.
                last = b"\n" in piece or piece.endswith(b"]")
                if last and not self._closed and ended(self._raw, len(self._raw) - len(piece)):
                    await self._ended(answer.status_code)
            await self._send({"type": "http.response.body", "body": piece, "more_body": True})

    def _note_first(self) -> None:
        if self._first is not None:
            self._first()

    async def _ended(self, status: int | None) -> None:
        if self._over is not None and not self._closed:
            self._closed = True
            await self._over(status, _unpacked(bytes(self._raw), self._packed))


async def _raw(answer: httpx2.Response) -> AsyncIterator[bytes]:
    """What is left of an answer as it comes; the whole of one that has been read."""
    if answer.is_stream_consumed:
        yield answer.content
        return
    async for piece in answer.aiter_raw():
        yield piece


def _unpacked(raw: bytes, packed: str) -> bytes:
    """What an upstream sent packed unasked, to be counted; as it is where that cannot be unpacked."""
    if packed.lower() not in ("gzip", "x-gzip", "deflate"):
        return raw
    try:
        return zlib.decompressobj(zlib.MAX_WBITS | 32).decompress(raw, MAX_BYTES)
    except zlib.error:
        return raw


_SAID = "The upstream broke off or did not answer."
_ERROR = {"message": _SAID, "type": "server_error", "param": None, "code": "upstream"}
_BROKEN = f"data: {json.dumps({'error': _ERROR})}\n\n".encode()


def _unanswered() -> Response:
    return error(502, _SAID, kind="server_error", code="upstream")


async def _whole(send: Send, answer: Response) -> None:
    await send({"type": "http.response.start", "status": answer.status_code, "headers": answer.raw_headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


async def _body(receive: Receive) -> bytes | None:
    """A request's body; None where it is too long."""
    pieces: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b"".join(pieces)
        size += len(message.get("body", b""))
        if size > MOST_BODY:
            return None
        pieces.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(pieces)


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def _document(body: bytes) -> dict[str, Any] | None:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError):
        return None  # The upstream says what is wrong with it.
    return found if isinstance(found, dict) else None
