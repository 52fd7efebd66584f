"""The client against an endpoint that misbehaves in every way we know."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import aclosing
from types import SimpleNamespace

import httpx2
import openai
import pytest
from pydantic import SecretStr

from tale_core import errors
from tale_core.models.client import answer as client_answer
from tale_core.models.client import http as client_http
from tale_core.models.client.errors import to_failure
from tale_core.models.client.openai_compatible import OpenAIClient, make_embedded_client
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tale_core.text import plain
from tale_core.types import Client, Completion, Delta, Message, Price, Request, Sampling
from tests.support.bad_endpoint import ANSWER, HOSTILE, BadEndpoint
from tests.support.waiting import free_port

WHOLE = "".join(ANSWER)
KEY = "sk-test-0123456789abcdefghij"
ASK = Request((Message("user", "What is six times seven?"),))


class Sleeps(list[float]):
    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def client_for(
    bad: BadEndpoint, model: str, *, timeout: float = 20.0, sleeps: Sleeps | None = None, **more: object
) -> OpenAIClient:
    endpoint = Endpoint(base_url=bad.base_url, model=model, api_key=SecretStr(KEY))
    settings = Settings(request_timeout_s=timeout, connect_timeout_s=5)
    return OpenAIClient(endpoint, settings=settings, sleep=Sleeps() if sleeps is None else sleeps, **more)  # type: ignore[arg-type]


async def ask(client: OpenAIClient, request: Request = ASK) -> tuple[list[Delta], Completion]:
    deltas: list[Delta] = []
    done: list[Completion] = []
    try:
        async with aclosing(client.stream(request)) as stream:
            async for event in stream:
                assert not done, "something came after the completion"
                (deltas if isinstance(event, Delta) else done).append(event)  # type: ignore[arg-type]
    finally:
        await client.aclose()
    assert len(done) == 1
    return deltas, done[0]


async def fails(client: OpenAIClient, kind: type[errors.ModelError], request: Request = ASK) -> errors.ModelError:
    with pytest.raises(kind) as caught:
        await ask(client, request)
    assert type(caught.value) is kind, f"{type(caught.value).__name__}: {caught.value}"
    return caught.value


async def test_a_good_answer_comes_in_pieces_and_ends_with_its_bookkeeping(bad: BadEndpoint) -> None:
    client: Client = client_for(bad, "ok")
    deltas, done = await ask(client)  # type: ignore[arg-type]
    assert [d.text for d in deltas] == ANSWER
    assert done.text == WHOLE
    assert (done.usage.prompt_tokens, done.usage.completion_tokens, done.usage.estimated) == (11, 9, False)
    assert (done.finish_reason, done.source, done.attempts) == ("stop", "live", 1)
    assert done.ttft_s is not None and 0 < done.ttft_s <= done.latency_s
    sent = bad.requests[-1].body
    assert (sent["temperature"], sent["seed"], sent["max_tokens"]) == (0.0, 1024, 2048)
    assert "top_p" not in sent and "reasoning_effort" not in sent


async def test_an_answer_at_the_cap_is_marked_as_cut(bad: BadEndpoint) -> None:
    _, done = await ask(client_for(bad, "ok"), Request(ASK.messages, Sampling(max_tokens=2)))
    assert (done.finish_reason, done.text) == ("length", "The answer ")


async def test_a_redirect_does_not_carry_the_key_away(bad: BadEndpoint) -> None:
    error = await fails(client_for(bad, "redirect"), errors.NotAnOpenAIEndpointError)
    assert "/elsewhere" in str(error) and "secret" not in str(error)
    assert bad.redirected_to == []


async def test_silence_in_the_middle_keeps_what_arrived_and_is_not_asked_again(bad: BadEndpoint) -> None:
    error = await fails(client_for(bad, "hang-mid-stream", timeout=2), errors.ModelTimeoutError)
    assert bad.count("hang-mid-stream") == 1
    assert error.partial is not None and error.partial.text == "".join(ANSWER[:3])
    assert error.partial.usage.estimated and error.partial.usage.completion_tokens > 0
    assert error.partial.finish_reason == "error"
    assert bad.wait_for(lambda: "hang-mid-stream" in bad.disconnects)


async def test_an_answer_with_a_finish_reason_is_whole_even_if_the_stream_hangs(bad: BadEndpoint) -> None:
    _, done = await ask(client_for(bad, "hang-at-the-end", timeout=2))
    assert (done.text, done.finish_reason, done.usage.estimated) == (WHOLE, "stop", True)


async def test_a_stream_that_just_ends_is_no_answer(bad: BadEndpoint) -> None:
    error = await fails(client_for(bad, "cut"), errors.IncompleteAnswerError)
    assert error.partial is not None and error.partial.text == "".join(ANSWER[:3])
    assert bad.count("cut") == 1


async def test_a_connection_lost_in_the_middle_keeps_what_arrived(bad: BadEndpoint) -> None:
    error = await fails(client_for(bad, "cut-chunked"), errors.ConnectionFailedError)
    assert error.partial is not None and error.partial.text == "".join(ANSWER[:3])
    assert bad.count("cut-chunked") == 1


async def test_an_error_in_the_middle_of_a_stream_is_an_error(bad: BadEndpoint) -> None:
    error = await fails(client_for(bad, "error-in-stream"), errors.ServerFailedError)
    assert error.partial is not None and error.partial.text == "".join(ANSWER[:3])


@pytest.mark.parametrize(
    "model", ["no-usage", "usage-negative", "usage-zero", "usage-absurd", "usage-words", "usage-list"]
)
async def test_missing_or_absurd_usage_is_replaced_by_our_count_and_says_so(bad: BadEndpoint, model: str) -> None:
    _, done = await ask(client_for(bad, model))
    assert done.usage.estimated
    assert 4 <= done.usage.completion_tokens <= 12
    assert 4 <= done.usage.prompt_tokens <= 24


@pytest.mark.parametrize("model", ["reasoning", "reasoning-openrouter"])
async def test_reasoning_is_kept_apart_and_its_tokens_are_believed(bad: BadEndpoint, model: str) -> None:
    deltas, done = await ask(client_for(bad, model))
    assert "".join(d.reasoning for d in deltas) == done.reasoning_text == "6 times 7 is 42."
    assert done.text == WHOLE
    usage = done.usage
    assert (usage.completion_tokens, usage.reasoning_tokens, usage.cached_prompt_tokens) == (909, 900, 8)
    assert not usage.estimated


async def test_odd_chunks_are_passed_over(bad: BadEndpoint) -> None:
    _, done = await ask(client_for(bad, "odd-chunks"))
    assert (done.text, done.usage.estimated) == (WHOLE, True)


async def test_an_endpoint_that_cannot_stream_is_understood(bad: BadEndpoint) -> None:
    deltas, done = await ask(client_for(bad, "whole-json"))
    assert len(deltas) == 1
    assert (done.text, done.finish_reason, done.usage.completion_tokens) == (WHOLE, "stop", 9)


async def test_hostile_text_arrives_as_it_is(bad: BadEndpoint) -> None:
    _, done = await ask(client_for(bad, "hostile"))
    assert done.text == HOSTILE
    assert done.usage.estimated and done.usage.completion_tokens > 1000


async def test_an_endless_answer_is_stopped(bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_answer, "MAX_CHARS", 20_000)
    error = await fails(client_for(bad, "endless"), errors.NotAnOpenAIEndpointError)
    assert "does not stop" in error.message
    assert error.partial is not None and 20_000 < len(error.partial.text) < 30_000
    assert bad.wait_for(lambda: "endless" in bad.disconnects)


async def test_an_endless_line_is_stopped(bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client_http, "MAX_BYTES", 300_000)
    error = await fails(client_for(bad, "endless-line"), errors.NotAnOpenAIEndpointError)
    assert "far more than an answer" in error.message


@pytest.mark.parametrize(
    ("model", "gone", "says"),
    [
        ("no-temperature", {"temperature"}, "temperature was not accepted"),
        ("no-stream-options", {"stream_options"}, "our own estimates"),
        ("no-seed-no-top-p", {"seed", "top_p"}, "seed was not accepted"),
    ],
)
async def test_a_refused_parameter_is_left_out_remembered_and_named(
    bad: BadEndpoint, model: str, gone: set[str], says: str
) -> None:
    request = Request(ASK.messages, Sampling(top_p=0.9))
    client = client_for(bad, model)
    _, done = await ask(client, request)
    assert done.text == WHOLE and done.attempts == len(gone) + 1
    assert not gone & set(bad.requests[-1].body)
    assert any(says in words for words in client.adjustments)
    _, again = await ask(client_for(bad, model), request)
    assert again.attempts == 1


async def test_max_tokens_is_renamed_and_not_lost(bad: BadEndpoint) -> None:
    client = client_for(bad, "no-max-tokens")
    _, done = await ask(client, Request(ASK.messages, Sampling(max_tokens=3)))
    assert done.finish_reason == "length"
    assert bad.requests[-1].body["max_completion_tokens"] == 3
    assert client.adjustments == ()


async def test_an_openai_reasoning_model_is_asked_its_way_from_the_start(bad: BadEndpoint) -> None:
    for model in ("o3-mini", "gpt-5.4-mini", "gpt-6-sol", "openai/o4-mini"):
        client = client_for(bad, model)
        await fails(client, errors.ModelNotFoundError)
        sent = bad.requests[-1].body
        assert sent["max_completion_tokens"] == 2048 and "max_tokens" not in sent and "temperature" not in sent
        assert client.adjustments == ("temperature and top_p are not sent to a reasoning model",)
    client = client_for(bad, "gpt-4o-mini")
    await fails(client, errors.ModelNotFoundError)
    assert bad.requests[-1].body["temperature"] == 0.0 and client.adjustments == ()


async def test_an_effort_level_that_the_model_lacks_does_not_become_another(bad: BadEndpoint) -> None:
    request = Request(ASK.messages, Sampling(reasoning_effort="minimal"))
    error = await fails(client_for(bad, "bad-effort"), errors.RequestRejectedError, request)
    assert "minimal" in error.message and bad.count("bad-effort") == 1


async def test_closing_the_generator_closes_the_request(bad: BadEndpoint) -> None:
    client = client_for(bad, "slow")
    stream = client.stream(ASK)
    assert isinstance(await anext(stream), Delta)
    await stream.aclose()
    assert await asyncio.to_thread(bad.wait_for, lambda: bad.disconnects == ["slow"])
    await client.aclose()


async def test_cancelling_the_task_closes_the_request(bad: BadEndpoint) -> None:
    got = asyncio.Event()

    async def run() -> None:
        async with aclosing(client_for(bad, "slow").stream(ASK)) as stream:
            async for _ in stream:
                got.set()

    task = asyncio.create_task(run())
    await asyncio.wait_for(got.wait(), 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await asyncio.to_thread(bad.wait_for, lambda: bad.disconnects == ["slow"])


@pytest.mark.parametrize("model", ["hang", "429-for-ever"])
async def test_waiting_can_be_cancelled(bad: BadEndpoint, model: str) -> None:
    async def for_ever(seconds: float) -> None:
        await asyncio.Event().wait()

    client = client_for(bad, model)
    client._sleep = for_ever
    task = asyncio.create_task(ask(client))
    assert await asyncio.to_thread(bad.wait_for, lambda: bad.count(model) == 1)
    await asyncio.sleep(0.05)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_many_answers_at_once_do_not_mix(bad: BadEndpoint) -> None:
    client = client_for(bad, "ok")

    async def one() -> str:
        return "".join([e.text async for e in client.stream(ASK) if isinstance(e, Delta)])

    assert await asyncio.gather(*(one() for _ in range(30))) == [WHOLE] * 30
    await client.aclose()


def test_one_client_serves_several_event_loops(bad: BadEndpoint) -> None:
    client = client_for(bad, "ok")
    for _ in range(2):
        _, done = asyncio.run(ask(client))
        assert done.text == WHOLE


async def test_nothing_listening_is_told_from_an_unknown_host() -> None:
    for url, kind, says in [
        (f"http://127.0.0.1:{free_port()}/v1", errors.ConnectionRefusedByHostError, "connection refused"),
        ("http://no-such-host.invalid/v1", errors.NameNotFoundError, "no-such-host.invalid was not found"),
    ]:
        client = OpenAIClient(Endpoint(url, "m"), settings=Settings(), sleep=Sleeps())
        error = await fails(client, kind)
        assert says in error.message


async def test_a_server_without_tls_is_told_apart(bad: BadEndpoint) -> None:
    client = OpenAIClient(Endpoint(bad.base_url.replace("http", "https"), "ok"), sleep=Sleeps())
    error = await fails(client, errors.NoSecureConnectionError)
    assert "TLS" in error.message and "http://" in error.hint


def test_a_certificate_that_is_not_trusted_is_named() -> None:
    error = openai.APIConnectionError(request=httpx2.Request("POST", "https://host/v1"))
    error.__cause__ = httpx2.ConnectError("connect")
    error.__cause__.__cause__ = ssl.SSLCertVerificationError(1, "certificate verify failed: self-signed certificate")
    failure = to_failure(error, Endpoint("https://host/v1", "m"), timeout_s=1)
    assert type(failure.error) is errors.NoSecureConnectionError and not failure.retry
    assert "No secure connection to host" in failure.error.message and "SSL_CERT_FILE" in failure.error.hint


def test_an_unreachable_network_is_not_called_a_refusal() -> None:
    error = openai.APIConnectionError(request=httpx2.Request("POST", "https://host/v1"))
    error.__cause__ = OSError(113, "No route to host")
    failure = to_failure(error, Endpoint("https://host/v1", "m"), timeout_s=1)
    assert type(failure.error) is errors.ConnectionFailedError and failure.retry
    assert "No route to host" in failure.error.message


@pytest.mark.parametrize("before", ["", " ", "（", "密钥", "：", '"'])
def test_a_key_is_taken_out_of_words_in_any_language(before: str) -> None:
    assert plain(f"无效的{before}{KEY}，请检查", "") == f"无效的{before}[key removed]，请检查"
    assert plain(f"无效的{before}Bearer {KEY}", "") == f"无效的{before}Bearer [key removed]"
    assert plain(f"task-{KEY}", "another-key") == f"task-{KEY}".replace(KEY, "[key removed]")


async def test_without_a_key_none_is_sent_whatever_the_environment_holds(
    bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    monkeypatch.setenv("OPENAI_ADMIN_KEY", KEY)
    monkeypatch.setenv("OPENAI_ORG_ID", "org-private")
    monkeypatch.setenv("OPENAI_PROJECT_ID", "proj-private")
    monkeypatch.setenv("OPENAI_CUSTOM_HEADERS", f"Authorization: Bearer {KEY}\nX-Private: org-private")
    await ask(OpenAIClient(Endpoint(bad.base_url, "ok")))
    headers = bad.requests[-1].headers
    assert "authorization" not in headers
    assert not any(word in str(headers) for word in (KEY, "org-private", "proj-private"))


async def test_the_embedded_server_counts_exactly_and_costs_nothing(bad: BadEndpoint) -> None:
    client = make_embedded_client(SimpleNamespace(base_url=bad.base_url, api_key=KEY, model="ok", adapters=()))
    assert (client.endpoint, client.price and client.price.input_per_mtok) == ("embedded", 0.0)
    assert await client.count_tokens("three plain words") == 3
    assert bad.requests[-1].headers["authorization"] == f"Bearer {KEY}"
    await ask(client)


@pytest.mark.parametrize("model", ["cut", "cut-chunked", "cut-at-once"])
async def test_an_embedded_server_that_dies_says_so_and_is_not_asked_again(bad: BadEndpoint, model: str) -> None:
    client = make_embedded_client(SimpleNamespace(base_url=bad.base_url, api_key=KEY, model=model, adapters=()))
    error = await fails(client, errors.ServerDiedError)
    assert str(error) == "The model server stopped while answering. The next question starts a new one."
    assert bad.count(model) == 1


async def test_an_embedded_server_that_is_gone_says_so() -> None:
    info = SimpleNamespace(base_url=f"http://127.0.0.1:{free_port()}/v1", api_key=KEY, model="m", adapters=())
    await fails(make_embedded_client(info), errors.ServerDiedError)


async def test_tokens_are_estimated_where_the_endpoint_has_no_tokenizer(bad: BadEndpoint) -> None:
    client = client_for(bad, "ok")
    assert await client.count_tokens("Hello, world!") == 4
    assert await client.count_tokens("") == 0
    assert bad.requests == []


def test_the_price_is_the_endpoints_and_unknown_is_none(bad: BadEndpoint) -> None:
    price = Price(0.15, 0.6, "2025-09")
    assert OpenAIClient(Endpoint(bad.base_url, "m", price=price)).price == price
    assert OpenAIClient(Endpoint(bad.base_url, "m")).price is None


def sdk_errors() -> list[BaseException]:
    request = httpx2.Request("POST", "http://127.0.0.1/v1/chat/completions")
    made: list[BaseException] = []
    kinds = {v for m in (openai, openai._exceptions) for v in list(vars(m).values()) if isinstance(v, type)}
    for kind in sorted((k for k in kinds if issubclass(k, openai.OpenAIError)), key=lambda k: k.__name__):
        status = getattr(kind, "status_code", None)
        response = httpx2.Response(status if isinstance(status, int) else 500, request=request)
        for arguments in (
            ((), {"response": response, "body": None}),
            (("said",), {"response": response, "body": None}),
            ((response, None), {}),
            (("said", request), {"body": None}),
            ((), {"request": request}),
            (("said",), {"unsent_messages": []}),
            (("said",), {}),
            ((), {}),
            ((), {"completion": None}),
            ((), {"completion": SimpleNamespace(usage=None)}),
        ):
            try:
                made.append(kind(*arguments[0], **arguments[1]))
                break
            except (TypeError, AttributeError):
                continue
        else:
            raise AssertionError(f"no way to make a {kind.__name__}")
    return made


def test_every_error_of_the_sdk_has_one_of_ours() -> None:
    made = sdk_errors()
    assert len(made) >= 18
    endpoint = Endpoint("http://127.0.0.1:1/v1", "m")
    ours = {type(e).__name__: type(to_failure(e, endpoint, timeout_s=1).error) for e in made}
    assert all(issubclass(kind, errors.ModelError) and kind is not errors.ModelError for kind in ours.values()), ours
    for name, kind in {
        "AuthenticationError": errors.AuthenticationFailedError,
        "PermissionDeniedError": errors.AuthenticationFailedError,
        "NotFoundError": errors.PathNotFoundError,
        "RateLimitError": errors.RateLimitedError,
        "BadRequestError": errors.RequestRejectedError,
        "UnprocessableEntityError": errors.RequestRejectedError,
        "APITimeoutError": errors.ModelTimeoutError,
        "APIConnectionError": errors.ConnectionFailedError,
        "InternalServerError": errors.ServerFailedError,
        "APIResponseValidationError": errors.NotAnOpenAIEndpointError,
    }.items():
        assert ours[name] is kind, (name, ours[name])


def test_every_error_of_the_http_library_has_one_of_ours() -> None:
    endpoint = Endpoint("http://127.0.0.1:1/v1", "m")
    for name in httpx2._exceptions.__all__:
        kind = getattr(httpx2, name)
        error = kind.__new__(kind)
        Exception.__init__(error, "said")
        assert type(to_failure(error, endpoint, timeout_s=1).error) is not errors.ModelError, name


def test_names_streams_and_the_server_itself_are_counted(bad: BadEndpoint) -> None:
    async def two() -> AsyncIterator[int]:
        client = client_for(bad, "slow")
        first, second = client.stream(ASK), client.stream(ASK)
        await anext(first)
        await anext(second)
        yield bad.open_streams
        await first.aclose()
        await second.aclose()
        await client.aclose()

    async def run() -> list[int]:
        return [n async for n in two()]

    assert asyncio.run(run()) == [2]
    assert bad.wait_for(lambda: bad.open_streams == 0)
