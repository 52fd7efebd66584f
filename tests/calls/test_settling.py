"""Where the answer was already there: planted traces, whose truth is known, and what is made of their probes."""

from __future__ import annotations

import random
from dataclasses import replace

import pytest

from tale_core.ask.settle import SettlePlan, SettleRun
from tale_core.calls.budget_ledger import Ledger, Limits
from tale_core.calls.caller import Caller
from tale_core.calls.events import CallFinished
from tale_core.calls.settling import MOST_PLACES, Settled, places, settle, settled
from tale_core.errors import InputError
from tale_core.models.testing.scripted import Reply, ScriptedClient, count
from tale_core.runs.documents import ask_document
from tale_core.store import CallStore, open_store
from tale_core.types import CallRecord, Outcome, Question, Request
from tests.store.samples import call as a_call
from tests.store.samples import session as a_session

QUESTION = Question("How many legs have 3 cats?", answer="12", kind="number")
WORDS = ("so", "then", "we", "count", "legs", "again", "and", "see", "that", "cats", "walk", "home")


CHINESE = ("所以", "然后", "我们", "数一数", "猫腿", "再", "还有", "看到", "这样", "小猫", "走", "回家")


def trace(rng: random.Random, sentences: int, *, chinese: bool = False) -> list[str]:
    words, between, end = (CHINESE, "，", "。") if chinese else (WORDS, " ", ". ")
    return [between.join(rng.choices(words, k=rng.randint(4, 14))) + end for _ in range(sentences)]


def answer(text: str, *, thought: str = "", value: str | None = "12", by: str = "brackets") -> CallRecord:
    return a_call(
        "s", text=text, reasoning_text=thought, status="done", completion_tokens=count(thought + text), extracted=value,
        extracted_by=by,
        finish_reason="stop",
    )  # fmt: skip


async def looked_into(call: CallRecord, knows, *, question: Question = QUESTION) -> tuple[Settled, ScriptedClient]:
    """Ask a model that answers `knows(letters of the trace)`."""

    def reply(request: Request) -> Reply:
        begun = request.messages[-1].content.partition("\n\nFinal answer")[0].removeprefix("Final answer: [[")
        return Reply(str(knows(begun.strip())))

    client = ScriptedClient(reply)
    caller = Caller(client, Ledger(Limits(), None, None))
    made = [e.call async for e in settle(call, question, caller, client) if isinstance(e, CallFinished)]
    found = settled(call, made, question)
    assert found is not None
    return found, client


@pytest.mark.parametrize("chinese", [False, True])
async def test_the_first_stable_answer_of_planted_traces_is_found_within_one_probe_step(chinese: bool):
    rng = random.Random(16)
    near = 0
    for _ in range(100):
        parts = trace(rng, rng.randint(6, 30), chinese=chinese)
        known = rng.randrange(
            len(parts)
        )  # From this sentence on the model knows; before, it guesses, at times rightly.
        cut, text = len("".join(parts[: known + 1])), "".join(parts) + "The answer is [[12]]."
        guess = {len("".join(parts[:i]).strip()): rng.choice((7, 9, 12, 31)) for i in range(known + 1)}
        found, client = await looked_into(answer(text), lambda begun, c=cut, g=guess: _says(begun, c, g))
        true = count(text[:cut])
        grid = [p.at_token for p in found.probes]
        step = max(b - a for a, b in zip(grid, [*grid[1:], found.of_tokens], strict=True))
        # A right guess just before it is a stable answer too, as far as anybody can see.
        near += abs(found.at_token - true) <= step
        assert len(client.requests) <= MOST_PLACES and found.of_tokens == count(text)
    assert near >= 95


def _says(begun: str, cut: int, guess: dict[int, int]) -> int:
    return 12 if len(begun) >= cut - 1 else guess.get(len(begun), 31)


async def test_each_place_says_what_it_would_have_answered_and_what_asking_took():
    text = "Three cats. Each has four legs. That is twelve. Let me check. Yes. The answer is 12."
    found, client = await looked_into(answer(text), lambda begun: 12 if "twelve" in begun else 7)
    assert [p.same for p in found.probes] == [False, False, False, True, True, True]
    assert (found.at_token, found.of_tokens) == (count("Three cats. Each has four legs. That is twelve."), count(text))
    assert [p.outcome for p in found.probes][:1] == [Outcome.WRONG] and found.probes[-1].outcome is Outcome.CORRECT
    assert "after 12 of 23 tokens" in found.sentence and "48 % came after" in found.sentence
    assert {r.sampling.temperature for r in client.requests} == {0.0}
    assert found.probes[0].tokens == sum(count(m.content) for m in client.requests[0].messages) + 1


@pytest.mark.parametrize(
    ("knows", "at", "words"),
    [
        (lambda begun: 12, 0, "None of it was needed"),
        (lambda begun: 7, 23, "All of it was needed"),
        (lambda begun: 12 if len(begun) < 20 else 7, 23, "All of it was needed"),  # It was there, and was given up.
        (lambda begun: "12.0", 0, "None of it"),
        (lambda begun: "", 23, "All of it"),
    ],
)
async def test_only_an_answer_that_stays_the_same_to_the_end_was_already_there(knows, at, words):
    text = "Three cats. Each has four legs. That is twelve. Let me check. Yes. The answer is 12."
    found, _ = await looked_into(answer(text), knows)
    assert found.at_token == at and words in found.sentence


async def test_an_answer_that_was_cut_is_held_against_what_it_was_about_to_say():
    found, _ = await looked_into(answer("One. Two. Three. Four. Fi", value=None), lambda b: 5 if "Two" in b else 1)
    assert found.answer == "5" and [p.same for p in found.probes] == [False, False, True, True, True, True]


async def test_an_answer_that_announces_none_is_held_against_what_is_forced_out_at_its_end():
    question = Question("What is the capital of France?", kind="text")
    call = answer("It is on the Seine. I know it. The capital of France is Paris.", value="The capital", by="whole")
    found, _ = await looked_into(call, lambda b: "Paris" if "Seine" in b else "Lyon", question=question)
    assert found.answer == "Paris"
    assert found.probes[-1].at_token == found.of_tokens and found.at_token == count("It is on the Seine.")


async def test_a_thought_apart_is_closed_within_and_its_answer_goes_on_behind_it():
    thought, text = "One. Two. Three. Four. ", "So. The answer is 12."
    found, client = await looked_into(answer(text, thought=thought), lambda begun: 12)
    begun = [r.messages[-1].content for r in client.requests]
    assert begun[1] == "<think>\nOne.\n</think>\n\nFinal answer: [["
    assert begun[-1] == "<think>\nOne. Two. Three. Four.\n</think>\n\nSo.\n\nFinal answer: [["
    assert found.of_tokens == count(thought + text)


@pytest.mark.parametrize(
    "text",
    ["", "12", "One long thought without any end at all that goes on and on", "三只猫。每只四条腿。一共十二条。",
     "a. " * 500],
)  # fmt: skip
def test_places_are_few_in_order_and_leave_something_behind_them(text):
    found = places(answer(text))
    assert found == tuple(sorted(set(found))) and 1 <= len(found) <= MOST_PLACES
    assert all(text[end:].strip() for end in found[1:])


def test_probes_that_were_not_made_to_the_end_tell_nothing():
    assert settled(answer("One. Two. Three."), (), QUESTION) is None


async def test_a_stored_ask_keeps_what_was_found_and_asks_nothing_twice(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/t.db")
    text = "Three cats. Each has four legs. That is twelve. Let me check. Yes. The answer is 12."
    record = a_session(question=QUESTION, status="running")
    store.create_session(record)
    vanilla = answer(text)
    CallStore(store).write([replace(vanilla, session_id=record.id)])
    store.finish_session(record.id, "done")
    client = ScriptedClient(lambda r: "12" if "twelve" in r.messages[-1].content else "7")

    async def opened() -> ScriptedClient:
        return client

    for _ in range(2):
        plan = SettlePlan(store.get_session(record.id))
        run = SettleRun(plan, store=store, open_client=opened, model="scripted", endpoint="embedded")
        assert run.view().running and run.id == record.id
        view = await run.run()
        assert (view.status, view.cannot, view.settled["vanilla"].at_token) == ("done", None, 12)
    assert len(client.requests) == 6
    assert set(view.calls) == {"vanilla"}  # Its picture is the one it was.
    document = ask_document(view)["settled"]
    assert (document["at_token"], document["of_tokens"], len(document["probes"])) == (12, 23, 6)
    stored = store.get_session(record.id).calls
    assert [c.role for c in stored].count("forced") in (6, 12) and stored[1].requested_budget == 0


async def test_an_endpoint_that_cannot_says_so_and_the_ask_stays_as_it_was(tmp_path):
    store = open_store(f"sqlite:///{tmp_path}/t.db")
    record = a_session(question=QUESTION, status="running")
    store.create_session(record)
    CallStore(store).write([replace(answer("One. Two."), session_id=record.id)])
    store.finish_session(record.id, "done")

    async def opened() -> ScriptedClient:
        return ScriptedClient([], continues=False)

    plan = SettlePlan(store.get_session(record.id))
    view = await SettleRun(plan, store=store, open_client=opened, model="scripted", endpoint="embedded").run()
    assert view.status == "done" and "does not continue" in (view.cannot or "") and view.settled == {}
    with pytest.raises(InputError, match="only the same model"):
        SettleRun(plan, store=store, open_client=opened, model="another", endpoint="embedded")
    with pytest.raises(InputError, match="no finished answer"):
        SettlePlan(plan.session, "budgeted").validate(model="scripted")
