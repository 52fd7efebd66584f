"""The Traffic page: the finding first, the worst cases, every model, and how requests come there."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
from streamlit.testing.v1 import AppTest

from tale_core.proxy.kept import keep
from tale_core.proxy.reading import Read
from tale_core.settings import REPO_ROOT
from tale_core.store import Pair, Passed, TrafficStore
from tale_core.types import Question
from tests.pages import app_page
from tests.pages.app_page import endpoint, store, words
from tests.proxy.test_figures import pairs

UPSTREAM = "http://127.0.0.1:9/v1"


def seed(*, both_ways: bool = True) -> None:
    """Requests with and without tools, one that was killed, and 60 that were asked both ways."""
    traffic = TrafficStore(store())
    begun = [Passed(str(i), UPSTREAM, "m", left_alone="tools" if i < 3 else "") for i in range(10)]
    traffic.write(begun, [replace(one, status="done", completion_tokens=100) for one in begun[:-1]])
    for pair in pairs(np.random.default_rng(1), 60) if both_ways else ():
        one = replace(pair, id=uuid.uuid4().hex, upstream=UPSTREAM)
        traffic.begin_pair(one)
        traffic.end_pair(replace(one, status="done"))


def opened() -> AppTest:
    return AppTest.from_file(str(REPO_ROOT / "app.py"), default_timeout=60).switch_page("pages/Traffic.py").run()


def test_an_empty_page_says_how_requests_come_there() -> None:
    at = opened()
    assert not at.exception
    assert "Nothing has gone through the proxy yet." in words(at.main)
    assert any("proxy --upstream" in code.value for code in at.code)


def test_the_finding_stands_first_and_the_worst_cases_before_the_rest() -> None:
    seed()
    at = opened()
    assert not at.exception
    said = words(at.main)
    at_places = [said.index(word) for word in ("On your traffic:", "tokens saved", "The worst cases", "Every model")]
    assert at_places == sorted(at_places)
    assert "it offers tools" in said.replace("\u00a0", " ")


def test_without_pairs_the_requests_are_counted_all_the_same() -> None:
    seed(both_ways=False)
    assert "10 requests have passed; none was asked both ways yet." in words(opened().main)


def test_kept_questions_lead_to_searches_on_them() -> None:
    seed()
    traffic = TrafficStore(store())
    choice = endpoint(UPSTREAM, "m")
    for place in range(3):
        answer = Read(f"It is [[{place}]].", "stop", 20, 30)
        pair = Pair(uuid.uuid4().hex, UPSTREAM, "m", "concise", "observed", plain_tokens=30, changed_tokens=30,
                    verdict="agree")  # fmt: skip
        kept = keep(store(), pair, Question(f"How many are {place} apples?"), answer, answer)
        traffic.begin_pair(pair)
        traffic.end_pair(replace(pair, status="done", session_id=kept))
    (link,) = [one.proto for one in opened().main.get("page_link") if one.proto.label.startswith("Learn from")]
    assert (link.label, link.query_string) == ("Learn from 3 kept questions for m", "questions=traffic")
    at = app_page.opened(use=choice)
    at.query_params["questions"] = "traffic"
    at = at.switch_page("pages/Setup.py").run()
    assert not at.exception
    assert "The answers to 3 kept questions are known, and searches need 20" in words(at.main)
    at.radio(key="questions").set_value("ours").run()
    assert "What is left takes about" in words(at.main)
