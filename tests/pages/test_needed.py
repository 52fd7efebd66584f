"""How much of an answer was needed, and "Answer now", on the Ask page."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import partial
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.calls.settling import places
from tests.pages.app_page import ask, endpoint, opened, result, session_id, started, stored
from tests.support import bad_endpoint
from tests.support.bad_endpoint import BadEndpoint

TEXT = "Six times seven. Seven and seven is 14. Six of them are 42. I check that. Yes. The answer is [[42]]."


@pytest.fixture
def gate(monkeypatch: pytest.MonkeyPatch) -> Iterator[threading.Event]:
    """The model "thinker" continues what was begun; it knows the answer after "are 42", and waits in the middle."""
    gate = threading.Event()

    def thinker(h: Any, body: dict[str, Any]) -> None:
        last = body["messages"][-1]
        begun = last["content"] if last["role"] == "assistant" else ""
        said = "is." if begun.endswith("Par") else "42]]" if "are 42" in begun else "7]]"
        with h.stream() as s:
            if begun:
                s.text([said])
            else:
                for i, word in enumerate(TEXT.split(" ")):
                    while i == 13 and not gate.wait(0.02) and not h.bad.stopping.is_set():
                        s.raw(b": still there\n\n")
                    s.text([word if i == 0 else f" {word}"])
            s.chunk(finish="stop")
            s.usage()
            s.done()

    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "thinker", thinker)
    yield gate
    gate.set()


def marked(at: AppTest) -> int | None:
    """The sentence that is chosen in the box under the vanilla answer."""
    (box,) = [r for r in at.radio if (r.key or "").startswith("mark_vanilla_")]
    value: int | None = box.value
    return value


def test_a_button_under_an_answer_says_how_much_of_it_was_needed(bad: BadEndpoint, gate: threading.Event) -> None:
    gate.set()
    at = ask(opened(use=endpoint(bad.base_url, "thinker")), budget=20)
    assert "stayed the same" not in result(at) and marked(at) is None
    at.button(key="needed-vanilla").click().run()
    assert not at.exception
    shown = result(at)
    assert "The answer was there after" in shown and "came after it" in shown
    assert "What it would have answered at each place" in shown and marked(at) == 3
    assert "needed-budgeted" in {b.key for b in at.button} and "needed-vanilla" not in {b.key for b in at.button}
    calls = stored(at).calls
    vanilla = next(c for c in calls if c.role == "vanilla")
    assert [c.role for c in calls].count("forced") == len(places(vanilla)) == 6
    again = opened(session=session_id(at), use=endpoint(bad.base_url, "thinker"))
    assert "The answer was there after" in result(again)  # It is stored.


def test_an_endpoint_that_begins_anew_says_that_it_cannot_and_the_answers_stay(bad: BadEndpoint) -> None:
    at = ask(opened(use=endpoint(bad.base_url, "ok")), budget=20)
    at.button(key="needed-vanilla").click().run()
    assert not at.exception
    assert any("does not continue a message" in w.value for w in at.warning) and at.button(key="needed-vanilla")
    assert [c.role for c in stored(at).calls] == ["vanilla", "budgeted"]


def test_answer_now_closes_what_is_being_written_and_the_answer_is_graded(
    bad: BadEndpoint, gate: threading.Event
) -> None:
    at = opened(use=endpoint(bad.base_url, "thinker"))
    job = started(at, partial(ask, budget=20))
    assert job.may_answer_now
    assert bad.wait_for(lambda: all(n >= 13 for n in job._run.pieces.values()) and len(job._run.pieces) == 2)  # type: ignore[attr-defined]
    job.answer_now()
    assert bad.wait_for(lambda: job._run._closing is not None and job._run._closing.done())  # type: ignore[attr-defined]
    view = job.wait(20)  # It is silent still: nobody waits for its next piece.
    record = view.calls["vanilla"].record
    assert record.text.endswith("of them are 42.\n\nFinal answer: [[42]]") and record.outcome == "correct"
    assert record.usage_estimated and record.cache_key is None
    assert "the answer was stopped and forced out" in record.adjustments
