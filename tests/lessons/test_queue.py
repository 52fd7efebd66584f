"""The fair queue with simulated students: turns go round, no cap is ever exceeded, no place is lost or kept."""

from __future__ import annotations

import asyncio
from contextlib import aclosing
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.errors import ModelTimeoutError, SentAwayError, ShareUsedError, StoreError
from tale_core.lessons.queue import Caps, Cost, FairQueue, GatedClient
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.types import Completion, Message, Request, Sampling

pytestmark = pytest.mark.sqlite_only("rooms alone ask the database anything of their own")


def request(max_tokens: int | None = 50, words: str = "one two three") -> Request:
    return Request((Message("user", words),), Sampling(max_tokens=max_tokens))


class Log:
    """A book that remembers; its writes take a moment, as a disk does."""

    def __init__(self) -> None:
        self.began: dict[str, tuple[str, int]] = {}
        self.ended: dict[str, int] = {}

    async def begin(self, call_id: str, who: str, *, prompt: int, completion: int) -> None:
        await asyncio.sleep(0)
        self.began[call_id] = (who, prompt + completion)

    async def end(self, call_id: str, *, prompt: int, completion: int) -> None:
        await asyncio.sleep(0)
        self.ended[call_id] = prompt + completion


async def drained(client: GatedClient, asked: Request | None = None) -> Completion:
    async with aclosing(client.stream(asked or request())) as stream:
        async for item in stream:
            if isinstance(item, Completion):
                return item
    raise AssertionError("no completion")


async def settle() -> None:
    for _ in range(30):
        await asyncio.sleep(0)


async def test_students_take_turns_however_much_one_of_them_asks():
    order: list[str] = []
    queue = FairQueue(1)

    async def student(who: str) -> None:
        ticket = await queue.enter(who, prompt=1, wanted=1)
        order.append(who)
        await asyncio.sleep(0)
        queue.leave(ticket, Cost(1, 1))

    queue.pause()
    greedy = [asyncio.create_task(student("greedy")) for _ in range(10)]
    await settle()
    others = [asyncio.create_task(student(f"s{i}")) for i in range(5)]
    await settle()
    assert queue.place("s0") == 2 and queue.place("s4") == 6 and queue.waiting()["greedy"] == 10
    queue.resume()
    await asyncio.gather(*greedy, *others)
    assert order[:7] == ["greedy", "s0", "s1", "s2", "s3", "s4", "greedy"]
    assert queue.waiting() == {} and queue.busy() == {}


@settings(max_examples=60, deadline=None)
@given(
    counts=st.lists(st.integers(1, 8), min_size=2, max_size=8),
    slots=st.integers(1, 4),
    steps=st.lists(st.integers(0, 3), min_size=60, max_size=60),
)
def test_between_two_turns_of_a_student_who_waits_nobody_else_has_more_than_one(counts, slots, steps):
    """For every pair of students who both still wait, turns differ by at most one."""

    async def main() -> None:
        turns: list[str] = []
        left = {f"s{i}": n for i, n in enumerate(counts)}
        queue = FairQueue(slots, paused=True)
        pauses = iter(steps * 10)

        async def one(who: str) -> None:
            ticket = await queue.enter(who, prompt=1, wanted=1)
            turns.append(who)
            for _ in range(next(pauses)):
                await asyncio.sleep(0)
            queue.leave(ticket, Cost(1, 1))

        tasks = [asyncio.create_task(one(who)) for who, n in left.items() for _ in range(n)]
        await settle()
        queue.resume()
        await asyncio.gather(*tasks)
        for who, n in left.items():
            places = [i for i, name in enumerate(turns) if name == who]
            assert len(places) == n
            for before, after in pairwise(places):
                between = turns[before + 1 : after]
                assert max((between.count(other) for other in left), default=0) <= 1
                assert set(turns[after:]) - {who} <= set(between)  # Whoever still waits had their turn meanwhile.

    asyncio.run(main())


async def test_no_more_calls_run_at_once_than_there_are_slots():
    client = ScriptedClient(lambda _: Reply("a b c d", delay_s=0.001))
    queue = FairQueue(3)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, client.open_streams)
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(drained(GatedClient(client, queue, f"s{i % 10}")) for i in range(40)))
    watching.cancel()
    assert most == 3


@settings(max_examples=80, deadline=None)
@given(
    caps=st.builds(
        Caps,
        student_calls=st.none() | st.integers(1, 6),
        student_tokens=st.none() | st.integers(1, 400),
        room_calls=st.none() | st.integers(1, 12),
        room_tokens=st.none() | st.integers(1, 900),
    ),
    lengths=st.lists(st.integers(0, 60), min_size=1, max_size=20),
    slots=st.integers(1, 4),
)
def test_no_cap_is_ever_exceeded_whatever_is_asked(caps, lengths, slots):
    async def main() -> None:
        answers = iter(lengths * 30)
        client = ScriptedClient(lambda _: "w " * next(answers))
        queue, log = FairQueue(slots, caps=caps), Log()

        async def student(who: str) -> None:
            for _ in range(5):
                try:
                    await drained(GatedClient(client, queue, who, book=log))
                except ShareUsedError:
                    return

        await asyncio.gather(*(student(f"s{i}") for i in range(4)))
        spent = queue.spent()
        for cost in spent.values():
            assert caps.student_calls is None or cost.calls <= caps.student_calls
            assert caps.student_tokens is None or cost.tokens <= caps.student_tokens
        assert caps.room_calls is None or sum(c.calls for c in spent.values()) <= caps.room_calls
        assert caps.room_tokens is None or sum(c.tokens for c in spent.values()) <= caps.room_tokens
        assert len(client.requests) == sum(c.calls for c in spent.values()) == len(log.began) == len(log.ended)
        assert all(log.ended[call] <= most for call, (_, most) in log.began.items())
        assert sum(log.ended.values()) == sum(c.tokens for c in spent.values())
        assert queue.busy() == {} and queue.waiting() == {}

    asyncio.run(main())


async def test_a_call_that_could_exceed_the_cap_waits_for_those_that_run_and_takes_what_they_leave():
    gate = asyncio.Event()

    async def sleep(_: float) -> None:
        await gate.wait()

    client = ScriptedClient(["a b c", "d e f g"], sleep=sleep)
    queue = FairQueue(4, caps=Caps(room_tokens=120))  # 35 for a prompt, 50 for an answer: two do not fit at once.
    first = asyncio.create_task(drained(GatedClient(client, queue, "a")))
    await settle()
    second = asyncio.create_task(drained(GatedClient(client, queue, "b")))
    await settle()
    assert queue.busy() == {"a": 1} and queue.waiting() == {"b": 1}
    gate.set()
    assert (await first).usage.completion_tokens == 3 and (await second).usage.completion_tokens == 4


async def test_a_used_up_share_is_told_at_once_and_sends_nothing():
    client = ScriptedClient(["one"])
    queue = FairQueue(1, caps=Caps(student_calls=1))
    await drained(GatedClient(client, queue, "a"))
    queue.pause()
    with pytest.raises(ShareUsedError, match="Your share is used up"):
        await drained(GatedClient(client, queue, "a"))
    queue.set_caps(Caps(room_calls=1))
    with pytest.raises(ShareUsedError, match="whole room"):
        await drained(GatedClient(client, queue, "b"))
    assert len(client.requests) == 1 and queue.waiting() == {}


async def test_what_was_spent_before_a_restart_counts():
    queue = FairQueue(1, spent={"a": Cost(2, 100)}, caps=Caps(student_calls=2))
    with pytest.raises(ShareUsedError):
        await queue.enter("a", prompt=1, wanted=1)


async def test_a_pause_lets_running_calls_end_and_gives_no_turn_until_it_is_over():
    client = ScriptedClient(lambda _: Reply("a b c", delay_s=0.001))
    queue = FairQueue(1)
    running = asyncio.create_task(drained(GatedClient(client, queue, "a")))
    await settle()
    queue.pause()
    waiting = asyncio.create_task(drained(GatedClient(client, queue, "b")))
    assert (await running).text == "a b c"
    await asyncio.sleep(0.01)
    assert not waiting.done() and queue.place("b") == 1 and queue.paused
    queue.resume()
    assert (await waiting).text == "a b c"


async def test_raising_a_cap_lets_those_go_on_who_waited_for_room():
    gate = asyncio.Event()

    async def sleep(_: float) -> None:
        await gate.wait()

    client = ScriptedClient(["x", "y"], sleep=sleep)
    queue = FairQueue(2, caps=Caps(student_tokens=100))
    calls = [asyncio.create_task(drained(GatedClient(client, queue, "a"))) for _ in range(2)]
    await settle()
    assert queue.busy() == {"a": 1} and queue.place("a") == 1
    queue.set_caps(Caps(student_tokens=10_000))
    await settle()
    assert queue.busy() == {"a": 2}
    gate.set()
    await asyncio.gather(*calls)


async def test_a_student_who_leaves_frees_the_place_of_everything_they_had_waiting():
    queue = FairQueue(1)
    first = await queue.enter("a", prompt=1, wanted=1)
    gone = [asyncio.create_task(queue.enter("b", prompt=1, wanted=1)) for _ in range(3)]
    next_one = asyncio.create_task(queue.enter("c", prompt=1, wanted=1))
    await settle()
    assert queue.place("c") == 2
    queue.send_away("b")
    assert queue.place("c") == 1 and queue.place("b") is None
    for task in gone:
        with pytest.raises(SentAwayError):
            await task
    queue.leave(first, Cost(1, 1))
    assert (await next_one).who == "c"


async def test_cancelling_while_waiting_sends_nothing_and_frees_the_place():
    client, log = ScriptedClient(["x"]), Log()
    queue = FairQueue(1)
    first = await queue.enter("a", prompt=1, wanted=1)
    waiting = asyncio.create_task(drained(GatedClient(client, queue, "b", book=log)))
    await settle()
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert queue.waiting() == {} and log.began == {} and client.requests == []
    queue.leave(first, Cost())
    assert queue.busy() == {}


async def test_a_turn_that_comes_in_the_very_moment_of_a_cancel_is_not_lost():
    queue = FairQueue(1)
    first = await queue.enter("a", prompt=1, wanted=1)
    second = asyncio.create_task(queue.enter("b", prompt=1, wanted=1))
    third = asyncio.create_task(queue.enter("c", prompt=1, wanted=1))
    await settle()
    queue.leave(first, Cost(1, 1))  # Gives b the turn; b has not noticed yet.
    second.cancel()
    assert (await third).who == "c"
    assert queue.busy() == {"c": 1}


async def test_cancelling_a_running_call_stops_the_spending_and_books_what_was_written():
    client, log = ScriptedClient(lambda _: Reply("w " * 50, delay_s=0.002)), Log()
    queue = FairQueue(1)
    running = asyncio.create_task(drained(GatedClient(client, queue, "a", book=log)))
    while not client.open_streams:
        await asyncio.sleep(0)
    await asyncio.sleep(0.02)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert client.open_streams == 0 and client.closed_early == 1
    (spent,) = queue.spent().values()
    assert 3 < spent.tokens < 53 and list(log.ended.values()) == [spent.tokens] and queue.busy() == {}


async def test_a_failing_model_frees_the_slot_and_is_booked():
    client = ScriptedClient([Reply("a b c d", error=ModelTimeoutError("slow"), error_after=2), "fine"])
    queue = FairQueue(1)
    with pytest.raises(ModelTimeoutError):
        await drained(GatedClient(client, queue, "a"))
    assert queue.spent()["a"] == Cost(1, 3 + 2)
    assert (await drained(GatedClient(client, queue, "a"))).text == "fine"


async def test_a_call_that_cannot_be_written_down_is_not_sent():
    class Full(Log):
        async def begin(self, call_id: str, who: str, *, prompt: int, completion: int) -> None:
            raise StoreError("The disk is full.")

    client, queue = ScriptedClient(["x"]), FairQueue(1)
    with pytest.raises(StoreError):
        await drained(GatedClient(client, queue, "a", book=Full()))
    assert client.requests == [] and queue.busy() == {} and queue.spent()["a"] == Cost()


async def test_an_endpoint_that_writes_past_its_cap_is_closed():
    class Deaf(ScriptedClient):
        async def stream(self, asked: Request):
            async with aclosing(super().stream(request(max_tokens=None))) as stream:
                async for item in stream:
                    yield item

    client = Deaf(["w " * 4000])
    answer = await drained(GatedClient(client, FairQueue(1), "a"), request(max_tokens=20))
    assert answer.finish_reason == "length" and answer.usage.estimated and answer.usage.completion_tokens < 60
    assert client.closed_early == 1


async def test_thirty_students_at_once_are_all_served_within_their_shares():
    client = ScriptedClient(lambda _: Reply("w " * 12, delay_s=0.0002))
    queue, log = FairQueue(4, caps=Caps(student_calls=4, room_calls=110)), Log()
    served: list[str] = []

    async def student(who: str, calls: int) -> None:
        async def one() -> None:
            await drained(GatedClient(client, queue, who, book=log))
            served.append(who)

        results = await asyncio.gather(*(one() for _ in range(calls)), return_exceptions=True)
        assert all(r is None or isinstance(r, ShareUsedError) for r in results)

    await asyncio.gather(*(student(f"s{i:02}", 1 + i % 5) for i in range(30)))
    spent = queue.spent()
    assert {c.calls for c in spent.values()} == {1, 2, 3, 4} and len(spent) == 30
    assert sum(c.calls for c in spent.values()) == len(served) == len(client.requests) == 6 * (1 + 2 + 3 + 4 + 4)
    firsts = [served.index(f"s{i:02}") for i in range(30)]
    assert max(firsts) < 30 + 4  # Everybody had a first answer before anybody (but four in flight) had a second.
