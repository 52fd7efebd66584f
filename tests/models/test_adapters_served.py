"""Adapters beside their base in the embedded server: chosen by each request, and never left on by an earlier one."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import numpy as np
import psutil
import pytest

from tale_core.calls.record import fingerprint
from tale_core.errors import AdapterNotLoadedError, InputError, ServerDiedError
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.models.choice import available_choices, choice_from_flags, open_client
from tale_core.models.client.params import Learnt, body
from tale_core.models.embedded import client as client_module
from tale_core.models.embedded import prepare
from tale_core.models.embedded import server as embedded
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.run_folder import RunFolder, ServerState
from tale_core.models.embedded.server import ServerInfo, server_status, stop_server
from tale_core.models.endpoints import Endpoint
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.settings import get_settings
from tale_core.types import Client, Completion, Message, Request, Sampling
from tests.models.test_embedded import busy_slots, chat, send
from tests.support.counting_endpoint import CountingEndpoint
from tests.support.fixtures_model import TEST_MODEL
from tests.tuning import samples

WIDTH = 576
"""Of the small model's hidden state: its q_proj is WIDTH × WIDTH."""


def random_lora(seed: int, size: float) -> bytes:
    """An adapter of one projection that changes what the model says."""
    import struct

    draw = np.random.default_rng(seed)
    name = "blk.{}.attn_q.weight"
    tensors = {}
    for layer in range(0, 30, 3):
        tensors[f"{name.format(layer)}.lora_a"] = draw.normal(0, size, (4, WIDTH))
        tensors[f"{name.format(layer)}.lora_b"] = draw.normal(0, size, (WIDTH, 4))
    values = [
        samples.string("general.architecture", "llama"), samples.string("general.type", "adapter"),
        samples.string("adapter.type", "lora"), samples.value("adapter.lora.alpha", 6, struct.pack("<f", 8.0)),
    ]  # fmt: skip
    return samples.gguf(values, tensors)


def request(text: str, adapter: str = "", tokens: int = 24) -> Request:
    return Request((Message("user", text),), Sampling(temperature=0.0, seed=1, max_tokens=tokens), adapter)


async def said(client: Client, asked: Request) -> Completion:
    last = None
    async for item in client.stream(asked):
        last = item
    assert isinstance(last, Completion)
    return last


# --- what can be said without a model


def test_a_request_for_an_adapter_that_is_not_loaded_is_never_sent():
    here = Endpoint("http://127.0.0.1:1/v1", "m", embedded=True, adapters=("brief@1", "other@2"))
    assert "lora" not in body(request("x"), Endpoint("http://127.0.0.1:1/v1", "m"), Learnt())
    assert body(request("x"), here, Learnt())["lora"] == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 0.0}]
    on = body(request("x", "other@2"), here, Learnt())["lora"]
    assert on == [{"id": 0, "scale": 0.0}, {"id": 1, "scale": 1.0}]
    with pytest.raises(AdapterNotLoadedError, match="has not loaded the adapter 'brief'"):
        body(request("x", "brief@3"), here, Learnt())
    with pytest.raises(AdapterNotLoadedError, match="cannot answer with the adapter"):
        body(request("x", "brief@1"), Endpoint("http://127.0.0.1:1/v1", "m"), Learnt())


def test_an_answer_with_an_adapter_is_another_measurement():
    class Asked:
        model, endpoint = "m", "e"

    plain, one, other = (fingerprint(request("x", a), Asked()) for a in ("", "brief@1", "brief@2"))
    assert len({plain, one, other}) == 3


def test_a_model_with_an_adapter_can_be_chosen_by_name(tmp_path: Path) -> None:
    one = samples.adapter(tmp_path)
    chosen = choice_from_flags(model=f"{TEST_MODEL}+brief", base_url=None, api_key_env=None)
    assert (chosen.base, chosen.adapter, chosen.model) == (TEST_MODEL, one.key, f"{TEST_MODEL}+{one.key}")
    assert chosen in available_choices({})
    assert choice_from_flags(model=chosen.model, base_url=None, api_key_env=None) == chosen
    with pytest.raises(InputError, match=f"is for {TEST_MODEL}"):
        choice_from_flags(model="qwen2.5-coder-1.5b+brief", base_url=None, api_key_env=None)


# --- with the small model


@pytest.fixture
def served(smollm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TALE_CACHE_DIR", str(smollm_cache))
    monkeypatch.setenv(
        "TALE_SERVER_THREADS", "1"
    )  # Two servers answer at once: with more threads than cores they crawl.
    monkeypatch.setenv("TALE_SERVER_CONTEXT", "512")
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 300.0)
    get_settings.cache_clear()
    yield
    prepare.forget_all()
    stop_server(TEST_MODEL)


@pytest.fixture
async def client(served: None) -> AsyncIterator[Client]:
    made = await open_client(choice_from_flags(model=TEST_MODEL, base_url=None, api_key_env=None))
    yield made
    await made.aclose()


@pytest.fixture
def brief(tmp_path: Path) -> Adapter:
    return samples.adapter(tmp_path, "brief", file=random_lora(1, 0.2))


@pytest.mark.model
@pytest.mark.timeout(400)
async def test_the_base_says_the_same_before_beside_and_after_its_adapters(
    client: Client, brief: Adapter, tmp_path: Path
) -> None:
    questions = ["Name three colours.", "What is two plus two?"]
    before = [(await said(client, request(q))).text for q in questions]
    other = samples.adapter(tmp_path, "other", file=random_lora(2, 0.2))
    first = [(await said(client, request(q, brief.key))).text for q in questions]
    second = [(await said(client, request(q, other.key))).text for q in questions]
    assert first != before and second != before and first != second
    # In every order on the same prompt: a slot's cache holds what another adapter computed.
    for q, base, a, b in zip(questions, before, first, second, strict=True):
        for key, text in [("", base), (brief.key, a), ("", base), (other.key, b), (brief.key, a), ("", base)]:
            assert (await said(client, request(q, key))).text == text
    info = server_status(TEST_MODEL)
    assert info is not None and info.adapters == (brief.key, other.key)
    answers = await asyncio.gather(*(said(client, request(questions[0], k)) for k in ("", brief.key, other.key, "")))
    assert [a.text for a in answers] == [before[0], first[0], second[0], before[0]]


@pytest.mark.model
@pytest.mark.timeout(400)
async def test_loading_an_adapter_cuts_no_answer_off(client: Client, brief: Adapter) -> None:
    old = server_status(TEST_MODEL)
    assert old is not None
    long = asyncio.create_task(asyncio.to_thread(send, old, "/v1/chat/completions", chat(200)))
    while not busy_slots(old):
        await asyncio.sleep(0.05)
    tuned = await said(client, request("Name three colours.", brief.key))
    assert tuned.usage.completion_tokens > 0
    new = server_status(TEST_MODEL)
    assert new is not None and new.pid != old.pid
    status, answer = await long
    assert status == 200 and answer["usage"]["completion_tokens"] == 200, "the old server finished what it was writing"


@pytest.mark.model
@pytest.mark.timeout(400)
async def test_an_adapter_that_cannot_be_loaded_is_told_and_the_base_goes_on(
    client: Client, brief: Adapter, tmp_path: Path
) -> None:
    base = (await said(client, request("Name three colours."))).text
    pid = server_status(TEST_MODEL).pid
    foreign = samples.adapter(tmp_path, "foreign", file=samples.lora("llama", rows=6, columns=4))
    qwen = samples.adapter(tmp_path, "qwen", base="qwen2.5-coder-1.5b")
    content = bytearray(brief.gguf.read_bytes())
    content[-5] ^= 255
    brief.gguf.write_bytes(bytes(content))
    for key, words in [
        (foreign.key, "belongs to another model"), (qwen.key, "is for qwen"), (brief.key, "damaged"),
        ("nobody@1", "trained again or deleted"), (f"foreign@{'0' * 12}", "trained again or deleted"),
    ]:  # fmt: skip
        with pytest.raises(AdapterNotLoadedError, match=words):
            await said(client, request("Name three colours.", key))
    assert (await said(client, request("Name three colours."))).text == base
    assert server_status(TEST_MODEL).pid == pid, "nothing was restarted for what cannot be loaded"


@pytest.mark.model
@pytest.mark.timeout(400)
async def test_a_model_with_an_adapter_answers_as_the_adapter_does(served: None, brief: Adapter) -> None:
    plain = await open_client(choice_from_flags(model=TEST_MODEL, base_url=None, api_key_env=None))
    chosen = choice_from_flags(model=f"{TEST_MODEL}+brief", base_url=None, api_key_env=None)
    adapted = await open_client(chosen)
    text = (await said(plain, request("Name three colours.", brief.key))).text
    assert (await said(adapted, request("Name three colours."))).text == text
    assert adapted.model == chosen.model and await adapted.count_tokens("one two") == 2
    # Deleted while it is loaded: what runs has it in memory, what starts anew says that it is gone.
    adapters.delete(brief)
    assert (await said(adapted, request("Name three colours."))).text == text
    stop_server(TEST_MODEL)
    anew = await open_client(chosen)
    with pytest.raises(AdapterNotLoadedError, match="trained again or deleted"):
        await said(anew, request("Name three colours."))
    assert RunFolder.of(embedded_model(TEST_MODEL), get_settings()).read() is not None
    for one in (anew, adapted, plain):
        await one.aclose()


async def test_after_its_server_died_a_client_asks_a_new_one(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    infos = [ServerInfo(f"http://127.0.0.1:{n}/v1", "key", n, "m", 512, 1) for n in (1, 2)]
    scripts: dict[str, list[Reply | str]] = {
        infos[0].base_url: ["one", Reply("half", error=ServerDiedError("killed"), error_after=1)],
        infos[1].base_url: ["two", "three"],
    }
    monkeypatch.setattr(client_module, "make_embedded_client", lambda info: ScriptedClient(scripts[info.base_url]))
    started: list[str] = []

    async def server(adapter: str) -> ServerInfo:
        started.append(adapter)
        return infos[1]

    client = client_module.EmbeddedClient(infos[0], run=RunFolder(tmp_path), server=server)

    async def text() -> str:
        request = Request((Message("user", "Count."),))
        return "".join([item.text async for item in client.stream(request) if isinstance(item, Completion)])

    assert await text() == "one" and started == []
    with pytest.raises(ServerDiedError):
        await text()
    assert [await text(), await text()] == ["two", "three"] and started == [""]


async def test_a_server_that_broke_off_is_not_trusted_while_its_process_is_on_its_way_out(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    run = RunFolder.of(embedded_model(TEST_MODEL), get_settings())
    run.create()
    with CountingEndpoint() as endpoint:
        port = int(endpoint.base_url.split(":")[2].split("/")[0])
        # This very process stands for one that was killed and is not gone yet.
        run.write(ServerState(TEST_MODEL, port, "key", os.getpid(), psutil.Process().create_time(), 1, 512))
        info = server_status(TEST_MODEL)
        assert info is not None
    assert server_status(TEST_MODEL) == info, "it has just answered"
    died = ScriptedClient([ServerDiedError("killed")])
    monkeypatch.setattr(client_module, "make_embedded_client", lambda info: died)

    async def server(adapter: str) -> ServerInfo:
        raise AssertionError

    client = client_module.EmbeddedClient(info, run=run, server=server)
    with pytest.raises(ServerDiedError):
        async for _ in client.stream(Request((Message("user", "Count."),))):
            pass
    assert server_status(TEST_MODEL) is None
