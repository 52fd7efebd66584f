"""The scripted model behaves like a client, and only as its script says."""

from __future__ import annotations

import pytest

from tale_core.errors import InputError, ModelTimeoutError, RateLimitedError
from tale_core.models.testing.scripted import Reply, ScriptedClient, count
from tale_core.types import Client, Completion, Delta, Message, Request, Sampling, Usage


def ask(text: str = "How many?", **sampling: object) -> Request:
    return Request((Message("user", text),), Sampling(**sampling))  # type: ignore[arg-type]


async def run(client: Client, request: Request | None = None) -> tuple[list[Delta], Completion]:
    events = [e async for e in client.stream(request or ask())]
    done = events.pop()
    assert isinstance(done, Completion) and all(isinstance(e, Delta) for e in events)
    return events, done  # type: ignore[return-value]


async def test_answers_come_in_the_scripts_order_and_are_marked_simulated() -> None:
    client = ScriptedClient(["one", "two words."])
    _, first = await run(client)
    assert (first.text, first.source, first.finish_reason) == ("one", "simulated", "stop")
    _, second = await run(client, ask("Second?"))
    assert (second.text, second.usage.completion_tokens) == ("two words.", 3)
    assert [r.messages[0].content for r in client.requests] == ["How many?", "Second?"]
    with pytest.raises(InputError, match="2 answers; this is call 3"):
        await run(client)


async def test_a_function_sees_the_request() -> None:
    client = ScriptedClient(lambda r: f"You said {r.messages[-1].content}")
    assert (await run(client, ask("hi")))[1].text == "You said hi"


async def test_the_script_can_start_again() -> None:
    client = ScriptedClient(["a", "b"], repeat=True)
    assert [(await run(client))[1].text for _ in range(5)] == ["a", "b", "a", "b", "a"]


async def test_an_answer_is_cut_at_the_cap_as_a_real_one_is() -> None:
    deltas, done = await run(ScriptedClient(["one two three four"]), ask(max_tokens=2))
    assert (done.text, done.finish_reason, done.usage.completion_tokens) == ("one two", "length", 2)
    assert "".join(d.text for d in deltas) == "one two"


async def test_chunks_reasoning_and_usage_are_as_written() -> None:
    usage = Usage(5, 50, 40)
    reply = Reply("ab", reasoning="hm hm", chunks=("a", "b"), usage=usage)
    deltas, done = await run(ScriptedClient([reply]))
    assert [d.text for d in deltas if d.text] == ["a", "b"]
    assert (done.reasoning_text, done.usage, done.text) == ("hm hm", usage, "ab")
    assert done.ttft_s is not None and done.ttft_s <= done.latency_s


async def test_errors_come_where_the_script_says_with_what_had_arrived() -> None:
    late = ModelTimeoutError("silent")
    client = ScriptedClient([RateLimitedError("slow down"), Reply("one two three", error=late, error_after=2)])
    with pytest.raises(RateLimitedError) as at_once:
        await run(client)
    assert at_once.value.partial is None
    with pytest.raises(ModelTimeoutError) as caught:
        await run(client)
    partial = caught.value.partial
    assert partial is not None and (partial.text, partial.finish_reason) == ("one two", "error")
    assert partial.usage.completion_tokens == 2


async def test_delays_are_slept_before_each_piece() -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    await run(ScriptedClient([Reply("a b", delay_s=0.5), "c"], delay_s=0.25, sleep=sleep))
    assert slept == [0.5, 0.5]


async def test_leaving_early_is_noted() -> None:
    client = ScriptedClient(["a b c"])
    stream = client.stream(ask())
    await anext(stream)
    assert client.open_streams == 1
    await stream.aclose()
    assert (client.open_streams, client.closed_early) == (0, 1)
    await client.aclose()
    assert client.closed


async def test_tokens_are_words_and_punctuation() -> None:
    assert count("It is 42, no?") == 6
    assert await ScriptedClient([]).count_tokens("") == 0
