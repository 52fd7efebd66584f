"""The Ask page against everything that goes wrong: right words, nothing wrong in the store, never a traceback."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tale_core.models.embedded import prepare
from tale_core.models.weights.fetch import FetchProgress
from tale_core.types import Outcome
from tests.pages.app_page import ask, endpoint, opened, result, session_id, store, stored, words
from tests.support import bad_endpoint
from tests.support.bad_endpoint import HOSTILE, BadEndpoint

FAULTS = {
    "401": ("refused access (401)", "no key was sent", "Check the key."),
    "html": ("is not an OpenAI-compatible endpoint: it sent a web page.", "for most servers it ends in /v1"),
    "500": ("failed (500).", "4 attempts were made", "Try again later."),
    "cut": ("broke off: the stream ended without a finish reason", "kept but not graded"),
    "hang": ("accepted the request and was silent for 0.4 s", "2 attempts were made"),
    "hang-mid-stream": ("stopped in the middle of its answer and was silent for 0.4 s",),
    "429-quota": ("has no credit left", "waiting is no help"),
    "nobody": ("has no model called 'nobody'", "the connection test lists the models"),
}
WITH_TEXT = {"cut", "hang-mid-stream"}


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALE_REQUEST_TIMEOUT_S", "0.4")


@pytest.mark.parametrize("model", FAULTS)
def test_a_failing_answer_is_worded_and_stored_as_failed(bad: BadEndpoint, model: str) -> None:
    at = ask(opened(use=endpoint(bad.base_url, model)), budget=20)
    shown = result(at)
    assert not at.exception
    for piece in FAULTS[model]:
        assert piece in shown
    assert "Both answers failed: there is nothing to compare." in shown
    assert "Traceback" not in words(at)
    session = stored(at)
    assert session.status == "failed" and session.error and FAULTS[model][0] in session.error
    assert {c.role for c in session.calls} == {"vanilla", "budgeted"}
    for call in session.calls:
        assert (call.status, call.outcome, call.finish_reason) == ("failed", Outcome.ERROR, "error")
        assert call.usage_estimated and call.extracted is None
        assert (call.text, call.completion_tokens) == (("The answer is ", 4) if model in WITH_TEXT else ("", None))


@pytest.mark.parametrize("model", ["401", "cut"])
def test_a_failing_estimate_asks_for_no_answer_under_a_budget(bad: BadEndpoint, model: str) -> None:
    at = ask(opened(use=endpoint(bad.base_url, model)))
    assert not at.exception and FAULTS[model][0] in words(at.error[0])
    assert {c.role for c in stored(at).calls} == {"estimate", "vanilla"} and stored(at).budget is None
    assert bad.count(model) == 2


@pytest.mark.parametrize("model", ["401", "cut"])
def test_one_after_the_other_a_failing_estimate_ends_the_ask_before_any_answer(bad: BadEndpoint, model: str) -> None:
    at = ask(opened(use=endpoint(bad.base_url, model), together=False))
    assert not at.exception and FAULTS[model][0] in words(at.error[0])
    assert [c.role for c in stored(at).calls] == ["estimate"] and stored(at).budget is None
    assert bad.count(model) == 1


def test_a_failure_is_shown_again_by_its_link(bad: BadEndpoint) -> None:
    first = ask(opened(use=endpoint(bad.base_url, "cut")), budget=20)
    again = opened(session=session_id(first))
    assert not again.exception and "broke off" in words(again.error[0]) and "The answer is" in result(again)
    assert bad.count("cut") == 2


def test_one_failing_answer_leaves_the_other_one_whole(bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    def half(h: Any, body: dict[str, Any]) -> None:
        name = "cut" if "less than" in str(body["messages"]) else "ok"
        bad_endpoint.BEHAVIOURS[name](h, body)

    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "half", half)
    at = ask(opened(use=endpoint(bad.base_url, "half")), budget=20)
    assert not at.exception
    assert "The budgeted answer failed: there is nothing to compare." in result(at)
    assert "9 output tokens" in result(at) and "Right" in result(at)
    assert {c.role: c.status for c in stored(at).calls} == {"vanilla": "done", "budgeted": "failed"}


@pytest.mark.parametrize("model", ["no-usage", "usage-absurd", "usage-negative", "usage-words", "usage-list"])
def test_a_missing_or_incredible_token_count_becomes_an_estimate_that_says_so(bad: BadEndpoint, model: str) -> None:
    at = ask(opened(use=endpoint(bad.base_url, model)), budget=20)
    assert not at.exception and not at.error
    assert result(at).count("**about 6 output tokens**") == 2
    assert "Some token counts are estimates" in result(at)
    assert [(c.usage_estimated, c.completion_tokens) for c in stored(at).calls] == [(True, 6), (True, 6)]


def test_hidden_reasoning_is_counted_and_named(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "reasoning")), budget=20)
    told = "answer 9 · budget 20 · thinking 900"  # The budget is held against the visible answer.
    assert result(at).count("**909 output tokens**") == 2 and told in result(at)
    assert "6 times 7 is 42." in result(at) and [c.reasoning_tokens for c in stored(at).calls] == [900, 900]


def test_a_setting_the_endpoint_refuses_is_named_below_the_finding(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "no-temperature")), budget=20)
    assert not at.error and "Temperature was not accepted and is left to the endpoint." in result(at)


def test_hostile_text_reaches_the_page_as_text_alone(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "hostile")), budget=20)
    assert not at.exception
    shown = [t.value for t in at.text]
    assert len(shown) == 2 and all(t.startswith("<script>alert(1)</script> <img src=x") for t in shown)
    assert all("⟨U+202E⟩" in t and "\u202e" not in t and "\x00" not in t for t in shown)
    assert max(map(len, shown)) < 25_000 and "Only the first" in words(at.main)
    for drawn_as_markdown in (*at.markdown, *at.caption, *at.subheader, *at.error, *at.warning, *at.info):
        assert "script" not in drawn_as_markdown.value and "pixel" not in drawn_as_markdown.value
    assert not any(m.proto.allow_html for m in at.markdown)
    assert all(len(c.text) >= len(HOSTILE) - 10 for c in stored(at).calls)


def test_a_model_that_cannot_be_had_is_told_once_and_by_an_ask(bad: BadEndpoint) -> None:
    at = opened()
    until_ended("qwen2.5-coder-1.5b")
    at.run()
    assert not at.exception
    told = words(at.main)
    assert "cannot be had" in told and "TALE_OFFLINE is set" in told and "TALE_MODEL_FILE" in told
    assert [b.label for b in at.button].count("Try again") == 1
    ask(at)
    assert not at.exception and "cannot be had" in words(at.main)
    assert stored(at).status == "failed" and stored(at).calls == () and "cannot be had" in (stored(at).error or "")


def test_an_endpoint_works_while_the_embedded_model_cannot_be_had(bad: BadEndpoint) -> None:
    use = endpoint(bad.base_url, "ok")
    at = opened(session_endpoints={use.key: use})
    until_ended("qwen2.5-coder-1.5b")
    at.selectbox(key="model").select(use.key).run()
    ask(at)
    assert not at.exception and not at.error and stored(at).status == "done"
    assert "cannot be had" not in words(at.sidebar) and "ok · http" in words(at.sidebar)


@pytest.fixture
def slow_fetch(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """Fetching stands at 40 % until the test ends."""
    held, said = threading.Event(), threading.Event()

    def ensure_server(name: str, *, fetch_progress: Callable[[FetchProgress], None], **_: object) -> None:
        fetch_progress(FetchProgress("downloading", "a hub", 40, 100, 30.0, "Fetching the model: 40 % ($5)."))
        said.set()
        held.wait(30)

    monkeypatch.setattr(prepare, "ensure_server", ensure_server)
    yield said
    held.set()


def test_a_page_that_waits_for_weights_says_how_far_they_are(bad: BadEndpoint, slow_fetch: threading.Event) -> None:
    use = endpoint(bad.base_url, "ok")
    at = opened(session_endpoints={use.key: use})
    assert slow_fetch.wait(10)
    at.run()
    assert not at.exception and not at.error
    assert "Fetching the model: 40 % ($5)." in words(at.main)
    assert "You can type a question, or use an endpoint from Settings, meanwhile." in words(at.main)
    at.selectbox(key="model").select(use.key).run()
    ask(at)
    assert not at.exception and stored(at).status == "done"


def test_a_database_that_cannot_be_used_is_told_and_the_answers_come_nevertheless(
    bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.mkdir()
    (blocked / "tale.db").mkdir()
    monkeypatch.setenv("TALE_DATA_DIR", str(blocked))
    at = opened(use=endpoint(bad.base_url, "ok"))
    assert not at.exception and "it is a folder" in words(at.sidebar)
    ask(at)
    assert not at.exception and "it is a folder" in words(at.main)


def test_a_setting_of_the_environment_that_is_not_allowed_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALE_MODEL", "no-such-model")
    for at in (opened(), opened("pages/Settings.py")):
        assert not at.exception and "There is no embedded model called 'no-such-model'." in words(at.error[0])


def test_a_number_of_the_environment_that_is_not_allowed_is_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALE_SERVER_SLOTS", "many")
    at = opened()
    assert not at.exception and "TALE_SERVER_SLOTS='many'" in words(at.error[0])


def until_ended(name: str) -> None:
    """Wait until the preparation that the page has started is over."""
    thread = prepare.preparation(name)._thread
    assert thread is not None
    thread.join(30)
    assert not thread.is_alive() and store().count_sessions() == 0
