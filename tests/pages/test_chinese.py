"""Every page in Chinese, empty, with something finished, and with something failed: no English sentence is left."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.datasets import featured
from tale_core.lessons.recorded import Recording, rebounding
from tale_core.models.embedded.prepare import Preparation
from tale_core.tuning import install
from tale_core.types import CallRecord, Message, Outcome, Question, SessionRecord
from tests.pages import experiment_samples, search_samples, sweep_samples, tuning_samples
from tests.pages.app_page import endpoint, opened, store
from tests.pages.chinese import english
from tests.pages.test_traffic_page import seed as seed_traffic
from tests.store.samples import call as a_call

QUESTION = Question("一列火车 2.5 小时行驶 180 千米，它的速度是多少？", answer="72", kind="number", language="zh")
NAMES = ("fixed:50", "concise", "direct", "vanilla", "zero-shot", "gsm8k", "GSM8K", "scripted", "'paper'", "ABC123",
         "models calibrate")  # fmt: skip
"""Strategies, data sets, models, prompts of the samples, a class code, a command: named so on the command line too."""
FAILED = "端点没有回答。"
MODEL = "模型甲"


class Case(NamedTuple):
    """A page in one state; `seed` writes what is to be shown and returns the address's query."""

    page: str
    state: str
    seed: Callable[[], Mapping[str, str]]
    choice: str = "endpoint"


def empty() -> dict[str, str]:
    return {}


def search(name: str) -> Callable[[], dict[str, str]]:
    def seed() -> dict[str, str]:
        shown = search_samples.SAMPLES[name]()
        plan = replace(shown.plan, question=QUESTION)
        error = FAILED if shown.error else None
        return {"session": search_samples.saved(replace(shown, question=QUESTION, plan=plan, model=MODEL, error=error))}

    return seed


def sweep(name: str) -> Callable[[], dict[str, str]]:
    def seed() -> dict[str, str]:
        shown = sweep_samples.SAMPLES[name]()
        question = replace(QUESTION, answer=shown.question.answer and QUESTION.answer)
        plan = replace(shown.plan, question=question)
        error = FAILED if shown.error else None
        shown = replace(shown, question=question, plan=plan, model=MODEL, error=error)
        return {"session": store().create_session(sweep_samples.session(shown, f"sweep-{name}")).id}

    return seed


def asked(**changes: Any) -> Callable[[], dict[str, str]]:
    def seed() -> dict[str, str]:
        record = SessionRecord(
            id="asked", question=QUESTION, model=MODEL, endpoint="embedded", estimator="zero-shot", status="done",
            budget=50, budget_raw="[[50]]", template="paper", guesses={"vanilla": 200, "budgeted": 60},
            calls=(call("estimate", 9), call("vanilla", 258), call("budgeted", 86, requested_budget=50)),
        )  # fmt: skip
        return {"session": store().create_session(replace(record, **changes)).id}

    return seed


def call(role: Any, tokens: int, **changes: Any) -> CallRecord:
    record = a_call(
        "asked", role, status="done", model=MODEL, messages=(Message("user", "问"),), text="[[72]]", prompt_tokens=60,
        completion_tokens=tokens, ttft_s=0.2, latency_s=3.0, finish_reason="stop", outcome=Outcome.CORRECT,
        extracted="72", extracted_by="last-number",
    )  # fmt: skip
    return replace(record, **changes)


def kept(*seeds: Callable[[], Mapping[str, str]]) -> Callable[[], dict[str, str]]:
    """What these seed stands in the database; the address names none of it."""

    def seed() -> dict[str, str]:
        for one in seeds:
            one()
        return {}

    return seed


def other_kind() -> dict[str, str]:
    return search("done")()


def traffic() -> dict[str, str]:
    seed_traffic()
    return {}


DRAWN = [
    Case("Ask", "empty", empty),
    Case("Ask", "empty, with the embedded model", empty, "embedded"),
    Case("Ask", "finished", asked()),
    Case("Ask", "failed", asked(
        status="failed", error=FAILED,
        calls=(call("vanilla", 258, source="cached", usage_estimated=True),
               call("budgeted", 20, status="failed", outcome=Outcome.ERROR, error=FAILED, finish_reason="error")),
    )),
    Case("Ask", "interrupted", asked(
        status="interrupted", budget_problem="没有数字",
        calls=(call("vanilla", 2048, finish_reason="length", outcome=Outcome.TRUNCATED),
               call("budgeted", 20, outcome=Outcome.UNPARSED, source="recorded", extracted=None, text="")),
    )),
    Case("Ask", "a link to something else", other_kind),
    Case("Ask", "a link to nothing", lambda: {"session": "gone"}),
    Case("Search", "empty", empty),
    Case("Search", "empty, with the embedded model", empty, "embedded"),
    *(Case("Search", name, search(name)) for name in ("done", "elastic", "vanilla-wrong", "nothing", "failed")),
    Case("Elasticity", "empty", empty),
    *(Case("Elasticity", n, sweep(n)) for n in ("rebound", "flat", "one_repeat", "ungraded", "limited", "failed")),
    Case("Settings", "empty", empty),
    Case("Settings", "with the embedded model", empty, "embedded"),
    Case("Experiments", "empty", empty),
    Case("Experiments", "finished", lambda: {"experiment": experiment_samples.kept()}),
    Case("Estimators", "empty", empty),
    Case("Lesson", "empty", empty),
    Case("Fine-tune", "empty", empty),
    Case("Fine-tune", "with examples", tuning_samples.learnt, "embedded"),
    Case("Fine-tune", "trained", tuning_samples.trained),
    Case("Fine-tune", "failed", tuning_samples.failed),
    Case("Traffic", "empty", empty),
    Case("Traffic", "with requests asked both ways", traffic),
    Case("Label", "empty", empty),
    Case("Label", "with an answer", kept(asked())),
    Case("History", "empty", empty),
    Case("History", "with sessions", kept(asked(), search("elastic"), sweep("flat"))),
]  # fmt: skip
"""A new page adds a line for each of its states."""


def said(recording: Recording) -> tuple[str, ...]:
    """The question of a recording, as far as a chart's title has room for it, and the sentences of its answers."""
    words = recording.session.question.text.split(" ")
    asked = [" ".join(words[:n]) for n in range(5, len(words) + 1)]
    answers = [s.strip() for call in recording.session.calls for s in re.split(r"(?<=[.!?])\s", call.text)]
    return (*asked, *filter(None, answers))


@pytest.mark.parametrize("case", DRAWN, ids=lambda c: f"{c.page}: {c.state}")
def test_a_page_in_chinese_says_nothing_in_english(case: Case, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Preparation, "start", lambda self: None)  # Its errors are those of the weights, tested there.
    questions = [q.text for q in featured()]
    data = tuning_samples.WORDS if case.page == "Fine-tune" else ()
    if case.page in ("Elasticity", "History") and case.state == "empty":  # Borrowed where Chinese has no recording.
        data = said(rebounding("zh"))
    assert english(drawn(case), *NAMES, *questions, *data) == []


@pytest.mark.parametrize("installed", [True, False], ids=["with its packages", "without its packages"])
@pytest.mark.parametrize("case", [c for c in DRAWN if c.page == "Fine-tune"], ids=lambda c: c.state)
def test_fine_tune_is_chinese_whatever_is_installed_here(
    case: Case, installed: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(install, "find_spec", lambda name: object() if installed else None)
    test_a_page_in_chinese_says_nothing_in_english(case, monkeypatch)


def drawn(case: Case) -> AppTest:
    path = "app.py" if case.page == "Ask" else f"pages/{case.page}.py"
    use = endpoint("http://127.0.0.1:9/v1", MODEL) if case.choice == "endpoint" else None
    return opened(path, address={"lang": "zh", **case.seed()}, use=use)


def test_an_english_page_is_found_out() -> None:
    said = " ".join(english(opened(address={"lang": "en"})))
    for word in ("How many", "Budget", "measure", "Predicted"):
        assert word in said
