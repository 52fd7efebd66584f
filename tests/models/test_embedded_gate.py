"""What `serve` serves: the model that was named, the adapter that was named, and nothing under another name."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
import uvicorn

from tale_core.cli.main import main
from tale_core.errors import ServerStartError
from tale_core.models.embedded.gate import Gate
from tale_core.models.embedded.server import ServerInfo, stop_server
from tale_core.settings import get_settings
from tests.models.test_adapters_served import random_lora
from tests.support.bad_endpoint import BadEndpoint
from tests.support.fixtures_model import TEST_MODEL
from tests.tuning import samples

KEY = "the-key-of-the-gate"
ADAPTER = "brief@1"


@contextmanager
def gate(
    bad: BadEndpoint, *, model: str = "ok", base: str = "ok", adapter: str = "", fails: bool = False
) -> Iterator[str]:
    """The gate on a port of its own, in front of this endpoint; its address."""
    info = ServerInfo(bad.base_url, "the-key-of-the-server", 1, base, 1024, 2, ("other@2", ADAPTER))

    async def server() -> ServerInfo:
        if fails:
            raise ServerStartError("The model server did not start.", "Ask again.")
        return info

    app = Gate(server, model=model, adapter=adapter, api_key=KEY)
    with socket.create_server(("127.0.0.1", 0)) as place:
        config = uvicorn.Config(app, log_config=None, access_log=False, lifespan="off", timeout_graceful_shutdown=1)
        serving = uvicorn.Server(config)

        async def run() -> None:
            await serving.serve(sockets=[place])
            await app.aclose()

        thread = threading.Thread(target=lambda: asyncio.run(run()), daemon=True)
        thread.start()
        try:
            yield f"http://127.0.0.1:{place.getsockname()[1]}/v1"
        finally:
            serving.should_exit = True
            thread.join(10)


@pytest.fixture
def bad() -> Iterator[BadEndpoint]:
    with BadEndpoint() as server:
        yield server


def post(base_url: str, body: Any, *, key: str | None = KEY, path: str = "/chat/completions") -> httpx2.Response:
    headers = {} if key is None else {"Authorization": f"Bearer {key}"}
    return httpx2.post(base_url + path, json=body, headers=headers, trust_env=False, timeout=20)


ASKED: dict[str, Any] = {"messages": [{"role": "user", "content": "6 times 7?"}], "stream": True}


@pytest.mark.parametrize("named", ["gpt-4o-mini", "OK", "ok ", "ok+brief", "", 7, ["ok"], {"id": "ok"}, True])
def test_a_request_that_names_another_model_is_refused_as_openai_does_it(bad: BadEndpoint, named: object) -> None:
    with gate(bad) as url:
        answer = post(url, {**ASKED, "model": named})
    assert answer.status_code == 404 and answer.headers["content-type"].startswith("application/json")
    told = answer.json()["error"]
    assert told["code"] == "model_not_found" and told["param"] == "model" and told["type"] == "invalid_request_error"
    assert str(named) in told["message"] and "serves 'ok' alone" in told["message"]
    assert bad.requests == []


def test_the_sdk_says_that_the_model_is_not_found(bad: BadEndpoint) -> None:
    with gate(bad) as url, openai.OpenAI(base_url=url, api_key=KEY, max_retries=0) as client:
        with pytest.raises(openai.NotFoundError, match="this endpoint serves 'ok' alone"):
            client.chat.completions.create(model="gpt-4o", messages=ASKED["messages"])
        pieces = client.chat.completions.create(model="ok", messages=ASKED["messages"], stream=True)
        text = "".join(p.choices[0].delta.content or "" for p in pieces if p.choices)
    assert text == "The answer is [[42]]."


@pytest.mark.parametrize("named", [{"model": "ok"}, {"model": None}, {}])
def test_the_served_model_answers_by_its_name_and_without_one(bad: BadEndpoint, named: dict[str, Any]) -> None:
    with gate(bad) as url:
        answer = post(url, {**ASKED, **named})
    assert len(bad.requests) == 1 and answer.status_code in (200, 404)  # What the endpoint behind says of no name.
    assert ("[[42]]" in answer.text) == bool(named.get("model"))
    assert "lora" not in bad.requests[0].body
    assert bad.requests[0].headers.get("Authorization", bad.requests[0].headers.get("authorization")) == (
        "Bearer the-key-of-the-server"
    )


def test_an_adapter_is_switched_on_for_every_request_and_all_others_off(bad: BadEndpoint) -> None:
    with gate(bad, model="ok+brief", adapter=ADAPTER) as url:
        answer = post(url, {**ASKED, "model": "ok+brief", "lora": [{"id": 0, "scale": 1.0}]})
        unnamed = post(url, ASKED)
        base = post(url, {**ASKED, "model": "ok"})
        listed = httpx2.get(f"{url}/models", headers={"Authorization": f"Bearer {KEY}"}, trust_env=False).json()
    assert answer.status_code == unnamed.status_code == 200 and "[[42]]" in answer.text
    assert base.status_code == 404, "the base is another model"
    sent = [seen.body for seen in bad.requests if seen.method == "POST"]
    assert [one["model"] for one in sent] == ["ok", "ok"]
    assert all(one["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}] for one in sent)
    assert {one["id"] for one in listed["data"]} == {"ok+brief"}


@pytest.mark.parametrize("key", [None, "wrong", KEY[:-1], "the-key-of-the-server", "schlüssel"])
def test_nothing_is_passed_on_without_the_key(bad: BadEndpoint, key: str | None) -> None:
    with gate(bad) as url:
        headers = {} if key is None else {"Authorization": f"Bearer {key}".encode()}
        answer = httpx2.post(f"{url}/chat/completions", json=ASKED, headers=headers, trust_env=False)  # type: ignore[arg-type]
    assert answer.status_code == 401 and answer.json()["error"]["code"] == "invalid_api_key"
    assert bad.requests == []


def test_what_is_no_json_is_left_to_the_server(bad: BadEndpoint) -> None:
    with gate(bad) as url:
        answer = httpx2.post(
            f"{url}/chat/completions", content=b"{no", headers={"Authorization": f"Bearer {KEY}"}, trust_env=False
        )
    assert answer.status_code == 400 and answer.json()["error"]["message"] == "not JSON"


def test_a_server_that_is_gone_is_told_in_openais_form(bad: BadEndpoint) -> None:
    with gate(bad, fails=True) as url:
        answer = post(url, {**ASKED, "model": "ok"})
    assert answer.status_code == 503 and "did not start" in answer.json()["error"]["message"]
    with BadEndpoint() as gone:
        pass
    with gate(gone) as url:
        answer = post(url, {**ASKED, "model": "ok"})
    assert answer.status_code == 502 and answer.json()["error"]["code"] == "server_unavailable"


@pytest.mark.parametrize("model", ["hang", "hang-mid-stream"])
def test_whoever_leaves_stops_the_server(bad: BadEndpoint, model: str) -> None:
    with gate(bad, model=model) as url:
        with pytest.raises(httpx2.TimeoutException):
            httpx2.post(
                f"{url}/chat/completions", json={**ASKED, "model": model}, timeout=0.5, trust_env=False,
                headers={"Authorization": f"Bearer {KEY}"},
            )  # fmt: skip
        assert bad.wait_for(lambda: bad.disconnects == [model])


# --- the command


@pytest.mark.parametrize(
    ("named", "told"),
    [
        (f"{TEST_MODEL}+nobody", "There is no adapter 'nobody'. There are: mine."),
        (f"{TEST_MODEL}+", "There is no adapter ''. There are: mine."),
        (f"{TEST_MODEL}+../mine", "There is no adapter '../mine'."),
        ("qwen2.5-coder-1.5b+mine", "mine"),
        ("gpt-4o", "gpt-4o"),
    ],
)
def test_serve_refuses_what_it_does_not_have_and_says_what_there_is(
    named: str, told: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples.adapter(tmp_path, "mine", file=random_lora(1, 0.3))
    assert main(["serve", "--model", named, "--json"]) == 2
    said = capsys.readouterr()
    assert told in said.err and said.out == ""


@pytest.mark.model
def test_serve_serves_an_adapter_under_its_name(
    smollm_cache: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in (("CACHE_DIR", str(smollm_cache)), ("SERVER_CONTEXT", "512"), ("SERVER_SLOTS", "1")):
        monkeypatch.setenv(f"TALE_{name}", value)
    get_settings.cache_clear()
    samples.adapter(tmp_path, "mine", file=random_lora(1, 0.3))
    command = [sys.executable, "-m", "tale_core", "serve", "--json", "--model", f"{TEST_MODEL}+mine"]
    try:
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=dict(os.environ)) as serving:
            assert serving.stdout is not None
            told = json.loads("".join(iter(serving.stdout.readline, "}\n")) + "}")
            with openai.OpenAI(base_url=told["base_url"], api_key=told["api_key"], max_retries=0) as client:
                ask = {"messages": ASKED["messages"], "max_tokens": 8, "temperature": 0}
                on = client.chat.completions.create(model=told["model"], **ask)  # type: ignore[call-overload]
                with pytest.raises(openai.NotFoundError):
                    client.chat.completions.create(model=TEST_MODEL, **ask)  # type: ignore[call-overload]
                assert [m.id for m in client.models.list()] == [f"{TEST_MODEL}+mine"] == [told["model"]]
            serving.terminate()
    finally:
        stop_server(TEST_MODEL)
    assert on.usage.completion_tokens == 8
