"""A chat-completions server on loopback that misbehaves on request; the model's name chooses how.

    with BadEndpoint() as bad:
        ... base_url=bad.base_url, model="503-then-ok" ...

`python -m tests.support.bad_endpoint` runs it until interrupted and prints its address (for trying the pages by hand).
"""

from __future__ import annotations

import json
import re
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

ANSWER = ["The ", "answer ", "is ", "[[42]]", "."]
HOSTILE = (
    "<script>alert(1)</script> <img src=x onerror=alert(1)> ![pixel](http://127.0.0.1:9/pixel.png) "
    "[link](javascript:alert(1)) costs $5 and $x^2$ \u202eyltnedifnoc\u202c \u0000 </div> [[42]]\n" + "x" * 200_000
)
USAGE = {"prompt_tokens": 11, "completion_tokens": 9, "total_tokens": 20}


@dataclass
class Seen:
    """One request as the server saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: dict[str, Any] = field(default_factory=dict)

    @property
    def model(self) -> str:
        return str(self.body.get("model", ""))


class BadEndpoint:
    """The server; `requests`, `open_streams`, `most_open_streams` and `disconnects` tell what happened to it."""

    def __init__(self, *, port: int = 0) -> None:
        self.requests: list[Seen] = []
        self.disconnects: list[str] = []
        self.open_streams = 0
        self.most_open_streams = 0
        self.behaviours = BEHAVIOURS
        self.models = sorted(BEHAVIOURS)
        self.models_status = 200
        self.stopping = threading.Event()
        self.changed = threading.Condition()
        self.redirected_to: list[Seen] = []
        self.scripts: dict[str, list[dict[str, Any]]] = {}
        """Replies to the first request for a model, the second and so on; the last one is repeated. A reply has a
        `status`, a content `type`, `headers`, and either a `body` or `events` (see `written`); one of another `path`
        than the chat completions' is found there."""
        endpoint = self

        class Own(Answering):
            bad = endpoint

        self._server = _Server(("127.0.0.1", port), Own)
        self.port = self._server.server_address[1]
        self.base_url = f"http://127.0.0.1:{self.port}/v1"
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def __enter__(self) -> BadEndpoint:
        self._thread.start()
        return self

    def forget(self) -> None:
        """As it was before the first request, but for what is still being answered."""
        for seen in (self.requests, self.disconnects, self.redirected_to):
            seen.clear()
        self.scripts.clear()
        self.most_open_streams, self.models_status = self.open_streams, 200

    def __exit__(self, *exc: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, model: str) -> int:
        """Chat requests for this model so far."""
        return sum(1 for seen in self.requests if seen.method == "POST" and seen.model == model)

    def wait_for(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> bool:
        """Wait until something has happened to the server; False when it did not in time."""
        with self.changed:
            return self.changed.wait_for(condition, timeout)

    def note(self, change: Callable[[], None]) -> None:
        with self.changed:
            change()
            self.changed.notify_all()


def written(event: dict[str, Any] | str) -> str:
    """An event of a scripted reply as it goes over the wire: a string as it is, an object as data; `say`, `think`,
    `delta` and `finish` are short for a chunk, `usage` beside them is its usage."""
    if isinstance(event, str):
        return event
    short = {"say": "content", "think": "reasoning_content"}
    if not event.keys() & {*short, "delta", "finish"}:
        return f"data: {json.dumps(event)}\n\n"
    delta = {**event.get("delta", {}), **{new: event[old] for old, new in short.items() if old in event}}
    choices = [{"index": 0, "delta": delta, "finish_reason": event.get("finish")}]
    chunk = {"id": "c", "object": "chat.completion.chunk", "choices": choices}
    return f"data: {json.dumps(chunk | ({'usage': event['usage']} if 'usage' in event else {}))}\n\n"


class _Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that leaves is what is tested here; anything else is this server's own mistake."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)  # type: ignore[arg-type]


class _Gone(Exception):
    """The client has closed its connection."""


class Answering(BaseHTTPRequestHandler):
    bad: BadEndpoint
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, format: str, *args: object) -> None:
        pass

    def do_GET(self) -> None:
        self._see({})
        if self.path != "/v1/models":
            return self.json(404, {"detail": "Not Found"})
        if self.bad.models_status != 200:
            return self.json(self.bad.models_status, {"error": {"message": f"models say {self.bad.models_status}"}})
        return self.json(200, {"object": "list", "data": [{"id": m, "object": "model"} for m in self.bad.models]})

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        try:
            body = json.loads(raw or b"{}")
        except ValueError:
            return self.json(400, {"error": {"message": "not JSON"}})
        seen = self._see(body)
        if self.path == "/tokenize":
            return self.json(200, {"tokens": list(range(len(str(body.get("content", "")).split())))})
        if self.path == "/elsewhere":
            self.bad.note(lambda: self.bad.redirected_to.append(seen))
            return self.json(200, {})
        if (replies := self.bad.scripts.get(seen.model)) is not None:
            return self._scripted(replies)
        if self.path != "/v1/chat/completions":
            return self.json(404, {"detail": "Not Found"})
        behaviour = self.bad.behaviours.get(seen.model, _unknown_model)
        try:
            behaviour(self, body)
        except (_Gone, ConnectionError, TimeoutError):
            self.close_connection = True
            self.bad.note(lambda: self.bad.disconnects.append(seen.model))
        return None

    def _scripted(self, replies: list[dict[str, Any]]) -> None:
        path = self.path.partition("?")[0]
        here = [r for r in replies if r.get("path", "/v1/chat/completions") == path]
        if not here:
            return self.json(404, {"detail": "Not Found"})
        asked = sum(1 for seen in self.bad.requests if seen.method == "POST" and seen.path == self.path)
        reply = here[min(asked, len(here)) - 1]
        events = "".join(written(event) for event in reply.get("events", []))
        body = reply.get("body", events)
        content = (body if isinstance(body, str) else json.dumps(body)).encode("utf-8", "surrogatepass")
        kind = reply.get("type") or ("text/event-stream" if "events" in reply else "application/json")
        return self.send(reply.get("status", 200), content, kind, reply.get("headers"))

    def _see(self, body: dict[str, Any]) -> Seen:
        seen = Seen(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
        self.bad.note(lambda: self.bad.requests.append(seen))
        return seen

    def json(self, status: int, document: object, headers: dict[str, str] | None = None) -> None:
        self.send(status, json.dumps(document).encode(), "application/json", headers)

    def send(self, status: int, content: bytes, kind: str, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Type": kind, "Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def nth(self, body: dict[str, Any]) -> int:
        """Which request for this model this is, from 1."""
        return self.bad.count(str(body.get("model", "")))

    def stream(self, *, chunked: bool = True, kind: str = "text/event-stream") -> Stream:
        return Stream(self, chunked=chunked, kind=kind)

    def hang(self) -> None:
        """Say nothing until the client goes away or the server ends."""
        while not self.bad.stopping.is_set():
            self.wait(0.02)
        self.close_connection = True

    def wait(self, seconds: float) -> None:
        """Say nothing for so long, or until the client goes away."""
        waiting = select.poll()  # select.select refuses descriptors past 1024
        waiting.register(self.connection, select.POLLIN)
        if waiting.poll(1000 * seconds) and not self.connection.recv(1, socket.MSG_PEEK):
            raise _Gone


class Stream:
    """A response of server-sent events."""

    def __init__(self, handler: Answering, *, chunked: bool, kind: str) -> None:
        self.handler = handler
        self.chunked = chunked
        self.kind = kind

    def __enter__(self) -> Stream:
        def opened() -> None:
            bad.open_streams += 1
            bad.most_open_streams = max(bad.most_open_streams, bad.open_streams)

        h = self.handler
        bad = h.bad
        h.send_response(200)
        h.send_header("Content-Type", self.kind)
        if self.chunked:
            h.send_header("Transfer-Encoding", "chunked")
        else:
            h.send_header("Connection", "close")
            h.close_connection = True
        h.end_headers()
        bad.note(opened)
        return self

    def __exit__(self, *exc: object) -> None:
        bad = self.handler.bad

        def closed() -> None:
            bad.open_streams -= 1

        bad.note(closed)

    def raw(self, data: bytes) -> None:
        h = self.handler
        h.wfile.write(b"%x\r\n%s\r\n" % (len(data), data) if self.chunked else data)
        h.wfile.flush()

    def event(self, document: object) -> None:
        self.raw(b"data: " + json.dumps(document).encode() + b"\n\n")

    def chunk(self, *, finish: str | None = None, usage: object = None, **delta: object) -> None:
        choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
        self.event({"id": "c", "object": "chat.completion.chunk", "choices": choices, "usage": usage})

    def usage(self, usage: object = None) -> None:
        self.event({"id": "c", "object": "chat.completion.chunk", "choices": [], "usage": usage or USAGE})

    def done(self) -> None:
        self.raw(b"data: [DONE]\n\n")
        if self.chunked:
            self.handler.wfile.write(b"0\r\n\r\n")
            self.handler.wfile.flush()

    def text(self, parts: list[str]) -> None:
        self.chunk(role="assistant", content="")
        for part in parts:
            self.chunk(content=part)


Behaviour = Callable[[Answering, dict[str, Any]], None]


def behave_well(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        cap = body.get("max_tokens") or body.get("max_completion_tokens")
        s.text(ANSWER[:cap])
        s.chunk(finish="length" if cap and cap < len(ANSWER) else "stop")
        if body.get("stream_options"):
            s.usage({**USAGE, "completion_tokens": min(cap or 9, 9)})
        s.done()


def _obeys(h: Answering, body: dict[str, Any]) -> None:
    """Token elasticity: 120 tokens without a budget, fewer with one, more again under 30, wrong under 20."""
    asked = json.dumps(body["messages"])
    found = re.search(r"less than (\d+) tokens", asked)
    budget = int(found[1]) if found else None
    tokens = 120 if budget is None else max(12, budget * 9 // 10)
    if budget is not None and budget < 30:
        tokens = 60 + 2 * (30 - budget)
    tokens = 9 if "Answer directly" in asked else min(tokens, 120)
    end = ["The ", "answer ", "is ", "[[41]]" if budget is not None and budget < 20 else "[[42]]", "."]
    cap = body.get("max_tokens") or body.get("max_completion_tokens") or tokens
    with h.stream() as s:
        s.text([*["word "] * (tokens - len(end)), *end][:cap])  # A token each, also as tiktoken counts.
        s.chunk(finish="length" if cap < tokens else "stop")
        if body.get("stream_options"):
            s.usage({"prompt_tokens": 11, "completion_tokens": min(cap, tokens), "total_tokens": 11 + min(cap, tokens)})
        s.done()


def fail_with(status: int, *, headers: dict[str, str] | None = None, then_ok: int = 0, **error: object) -> Behaviour:
    """Fail with this error; after `then_ok` failures behave well (0: never)."""

    def behave(h: Answering, body: dict[str, Any]) -> None:
        if then_ok and h.nth(body) > then_ok:
            return behave_well(h, body)
        return h.json(status, {"error": {"message": f"simulated {status}", "type": "simulated", **error}}, headers)

    return behave


def _refuses(*names: str, message: str = "Unsupported parameter: '{}' is not supported with this model.") -> Behaviour:
    def behave(h: Answering, body: dict[str, Any]) -> None:
        for name in names:
            if name in body:
                error = {"message": message.format(name), "code": "unsupported_parameter", "param": name}
                return h.json(400, {"error": error})
        return behave_well(h, body)

    return behave


def _unknown_model(h: Answering, body: dict[str, Any]) -> None:
    message = f"The model `{body.get('model')}` does not exist or you do not have access to it."
    h.json(404, {"error": {"message": message, "type": "invalid_request_error", "code": "model_not_found"}})


def _hang(h: Answering, body: dict[str, Any]) -> None:
    h.hang()


def _hang_after_headers(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.chunk(role="assistant", content="")
        h.hang()


def _hang_mid_stream(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.text(ANSWER[:3])
        h.hang()


def _hang_at_the_end(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.text(ANSWER)
        s.chunk(finish="stop")
        h.hang()


def _cut(chunked: bool, parts: int) -> Behaviour:
    def behave(h: Answering, body: dict[str, Any]) -> None:
        with h.stream(chunked=chunked) as s:
            s.text(ANSWER[:parts])
            h.close_connection = True

    return behave


def _with_usage(usage: object) -> Behaviour:
    def behave(h: Answering, body: dict[str, Any]) -> None:
        with h.stream() as s:
            s.text(ANSWER)
            s.chunk(finish="stop")
            if usage is not None:
                s.usage(usage)
            s.done()

    return behave


def _html(h: Answering, body: dict[str, Any]) -> None:
    h.send(200, b"<!doctype html><title>Log in</title><p>Welcome", "text/html; charset=utf-8")


def _html_as_stream(h: Answering, body: dict[str, Any]) -> None:
    h.send(200, b"<!doctype html><title>Log in</title><p>Welcome", "text/event-stream")


def _other_json(h: Answering, body: dict[str, Any]) -> None:
    h.json(200, {"hello": "world"})


def _bad_chunks(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.raw(b"data: {not json\n\n")
        s.done()


def _odd_chunks(h: Answering, body: dict[str, Any]) -> None:
    """Valid JSON of the wrong shapes around a good answer."""
    with h.stream() as s:
        s.raw(b": keep-alive\n\n")
        for odd in ([], 7, None, "text", {}, {"choices": None}, {"choices": [{"delta": None}]}, {"choices": [{}]}):
            s.event(odd)
        s.event({"choices": [{"delta": {"content": ["not", "text"]}}]})
        s.text(ANSWER)
        s.chunk(finish="stop", usage="many")
        s.done()


def _whole_json(h: Answering, body: dict[str, Any]) -> None:
    message = {"role": "assistant", "content": "".join(ANSWER)}
    h.json(200, {"choices": [{"index": 0, "message": message, "finish_reason": "stop"}], "usage": USAGE})


def _echo_key(h: Answering, body: dict[str, Any]) -> None:
    sent = h.headers.get("Authorization", "")
    key = sent.removeprefix("Bearer ")
    message = f"Incorrect API key provided: {key}. You sent {sent}; cut: {key[:14]}; masked: {key[:12]}***{key[-4:]}"
    h.json(401, {"error": {"message": message, "code": "invalid_api_key"}, "headers": sent}, {"X-Your-Key": sent})


def _echo_key_500(h: Answering, body: dict[str, Any]) -> None:
    sent = h.headers.get("Authorization", "")
    page = f"<html><style>p {{}}</style><h1>500</h1><script>var k='{sent}'</script><p>debug: {sent}</p>" + "pad " * 500
    h.send(500, page.encode(), "text/html")


def _error_in_stream(parts: int, **error: object) -> Behaviour:
    def behave(h: Answering, body: dict[str, Any]) -> None:
        with h.stream() as s:
            s.text(ANSWER[:parts])
            s.event({"error": {"message": "simulated", **error}})
            s.done()

    return behave


def _echo_key_in_stream(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.text(ANSWER[:2])
        s.event({"error": {"message": f"upstream said no to {h.headers.get('Authorization')}", "code": 502}})


def _vllm_error_in_stream(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.event({"object": "error", "message": "maximum context length is 8 tokens", "type": "BadRequest", "code": 400})
        s.done()


def _redirect(h: Answering, body: dict[str, Any]) -> None:
    h.json(307, {}, {"Location": f"http://127.0.0.1:{h.bad.port}/elsewhere?key=secret"})


def _hostile(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.text([HOSTILE])
        s.chunk(finish="stop")
        s.done()


def _reasoning(name: str) -> Behaviour:
    def behave(h: Answering, body: dict[str, Any]) -> None:
        with h.stream() as s:
            for part in ("6 times ", "7 is 42."):
                s.chunk(**{name: part})
            s.text(ANSWER)
            s.chunk(finish="stop")
            details = {"completion_tokens_details": {"reasoning_tokens": 900}}
            s.usage({**USAGE, "completion_tokens": 909, **details, "prompt_tokens_details": {"cached_tokens": 8}})
            s.done()

    return behave


def _slow(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.chunk(role="assistant", content="")
        for i in range(2000):
            if h.bad.stopping.wait(0.02):
                h.close_connection = True
                return
            s.chunk(content=f"word{i} ")
        s.chunk(finish="stop")
        s.done()


def _endless(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        while not h.bad.stopping.is_set():
            s.chunk(content="again and again " * 50)
    h.close_connection = True


def _endless_line(h: Answering, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.raw(b"data: ")
        while not h.bad.stopping.is_set():
            s.raw(b"x" * 65536)
    h.close_connection = True


BEHAVIOURS: dict[str, Behaviour] = {
    "ok": behave_well,
    "obeys": _obeys,
    "429-then-ok": fail_with(429, headers={"Retry-After": "7"}, then_ok=1, code="rate_limit_exceeded"),
    "429-ms-then-ok": fail_with(429, headers={"retry-after-ms": "1500", "Retry-After": "9"}, then_ok=1),
    "429-for-ever": fail_with(429, code="rate_limit_exceeded"),
    "429-long-wait": fail_with(429, headers={"Retry-After": "3600"}),
    "429-quota": fail_with(429, code="insufficient_quota", message="You exceeded your current quota."),
    "500": fail_with(500),
    "503-then-ok": fail_with(503, then_ok=2),
    "400": fail_with(400, message="Invalid 'messages': nobody knows why."),
    "403": fail_with(403),
    "422-context": fail_with(
        422, message="This model's maximum context length is 8 tokens.", code="context_length_exceeded"
    ),
    "bad-temperature": fail_with(400, message="temperature must be at most 2", param="temperature"),
    "bad-effort": fail_with(400, message="Unsupported value: 'minimal' is not supported.", param="reasoning_effort"),
    "too-large-cap": fail_with(
        400, message="max_tokens is too large: 2048. At most 100 are allowed.", param="max_tokens"
    ),
    "hang": _hang,
    "hang-after-headers": _hang_after_headers,
    "hang-mid-stream": _hang_mid_stream,
    "hang-at-the-end": _hang_at_the_end,
    "cut": _cut(False, 3),
    "cut-chunked": _cut(True, 3),
    "cut-at-once": _cut(False, 0),
    "no-usage": _with_usage(None),
    "usage-negative": _with_usage({"prompt_tokens": -5, "completion_tokens": -9}),
    "usage-zero": _with_usage({"prompt_tokens": 0, "completion_tokens": 0}),
    "usage-absurd": _with_usage({"prompt_tokens": 11, "completion_tokens": 5_000_000}),
    "usage-words": _with_usage({"prompt_tokens": "eleven", "completion_tokens": 9.5}),
    "usage-list": _with_usage([1, 2]),
    "html": _html,
    "html-as-stream": _html_as_stream,
    "other-json": _other_json,
    "bad-chunks": _bad_chunks,
    "odd-chunks": _odd_chunks,
    "whole-json": _whole_json,
    "401": _echo_key,
    "500-echo": _echo_key_500,
    "no-temperature": _refuses("temperature", message="Unsupported value: '{}' does not support 0 with this model."),
    "no-max-tokens": _refuses("max_tokens", message="'{}' is not supported. Use 'max_completion_tokens' instead."),
    "no-stream-options": _refuses("stream_options", message="[{{'type': 'extra_forbidden', 'loc': ('body', '{}')}}]"),
    "no-seed-no-top-p": _refuses("seed", "top_p", message="Unrecognized request argument supplied: {}"),
    "o3-picky": _refuses("temperature", "max_tokens", "stream_options", "seed"),
    "error-in-stream": _error_in_stream(3, type="server_error"),
    "overloaded-in-stream": _error_in_stream(0, type="overloaded_error", code="rate_limit_exceeded"),
    "echo-in-stream": _echo_key_in_stream,
    "vllm-error-in-stream": _vllm_error_in_stream,
    "redirect": _redirect,
    "hostile": _hostile,
    "reasoning": _reasoning("reasoning_content"),
    "reasoning-openrouter": _reasoning("reasoning"),
    "slow": _slow,
    "endless": _endless,
    "endless-line": _endless_line,
}


def main() -> None:
    with BadEndpoint(port=int(sys.argv[1]) if len(sys.argv) > 1 else 0) as bad:
        print(f"{bad.base_url}\nmodels: {', '.join(bad.models)}", flush=True)
        try:
            while True:
                time.sleep(1)
        except KeyboardInterrupt:
            print("ended", file=sys.stderr)


if __name__ == "__main__":
    main()
