"""Answers that are forced out: stopped at a budget, once they are settled, or when somebody wants them now."""

from __future__ import annotations

import asyncio
import math
from contextlib import aclosing
from dataclasses import replace

import pytest
from pydantic import SecretStr

from tale_core.budgets import continuing, kinds
from tale_core.budgets.forcing import (
    FORCED,
    FORCED_TOKENS,
    Close,
    Now,
    answered,
    closing_words,
    prompt_bound,
    same_answer,
    whole_text,
)
from tale_core.calls.record import fingerprint
from tale_core.errors import CannotContinueError, RequestRejectedError, ServerDiedError
from tale_core.models.client import params
from tale_core.models.client.answer import Answer
from tale_core.models.endpoints import Endpoint
from tale_core.models.testing.scripted import Reply, ScriptedClient, count
from tale_core.types import Completion, Message, Request, Sampling
from tests.store.samples import call as a_call

ASKED = Request((Message("user", "How many legs have 3 cats?"),), Sampling(max_tokens=400))
THOUGHT = "One cat has four legs so three cats have twelve legs and none of them has lost one of its legs."


def model(request: Request, *, knows_after: int = 6, thought: str = THOUGHT) -> Reply:
    """Writes its thought, part by part, and answers what it knows at that place."""
    if not request.continued:
        return Reply(thought)
    begun = request.messages[-1].content
    if begun.endswith("[["):
        written = count(begun.partition("\n\nFinal")[0])
        return Reply(" 12" if written >= knows_after else f" {written}")
    return Reply(thought.removeprefix(begun))


async def told(client: ScriptedClient, close: Close | None, request: Request = ASKED, *, stop_after: int = 0):
    shown, done, now = "", None, Now()
    async with aclosing(answered(client, request, close, now=now if stop_after else None)) as items:
        async for item in items:
            if isinstance(item, Completion):
                done = item
                continue
            shown += item.text
            if stop_after and count(shown) >= stop_after:
                now.want()
    assert done is not None
    return shown, done


async def test_an_enforced_answer_is_stopped_at_its_budget_and_has_an_answer_all_of_whose_tokens_count():
    client = ScriptedClient(model)
    shown, done = await told(client, Close(at=8))
    assert done.text == shown == "One cat has four legs so three cats\n\nFinal answer: [[ 12]]"
    assert (done.finish_reason, done.adjustments) == ("stop", (FORCED,))
    first, second = client.requests
    assert (first.sampling.max_tokens, second.sampling.max_tokens) == (8, FORCED_TOKENS)
    assert second.messages[-1] == Message("assistant", "One cat has four legs so three cats\n\nFinal answer: [[")
    assert done.usage.completion_tokens == 8 + 1
    assert done.usage.prompt_tokens == sum(count(m.content) for r in client.requests for m in r.messages)
    assert done.usage.prompt_tokens <= prompt_bound(Close(at=8), count(ASKED.messages[0].content), 400)


async def test_an_answer_that_ends_before_its_budget_is_left_as_it_is():
    shown, done = await told(ScriptedClient(model), Close(at=100))
    assert (done.text, done.adjustments, shown) == (THOUGHT, (), THOUGHT)


async def test_what_is_thought_apart_is_closed_before_the_answer_is_begun():
    client = ScriptedClient([Reply("", reasoning=THOUGHT), Reply("12")])
    _, done = await told(client, Close(at=4))
    assert client.requests[1].messages[-1].content == ("<think>\nOne cat has four\n</think>\n\nFinal answer: [[")
    assert (done.text, done.reasoning_text) == ("Final answer: [[12]]", "One cat has four")
    assert (done.usage.completion_tokens, done.usage.reasoning_tokens) == (5, 4)


async def test_an_early_exit_is_taken_once_the_answer_stays_the_same_and_pays_for_every_probe():
    client = ScriptedClient(model)
    shown, done = await told(client, Close(every=4))
    assert done.text == shown == "One cat has four legs so three cats have twelve legs and\n\nFinal answer: [[ 12]]"
    parts, probes = client.requests[::2], client.requests[1::2]
    assert [r.sampling.max_tokens for r in parts] == [4, 4, 4] and len(probes) == 3
    assert done.usage.completion_tokens == 12 + 3
    assert done.usage.prompt_tokens == sum(count(m.content) for r in client.requests for m in r.messages)


async def test_an_early_exit_goes_on_within_a_thought_that_no_mark_has_closed_yet():
    words = THOUGHT.split()

    def thinks(request: Request) -> Reply:
        begun = request.messages[-1].content if request.continued else ""
        if begun.endswith("[["):
            return Reply("12" if "twelve" in begun else str(len(begun)))
        written = len(begun.removeprefix("<think>").split())
        rest = " ".join(["", *words[written:]])
        return Reply(rest) if begun else Reply("", reasoning=" ".join(words))

    client = ScriptedClient(thinks)
    _, done = await told(client, Close(every=4))
    parts = [r.messages[-1].content for r in client.requests[2::2]]
    assert parts[0] == "<think>\nOne cat has four" and parts[1].endswith("legs so three cats")
    assert all(part.startswith("<think>\n") and "</think>" not in part for part in parts)
    assert done.text == "Final answer: [[12]]" and done.reasoning_text.endswith("twelve legs and none of them has")
    assert done.usage.reasoning_tokens == 16 and done.usage.completion_tokens == 16 + 4


async def test_an_early_exit_after_a_thought_keeps_it_before_the_text_that_goes_on():
    client = ScriptedClient([
        Reply("So that is twelve legs", reasoning="Four each."), Reply("[[x]]"), Reply(" and done."),
    ])  # fmt: skip
    _, done = await told(client, Close(every=6))
    assert client.requests[2].messages[-1].content.startswith("<think>\nFour each.\n</think>\n\nSo that is")
    assert done.reasoning_text == "Four each." and done.text.endswith("and done.")


async def test_an_early_exit_that_is_never_sure_ends_as_the_answer_does():
    thought = "One two three. The answer is 7."
    client = ScriptedClient(lambda r: model(r, knows_after=99, thought=thought))
    _, done = await told(client, Close(every=4))
    assert (done.text, done.adjustments, done.finish_reason) == (thought, (), "stop")


@pytest.mark.parametrize("close", [Close(at=300), Close(every=5), Close(every=300)])
async def test_all_of_it_stays_within_the_cap_that_was_sent(close):
    endless = ScriptedClient(lambda r: Reply(f"{len(r.messages[-1].content)} " + "word " * 500))
    request = Request(ASKED.messages, Sampling(max_tokens=120))
    _, done = await told(endless, close, request)
    assert done.usage.completion_tokens <= 120 and done.finish_reason in ("length", "stop")


async def test_whoever_wants_the_answer_now_gets_it_and_every_token_is_counted_as_ours():
    client = ScriptedClient(model)
    shown, done = await told(client, None, stop_after=7)
    assert done.text == shown == "One cat has four legs so three\n\nFinal answer: [[ 12]]"
    assert done.usage.estimated and done.usage.completion_tokens == 7 + 1
    assert client.closed_early == 1


async def test_a_model_that_falls_silent_is_not_waited_for_by_whoever_wants_the_answer_now():
    now, silent, written = Now(), asyncio.Event(), 0

    async def wait(_: float) -> None:
        nonlocal written
        written += 1
        if written == 5:
            silent.set()
            await asyncio.Event().wait()

    client = ScriptedClient(lambda r: replace(model(r, knows_after=4), delay_s=0 if r.continued else 1), sleep=wait)
    stream = answered(client, ASKED, now=now)
    asking = asyncio.create_task(asyncio.wait_for(_all(stream), 30))
    await silent.wait()
    now.want()
    *_, done = await asking
    assert done.text == "One cat has four\n\nFinal answer: [[ 12]]" and client.open_streams == 0
    assert (client.closed_early, len(client.requests)) == (1, 2)


async def _all(stream):
    return [item async for item in stream]


async def test_an_endpoint_that_cannot_continue_is_sent_nothing_and_says_so():
    client = ScriptedClient(model, continues=False)
    with pytest.raises(CannotContinueError, match="does not continue"):
        await told(client, Close(at=8))
    assert client.requests == []


@pytest.mark.parametrize(
    ("reply", "continues"),
    [
        ("is.", True),
        ("The capital of France is Paris.", False),  # It answers anew, and is cut before the end.
        ("Paris.", False),
        (" is a city.", False),
        (RequestRejectedError("no"), False),
    ],
)
async def test_an_endpoint_that_nobody_knows_is_tried_once(reply, continues):
    client = ScriptedClient(lambda _: reply, model=f"m{reply}", continues=None)
    for _ in range(2):
        if continues:
            await continuing.check_continues(client)
        else:
            with pytest.raises(CannotContinueError):
                await continuing.check_continues(client)
    assert len(client.requests) == 1


@pytest.mark.parametrize("reply", ["12]]", "Well: [[12]]", "We", "Well"])
async def test_what_an_endpoint_repeats_of_a_begun_message_is_no_part_of_its_answer(reply):
    request = Request((*ASKED.messages, Message("assistant", "Well: [[")))
    shown, done = await told(ScriptedClient([reply]), None, request)
    assert shown == done.text == reply.removeprefix("Well: [[")


async def test_an_answer_that_fails_when_it_is_forced_out_keeps_what_it_had_and_books_it():
    client = ScriptedClient([THOUGHT, ServerDiedError("gone")])
    with pytest.raises(ServerDiedError) as caught:
        await told(client, Close(at=8))
    assert caught.value.partial is not None
    assert caught.value.partial.usage.completion_tokens == 8
    assert caught.value.partial.text == "One cat has four legs so three cats"


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("12", " 12 ", True), ("12", "12.0", True), ("1,200", "1200", True), ("$5", "5", True),
        ("12", "13", False), ("Paris", "paris", True), ("", "", False), ("12]] and more", "12", True),
        ("B", "C", False),
    ],
)  # fmt: skip
def test_two_forced_answers_are_the_same_by_what_they_say(one, other, same):
    assert same_answer(one, other) is same


def test_the_answer_is_begun_in_the_language_of_the_question():
    assert closing_words(ASKED).startswith("\n\nFinal answer:")
    assert "最终答案" in closing_words(Request((Message("user", "三只猫有几条腿？"),)))


BODIES = [
    ("flags", "tiktoken", {"role": "assistant", "content": "So [["}, True),
    (None, "tiktoken", {"role": "assistant", "content": "So [["}, True),
    ("prefix", "tiktoken", {"role": "assistant", "content": "So [[", "prefix": True}, False),
    ("bare", "tiktoken", {"role": "assistant", "content": "So [["}, False),
]


@pytest.mark.parametrize(("how", "tokenizer", "message", "flags"), BODIES)
def test_a_message_is_continued_in_the_way_of_the_endpoint(how, tokenizer, message, flags):
    endpoint = Endpoint("http://x/v1", "m", api_key=SecretStr("k"), continues=how, tokenizer=tokenizer)
    request = Request((*ASKED.messages, Message("assistant", "So [[")), stop=("]]",))
    sent = params.body(request, endpoint, params.Learnt())
    assert sent["messages"][-1] == message and sent["stop"] == ["]]"]
    assert (sent.get("continue_final_message"), sent.get("add_generation_prompt")) == (
        (True, False) if flags else (None, None)
    )


def test_a_thought_stands_apart_where_a_template_writes_it_and_inside_for_llama_cpp():
    message = Message("assistant", "<think>\nhm\n</think>\n\nFinal answer: [[")
    request = Request((*ASKED.messages, message))
    vllm, llama = (
        params.body(request, Endpoint("http://x/v1", "m", continues="flags", tokenizer=name), params.Learnt())
        for name in ("tiktoken", "llama.cpp")
    )
    assert vllm["messages"][-1]["content"] == "Final answer: [["
    assert vllm["messages"][-1]["reasoning_content"] == "hm"
    assert llama["messages"][-1]["content"] == message.content


def test_flags_that_are_refused_are_left_out_without_a_word_and_an_ordinary_request_has_none():
    known = params.Learnt().without("continue_final_message").without("add_generation_prompt")
    request = Request((*ASKED.messages, Message("assistant", "So [[")))
    assert "continue_final_message" not in params.body(request, Endpoint("http://x/v1", "m"), known)
    assert known.words == ()
    assert "continue_final_message" not in params.body(ASKED, Endpoint("http://x/v1", "m"), params.Learnt())
    sent = params.body(request, Endpoint("http://x/v1", "m"), params.Learnt())
    words = "unrecognized request argument supplied: continue_final_message"
    assert params.refused(sent, status=400, param=None, words=words) == "continue_final_message"


def test_a_sampling_says_when_its_answer_is_forced_out():
    assert kinds.close_of(Sampling()) is None
    assert kinds.close_of(Sampling(knob="enforced:50")) == Close(at=50)
    assert kinds.close_of(Sampling(knob="early-exit:48")) == Close(every=48)
    assert kinds.close_of(Sampling(knob="thinking:50")) is None


def test_a_continued_answer_is_graded_with_what_it_continues():
    call = a_call("s", messages=(*ASKED.messages, Message("assistant", "So\n\nFinal answer: [[")), text=" 12")
    assert whole_text(call) == "So\n\nFinal answer: [[ 12]]"
    assert whole_text(a_call("s", messages=ASKED.messages, text="a [[b")) == "a [[b"


def test_a_text_that_ends_an_answer_is_part_of_what_was_asked():
    client = ScriptedClient([])
    assert fingerprint(ASKED, client) != fingerprint(Request(ASKED.messages, ASKED.sampling, stop=("\n",)), client)


def test_an_endpoint_is_asked_how_sure_it_was_and_one_that_refuses_is_not_asked_again():
    endpoint = Endpoint("http://x/v1", "m")
    sent = params.body(replace(ASKED, logprobs=True), endpoint, params.Learnt())
    assert (sent["logprobs"], sent["top_logprobs"]) == (True, 1) and "logprobs" not in params.body(
        ASKED, endpoint, params.Learnt()
    )
    words = "logprobs is not supported with this model"
    assert params.refused(sent, status=400, param="logprobs", words=words) == "logprobs"
    known = params.Learnt().without("logprobs").without("top_logprobs")
    assert "logprobs" not in params.body(replace(ASKED, logprobs=True), endpoint, known)


def test_the_confidence_of_an_answer_is_the_mean_of_what_the_chunks_tell():
    endpoint, answer = Endpoint("http://x/v1", "m"), Answer(started=0.0)
    for text, told in (("a", [{"logprob": -0.1}]), ("b", [{"logprob": -0.3}, {"token": "?"}]), ("c", None)):
        choice = {"index": 0, "delta": {"content": text}, "logprobs": told and {"content": told}}
        answer.add({"choices": [choice]}, endpoint)
    assert answer.confidence == pytest.approx(math.exp(-0.2))
    assert Answer(started=0.0).confidence is None
