"""The Traffic page: the finding first, the worst cases, every model, and how requests come there."""

from __future__ import annotations

import uuid
from dataclasses import replace

import numpy as np
from streamlit.testing.v1 import AppTest

from tale_core.settings import REPO_ROOT
from tale_core.store import Passed, TrafficStore
from tests.pages.app_page import store, words
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
