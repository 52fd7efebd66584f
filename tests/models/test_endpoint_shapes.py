"""Answers, errors, waits and refused parameters as real endpoints write them, each through a real client."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tale_core import errors
from tale_core.models.client import usage as client_usage
from tale_core.models.client.answer import Answer
from tale_core.models.client.bodies import read_error
from tale_core.models.client.events import StreamedError
from tale_core.models.client.http_errors import classify
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.responses import as_chunk
from tale_core.models.client.retry import RetryPolicy, reset_after
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.types import Completion, Delta, Message, Request, Sampling
from tests.support.bad_endpoint import BadEndpoint

ANSWER = {"events": [{"say": "[[42]]"}, {"finish": "stop"}, "data: [DONE]\n\n"]}
ASK = Request((Message("user", "What is six times seven?"),))


def cases(name: str) -> list[Any]:
    table = json.loads((Path(__file__).parents[1] / "cases" / f"endpoint_{name}.json").read_text(encoding="utf-8"))
    return [pytest.param(case, id=case["name"]) for case in table]


class Asked:
    """One question to a scripted endpoint: what came of it, and how long was waited."""

    def __init__(self, bad: BadEndpoint, model: str, replies: list[dict[str, Any]]) -> None:
        bad.scripts[model] = replies
        self.slept: list[float] = []
        self.deltas: list[Delta] = []
        endpoint = Endpoint(bad.base_url, model, SecretStr("sk-test-0123456789abcdefghij"))
        settings = Settings(request_timeout_s=20, connect_timeout_s=5)
        self.client = OpenAIClient(endpoint, settings=settings, sleep=self._sleep)

    async def _sleep(self, seconds: float) -> None:
        self.slept.append(seconds)

    async def answer(self, request: Request = ASK) -> Completion:
        try:
            async for event in self.client.stream(request):
                if isinstance(event, Completion):
                    return event
                self.deltas.append(event)
        finally:
            await self.client.aclose()
        raise AssertionError("no completion")


@pytest.mark.parametrize("case", cases("answers"))
async def test_an_answer_is_read_whole_and_once_whatever_its_shape(bad: BadEndpoint, case: dict[str, Any]) -> None:
    asked = Asked(bad, case["name"], case["replies"])
    if "error" in case:
        with pytest.raises(getattr(errors, case["error"])) as caught:
            await asked.answer()
        assert case["says"] in str(caught.value)
        assert caught.value.partial is not None and caught.value.partial.text == case["text"]
        return
    done = await asked.answer()
    assert (done.text, done.reasoning_text, done.finish_reason) == (case["text"], case["reasoning"], case["finish"])
    assert bad.count(case["name"]) == 1


@pytest.mark.parametrize("case", cases("answers"))
async def test_what_is_shown_while_it_grows_is_what_is_kept(bad: BadEndpoint, case: dict[str, Any]) -> None:
    asked = Asked(bad, case["name"], case["replies"])
    if "error" in case or case["name"] == "thought-that-the-template-opened":
        return  # A thought without an opening mark shows only when it closes.
    done = await asked.answer()
    shown = "".join(d.text for d in asked.deltas), "".join(d.reasoning for d in asked.deltas)
    assert shown[0].strip() == done.text.strip()
    assert done.reasoning_text in shown[1]


@pytest.mark.parametrize("case", cases("errors"))
async def test_an_error_is_told_in_the_endpoints_own_words(bad: BadEndpoint, case: dict[str, Any]) -> None:
    asked = Asked(bad, case["name"], [case["reply"]])
    with pytest.raises(errors.ModelError) as caught:
        await asked.answer()
    error = caught.value
    assert type(error).__name__ == case["error"]
    assert case["says"] in error.message and case.get("hint", "") in error.hint
    assert case.get("silent") is None or case["silent"] not in str(error).replace(bad.base_url, "")
    assert (len(bad.requests), error.attempts) == (case["requests"], case["requests"])


@pytest.mark.parametrize("case", cases("waits"))
async def test_a_wait_is_as_long_as_the_endpoint_asks(bad: BadEndpoint, case: dict[str, Any]) -> None:
    asked = Asked(bad, case["name"], [case["reply"], ANSWER])
    done = await asked.answer()
    assert (done.text, done.attempts, len(asked.slept)) == ("[[42]]", 2, 1)
    assert case["wait"] is None or asked.slept == [case["wait"]]


async def test_a_model_that_loads_is_waited_for_longer_than_a_fault_and_not_for_ever(bad: BadEndpoint) -> None:
    loading = {"status": 503, "body": {"error": {"message": "Loading model", "code": 503}}}
    patient = Asked(bad, "loads", [*[loading] * 20, ANSWER])
    assert (await patient.answer()).attempts == 21
    for_ever = Asked(bad, "loads for ever", [loading])
    with pytest.raises(errors.ServerFailedError) as caught:
        await for_ever.answer()
    assert sum(for_ever.slept) == RetryPolicy().loading_s
    assert "has loaded" in caught.value.hint and caught.value.attempts == len(for_ever.slept) + 1


def test_an_allowance_that_is_far_away_or_not_used_up_is_no_wait() -> None:
    assert reset_after({"x-ratelimit-reset-tokens": "6m0s"}) is None
    assert reset_after({"x-ratelimit-remaining-requests": "3", "x-ratelimit-reset-requests": "2s"}) is None
    assert reset_after({"anthropic-ratelimit-requests-reset": "2000-01-01T00:00:00Z"}) == 0
    assert reset_after({"x-ratelimit-reset": "nonsense", "content-type": "text/plain"}) is None


@pytest.mark.parametrize("case", cases("parameters"))
async def test_a_parameter_that_may_not_be_sent_is_left_out_once_and_said(
    bad: BadEndpoint, case: dict[str, Any]
) -> None:
    model = case["model"]
    request = Request(ASK.messages, Sampling(**case["sampling"]))
    done = await Asked(bad, model, [case["reply"], ANSWER]).answer(request)
    assert (done.text, done.attempts) == ("[[42]]", 2)
    first, second = (seen.body for seen in bad.requests)
    gone = case["gone"]
    assert gone in first and not second.get(gone)
    assert not case["sent"] or second[case["sent"]] == first[gone]
    assert any(case["says"] in words for words in done.adjustments) or not case["says"]
    kept = first.keys() - {gone, "stream_options", "stream"}
    assert all(second[name] == first[name] for name in kept)
    assert (await Asked(bad, model, [ANSWER]).answer(request)).attempts == 1


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (403, "You are not allowed to request logprobs from this model"),
        (400, "Logprobs is not enabled for models/gemini-2.5-flash"),
        (400, "top_logprobs is not supported with this model"),
    ],
)
async def test_probabilities_that_are_refused_are_left_out_together(
    bad: BadEndpoint, status: int, message: str
) -> None:
    asked = Asked(bad, "m", [{"status": status, "body": {"error": {"message": message}}}, ANSWER])
    done = await asked.answer(replace(ASK, logprobs=True))
    assert (done.text, done.confidence) == ("[[42]]", None)
    first, second = (seen.body for seen in bad.requests)
    assert first.keys() - second.keys() == {"logprobs", "top_logprobs"}


async def test_a_refused_key_is_asked_once_whatever_it_may_not(bad: BadEndpoint) -> None:
    reply = {"status": 403, "body": {"error": {"message": "This key is not allowed to set temperature or seed"}}}
    with pytest.raises(errors.AuthenticationFailedError):
        await Asked(bad, "m", [reply]).answer(Request(ASK.messages, Sampling(temperature=0.5, seed=1)))
    assert len(bad.requests) == 1


async def test_a_model_that_thinks_unseen_in_empty_pieces_is_waited_for(bad: BadEndpoint) -> None:
    asked = Asked(bad, "m", [{"events": [*[{"say": ""}] * 20_500, {"say": "[[42]]"}, {"finish": "stop"}]}])
    assert (await asked.answer()).text == "[[42]]"


@pytest.mark.parametrize(
    ("message", "param"),
    [
        ("max_tokens is too large: 2048. This model supports at most 1024 completion tokens.", "max_tokens"),
        ("temperature must be between 0 and 1", "temperature"),
        ("Invalid 'temperature': expected a value <= 2, but got 9 instead.", "temperature"),
        ("Unsupported value: 'low' is not supported. Supported values are: 'high'.", "reasoning_effort"),
        ("seed must be at most 2147483647", "seed"),
        ("upstream error: the tokenizer is not available", None),
    ],
)
async def test_a_value_that_is_the_callers_to_change_is_never_changed_in_silence(
    bad: BadEndpoint, message: str, param: str | None
) -> None:
    reply = {"status": 400, "body": {"error": {"message": message, "param": param}}}
    with pytest.raises(errors.RequestRejectedError) as caught:
        await Asked(bad, "values", [reply]).answer(Request(ASK.messages, Sampling(reasoning_effort="low")))
    assert message[:30] in caught.value.message and len(bad.requests) == 1


async def test_a_cap_that_has_no_name_left_is_not_dropped(bad: BadEndpoint) -> None:
    replies = [
        {"status": 400, "body": {"error": {"message": f"Unsupported parameter: '{name}'", "param": name}}}
        for name in ("max_tokens", "max_completion_tokens")
    ]
    with pytest.raises(errors.RequestRejectedError):
        await Asked(bad, "capless", replies).answer()
    assert len(bad.requests) == 2


_WORDS = (
    "error message detail code type status choices delta content reasoning reasoning_details thinking text index usage "
    "finish_reason metadata raw param errors base_resp status_code response output object details retryDelay summary "
    "prompt_tokens completion_tokens total_tokens completion_tokens_details reasoning_tokens x_groq extra_content"
)
_NAMES = st.sampled_from(_WORDS.split())
_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
    | st.sampled_from(["thinking", "stop", "error", '{"error": {"message": "x"}}', "{'a': 1}", "try again in 2s", "²"]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=4),
    max_leaves=12,
)  # fmt: skip


@given(_JSON)
def test_no_json_however_odd_is_more_than_an_error_of_ours(document: Any) -> None:
    endpoint = Endpoint("http://127.0.0.1:9/v1", "m")
    said = read_error(document)
    assert said.wait_s is None or said.wait_s >= 0
    assert isinstance(classify(500, document, endpoint, headers={}).error, errors.ModelError)
    client_usage.read(document)
    answer = Answer(started=0.0)
    for chunk in (document, as_chunk(document), {"choices": [{"index": 0, "delta": document}]}):
        with suppress(StreamedError, errors.ModelError):
            answer.add(chunk, endpoint)
    answer.end()
    assert isinstance(answer.text + answer.reasoning, str)
