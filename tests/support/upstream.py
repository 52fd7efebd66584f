"""An upstream that answers chat completions by a function, whole or streamed, and notes what it was sent; and a way to
serve an ASGI app from a thread.

with serving(Upstream(lambda body: Answer("[[42]]", tokens=9))) as url: ...
"""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import uvicorn


@dataclass(frozen=True)
class Answer:
    """What to answer. `raw` goes out as it is; `breaks` closes the connection half way; `endless` writes on and on."""

    text: str = "[[42]]"
    tokens: int = 9
    status: int = 200
    raw: bytes | None = None
    kind: str = "application/json"
    headers: tuple[tuple[str, str], ...] = ()
    usage: bool = True
    finish: str = "stop"
    breaks: bool = False
    endless: bool = False
    logprob: float | None = None


@dataclass
class Upstream:
    """The app. `seen`: every request as (method, path, headers, body); `left`: set when a client left an answer."""

    reply: Callable[[dict[str, Any]], Answer] = lambda body: Answer()
    seen: list[tuple[str, str, dict[str, str], bytes]] = field(default_factory=list)
    left: threading.Event = field(default_factory=threading.Event)
    begun: threading.Event = field(default_factory=threading.Event)

    @property
    def bodies(self) -> list[dict[str, Any]]:
        return [json.loads(body) for method, path, _, body in self.seen if path.endswith("/chat/completions") and body]

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while (message := await receive()).get("more_body") or not body:
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        headers = {k.decode(): v.decode() for k, v in scope["headers"]}
        self.seen.append((scope["method"], scope["path"], headers, body))
        document = _document(body)
        answer = self.reply(document)
        stream = document.get("stream") is True and answer.status == 200 and answer.raw is None
        kind = "text/event-stream" if stream else answer.kind
        head = [(b"content-type", kind.encode()), *((k.encode(), v.encode()) for k, v in answer.headers)]
        await send({"type": "http.response.start", "status": answer.status, "headers": head})
        pieces = [answer.raw] if answer.raw is not None else _pieces(answer, document, stream)
        for place, piece in enumerate(pieces):
            if answer.breaks and place == 1:
                raise ConnectionResetError
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        self.begun.set()
        while answer.endless:
            message = await receive()
            if message["type"] == "http.disconnect":
                self.left.set()
                return
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _pieces(answer: Answer, document: dict[str, Any], stream: bool) -> list[bytes]:
    usage = {"prompt_tokens": 20, "completion_tokens": answer.tokens, "total_tokens": 20 + answer.tokens}
    base = {"id": "x", "created": 1, "model": document.get("model")}
    sure = {"logprobs": {"content": [{"token": "t", "logprob": answer.logprob}]}} if answer.logprob is not None else {}
    if not stream:
        message = {"role": "assistant", "content": answer.text}
        choice = {"index": 0, "message": message, "finish_reason": answer.finish, **sure}
        whole = {**base, "object": "chat.completion", "choices": [choice]} | ({"usage": usage} if answer.usage else {})
        text = json.dumps(whole).encode()
        return [text[:30], text[30:]]
    half = len(answer.text) // 2
    parts = [{"choices": [{"index": 0, "delta": {"role": "assistant", "content": part}, "finish_reason": None}]}
             for part in (answer.text[:half], answer.text[half:])]  # fmt: skip
    parts.append({"choices": [{"index": 0, "delta": {}, "finish_reason": answer.finish}]})
    wanted = (document.get("stream_options") or {}).get("include_usage")
    parts += [{"choices": [], "usage": usage}] if answer.usage and wanted else []
    lines = [f"data: {json.dumps({**base, 'object': 'chat.completion.chunk', **p})}\n\n".encode() for p in parts]
    return [*lines, *([] if answer.endless else [b"data: [DONE]\n\n"])]


LOOPS: dict[str, asyncio.AbstractEventLoop] = {}
"""The event loop of each address that is served."""


@contextmanager
def serving(app: Any) -> Iterator[str]:
    """The address (…/v1) of an app that is served from a thread, on loopback; it is closed where it can be."""
    place = socket.create_server(("127.0.0.1", 0))
    config = uvicorn.Config(app, log_config=None, lifespan="off", server_header=False, date_header=False,
                            timeout_graceful_shutdown=1)  # fmt: skip
    server = uvicorn.Server(config)

    url = f"http://127.0.0.1:{place.getsockname()[1]}/v1"

    async def run() -> None:
        LOOPS[url] = asyncio.get_running_loop()
        await server.serve(sockets=[place])
        if hasattr(app, "aclose"):
            await app.aclose()

    # Signals are the main thread's; uvicorn leaves them alone elsewhere.
    thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
    thread.start()
    try:
        yield url
    finally:
        server.should_exit = True
        thread.join(30)
