"""What "test connection" tells a person about each thing that can be wrong."""

from __future__ import annotations

import re
import socket

import pytest
from pydantic import SecretStr

from tale_core.i18n import use_language
from tale_core.models.connection import ConnectionReport, check
from tale_core.models.endpoints import Endpoint
from tale_core.settings import Settings
from tests.support.bad_endpoint import BadEndpoint

KEY = "sk-test-0123456789abcdefghij"


async def report(url: str, model: str = "ok", *, timeout: float = 20.0, reasoning: bool = False) -> ConnectionReport:
    endpoint = Endpoint(url, model, SecretStr(KEY), reasoning=reasoning)
    return await check(endpoint, settings=Settings(request_timeout_s=timeout, connect_timeout_s=5))


async def test_a_working_endpoint_is_reported_with_its_models(bad: BadEndpoint) -> None:
    found = await report(bad.base_url)
    assert found.ok and found.headline == "Connected" and "answered in" in found.detail
    assert "ok" in found.models and found.latency_s is not None
    assert bad.requests[-1].body["max_tokens"] == 1


async def test_an_endpoint_without_a_list_of_models_still_works(bad: BadEndpoint) -> None:
    for status in (404, 405, 500):
        bad.models_status = status
        found = await report(bad.base_url)
        assert found.ok and found.models == ()


async def test_a_model_that_answers_but_is_not_listed_is_mentioned(
    bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bad, "models", ["something-else"])
    found = await report(bad.base_url)
    assert found.ok and "not in the endpoint's list (something-else)" in found.detail


@pytest.mark.parametrize(("listed", "model"), [("models/ok", "ok"), ("ok:latest", "ok"), ("ok", "models/ok")])
async def test_a_path_or_a_tag_that_may_be_left_out_makes_no_other_model(
    bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch, listed: str, model: str
) -> None:
    monkeypatch.setattr(bad, "models", [listed])
    bad.scripts[model] = [{"events": [{"say": "4"}, {"finish": "stop"}]}]
    found = await report(bad.base_url, model)
    assert found.ok and "not in the endpoint's list" not in found.detail


async def test_what_the_endpoint_refuses_is_mentioned(bad: BadEndpoint) -> None:
    found = await report(bad.base_url, "no-temperature")
    assert found.ok and "temperature was not accepted" in found.detail


@pytest.mark.parametrize(
    ("model", "headline"),
    [
        ("401", "Access refused: check the key"),
        ("429-quota", "The account has no credit left"),
        ("429-for-ever", "The endpoint asks for fewer requests"),
        ("html", "This is not an OpenAI-compatible endpoint"),
        ("500", "The endpoint failed"),
        ("cut", "The endpoint failed"),
        ("400", "The endpoint rejected a plain request"),
    ],
)
async def test_each_fault_has_its_own_headline(bad: BadEndpoint, model: str, headline: str) -> None:
    found = await report(bad.base_url, model)
    assert (found.ok, found.headline) == (False, headline)
    assert found.detail and found.latency_s is None
    assert bad.count(model) == 1
    assert KEY not in repr(found)


async def test_a_misspelt_model_is_told_with_close_names(bad: BadEndpoint) -> None:
    found = await report(bad.base_url, "hostil")
    assert (found.ok, found.headline) == (False, "Model not found")
    assert found.hint.startswith("Did you mean hostile")
    assert "The endpoint lists:" in (await report(bad.base_url, "qqqqqq")).hint


async def test_a_wrong_path_is_told_from_a_wrong_model(bad: BadEndpoint) -> None:
    found = await report(bad.base_url.removesuffix("/v1"))
    assert (found.ok, found.headline) == (False, "Nothing at this path")
    assert "/v1" in found.hint


@pytest.mark.parametrize(
    ("model", "headline", "detail"),
    [
        ("401", "访问被拒绝：请检查密钥", "密钥被拒绝"),
        ("429-quota", "账户余额已用完", "余额已用完"),
        ("html", "这不是与 OpenAI 兼容的端点", "它发来的是一个网页。"),
        ("500", "端点出错", "出错（500）。"),
        ("400", "端点拒绝了一个普通的请求", "拒绝了请求（400）。"),
    ],
)
async def test_each_fault_is_told_in_the_language_of_who_asks(
    bad: BadEndpoint, model: str, headline: str, detail: str
) -> None:
    with use_language("zh"):
        found = await report(bad.base_url, model)
    assert found.headline == headline and detail in found.detail and found.hint.endswith("。")
    assert KEY not in repr(found)


async def test_what_an_endpoint_lacks_is_told_apart_in_any_language(bad: BadEndpoint) -> None:
    with use_language("zh"):
        assert (await report(bad.base_url.removesuffix("/v1"))).headline == "这个路径上没有内容"
        assert (await report(bad.base_url, "hostil")).hint.startswith("你指的是 hostile")
        assert (await report(bad.base_url.replace("http", "https"))).headline == "无法建立安全连接"
        assert "端点不接受 temperature，" in (await report(bad.base_url, "no-temperature")).detail


async def test_a_server_without_tls_has_its_own_headline(bad: BadEndpoint) -> None:
    found = await report(bad.base_url.replace("http", "https"))
    assert found.headline == "No secure connection" and "http://" in found.hint


async def test_silence_is_told_from_refusal(bad: BadEndpoint) -> None:
    assert (await report(bad.base_url, "hang", timeout=0.3)).headline == "No answer in time"
    with socket.socket() as s:
        s.bind(("127.0.0.1", 0))
        port = s.getsockname()[1]
    assert (await report(f"http://127.0.0.1:{port}/v1")).headline == "Nothing listens at this address"


async def test_an_unknown_host_is_told_as_such() -> None:
    found = await report("http://no-such-host.invalid/v1")
    assert found.headline == "The host name was not found" and "no-such-host.invalid" in found.detail


async def test_tls_trouble_is_told_as_such(bad: BadEndpoint) -> None:
    found = await report(bad.base_url.replace("http:", "https:"))
    assert not found.ok and "TLS" in found.detail


async def test_a_refused_key_is_told_and_one_that_may_not_list_models_still_works(bad: BadEndpoint) -> None:
    bad.models_status = 403
    assert (await report(bad.base_url)).ok
    bad.models_status = 401
    refusal = {"status": 401, "body": {"error": {"message": "Incorrect API key provided"}}}
    bad.scripts["locked"] = [refusal]
    assert (await report(bad.base_url, "locked")).headline == "Access refused: check the key"


async def test_a_reasoning_model_gets_room_to_think(bad: BadEndpoint) -> None:
    assert (await report(bad.base_url, reasoning=True)).ok
    assert bad.requests[-1].body["max_tokens"] == 16


async def test_an_endpoint_that_wants_a_larger_cap_is_asked_for_more(bad: BadEndpoint) -> None:
    few = "Invalid 'max_output_tokens': integer below minimum value. Expected a value >= 16, but got 1 instead."
    refusal = {"status": 400, "body": {"error": {"message": few, "param": "max_output_tokens"}}}
    bad.scripts["picky"] = [refusal, {"events": [{"say": "OK"}, {"finish": "stop"}, "data: [DONE]\n\n"]}]
    assert (await report(bad.base_url, "picky")).ok
    assert [seen.body["max_tokens"] for seen in bad.requests if seen.method == "POST"] == [1, 16]


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (404, {"error": {"code": "DeploymentNotFound", "message": "The API deployment does not exist."}}),
        (404, {"error": {"message": "This model is only supported in v1/responses.", "param": "model"}}),
        (404, {"error": {"message": "The model `ok` does not exist."}}),
    ],
)
async def test_nobody_is_asked_whether_the_very_same_name_was_meant(
    bad: BadEndpoint, status: int, body: dict[str, object]
) -> None:
    bad.scripts["ok"] = [{"status": status, "body": body}]
    try:
        found = await report(bad.base_url)
    finally:
        del bad.scripts["ok"]
    assert not found.ok and found.hint and not re.search(r"mean (?:.* or )?ok(?: or|\?)", found.hint)


async def test_an_address_without_v1_is_told_with_the_one_that_answers(bad: BadEndpoint) -> None:
    found = await report(bad.base_url.removesuffix("/v1"))
    assert found.hint == f"{bad.base_url} answers: give that address."
    assert all("authorization" not in s.headers for s in bad.requests if s.path == "/v1/models")
    nowhere = await report(bad.base_url.removesuffix("/v1") + "/nowhere")
    assert nowhere.headline == "Nothing at this path" and f"/nowhere{'/v1'}" in nowhere.hint
