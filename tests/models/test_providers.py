"""Each preset against an endpoint that behaves as the provider documents it (data/endpoints.toml names the pages).

What is sent for a level, what is done when it is refused or not kept to, and how many tokens were thinking.
"""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr

from tale_core.budgets.kinds import kind
from tale_core.errors import RequestRejectedError, SettingsError
from tale_core.models import endpoints as e
from tale_core.models.client import params as client_params
from tale_core.models.client.openai_compatible import OpenAIClient
from tale_core.settings import Settings
from tale_core.types import Completion, Message, Request, Sampling
from tests.support.bad_endpoint import BadEndpoint

CASES: list[dict[str, Any]] = json.loads(
    (Path(__file__).parents[1] / "cases" / "providers.json").read_text(encoding="utf-8")
)
ASK = (Message("user", "What is six times seven? Give the number like [[7]]."),)
KEY = "sk-test-0123456789abcdefghij"
ISSUE = {"anthropic", "gemini", "deepseek", "openrouter", "xai", "mistral", "groq", "together", "lmstudio", "azure"}


def named(case: dict[str, Any]) -> str:
    return f"{case['preset']}-{case['knob']}-{case['level']}" + ("-ignored" if "unheeded" in case else "")


async def answered(bad: BadEndpoint, case: dict[str, Any], *first: dict[str, Any]) -> Completion:
    """The case's question, asked of a preset's model at a scripted endpoint."""
    client_params.forget_all()
    bad.requests.clear()
    path = {"path": case["path"]} if "path" in case else {}
    bad.scripts[case["model"]] = [*({**one, **path} for one in first), {"events": case["events"], **path}]
    home = e.preset(case["preset"])
    url = bad.base_url.removesuffix("/v1") + case.get("base", "/v1")
    known = home.model(case["model"])
    endpoint = e.Endpoint(
        url, case["model"], SecretStr(KEY), reasoning=known.reasoning if known else False,
        knobs=home.knobs_of(case["model"]), ignored=home.ignored, usage=home.usage,
    )  # fmt: skip
    client = OpenAIClient(endpoint, settings=Settings(request_timeout_s=20, connect_timeout_s=5))
    sampling = kind(case["knob"]).in_sampling(Sampling(max_tokens=4096), case["level"])
    try:
        found = [event async for event in client.stream(Request(ASK, sampling))]
    finally:
        await client.aclose()
    assert isinstance(found[-1], Completion)
    return found[-1]


@pytest.mark.parametrize("case", CASES, ids=named)
async def test_a_budget_is_sent_in_the_providers_words_and_its_tokens_are_read_right(
    bad: BadEndpoint, case: dict[str, Any]
) -> None:
    done = await answered(bad, case)
    (seen,) = bad.requests
    assert {name: seen.body.get(name) for name in case["sent"]} == case["sent"]
    assert not set(case["absent"]) & seen.body.keys()
    assert seen.headers[case.get("header", "authorization")].endswith(KEY)
    assert (done.text, done.reasoning_text, done.finish_reason) == (
        "6 times 7 is [[42]].", case.get("thought", ""), "stop",
    )  # fmt: skip
    usage, (completion, thinking) = done.usage, case["tokens"]
    assert (usage.prompt_tokens, usage.completion_tokens, usage.estimated) == (20, completion, False)
    if thinking is None:  # The endpoint does not tell them apart: our own reading, and said to be.
        assert usage.reasoning_estimated and usage.thinking_tokens is not None
        assert 0 < usage.thinking_tokens < completion
    else:
        assert usage.thinking_tokens == thinking and usage.reasoning_estimated <= (thinking == 0)
    unheeded = [words for words in done.adjustments if "thought" in words]
    assert len(unheeded) == ("unheeded" in case) and case.get("unheeded", "") in "".join(unheeded)


@pytest.mark.parametrize("case", [case for case in CASES if "refusal" in case], ids=named)
async def test_a_refused_budget_is_left_out_and_said_and_a_refused_value_is_never_changed(
    bad: BadEndpoint, case: dict[str, Any]
) -> None:
    refusal = {"status": 400, "body": case["refusal"] if "error" in case["refusal"] else {"error": case["refusal"]}}
    if case["refused"] == "value":
        with pytest.raises(RequestRejectedError):
            await answered(bad, case, refusal)
        assert len(bad.requests) == 1
        return
    done = await answered(bad, case, refusal)
    first, second = (seen.body for seen in bad.requests)
    gone = set(case["sent"])
    assert gone <= first.keys() and not gone & second.keys()
    assert kind(case["refused"]).REFUSED in done.adjustments
    assert all(second[name] == first[name] for name in first.keys() - gone)


def test_each_provider_of_the_list_has_a_preset_read_on_a_day_and_a_case() -> None:
    presets = {one.name: one for one in e.endpoints()}
    assert presets.keys() >= ISSUE and {case["preset"] for case in CASES} >= ISSUE
    for one in presets.values():
        assert one.name == "yi" or (one.read_on and one.sources and one.knobs and one.streaming), one.name
        assert all(source.startswith("https://") for source in one.sources)


ENTRY = """
[here]
title = "Here"
base_url = "http://127.0.0.1:1/v1"
knobs = [{ knob = "effort", path = "reasoning_effort", levels = ["low", "high"] }, KNOB]
models = [{ name = "m", efforts = ["low"], MODEL }]
"""


@pytest.mark.parametrize(
    ("knob", "model", "says"),
    [
        ('{ knob = "thinking", path = "a b" }', "", "here.knobs.1.*'a b' is no place"),
        ('{ knob = "thinking", path = "a", colour = 1 }', "", "here.knobs.1.*colour"),
        ('{ knob = "speed", path = "a" }', "", "here.knobs.1.knob"),
        ('{ knob = "thinking", path = "a", levels = ["low"] }', "", "has no levels"),
        ('{ knob = "verbosity", path = "a" }', "", "every other knob has some"),
        ('{ knob = "thinking", path = "a", least = 9, most = 3 }', "", "9 to 3"),
        ('{ knob = "effort", path = "a", levels = ["low"] }', "", "described twice"),
        ('{ knob = "verbosity", path = "a", levels = ["low"], same = { x = "high" } }', "", "not among its levels"),
        ('{ knob = "thinking", path = "a" }', "thinking = { least = 0 }", "here.models.0.thinking.least"),
        ("", "thinking = {}", "needs the endpoint's thinking knob"),
        ("", 'note = "x" }, { name = "m"', "named twice"),
        ("", 'note = "x" }, { name = "n", efforts = ["max"]', "not among the endpoint's levels"),
    ],
)
def test_a_wrong_preset_is_told_by_its_place(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, knob: str, model: str, says: str
) -> None:
    path = tmp_path / "endpoints.toml"
    text = ENTRY.replace(", KNOB", f", {knob}" if knob else "").replace(", MODEL", f", {model}" if model else "")
    tomllib.loads(text)
    path.write_text(text, encoding="utf-8")
    monkeypatch.setattr(e, "ENDPOINTS_FILE", path)
    with pytest.raises(SettingsError, match=says) as caught:
        e.endpoints()
    assert str(path) in str(caught.value)
