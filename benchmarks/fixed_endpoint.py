"""An OpenAI-compatible endpoint in a process of its own that answers every request after a fixed time.

`python -m benchmarks.fixed_endpoint 0.2` prints its port and serves until its standard input is closed. It does as
little as possible: what is measured against it is whoever asks.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

_CHUNKS = (
    {"choices": [{"index": 0, "delta": {"role": "assistant", "content": "Six sevens are "}}]},
    {"choices": [{"index": 0, "delta": {"content": "[[42]]"}}]},
    {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]},
    {"choices": [], "usage": {"prompt_tokens": 40, "completion_tokens": 8}},
)
_BODY = "".join(f"data: {json.dumps({'id': 'x', 'object': 'chat.completion.chunk', **c})}\n\n" for c in _CHUNKS)
_PAYLOAD = (_BODY + "data: [DONE]\n\n").encode()
_HEAD = f"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {len(_PAYLOAD)}\r\n\r\n"
_RESPONSE = _HEAD.encode() + _PAYLOAD


@contextmanager
def fixed_endpoint(latency_s: float) -> Iterator[str]:
    """The address of a running endpoint."""
    command = [sys.executable, "-m", "benchmarks.fixed_endpoint", str(latency_s)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdin is not None and process.stdout is not None
    try:
        yield f"http://127.0.0.1:{int(process.stdout.readline())}/v1"
    finally:
        process.stdin.close()
        process.wait(10)
        process.stdout.close()


async def _serve(latency_s: float) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).lower()
                at = head.index(b"content-length:") + 15
                await reader.readexactly(int(head[at : head.index(b"\r\n", at)]))
                await asyncio.sleep(latency_s)
                writer.write(_RESPONSE)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            writer.close()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)
    server.close()


if __name__ == "__main__":
    asyncio.run(_serve(float(sys.argv[1])))
