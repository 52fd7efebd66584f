"""A planted key must not be found in anything the client says, raises, logs or is represented by."""

from __future__ import annotations

import itertools
import logging
import traceback
from collections.abc import Iterator
from contextlib import aclosing

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import SecretStr

from tale_core.errors import ModelError
from tale_core.models.client import params as client_params
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.models.client.retry import NO_RETRY
from tale_core.models.connection import check
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.text import KeyStream, keys_to_hide, named_keys, plain, scrub
from tale_core.types import Message, Request
from tests.support.bad_endpoint import BEHAVIOURS, BadEndpoint

CANARY = "canary-7f3c9e51d2b84a60-ZxQvWtYu"
PIECES = (CANARY, CANARY[:14], CANARY[-12:])
ASK = Request((Message("user", "What is six times seven?"),))
NEVER_ENDING = {"endless", "endless-line", "slow"}


@pytest.fixture(scope="module")
def server() -> Iterator[BadEndpoint]:
    with BadEndpoint() as bad:
        yield bad


def everything(error: BaseException) -> str:
    """All that an error could show to anybody, hidden causes included."""
    said: list[str] = []
    todo: list[BaseException | None] = [error]
    seen: set[int] = set()
    while todo:
        one = todo.pop()
        if one is None or id(one) in seen:
            continue
        seen.add(id(one))
        said += [str(one), repr(one), repr(one.args), repr(vars(one)), *traceback.format_exception(one)]
        todo += [one.__cause__, one.__context__]
    return "\n".join(said)


def assert_clean(text: str, where: str) -> None:
    for piece in PIECES:
        assert piece not in text, f"{where} holds {piece!r}: …{text[max(0, text.find(piece) - 80) :][:200]}"


@pytest.mark.parametrize("model", sorted(set(BEHAVIOURS) - NEVER_ENDING))
async def test_no_fault_brings_the_key_to_light(
    server: BadEndpoint, model: str, caplog: pytest.LogCaptureFixture
) -> None:
    client_params.forget_all()
    loggers = [logging.getLogger(n) for n in list(logging.root.manager.loggerDict)]
    before = {logger: logger.level for logger in loggers}
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
    caplog.set_level(logging.DEBUG)
    endpoint = Endpoint(server.base_url, model, SecretStr(CANARY))
    client = OpenAIClient(endpoint, settings=Settings(request_timeout_s=0.5), retry=NO_RETRY)
    try:
        async with aclosing(client.stream(ASK)) as stream:
            async for event in stream:
                assert_clean(repr(event), "an event")
    except ModelError as e:
        assert_clean(everything(e), "the error")
        assert len(e.message) < 600
    finally:
        await client.aclose()
        for logger, level in before.items():
            logger.setLevel(level)
    assert server.requests[-1].headers["authorization"] == f"Bearer {CANARY}"
    logged = "\n".join(f"{r.getMessage()} {r.msg} {r.args} {r.exc_text}" for r in caplog.records)
    assert any(r.name.startswith("httpcore2") for r in caplog.records)
    assert_clean(logged, "the log")
    for one in (endpoint, client, client.adjustments, client.endpoint):
        assert_clean(f"{one} {one!r}", "a representation")


async def test_a_connection_test_does_not_tell_the_key(server: BadEndpoint) -> None:
    for model in ("401", "500-echo", "echo-in-stream"):
        report = await check(Endpoint(server.base_url, model, SecretStr(CANARY)))
        assert not report.ok
        assert_clean(repr(report), "the report")


async def test_a_connection_that_fails_does_not_tell_the_key() -> None:
    for url in ("http://127.0.0.1:9/v1", "http://no-such-host.invalid/v1", "https://127.0.0.1:9/v1"):
        client = OpenAIClient(Endpoint(url, "m", SecretStr(CANARY)), retry=NO_RETRY)
        with pytest.raises(ModelError) as caught:
            await anext(client.stream(ASK))
        await client.aclose()
        assert_clean(everything(caught.value), url)


def test_the_canary_would_be_seen_if_it_were_there() -> None:
    with pytest.raises(AssertionError):
        assert_clean(everything(ValueError(f"key {CANARY}")), "an error")


def test_scrubbing_knows_cut_masked_and_foreign_keys() -> None:
    assert_clean(scrub(f"key {CANARY}, cut {CANARY[:14]}, masked {CANARY[:10]}***{CANARY[-4:]}", CANARY), "a text")
    assert "sk-proj-abc" not in scrub("Incorrect API key provided: sk-proj-abc***wxyz.", "")
    assert scrub("the ollama server", "ollama") == "the ollama server"
    assert scrub("nothing to hide", "") == "nothing to hide"


def test_an_endpoints_words_become_one_short_plain_line() -> None:
    said = plain("<html><script>x()</script><h1>Bad\n\n gateway</h1>\u202e\x00 " + "pad " * 500, "")
    assert said.startswith("Bad gateway pad") and len(said) == 300 and said.endswith("…")


@given(st.lists(st.integers(0, 60), max_size=8), st.text("ab -", max_size=20), st.text("ab -", max_size=20))
def test_a_key_in_an_answer_is_taken_out_wherever_its_pieces_are_cut(cuts: list[int], before: str, after: str) -> None:
    text = before + CANARY + after
    stream = KeyStream([CANARY, "short", "not-needed"])
    edges = [0, *sorted(cuts), len(text)]
    shown = "".join(stream.feed(text[a:b]) for a, b in itertools.pairwise(edges)) + stream.rest()
    assert shown == stream.clean(text) == before + "[key removed]" + after


def test_a_password_that_is_a_word_is_not_taken_out_of_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PGPASSWORD", "postgres")
    monkeypatch.setenv("OTHER_API_KEY", "other-key-0123456789")
    keys = keys_to_hide(CANARY, named_keys())
    assert {CANARY, "other-key-0123456789"} <= keys and "postgres" not in keys
