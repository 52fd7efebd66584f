"""When the client asks an endpoint again, for how long it waits, and when it does not."""

from __future__ import annotations

import pytest

from tale_core import errors
from tale_core.calls import retry as calls_retry
from tale_core.models.client.retry import Retry, RetryPolicy, retry_after
from tests.models.test_client import WHOLE, Sleeps, ask, client_for, fails
from tests.support.bad_endpoint import BadEndpoint


async def test_retry_after_is_waited_to_the_second_and_told(bad: BadEndpoint) -> None:
    sleeps, told = Sleeps(), list[Retry]()
    _, done = await ask(client_for(bad, "429-then-ok", sleeps=sleeps, on_retry=told.append))
    assert sleeps == [7.0]
    assert (done.attempts, bad.count("429-then-ok")) == (2, 2)
    assert [(r.attempt, r.wait_s) for r in told] == [(1, 7.0)]


async def test_retry_after_ms_goes_before_retry_after(bad: BadEndpoint) -> None:
    sleeps = Sleeps()
    await ask(client_for(bad, "429-ms-then-ok", sleeps=sleeps))
    assert sleeps == [1.5]


def test_retry_after_understands_dates_and_forgives_nonsense() -> None:
    from datetime import UTC, datetime

    now = datetime(2026, 11, 23, 12, 0, 0, tzinfo=UTC)
    assert retry_after({"retry-after": "Mon, 23 Nov 2026 12:00:30 GMT"}, now=now) == 30
    assert retry_after({"retry-after": "Mon, 23 Nov 2026 11:00:00 GMT"}, now=now) == 0
    for nonsense in ("soon", "-3", "nan", "inf", ""):
        assert retry_after({"retry-after": nonsense}) is None
    assert retry_after({}) is None


async def test_429_for_ever_ends_after_four_attempts(bad: BadEndpoint) -> None:
    sleeps = Sleeps()
    error = await fails(client_for(bad, "429-for-ever", sleeps=sleeps), errors.RateLimitedError)
    assert bad.count("429-for-ever") == 4
    assert len(sleeps) == 3 and all(0 <= s <= 2 for s in sleeps)
    assert "4 attempts" in str(error)


async def test_an_endpoint_that_asks_for_an_hour_is_not_waited_for(bad: BadEndpoint) -> None:
    sleeps = Sleeps()
    error = await fails(client_for(bad, "429-long-wait", sleeps=sleeps), errors.RateLimitedError)
    assert isinstance(error, errors.RateLimitedError) and error.retry_after_s == 3600
    assert not sleeps and bad.count("429-long-wait") == 1
    assert "3600 s" in str(error) and "30 s" in str(error)


async def test_waiting_in_all_has_a_limit(bad: BadEndpoint) -> None:
    sleeps = Sleeps()
    await fails(client_for(bad, "429-then-ok", sleeps=sleeps, retry=RetryPolicy(total_s=5)), errors.RateLimitedError)
    assert not sleeps


async def test_503_is_asked_again_until_it_works(bad: BadEndpoint) -> None:
    _, done = await ask(client_for(bad, "503-then-ok"))
    assert (done.attempts, done.text) == (3, WHOLE)


@pytest.mark.parametrize(
    ("model", "kind", "says"),
    [
        ("429-quota", errors.QuotaExhaustedError, "no credit"),
        ("400", errors.RequestRejectedError, "nobody knows why"),
        ("401", errors.AuthenticationFailedError, "key was refused"),
        ("403", errors.AuthenticationFailedError, "403"),
        ("no-such-model", errors.ModelNotFoundError, "no model called 'no-such-model'"),
        ("422-context", errors.ContextTooLongError, "context"),
        ("bad-temperature", errors.RequestRejectedError, "at most 2"),
        ("too-large-cap", errors.RequestRejectedError, "At most 100"),
        ("redirect", errors.NotAnOpenAIEndpointError, "redirects are not followed"),
        ("html", errors.NotAnOpenAIEndpointError, "web page"),
        ("html-as-stream", errors.NotAnOpenAIEndpointError, "not an OpenAI-compatible endpoint"),
        ("other-json", errors.NotAnOpenAIEndpointError, "no chat completion"),
        ("bad-chunks", errors.NotAnOpenAIEndpointError, "cannot be read"),
        ("vllm-error-in-stream", errors.ContextTooLongError, "context"),
    ],
)
async def test_what_asking_again_cannot_cure_fails_at_once(
    bad: BadEndpoint, model: str, kind: type[errors.ModelError], says: str
) -> None:
    error = await fails(client_for(bad, model), kind)
    assert says in error.message
    assert error.hint and error.partial is None
    assert bad.count(model) == 1


@pytest.mark.parametrize(
    ("model", "kind"),
    [
        ("500", errors.ServerFailedError),
        ("overloaded-in-stream", errors.RateLimitedError),
        ("cut-at-once", errors.IncompleteAnswerError),
    ],
)
async def test_what_may_pass_is_tried_four_times(bad: BadEndpoint, model: str, kind: type[errors.ModelError]) -> None:
    await fails(client_for(bad, model), kind)
    assert bad.count(model) == 4


@pytest.mark.parametrize("model", ["hang", "hang-after-headers"])
async def test_silence_before_the_first_token_is_tried_twice(bad: BadEndpoint, model: str) -> None:
    client = client_for(bad, model, timeout=0.3)
    error = await fails(client, errors.ModelTimeoutError)
    assert bad.count(model) == 2
    assert error.partial is None and "0.3 s" in error.message
    assert bad.wait_for(lambda: bad.disconnects.count(model) == 2)


def test_an_endpoint_that_says_wait_no_time_is_not_asked_without_a_pause() -> None:
    assert all((RetryPolicy().wait_s(n, asked_s=0.0, waited_s=0.0) or 0) > 0 for n in (1, 2, 3))
    policy, waited, tries = calls_retry.RetryPolicy(), 0.0, 0
    limit = errors.RateLimitedError("slow down", "", retry_after_s=0.0)
    while (wait := policy.wait_s(limit, tries=tries + 1, waited_s=waited)) is not None:
        waited, tries = waited + wait, tries + 1
    assert tries < 60 and waited <= policy.total_s
    asked = errors.RateLimitedError("slow down", "", retry_after_s=7.0)
    assert policy.wait_s(asked, tries=5, waited_s=0.0) == 7.0
