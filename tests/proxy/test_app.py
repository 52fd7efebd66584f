"""The drop-in endpoint against a scripted upstream: nothing changes where nothing was wished for."""

from __future__ import annotations

import gzip
import json
import signal
import subprocess
import sys
import time
from typing import Any

import httpx2
import pytest

from tale_core.proxy import app as proxy_app
from tale_core.proxy.change import change
from tale_core.proxy.plan import ProxyPlan
from tale_core.proxy.reading import ended, read
from tale_core.settings import get_settings
from tale_core.store import Passed, Store, TrafficStore, open_store
from tests.proxy.conftest import Start
from tests.support.upstream import Answer, Upstream, serving
from tests.support.waiting import until

ASKED = {"model": "m", "messages": [{"role": "user", "content": "How many are 6 times 7? Answer like [[50]]."}]}
STREAM = ASKED | {"stream": True, "stream_options": {"include_usage": True}}
TOOLS = ASKED | {"tools": [{"type": "function", "function": {"name": "add", "parameters": {}}}]}
CALLED = json.dumps({"choices": [{"message": {"tool_calls": [{"id": "1"}]}, "finish_reason": "tool_calls"}]}).encode()
REFUSED = b'{"error": {"message": "slow down", "type": "rate_limit", "code": "x"}}'


def post(url: str, body: Any = ASKED, path: str = "/chat/completions", **headers: str) -> httpx2.Response:
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    head = {"content-type": "application/json", "authorization": "Bearer mine"} | named
    with httpx2.Client(trust_env=False, timeout=30) as client:
        return client.post(url + path, content=content, headers=head)


def scripted(body: dict[str, Any]) -> Answer:
    if body.get("tools"):
        return Answer(raw=CALLED)
    if body.get("seed") == 429:
        return Answer(status=429, raw=REFUSED, headers=(("retry-after", "3"), ("x-request-id", "r1")))
    return Answer(headers=(("x-request-id", "r2"), ("openai-processing-ms", "7"))) if body.get("model") else Answer(
        status=400, raw=b'{"error": {"message": "no model"}}'
    )  # fmt: skip


def test_observed_answers_are_the_upstreams_to_the_byte_errors_and_tools_included(started: Start) -> None:
    cases: list[tuple[Any, str]] = [
        (ASKED, "/chat/completions"), (STREAM, "/chat/completions"), (TOOLS, "/chat/completions"),
        (ASKED | {"seed": 429}, "/chat/completions"), (b"no JSON", "/chat/completions"), ({"input": "x"}, "/other"),
        (TOOLS | {"stream": True}, "/chat/completions?a=b"), ({}, "/chat/completions"),
    ]  # fmt: skip
    with started(scripted) as on:
        for body, path in cases:
            straight, through = (post(url, body, path) for url in (on.direct, on.url))
            assert (through.status_code, through.content) == (straight.status_code, straight.content), (body, path)
            ours = {"content-length", "transfer-encoding"}
            assert {k: v for k, v in through.headers.items() if k not in ours} == {
                k: v for k, v in straight.headers.items() if k not in ours
            }
            (*sent, headers, content), (*passed, passed_headers, passed_content) = on.upstream.seen[-2:]
            assert (passed, passed_content) == (sent, content)
            assert passed_headers["authorization"] == headers["authorization"] == "Bearer mine"
        with httpx2.Client(trust_env=False) as client:
            assert client.get(f"{on.url}/models").content == client.get(f"{on.direct}/models").content
        rows = on.traffic.requests()
    assert sorted(row.status for row in rows) == ["done"] * 4 + ["refused"] * 3
    assert {row.completion_tokens for row in rows if row.model == "m" and row.status == "done"} == {9, None}
    assert {row.left_alone for row in rows} == {"", "tools", "shape"}


RESPONSE = {
    "id": "r",
    "object": "response",
    "status": "completed",
    "model": "m",
    "output": [
        {"type": "reasoning", "summary": []},
        {"type": "message", "content": [{"type": "output_text", "text": "It is [[42]]."}]},
    ],
    "usage": {"input_tokens": 11, "output_tokens": 70, "output_tokens_details": {"reasoning_tokens": 60}},
}
EVENTS = "".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n" for one in (
    {"type": "response.created", "response": {**RESPONSE, "status": "in_progress", "usage": None}},
    {"type": "response.output_text.delta", "delta": 'It is "type": "response.completed"\ndata: [DONE] [[42]].'},
    {"type": "response.completed", "response": RESPONSE},
)).encode()  # fmt: skip
LEGACY = b'{"choices": [{"text": " 42", "index": 0}], "usage": {"prompt_tokens": 4, "completion_tokens": 3}}'
VECTORS = b'{"data": [{"embedding": [0.1]}], "usage": {"prompt_tokens": 8, "total_tokens": 8}}'


def test_other_paths_that_say_their_tokens_are_counted_and_never_changed(started: Start) -> None:
    def reply(body: dict[str, Any]) -> Answer:
        if body.get("stream"):
            return Answer(raw=EVENTS, kind="text/event-stream")
        return Answer(raw={"prompt": LEGACY, "text": VECTORS}.get(str(body["input"]), json.dumps(RESPONSE).encode()))

    with started(reply, sample=1.0, mode="save") as on:
        for path, body in (
            ("/responses", {"model": "m", "input": "Why?"}),
            ("/responses", {"model": "m", "input": "", "stream": True}),
            ("/completions", {"model": "m", "input": "prompt"}), ("/embeddings", {"model": "m", "input": "text"}),
        ):  # fmt: skip
            straight, through = (post(url, body, path) for url in (on.direct, on.url))
            assert (through.status_code, through.content) == (200, straight.content), path
            assert on.upstream.seen[-1][3] == on.upstream.seen[-2][3]
        wished = post(on.url, {"model": "m(budget=9)", "input": "Why?"}, "/responses")
        assert wished.headers["x-tale-unchanged"] == "responses"
        assert json.loads(on.upstream.seen[-1][3])["model"] == "m"
        rows = on.traffic.requests()[::-1]
        (all_of_it,) = on.traffic.models()
        pairs = on.traffic.pairs()
    found = [
        (r.left_alone, r.status, r.prompt_tokens, r.completion_tokens, r.thinking_tokens, r.estimated) for r in rows
    ]
    assert found == [
        ("responses", "done", 11, 70, 60, False), ("responses", "done", 11, 70, 60, False),
        ("completions", "done", 4, 3, None, False), ("embeddings", "done", 8, None, None, False),
        ("responses", "done", 11, 70, 60, False),
    ]  # fmt: skip
    assert (all_of_it.tokens, all_of_it.thinking_tokens, all_of_it.open_tokens, pairs) == (213, 180, 0, [])


@pytest.mark.parametrize(
    "stream", [EVENTS, b'data: {"a": "data: [DONE]"}\n\ndata: [DONE]\n\n'], ids=["responses", "chat"]
)
def test_a_stream_has_ended_with_its_last_line_and_not_before_however_it_is_cut(stream: bytes) -> None:
    last = stream.rindex(b"data: ")
    whole = stream.index(b"\n", last) if stream is EVENTS else stream.rindex(b"]")
    for size in (1, 7, 64, len(stream)):
        raw, over = bytearray(), None
        for at in range(0, len(stream), size):
            raw += stream[at : at + size]
            if ended(raw, at):
                over = len(raw)
                break
        assert over is not None
        assert over - size <= whole < over
    assert read(EVENTS[:last], model="m").estimated


def test_a_client_that_leaves_stops_the_upstream_and_is_counted_as_gone(started: Start) -> None:
    with started(lambda body: Answer("word " * 50, endless=True)) as on:
        with httpx2.Client(trust_env=False, timeout=30) as client, client.stream(
            "POST", f"{on.url}/chat/completions", json=STREAM
        ) as answer:  # fmt: skip
            assert next(answer.iter_raw())
        assert on.upstream.left.wait(30)
    assert [row.status for row in on.traffic.requests()] == ["left"]


def test_an_upstream_that_breaks_off_ends_in_an_error_that_clients_understand(started: Start) -> None:
    with started(lambda body: Answer(breaks=True)) as on:
        whole, streamed = post(on.url), post(on.url, STREAM)
    assert whole.status_code == 502
    assert whole.json()["error"]["code"] == "upstream"
    assert b'"code": "upstream"' in streamed.content.splitlines()[-2]
    assert [row.status for row in on.traffic.requests()] == ["broken", "broken"]


def test_wishes_in_the_name_and_in_headers_change_one_request_and_are_told(started: Start) -> None:
    with started(mode="observe") as on:
        cases = [
            (post(on.url, ASKED | {"model": "m(budget=60)"}), {"x-tale-strategy": "fixed:60", "x-tale-budget": "60"}),
            (post(on.url, ASKED, x_tale="effort=low"), {"x-tale-strategy": "effort:low"}),
            (post(on.url, STREAM | {"model": "m(tale)"}), {"x-tale-strategy": "concise"}),
            (post(on.url, ASKED | {"model": "m(off)"}), {}),
            (post(on.url, TOOLS, x_tale="budget=60"), {"x-tale-unchanged": "tools"}),
            (post(on.url, TOOLS, x_tale="budget=60", x_tale_allow="tools"),
             {"x-tale-strategy": "fixed:60", "x-tale-budget": "60"}),
            (post(on.url, ASKED | {"model": "m (beta)"}), {}),
        ]  # fmt: skip
        for answer, told in cases:
            assert answer.status_code == 200
            assert {k: v for k, v in answer.headers.items() if k.startswith("x-tale")} == told
        for wish in ("m(budget=0)", "m(budget=x)", "m(effort=huge)"):
            assert post(on.url, ASKED | {"model": wish}).status_code == 400
        bodies, sent = on.upstream.bodies, on.upstream.seen
    assert [body["model"] for body in bodies] == ["m"] * 6 + ["m (beta)"]
    assert bodies[0]["messages"][0]["content"].endswith("Answer and use less than 60 tokens.")
    assert bodies[1]["reasoning_effort"] == "low"
    assert not any("x-tale" in name for *_, headers, _ in sent for name in headers)
    by = {row.strategy for row in on.traffic.requests()}
    assert by == {"", "fixed:60", "effort:low", "concise"}


def test_a_changed_answer_that_does_not_do_is_asked_for_plainly_and_both_are_counted(started: Start) -> None:
    def reply(body: dict[str, Any]) -> Answer:
        if body.get("reasoning_effort"):
            return Answer(status=400, raw=REFUSED)
        short = "less than" in body["messages"][-1]["content"]
        return Answer("forty-two", tokens=4) if short else Answer("It is [[42]].", tokens=90)

    with started(reply) as on:
        whole = post(on.url, ASKED, x_tale="budget=60")
        streamed = post(on.url, STREAM, x_tale="budget=60")
        refused = post(on.url, STREAM | {"messages": [{"role": "user", "content": "Why?"}]}, x_tale="effort=low")
        rows = on.traffic.requests()
    assert whole.json()["choices"][0]["message"]["content"] == "It is [[42]]."
    assert [whole.headers["x-tale-fallback"], streamed.headers["x-tale-fallback"]] == ["format", "format"]
    assert b"It is [[42]]." in streamed.content
    assert streamed.content.endswith(b"data: [DONE]\n\n")
    assert (refused.status_code, refused.headers["x-tale-fallback"]) == (200, "refused")
    assert [(row.fallback, row.completion_tokens, row.dropped_tokens) for row in reversed(rows)] == [
        ("format", 90, 4), ("format", 90, 4), ("refused", 90, 0)
    ]  # fmt: skip


@pytest.mark.parametrize("status", [401, 429, 503])
@pytest.mark.parametrize("asked", [ASKED, STREAM], ids=["checked", "streamed"])
def test_a_limit_or_an_outage_that_a_changed_request_meets_is_passed_on_and_not_doubled(
    started: Start, status: int, asked: dict[str, Any]
) -> None:
    with started(lambda body: Answer(status=status, raw=REFUSED, headers=(("retry-after", "5"),))) as on:
        answer = post(on.url, asked, x_tale="budget=60")
        bodies, (row,) = on.upstream.bodies, on.traffic.requests()
    assert (answer.status_code, answer.content, answer.headers["retry-after"]) == (status, REFUSED, "5")
    assert len(bodies) == 1 and "x-tale-fallback" not in answer.headers
    assert (row.status, row.http_status, row.fallback) == ("refused", status, "")


@pytest.mark.parametrize(
    ("said", "asked_twice"),
    [("You are not allowed to set reasoning_effort for this model", True), ("This key may not use this model", False)],
)
@pytest.mark.parametrize("asked", [ASKED, STREAM], ids=["checked", "streamed"])
def test_a_right_that_is_lacking_for_the_change_alone_does_not_cost_the_answer(
    started: Start, asked: dict[str, Any], said: str, asked_twice: bool
) -> None:
    refusal = json.dumps({"error": {"message": said}}).encode()

    def reply(body: dict[str, Any]) -> Answer:
        refused = "reasoning_effort" in body or not asked_twice
        return Answer(status=403, raw=refusal) if refused else Answer("It is [[42]].")

    with started(reply) as on:
        answer = post(on.url, asked | {"messages": [{"role": "user", "content": "Why?"}]}, x_tale="effort=low")
        (row,) = on.traffic.requests()
    assert len(on.upstream.bodies) == 1 + asked_twice
    assert (answer.status_code, answer.headers.get("x-tale-fallback")) == (
        (200, "refused") if asked_twice else (403, None)
    )
    assert row.status == ("done" if asked_twice else "refused")
    assert asked_twice or answer.content == refusal


@pytest.mark.parametrize("kind", ["text/plain", "application/x-ndjson", "text/event-stream"])
@pytest.mark.parametrize("packed", [False, True])
def test_a_stream_under_any_label_goes_through_as_it_is_and_is_counted(started: Start, kind: str, packed: bool) -> None:
    piece = {"choices": [{"index": 0, "delta": {"content": "[[42]]"}, "finish_reason": "stop"}]}
    lines = [piece, {"choices": [], "usage": {"prompt_tokens": 5, "completion_tokens": 6, "total_tokens": 11}}]
    mark = "" if kind == "application/x-ndjson" else "data: "
    raw = "".join(f"{mark}{json.dumps(one)}\n\n" for one in lines).encode()
    sent = gzip.compress(raw) if packed else raw
    headers = (("content-encoding", "gzip"),) if packed else ()
    with started(lambda body: Answer(raw=sent, kind=kind, headers=headers)) as on:
        assert post(on.url, STREAM).content == raw
        (row,) = on.traffic.requests()
    assert (row.status, row.prompt_tokens, row.completion_tokens, row.estimated) == ("done", 5, 6, False)


def test_an_error_within_a_200_is_no_answer_and_counted_as_refused(started: Start) -> None:
    raw = b'{"error": {"message": "overloaded", "code": 503}}'
    with started(lambda body: Answer(raw=raw), sample=1.0) as on:
        assert post(on.url, ASKED).content == raw
        (row,) = on.traffic.requests()
        assert (row.status, row.http_status, on.traffic.pairs()) == ("refused", 200, [])


@pytest.mark.parametrize("at", ["begin", "request"])
def test_no_row_stays_open_however_a_request_ends(started: Start, monkeypatch: pytest.MonkeyPatch, at: str) -> None:
    with started() as on:
        proxy = on.proxy

        async def late(passed: Passed) -> None:
            await whole(passed)
            raise RuntimeError("the loop is closing")

        def wrong(*args: Any) -> Any:
            raise RuntimeError("no request can be made")

        whole = proxy.book.begin
        if at == "begin":
            monkeypatch.setattr(proxy.book, "begin", late)
        else:
            monkeypatch.setattr(proxy, "request", wrong)
        assert post(on.url, ASKED).status_code == 500
        # Written by a task of its own: whoever asked has had the answer by then.
        until(lambda: [row.status for row in on.traffic.requests()] == ["broken"])


@pytest.mark.parametrize(
    ("upstream", "key", "header"),
    [
        ("https://lab.openai.azure.com/openai/v1", "abc", (b"api-key", b"abc")),
        ("https://lab.openai.azure.com/openai/v1", "eyJ0", (b"authorization", b"Bearer eyJ0")),
        ("https://api.example.com/v1", "abc", (b"authorization", b"Bearer abc")),
    ],
)
async def test_a_key_goes_into_the_header_that_the_client_uses(
    store: Store, upstream: str, key: str, header: tuple[bytes, bytes]
) -> None:
    made = proxy_app.Proxy(ProxyPlan(upstream), TrafficStore(store), get_settings(), api_key=key)
    assert made.own_headers() == [header]
    await made.aclose()


def test_a_model_that_is_silent_longer_than_our_own_time_limit_is_waited_for(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALE_REQUEST_TIMEOUT_S", "1")
    get_settings.cache_clear()

    def reply(body: dict[str, Any]) -> Answer:
        time.sleep(1.5)
        return Answer("[[42]]")

    with started(reply) as on:
        assert post(on.url, ASKED).status_code == 200


def test_what_a_path_and_a_body_leave_open_is_not_filled_in(started: Start) -> None:
    with started() as on:
        with httpx2.Client(trust_env=False, timeout=30) as client:
            client.get(f"{on.url}/models/a%2Fb%3Fc")
            client.post(f"{on.url}/chat/completions", json={"messages": []})
        seen = on.upstream.seen
    assert seen[0][1].endswith("/models/a/b?c")  # The upstream takes the escapes off; a "?" within is no query.
    assert json.loads(seen[1][3]) == {"messages": []}


def test_a_cascade_counts_where_the_model_was_sure(started: Start) -> None:
    def reply(body: dict[str, Any]) -> Answer:
        sure = -0.01 if "6" in body["messages"][-1]["content"] else -2.0
        return Answer("[[1]]", logprob=sure if body.get("logprobs") else None, tokens=5 if body.get("logprobs") else 50)

    with started(reply, mode="save") as on:
        on.proxy.pairs._best["m"] = change("cascade")
        brief = post(on.url, ASKED)
        unsure = post(on.url, ASKED | {"messages": [{"role": "user", "content": "How many? [[50]]"}]})
    assert brief.headers["x-tale-strategy"] == "cascade"
    assert "logprobs" not in brief.json()["choices"][0]
    assert brief.json()["usage"]["completion_tokens"] == 5
    assert unsure.headers["x-tale-fallback"] == "unsure"


def test_what_is_not_for_it_is_refused_in_openais_words(started: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(proxy_app, "MOST_BODY", 1000)
    with started(api_key="secret") as on:
        root = on.url.removesuffix("/v1")
        key = {"authorization": f"Bearer {on.proxy.client_key}"}
        refused = [
            post(on.url, ASKED, host="evil.example", **key),
            post(on.url, ASKED, origin="https://evil.example", **key),
            post(root, ASKED, path="/admin", **key),
            post(on.url, ASKED),
            post(on.url, b"x" * 2000, **key),
        ]
        assert [answer.status_code for answer in refused] == [421, 403, 404, 401, 413]
        assert all(answer.json()["error"]["message"] for answer in refused)
        assert post(on.url, ASKED, **key).status_code == 200
        assert [headers["authorization"] for *_, headers, _ in on.upstream.seen] == ["Bearer secret"]


def test_a_kill_leaves_clients_with_an_end_and_the_counts_right() -> None:
    upstream = Upstream(lambda body: Answer("word " * 20, endless=body.get("seed") == 1))
    with serving(upstream) as direct:
        command = [sys.executable, "-m", "tale_core", "proxy", "--upstream", direct, "--json", "--sample", "0"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
            assert process.stdout is not None
            try:
                url = json.loads(process.stdout.readline())["base_url"]
                assert [post(url, body).status_code for body in (ASKED, STREAM, ASKED)] == [200] * 3
                with httpx2.Client(trust_env=False, timeout=30) as client, client.stream(
                    "POST", f"{url}/chat/completions", json=STREAM | {"seed": 1}
                ) as answer:  # fmt: skip
                    pieces = answer.iter_raw()
                    assert next(pieces)
                    process.send_signal(signal.SIGKILL)
                    with pytest.raises(httpx2.HTTPError):
                        list(pieces)
            finally:
                process.kill()
    found = TrafficStore(open_store()).models()
    assert [(one.requests, one.done, one.killed, one.open, one.tokens) for one in found] == [(4, 3, 1, 0, 27)]
