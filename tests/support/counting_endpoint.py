"""A chat-completions server on loopback that answers by a function and counts what it was asked.

with CountingEndpoint(reply) as endpoint:
    ... endpoint.base_url, endpoint.counts[prompt, seed]
"""

from __future__ import annotations

import asyncio
import json
import threading
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Reply:
    """What to send: an answer, or a status other than 200 with these headers.

    `breaks`: the connection is closed after the first half of the answer's words.
    """

    text: str = "[[42]]"
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()
    delay_s: float = 0.0
    prompt_tokens: int = 20
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    finish_reason: str = "stop"
    breaks: bool = False


class CountingEndpoint:
    """The server; `counts` by (prompt, seed), `open` and `most_open` requests at the same time.

    `models`: what it lists. `sent`: what was answered in full, as (prompt, seed), and when, by the monotonic clock.

    Args:
        reply: What to answer to a prompt.
        of_body: The same for the whole request, where that decides.
    """

    def __init__(
        self, reply: Callable[[str], Reply] = lambda prompt: Reply(), *, of_body: Callable[[Any], Reply] | None = None
    ) -> None:
        self._reply, self._of_body = reply, of_body
        self.counts: Counter[tuple[str, int | None]] = Counter()
        self.sent: list[tuple[tuple[str, int | None], float]] = []
        self.open = self.most_open = 0
        self.models: object = {"object": "list", "data": [{"id": "counted", "object": "model"}]}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> CountingEndpoint:
        self._thread.start()
        self._port = 0
        self.up()
        self.base_url = f"http://127.0.0.1:{self._port}/v1"
        return self

    def up(self) -> None:
        """Listen, again on the same port."""
        starting = asyncio.start_server(self._serve, "127.0.0.1", self._port, limit=2**20)
        self._server = asyncio.run_coroutine_threadsafe(starting, self._loop).result()
        self._port = self._server.sockets[0].getsockname()[1]

    def down(self) -> None:
        """Break every connection and listen no more."""

        async def stop() -> None:
            self._server.close()
            await self._break_all()

        asyncio.run_coroutine_threadsafe(stop(), self._loop).result()

    async def _break_all(self) -> None:
        others = [task for task in asyncio.all_tasks() if task is not asyncio.current_task()]
        for task in others:
            task.cancel()
        await asyncio.gather(*others, return_exceptions=True)

    def __exit__(self, *exc: object) -> None:
        self.down()
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    @property
    def requests(self) -> int:
        return sum(self.counts.values())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode().lower()
                if head.startswith("get "):
                    listed = json.dumps(self.models).encode()
                    writer.write(_MODELS % (len(listed), listed))
                    continue
                length = int(head.split("content-length:")[1].split("\r\n")[0])
                await self._answer(json.loads(await reader.readexactly(length)), writer)
        except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
            pass  # The client has gone, or the server goes.
        finally:
            writer.close()

    async def _answer(self, body: dict[str, Any], writer: asyncio.StreamWriter) -> None:
        prompt = body["messages"][-1]["content"]
        self.counts[prompt, body.get("seed")] += 1
        self.open += 1
        self.most_open = max(self.most_open, self.open)
        try:
            reply = self._reply(prompt) if self._of_body is None else self._of_body(body)
            await asyncio.sleep(reply.delay_s)
            response = _response(reply)
            if reply.breaks:
                writer.write(response[: response.index(b"finish_reason")])
                await writer.drain()
                raise ConnectionResetError
            writer.write(response)
            await writer.drain()
            self.sent.append(((prompt, body.get("seed")), time.monotonic()))
        finally:
            self.open -= 1


_MODELS = b"HTTP/1.1 200 X\r\nContent-Type: application/json\r\nContent-Length: %d\r\n\r\n%s"


def _response(reply: Reply) -> bytes:
    if reply.status != 200:
        payload = json.dumps({"error": {"message": f"status {reply.status}"}}).encode()
        kind = "application/json"
    else:
        words = reply.completion_tokens or max(1, len(reply.text.split()))
        usage: dict[str, Any] = {"prompt_tokens": reply.prompt_tokens, "completion_tokens": words}
        if reply.reasoning_tokens is not None:
            usage["completion_tokens_details"] = {"reasoning_tokens": reply.reasoning_tokens}
        chunks = [
            {"choices": [{"index": 0, "delta": {"role": "assistant", "content": reply.text}}]},
            {"choices": [{"index": 0, "delta": {}, "finish_reason": reply.finish_reason}]},
            {"choices": [], "usage": usage},
        ]
        lines = [f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', **c})}\n\n" for c in chunks]
        payload = ("".join(lines) + "data: [DONE]\n\n").encode()
        kind = "text/event-stream"
    head = [f"HTTP/1.1 {reply.status} X", f"Content-Type: {kind}", f"Content-Length: {len(payload)}"]
    head += [f"{name}: {value}" for name, value in reply.headers]
    return "\r\n".join([*head, "", ""]).encode() + payload
