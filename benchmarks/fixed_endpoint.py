"""An OpenAI-compatible endpoint in a process of its own that answers every request after a fixed time.

`python -m benchmarks.fixed_endpoint 0.2` prints its port and serves until its standard input is closed. It does as
little as possible: what is measured against it is whoever asks. It answers as asked, streamed or whole; with `varied`
always streamed, and the request alone decides whether the answer is right, wrong or none.
"""

from __future__ import annotations

import asyncio
import json
import re
import subprocess
import sys
import urllib.request
import zlib
from collections.abc import Iterator
from contextlib import contextmanager


def _response(answer: str, tokens: int) -> bytes:
    chunks = (
        {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Six sevens are "}}]},
        {"choices": [{"index": 0, "delta": {"content": answer}}]},
        {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
        {"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": tokens}},
    )
    lines = [f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', **c})}\n\n" for c in chunks]
    return _http("text/event-stream", "".join([*lines, "data: [DONE]\n\n"]))


def _whole(answer: str, tokens: int) -> bytes:
    message = {"role": "assistant", "content": f"Six sevens are {answer}"}
    body = {
        "id": "x",
        "object": "chat.completion",
        "created": 0,
        "model": "fixed",
        "choices": [{"index": 0, "message": message, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 40, "completion_tokens": tokens, "total_tokens": 40 + tokens},
    }
    return _http("application/json", json.dumps(body))


def _http(kind: str, body: str) -> bytes:
    head = f"HTTP/1.1 200 OK\r\nContent-Type: {kind}\r\nContent-Length: {len(body.encode())}\r\n\r\n"
    return (head + body).encode()


_RIGHT, _RIGHT_WHOLE = _response("[[42]]", 8), _whole("[[42]]", 8)
_STREAMED = re.compile(rb'"stream":\s*true')
_VARIED = (_response("I cannot say", 20), _response("[[41]]", 9), _response("[[41]]", 30), *[_RIGHT] * 6)


def asked_of(url: str) -> int:
    """How many answers an endpoint was asked for."""
    with urllib.request.urlopen(urllib.request.Request(f"{url}/asked", b"{}"), timeout=10) as answer:
        return int(answer.read())


@contextmanager
def fixed_endpoint(latency_s: float, *, varied: bool = False) -> Iterator[str]:
    """The address of a running endpoint."""
    command = [sys.executable, "-m", "benchmarks.fixed_endpoint", str(latency_s), *(["varied"] if varied else [])]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def _serve(latency_s: float, varied: bool) -> None:
    asked = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal asked
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.index(b"content-length:") + 15
                body = await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
                if head.startswith(b"post /v1/asked "):
                    writer.write(_http("text/plain", str(asked)))
                    continue
                asked += 1
                await asyncio.sleep(latency_s)
                if varied:
                    writer.write(_VARIED[zlib.crc32(body) % len(_VARIED)])
                else:
                    writer.write(_RIGHT if _STREAMED.search(body) else _RIGHT_WHOLE)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1]), sys.argv[2:] == ["varied"]))
