"""Token counts as real endpoints report them, each read by a real client from a scripted one and priced to the cent."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tale_core.models.client import params as client_params
from tale_core.models.client import usage as client_usage
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.types import Completion, Message, Price, Request, Usage
from tests.support.bad_endpoint import BadEndpoint

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "usage_shapes.json").read_text(encoding="utf-8")
)
ASK = Request((Message("user", "What is six times seven? Give the number like [[7]]."),))
KEY = "sk-test-0123456789abcdefghij"


async def answered(bad: BadEndpoint, case: dict[str, Any]) -> tuple[Completion, Price]:
    client_params.forget_all()
    path = {"path": case["path"]} if "path" in case else {}
    first = [case["first"]] if "first" in case else []
    bad.scripts[case["name"]] = [*first, {"events": case["events"], **path}]
    bad.requests.clear()
    price = case["price"]
    priced = Price(price["input"], price["output"], "2026-11", price.get("cached"), price.get("written"))
    url = bad.base_url.removesuffix("/v1") + case.get("base", "/v1")
    endpoint = Endpoint(url, case["name"], SecretStr(KEY), price=priced)
    client = OpenAIClient(endpoint, settings=Settings(request_timeout_s=20, connect_timeout_s=5))
    try:
        found = [event async for event in client.stream(ASK)]
    finally:
        await client.aclose()
    assert isinstance(found[-1], Completion)
    return found[-1], priced


@pytest.mark.parametrize("case", CASES, ids=[case["name"] for case in CASES])
async def test_a_count_is_read_as_it_is_meant_and_priced_to_the_cent(bad: BadEndpoint, case: dict[str, Any]) -> None:
    completion, price = await answered(bad, case)
    assert completion.text == "6 times 7 is [[42]]." and completion.finish_reason == "stop"
    found = {name: getattr(completion.usage, name) for name in case["usage"]}
    assert found == case["usage"]
    assert price.cost(completion.usage) == pytest.approx(case["cost_usd"], rel=1e-9)


async def test_azure_gets_its_version_and_its_key_in_its_own_header(bad: BadEndpoint) -> None:
    await answered(bad, next(case for case in CASES if case["name"] == "azure"))
    seen = bad.requests[-1]
    assert seen.path == "/openai/deployments/lab/chat/completions?api-version=2024-10-21"
    assert seen.headers["api-key"] == KEY and "authorization" not in seen.headers


async def test_a_model_of_the_responses_api_is_asked_there_and_it_is_said(bad: BadEndpoint) -> None:
    completion, _ = await answered(bad, next(case for case in CASES if case["name"] == "openai-responses"))
    assert [seen.path for seen in bad.requests] == ["/v1/chat/completions", "/v1/responses"]
    sent = bad.requests[-1].body
    assert sent["max_output_tokens"] == 2048 and sent["input"][0]["content"] == ASK.messages[0].content
    assert "seed" not in sent and any("Responses API" in words for words in completion.adjustments)


@pytest.mark.parametrize(
    ("raw", "prompt", "completion", "reasoning"),
    [
        # Thinking that is more than the completion cannot be inside of it.
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 50}},
            10,
            55,
            50,
        ),
        # ... and is no number at all where the total says that nothing is missing.
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15, "reasoning_tokens": 50},
            10,
            5,
            None,
        ),
        ({"prompt_tokens": 10, "total_tokens": 30}, 10, 20, None),
        ({"completion_tokens": 20, "total_tokens": 30}, 10, 20, None),
        # A total that is less than its parts, or beyond belief, says nothing.
        ({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 0}, 10, 20, None),
        ({"prompt_tokens": 10, "completion_tokens": 20, "total_tokens": 10**12}, 10, 20, None),
        ({"prompt_tokens": 10.0, "completion_tokens": 20.0}, 10, 20, None),
        ({"prompt_tokens": True, "completion_tokens": "20", "total_tokens": -1}, None, None, None),
        ([1, 2], None, None, None),
        # Relays rename: case and marks do not matter.
        (
            {"inputTokens": 10, "outputTokens": 20, "outputTokenDetails": {"reasoningTokens": 12}, "totalTokens": 30},
            10,
            20,
            12,
        ),
        ({"PromptTokens": 10, "CompletionTokens": 20, "reasoning-tokens": 12}, 10, 20, 12),
    ],
)
def test_a_total_decides_what_is_inside_and_what_beside(
    raw: Any, prompt: int | None, completion: int | None, reasoning: int | None
) -> None:
    found = client_usage.read(raw)
    assert (found.prompt, found.completion, found.reasoning) == (prompt, completion, reasoning)


async def settled(raw: Any, *, text: str, reasoning: str = "", cap: int | None = 2048) -> Usage:
    async def count(words: str) -> int:
        return len(words.split())

    return await client_usage.settle(
        client_usage.read(raw), messages=ASK.messages, text=text, reasoning=reasoning, hides=False, cap=cap, count=count
    )


async def test_a_count_that_adds_up_within_the_cap_is_believed_and_one_past_it_is_not() -> None:
    raw = {"prompt_tokens": 30, "completion_tokens": 1800, "total_tokens": 1830}
    believed = await settled(raw, text="[[42]] it is")
    assert (believed.completion_tokens, believed.estimated) == (1800, False)
    assert (believed.visible_tokens, believed.reasoning_estimated) == (3, True)
    for doubtful in (await settled(raw, text="[[42]] it is", cap=100), await settled({}, text="[[42]] it is")):
        assert doubtful.estimated and doubtful.completion_tokens == 3
    absurdly_few = await settled({"prompt_tokens": 30, "completion_tokens": 1, "total_tokens": 31}, text="word " * 400)
    assert absurdly_few.estimated and absurdly_few.completion_tokens == 400


async def test_the_parts_are_the_whole_whatever_came() -> None:
    for thought in ("", "so it is", "word " * 300):
        for completion in (0, 3, 40, 900):
            raw = {"prompt_tokens": 30, "completion_tokens": completion, "total_tokens": 30 + completion}
            found = await settled(raw, text="it is [[42]]", reasoning=thought)
            assert found.visible_tokens is not None and found.thinking_tokens is not None
            assert found.visible_tokens + found.thinking_tokens == found.completion_tokens
            assert not thought or found.thinking_tokens > 0


async def test_thinking_that_was_seen_is_not_counted_as_none() -> None:
    raw = {"prompt_tokens": 9, "completion_tokens": 30, "completion_tokens_details": {"reasoning_tokens": 0}}
    found = await settled(raw, text="word " * 10, reasoning="word " * 20)
    assert (found.thinking_tokens, found.reasoning_estimated) == (20, True)
