"""From traffic to a budget of its own: kept questions, searches on them, an estimator, and save mode that asks it."""

from __future__ import annotations

import asyncio
import json
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tale_core.calls.budget_ledger import Limits
from tale_core.cli.main import main
from tale_core.estimators import KINDS
from tale_core.proxy.app import Proxy
from tale_core.proxy.change import change, predictor
from tale_core.proxy.kept import known_questions
from tale_core.proxy.plan import ProxyPlan
from tale_core.runs import setup
from tale_core.settings import get_settings
from tale_core.types import Message, Question, Request, Sampling
from tests.proxy.conftest import Start
from tests.proxy.test_app import post
from tests.proxy.test_figures import pairs
from tests.runs.test_setup import QUESTIONS, obeys_words
from tests.support.upstream import LOOPS, Answer, serving

MODEL = "scripted"


def obeying(body: dict[str, Any]) -> Answer:
    """Keeps to a limit on words, as a model that somebody has at home; shorter where it is to be concise."""
    asked = body["messages"][-1]["content"]
    said = obeys_words(Request((Message("user", asked),), Sampling())).text
    return Answer(said, tokens=60 if "concise" in asked else said.count(" "))


def asked_in(text: str) -> dict[str, Any]:
    return {"model": MODEL, "messages": [{"role": "user", "content": text}]}


@pytest.mark.timeout(300)
def test_kept_traffic_teaches_the_estimator_that_save_mode_asks(
    started: Start, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    kind = KINDS["regression"]
    assert kind.training is not None
    one = replace(kind, training=replace(kind.training, eligible=("neighbours",), shown=()))
    monkeypatch.setitem(KINDS, "regression", one)
    monkeypatch.setattr(setup, "TOOL_FREE", ("paper", "words"))
    file = tmp_path / "mine.jsonl"
    more: dict[str, Any] = {"sample": 1.0, "keep": timedelta(days=1), "limits": Limits(max_calls=10_000)}
    with started(obeying, changes=(change("concise"),), **more) as on:
        for question in QUESTIONS[:26]:
            assert post(on.url, asked_in(question.text)).status_code == 200
        asyncio.run_coroutine_threadsafe(on.proxy.pairs.settled(), LOOPS[on.url]).result(60)
        known = {row["question"]: row["answer"] for row in known_questions(on.traffic)}
        assert len(known) >= 20
        assert main(["traffic", "--questions", str(file)]) == 0
        capsys.readouterr()
        command = ["models", "setup", "--model", MODEL, "--base-url", on.direct, "--dataset", str(file), "--json"]
        assert main([*command, "--questions", "6", "--searches", "20"]) == 0
        told = json.loads(capsys.readouterr().out)
        assert (told["status"], told["use"], told["template"]) == ("done", "regression", "words")
        for pair in pairs(
            np.random.default_rng(3), 120, strategy="predicted", agreement=1.0, dearer=0.4
        ):  # Observed meanwhile.
            row = replace(pair, id=f"seen{pair.id}", upstream=on.direct, model=MODEL)
            on.traffic.begin_pair(row)
            on.traffic.end_pair(replace(row, status="done"))
        unseen = QUESTIONS[-1].text
        assert unseen not in known
        with serving(Proxy(ProxyPlan(on.direct, mode="save", sample=0.0), on.traffic, get_settings())) as url:
            answer = post(url, asked_in(unseen))
        body = on.upstream.bodies[-1]
    predicted = predictor(MODEL).budget(Question(unseen))[0]
    assert (answer.headers["x-tale-strategy"], answer.headers["x-tale-budget"]) == ("predicted", str(predicted))
    assert body["messages"][0]["content"].startswith(unseen)
    assert re.search(r"at most \d+ word|最多用 \d+ 个词", body["messages"][0]["content"])
    assert answer.json()["usage"]["completion_tokens"] < 100
