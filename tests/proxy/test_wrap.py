"""In-process wrappers, each against the real package; a test is skipped where its package is not installed."""

from __future__ import annotations

from typing import Any

import pytest

from tale_core.errors import InputError
from tale_core.proxy.wrap import langchain_runnable, litellm_hook, openai_client, shorter
from tests.support.upstream import Answer, Upstream, serving

ASKED = {"model": "m", "messages": [{"role": "user", "content": "Why?"}]}
TOOL = {"type": "function", "function": {"name": "add", "description": "x", "parameters": {"type": "object"}}}
SHORT = "Why?\nAnswer and be concise."


def said(upstream: Upstream) -> list[str]:
    return [body["messages"][-1]["content"] for body in upstream.bodies]


def test_a_request_is_changed_only_where_it_may_be() -> None:
    assert shorter(ASKED)["messages"][-1]["content"] == SHORT
    assert shorter(ASKED | {"tools": [TOOL]}) == ASKED | {"tools": [TOOL]}
    assert shorter(ASKED, change="effort:low")["reasoning_effort"] == "low"
    with pytest.raises(InputError):
        shorter(ASKED, change="cascade")


async def test_a_client_of_the_openai_sdk_asks_shorter_streamed_and_whole() -> None:
    openai = pytest.importorskip("openai")
    upstream = Upstream(lambda body: Answer("Because.", tokens=2))
    with serving(upstream) as url:
        with openai_client(openai.OpenAI(base_url=url, api_key="k")) as client:
            whole = client.chat.completions.create(**ASKED)
            streamed = "".join(p.choices[0].delta.content or "" for p in
                               client.chat.completions.create(**ASKED, stream=True) if p.choices)  # fmt: skip
            client.chat.completions.create(**ASKED, tools=[TOOL], n=openai.NOT_GIVEN)
        async with openai_client(openai.AsyncOpenAI(base_url=url, api_key="k"), change="thinking:64") as other:
            await other.chat.completions.create(**ASKED)
    assert whole.choices[0].message.content == streamed == "Because."
    assert said(upstream) == [SHORT, SHORT, "Why?", "Why?"]
    assert upstream.bodies[-1]["thinking_token_budget"] == 64


@pytest.mark.filterwarnings("default")  # Theirs.
async def test_litellm_asks_shorter_through_the_hook(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LITELLM_LOCAL_MODEL_COST_MAP", "True")  # Else it asks a server for prices.
    litellm = pytest.importorskip("litellm")
    hook: Any = litellm_hook()
    upstream = Upstream(lambda body: Answer("Because.", tokens=2))
    with serving(upstream) as url:
        for data in (ASKED, ASKED | {"tools": [TOOL]}):
            changed = await hook.async_pre_call_hook(None, None, data | {"model": "openai/m"}, "completion")
            answer = await litellm.acompletion(**changed, api_base=url, api_key="k")
            assert answer.choices[0].message.content == "Because."
    assert said(upstream) == [SHORT, "Why?"]


@pytest.mark.filterwarnings("default")
def test_a_langchain_chain_asks_shorter() -> None:
    pytest.importorskip("langchain_core")
    chat = pytest.importorskip("langchain_openai")
    upstream = Upstream(lambda body: Answer("Because.", tokens=2))
    with serving(upstream) as url:
        chain: Any = langchain_runnable() | chat.ChatOpenAI(model="m", base_url=url, api_key="k")
        assert chain.invoke("Why?").content == "Because."
        assert chain.invoke([("system", "Be kind."), ("user", "Why?")]).content == "Because."
    assert said(upstream) == [SHORT, SHORT]
    with pytest.raises(InputError):
        langchain_runnable(change="effort:low")
