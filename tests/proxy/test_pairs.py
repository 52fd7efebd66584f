"""What is asked both ways: within limits, judged, labelled, forgotten; and what save mode makes of it."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tale_core.api.calls import run
from tale_core.calls.budget_ledger import Limits
from tale_core.cli.main import main
from tale_core.datasets.loading import load
from tale_core.labels.labeling import Labeling
from tale_core.prompts.messages import answer_messages
from tale_core.proxy.change import change
from tale_core.proxy.figures import findings
from tale_core.proxy.kept import known_questions
from tale_core.proxy.report import document, lines
from tale_core.store import QueueFilter, TrafficStore
from tale_core.types import Question
from tests.proxy.conftest import Running, Start
from tests.proxy.test_app import ASKED, STREAM, TOOLS, post
from tests.proxy.test_figures import pairs
from tests.support.upstream import LOOPS, Answer

BRIEF = change("concise")


def asked(on: Running) -> None:
    """Wait until nobody is asked a second time any more."""
    asyncio.run_coroutine_threadsafe(on.proxy.pairs.settled(), LOOPS[on.url]).result(60)


def numbered(place: int, body: dict[str, Any] = ASKED) -> dict[str, Any]:
    return body | {"messages": [{"role": "user", "content": f"How many are {place} apples? Answer like [[50]]."}]}


def shorter(body: dict[str, Any]) -> Answer:
    brief = "concise" in body["messages"][-1]["content"]
    place = int(re.findall(r"\d+", body["messages"][-1]["content"])[0])
    wrong = brief and place % 10 == 0
    return Answer(f"[[{place + wrong}]]", tokens=(20 if brief else 100) + place)


def test_a_sample_is_asked_both_ways_and_the_client_sees_nothing_of_it(started: Start) -> None:
    with started(shorter, sample=1.0, changes=(BRIEF,)) as on:
        for place in range(1, 41):
            answer = post(on.url, numbered(place, STREAM if place % 2 else ASKED))
            assert not [name for name in answer.headers if name.startswith("x-tale")]
        post(on.url, TOOLS)
        asked(on)
        (found,) = findings(on.traffic.pairs())
        one = document(on.traffic)["models"][0]
    plain, changed = sum(100 + i for i in range(1, 41)), sum(20 + i for i in range(1, 41))
    assert found.saving is not None
    assert (found.n, found.plain_tokens, found.changed_tokens) == (40, plain, changed)
    assert found.saving.mean == pytest.approx(1 - changed / plain)
    assert found.agreement is not None
    assert found.agreement.mean == 0.9
    assert (one["requests"], one["left_alone"]) == (41, {"tools": 1})
    # The request with tools counts among all output tokens, and nothing can be saved of it.
    assert one["changes"][0]["saving_of_all"] < found.saving.mean
    assert "38" not in lines(document(on.traffic))[0].partition(on.direct)[2]


@pytest.mark.parametrize(
    ("limits", "most"), [(Limits(max_calls=3), 3), (Limits(max_tokens=500), 3), (Limits(max_cost_usd=1.0), 0)]
)
def test_second_requests_keep_their_limits_also_after_a_restart(started: Start, limits: Limits, most: int) -> None:
    with started(lambda body: Answer(tokens=50), sample=1.0, changes=(BRIEF,), limits=limits) as on:
        for place in range(1, 9):
            post(on.url, numbered(place))
        asked(on)
        extra = len(on.upstream.bodies) - 8
        assert extra == len(on.traffic.pairs())
        assert 0 < extra <= 500 // 70 if limits.max_tokens else extra == most
        spent = on.traffic.spent(on.direct)
    assert spent.tokens == 70 * extra
    assert limits.max_tokens is None or spent.tokens <= limits.max_tokens


def test_people_judge_blindly_what_no_grader_can_and_texts_go_when_their_time_has_come(
    started: Start, monkeypatch: pytest.MonkeyPatch
) -> None:
    essay = ASKED | {"messages": [{"role": "user", "content": "Tell me about the sea."}]}

    def reply(body: dict[str, Any]) -> Answer:
        brief = "concise" in body["messages"][-1]["content"]
        return Answer("The sea is wide. It is also deep." if brief else "The sea is deep. It is also wide. It is blue.")

    with started(reply, sample=1.0, changes=(BRIEF,), keep=timedelta(days=1)) as on:
        post(on.url, essay)
        asked(on)
        assert [pair.verdict for pair in on.traffic.pairs()] == ["unread"]
        labeling = Labeling(on.traffic.store)
        labeling.sync()
        me = labeling.sit_down("me")
        seen = []
        while (target := labeling.next(me, QueueFilter())) is not None:
            assert target.call is not None
            seen.append(target.call.text)
            labeling.judge(me, target, "right")
        assert len(seen) == 2
        assert [pair.verdict for pair in on.traffic.pairs()] == ["agree-person"]
        (pair,) = on.traffic.pairs()
        assert pair.kept_until is not None
        monkeypatch.setattr("tale_core.store.traffic.queries.now", lambda: pair.kept_until + timedelta(seconds=1))
        assert on.traffic.forget_texts() == 1
        assert on.traffic.store.count_sessions() == 0
        assert [pair.verdict for pair in on.traffic.pairs()] == ["agree-person"]


def test_kept_questions_with_a_known_answer_are_a_data_set_for_searches(started: Start, tmp_path: Path) -> None:
    with started(shorter, sample=1.0, changes=(BRIEF,), keep=timedelta(days=1)) as on:
        for place in (7, 10, 20, 7):  # The changed answers to 10 and 20 are wrong.
            post(on.url, numbered(place))
        asked(on)
        labeling = Labeling(on.traffic.store)
        labeling.sync()
        me = labeling.sit_down("me")
        while (target := labeling.next(me, QueueFilter())) is not None:
            if target.call is None or "10 apples" not in target.question.text:
                labeling.skip(me, target)
            else:
                labeling.judge(me, target, "right" if "[[10]]" in target.call.text else "wrong")
            if len(rows := known_questions(on.traffic)) == 2:
                break
        known = {row["answer"]: (row["known_by"], row["question"]) for row in rows}
        assert {answer: by for answer, (by, _) in known.items()} == {"7": "both answers", "10": "person"}
        file = tmp_path / "mine.jsonl"
        assert main(["traffic", "--questions", str(file)]) == 0
        loaded = load(str(file))
    assert [(q.answer, q.text) for q in loaded.questions] == [(row["answer"], row["question"]) for row in rows]


def test_no_text_is_kept_where_nobody_asked_for_it(started: Start) -> None:
    with started(shorter, sample=1.0, changes=(BRIEF,)) as on:
        post(on.url, numbered(7))
        asked(on)
        assert on.traffic.pairs()[0].session_id is None
        assert on.traffic.store.count_sessions() == 0


def test_save_mode_uses_what_observing_showed_and_never_touches_tools(started: Start) -> None:
    limits = Limits(max_calls=1000)
    with started(shorter, sample=1.0, changes=(BRIEF,), mode="save", limits=limits) as on:
        before = post(on.url, numbered(1))
        asked(on)
        for pair in pairs(np.random.default_rng(3), 400, agreement=0.99):  # As observing leaves them.
            one = replace(pair, id=f"seen{pair.id}", upstream=on.direct)
            on.traffic.begin_pair(one)
            on.traffic.end_pair(replace(one, status="done"))
        post(on.url, numbered(2))
        asked(on)
        after, tools = post(on.url, numbered(1)), post(on.url, TOOLS)
        asked(on)
    assert "x-tale-strategy" not in before.headers
    assert after.headers["x-tale-strategy"] == "concise"
    assert tools.headers["x-tale-unchanged"] == "tools"
    assert any(pair.origin == "saved" for pair in TrafficStore(on.traffic.store).pairs())


def test_the_saving_that_is_reported_is_the_one_that_run_measures_on_the_same_questions(started: Start) -> None:
    questions = tuple(Question(f"How many are {i} and {i}?", id=str(i), answer=str(2 * i)) for i in range(3, 15))

    def reply(body: dict[str, Any]) -> Answer:
        words = body["messages"][-1]["content"]
        place = int(re.findall(r"are (\d+)", words)[0])
        budgeted = "less than 60" in words
        if budgeted and place == 7:
            return Answer("[[14]]", tokens=190)
        return Answer(f"[[{2 * place}]]", tokens=30 + place if budgeted else 100 + 3 * place)

    with started(reply, sample=1.0, mode="save") as on:
        view = run(questions, "vanilla,fixed:60", model="m", base_url=on.direct, api_key="k")
        for question in questions:
            (message,) = answer_messages(question)
            body = ASKED | {"messages": [{"role": "user", "content": message.content}]}
            assert post(on.url, body, x_tale="budget=60").headers["x-tale-budget"] == "60"
            asked(on)
        (found,) = findings(on.traffic.pairs())
    measured = {row.strategy: row for row in view.results.rows}
    assert found.saving is not None
    ratio = measured["fixed:60"].output_tokens.mean / measured["vanilla"].output_tokens.mean
    assert found.saving.mean == pytest.approx(1 - ratio)
