"""Several endpoints behind one name: who is asked, who is left alone, and that no call is lost or doubled."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core import cli
from tale_core.errors import (
    AuthenticationFailedError,
    ConnectionRefusedByHostError,
    ContextTooLongError,
    InputError,
    ModelError,
    RateLimitedError,
    ServerFailedError,
    SettingsError,
)
from tale_core.models.choice import available_choices, choice_from_flags, open_client, price_of
from tale_core.models.client.retry import NO_RETRY, RetryPolicy
from tale_core.models.groups import state as group_state
from tale_core.models.groups.client import GroupClient, open_group
from tale_core.models.groups.config import Group, Member, group, groups
from tale_core.models.groups.state import Doors, GroupState
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.settings import get_settings
from tale_core.types import Completion, Message, Request
from tests.support.counting_endpoint import CountingEndpoint
from tests.support.counting_endpoint import Reply as Sent

ASKED = Request((Message("user", "What is 6 times 7?"),))
FILE = """
[lab]
title = "Three machines"
model = "counted"

[[lab.endpoints]]
base_url = "http://127.0.0.1:8001/v1/"
weight = 2
most = 8
api_key_env = "LAB_API_KEY"

[[lab.endpoints]]
base_url = "http://127.0.0.1:8002"
model = "counted-q4"
"""


class Clock:
    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


def of(*weights: float, **limits: Any) -> Group:
    members = [Member(base_url=f"http://127.0.0.1:{8001 + i}/v1", weight=w, **limits) for i, w in enumerate(weights)]
    return Group(name="lab", endpoints=tuple(members))


@pytest.fixture
def file(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Path]:
    def write(text: str) -> Path:
        path = get_settings().data_dir / "endpoint-groups.toml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    return write


async def answer(client: Any) -> Completion:
    async with aclosing(client.stream(ASKED)) as stream:
        async for item in stream:
            if isinstance(item, Completion):
                return item
    raise AssertionError("no completion")


# --- the file


def test_a_group_is_read_from_the_data_folder_and_can_be_chosen_by_its_name(file: Callable[[str], Path]) -> None:
    assert groups() == ()
    file(FILE)
    (one,) = groups()
    assert [m.base_url for m in one.endpoints] == ["http://127.0.0.1:8001/v1", "http://127.0.0.1:8002"]
    assert [one.model_at(m) for m in one.endpoints] == ["counted", "counted-q4"]
    choice = choice_from_flags(model="lab", base_url=None, api_key_env=None)
    assert choice in available_choices({})
    assert (choice.kind, choice.endpoint, choice.title) == ("group", "group:lab", "Three machines · 2 endpoints")
    assert price_of(choice) is None
    with pytest.raises(InputError, match="no group"):
        group("other")


def test_a_changed_file_is_read_anew(file: Callable[[str], Path]) -> None:
    import os

    path = file(FILE)
    assert groups()[0].title == "Three machines"
    path.write_text(FILE.replace("Three", "Two"))
    os.utime(path, ns=(1, 1))
    assert groups()[0].title == "Two machines"


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[lab", "toml"),
        ("lab = 3", "endpoints"),
        ("[lab]\nendpoints = []", "endpoints"),
        ('[lab]\nendpoints = [{base_url = "ftp://x"}]', "http://"),
        ('[lab]\nendpoints = [{base_url = "http://a/v1"}, {base_url = "http://a/v1/"}]', "twice"),
        ('[lab]\nendpoints = [{base_url = "http://a/v1", weight = 0}]', "weight"),
        ('[lab]\nendpoints = [{base_url = "http://a/v1", api_key = "sk-secret-1"}]', "api_key"),
        ('[lab]\nendpoints = [{base_url = "http://a/v1", api_key_env = "sk-secret-1"}]', "api_key_env"),
        ('[lab]\ninput = 1.0\nendpoints = [{base_url = "http://a/v1"}]', "price"),
    ],
)
def test_a_wrong_file_is_told_in_words_and_without_what_may_be_a_key(
    file: Callable[[str], Path], text: str, words: str
) -> None:
    path = file(text)
    with pytest.raises(SettingsError) as caught:
        groups()
    assert str(path) in str(caught.value) and words in str(caught.value).lower()
    assert "secret" not in str(caught.value)


def test_a_missing_key_is_told_by_the_name_of_its_variable(file: Callable[[str], Path]) -> None:
    file(FILE)
    with pytest.raises(AuthenticationFailedError, match="LAB_API_KEY"):
        open_group(group("lab"))


# --- who is asked


def test_calls_that_come_one_by_one_are_shared_by_weight() -> None:
    state = GroupState(of(3, 1, 1))
    asked: Counter[int] = Counter()
    for _ in range(50):
        at = state.order()[0]
        state.begin(at)
        asked[at] += 1
        state.end(at)
    assert asked == {0: 30, 1: 10, 2: 10}


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0.5, 8), min_size=1, max_size=5), st.integers(1, 60))
def test_calls_at_the_same_time_are_shared_by_weight(weights: list[float], calls: int) -> None:
    state = GroupState(of(*weights))
    for _ in range(calls):
        state.begin(state.order()[0])
    for health, weight in zip(state.picture(), weights, strict=True):
        assert abs(health.calls - calls * weight / sum(weights)) <= len(weights)


def test_one_that_fails_is_left_alone_looked_at_and_gets_no_flood_when_it_is_back() -> None:
    clock = Clock()
    state = GroupState(of(1, 1), clock=clock)
    state.fails(0, "down")
    assert state.order() == [1] and state.to_look_at() == []
    for _ in range(40):
        state.begin(1)
        state.end(1)
    for wait in (1.0, 2.0, 4.0):
        clock.now += wait
        assert state.to_look_at() == [0] and state.to_look_at() == []  # One look at a time.
        state.fails(0, "still down")
        state.looked(0)
    clock.now += 8.0
    assert state.to_look_at() == [0]
    state.works(0)
    state.looked(0)
    asked = []
    for _ in range(6):
        at = state.order()[0]
        state.begin(at)
        state.end(at)
        asked.append(at)
    assert sorted(asked) == [0, 0, 0, 1, 1, 1]


def test_while_nobody_is_well_the_one_whose_time_is_up_next_is_tried() -> None:
    state = GroupState(of(1, 1), clock=Clock())
    state.fails(0, "down", wait_s=9)
    state.fails(1, "down", wait_s=3)
    assert state.order() == [1, 0] and state.order([1]) == [0]


def test_many_calls_that_fail_together_count_once() -> None:
    clock = Clock()
    state = GroupState(of(1), clock=clock)
    for _ in range(9):
        state.fails(0, "down")
    assert state.picture()[0].until == clock.now + 1.0


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 30), min_size=1, max_size=60), st.integers(1, 8))
def test_no_minute_holds_more_calls_than_its_limit(steps: list[float], per_minute: int) -> None:
    clock = Clock()
    doors, member = Doors(clock), Member(base_url="http://a/v1", per_minute=per_minute)
    begun: list[float] = []
    for step in steps:
        clock.now += step
        if doors.enter(member) == 0:
            begun.append(clock.now)
            doors.leave(member)
    assert all(sum(t < u <= t + 59.999 for u in begun) < per_minute for t in begun)


def test_no_more_calls_are_inside_than_there_are_places() -> None:
    doors, member = Doors(), Member(base_url="http://a/v1", most=2)
    assert [doors.enter(member) > 0 for _ in range(4)] == [False, False, True, True]
    doors.leave(member)
    assert doors.enter(member) == 0 and doors.enter(member) > 0


# --- calls


def client_of(*scripts: Any, retry: RetryPolicy = NO_RETRY, **limits: Any) -> tuple[GroupClient, list[ScriptedClient]]:
    clients = [ScriptedClient(script) for script in scripts]
    state = GroupState(of(*[1.0] * len(scripts), **limits))
    return GroupClient(state, list(clients), retry=retry), clients


async def test_what_one_endpoint_cannot_do_another_one_does_and_nothing_is_paid_twice() -> None:
    client, (dead, alive) = client_of(lambda _: ConnectionRefusedByHostError("Nobody listens."), lambda _: "[[42]]")
    found = await answer(client)
    assert (found.text, found.attempts, found.endpoint) == ("[[42]]", 2, "group:lab http://127.0.0.1:8002/v1")
    for _ in range(3):
        assert (await answer(client)).attempts == 1
    assert (len(dead.requests), len(alive.requests)) == (1, 4)


async def test_an_answer_that_broke_off_is_raised_with_what_was_paid_for_and_asked_elsewhere_next_time() -> None:
    broken = Reply("six times seven is", error=ServerFailedError("It broke."), error_after=3)
    client, (first, second) = client_of(lambda _: broken, lambda _: "[[42]]")
    with pytest.raises(ServerFailedError) as caught:
        await answer(client)
    partial = caught.value.partial
    assert partial is not None and partial.usage.completion_tokens == 3
    assert partial.endpoint == "group:lab http://127.0.0.1:8001/v1"
    assert len(second.requests) == 0
    assert (await answer(client)).text == "[[42]]"
    assert (len(first.requests), len(second.requests)) == (1, 1)


async def test_a_request_that_is_at_fault_itself_goes_to_one_endpoint_alone() -> None:
    client, clients = client_of(lambda _: ContextTooLongError("Too long."), lambda _: "[[42]]")
    with pytest.raises(ContextTooLongError):
        await answer(client)
    assert [len(c.requests) for c in clients] == [1, 0]
    assert all(h.well for h in client._state.picture())


@pytest.mark.parametrize(
    ("errors", "kind", "wait"),
    [
        ((ConnectionRefusedByHostError("a"), AuthenticationFailedError("b")), ConnectionRefusedByHostError, None),
        ((AuthenticationFailedError("a"), AuthenticationFailedError("b")), AuthenticationFailedError, None),
        ((RateLimitedError("a", retry_after_s=7), RateLimitedError("b", retry_after_s=3)), RateLimitedError, 3),
    ],
)
async def test_when_nobody_answers_the_error_tells_whether_waiting_may_help(
    errors: tuple[ModelError, ...], kind: type[ModelError], wait: float | None
) -> None:
    client, clients = client_of(*[lambda _, e=e: e for e in errors])
    with pytest.raises(kind, match="None of the 2 endpoints of lab") as caught:
        await answer(client)
    assert getattr(caught.value, "retry_after_s", None) == wait
    assert [len(c.requests) for c in clients] == [1, 1]
    assert caught.value.attempts == 2


async def test_all_are_tried_again_where_the_policy_says_so() -> None:
    down, up = [ServerFailedError("Full."), ServerFailedError("Full."), "[[42]]"], ServerFailedError("Full.")
    client, _ = client_of(down, lambda _: up, retry=RetryPolicy(attempts=3, base_s=0.001))
    assert (await answer(client)).attempts >= 3


async def test_a_stop_closes_the_request_and_gives_the_place_back() -> None:
    client, (one,) = client_of(lambda _: Reply("a b c d e f", delay_s=0.01), most=1)
    stream = client.stream(ASKED)
    await anext(stream)
    await stream.aclose()
    assert one.closed_early == 1 and client._state.picture()[0].calls == 0
    assert (await answer(client)).text == "a b c d e f"


async def test_places_of_an_endpoint_are_never_exceeded() -> None:
    client, clients = client_of(*[lambda _: Reply("a b c", delay_s=0.002)] * 2, most=3)
    most = 0

    async def watch() -> None:
        nonlocal most
        while True:
            most = max(most, *(c.open_streams for c in clients))
            await asyncio.sleep(0)

    watching = asyncio.create_task(watch())
    await asyncio.gather(*(answer(client) for _ in range(24)))
    watching.cancel()
    assert most == 3 and sum(len(c.requests) for c in clients) == 24


# --- over HTTP


@pytest.fixture
def three() -> Iterator[list[CountingEndpoint]]:
    made = [CountingEndpoint(lambda _: Sent("6 times 7 is [[42]]")) for _ in range(3)]
    with made[0], made[1], made[2]:
        yield made


def described(endpoints: list[CountingEndpoint]) -> str:
    return '[lab]\nmodel = "counted"\n' + "".join(
        f'[[lab.endpoints]]\nbase_url = "{one.base_url}"\n' for one in endpoints
    )


@pytest.mark.parametrize("listing", [{"data": [{"id": "counted"}]}, [{"id": "counted"}], {"error": "not for you"}])
async def test_one_that_came_back_is_noticed_and_asked_again_whatever_it_lists(
    file: Callable[[str], Path], three: list[CountingEndpoint], monkeypatch: pytest.MonkeyPatch, listing: object
) -> None:
    three[0].models = listing
    monkeypatch.setattr(group_state, "FIRST_S", 0.05)
    await asyncio.to_thread(file, described(three))
    client = await open_client(choice_from_flags(model="lab", base_url=None, api_key_env=None), retry=NO_RETRY)
    three[0].down()
    for _ in range(4):
        assert (await answer(client)).text == "6 times 7 is [[42]]"
    assert three[0].requests == 0
    three[0].up()
    await asyncio.sleep(0.2)
    for _ in range(8):
        await answer(client)
        await asyncio.sleep(0.02)
    assert three[0].requests > 0
    await client.aclose()


def test_the_command_tests_every_endpoint_of_a_group(
    file: Callable[[str], Path], three: list[CountingEndpoint], capsys: pytest.CaptureFixture[str]
) -> None:
    file(described(three))
    assert cli.main(["models", "check", "--model", "lab", "--json"]) == 0
    assert [e["ok"] for e in json.loads(capsys.readouterr().out)["endpoints"]] == [True] * 3
    three[1].down()
    assert cli.main(["models", "check", "--model", "lab"]) == 1
    told = capsys.readouterr()
    assert three[1].base_url in told.err and three[0].base_url in told.out
    assert cli.main(["models", "list", "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)["groups"][0]["endpoints"]) == 3
    three[1].up()
    assert cli.main(["ask", "What is 6 times 7?", "--model", "lab", "--answer", "42", "--budget", "20", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["answers"]["budgeted"]["outcome"] == "correct" and found["model"] == "lab"
