"""What the first page shows of its recording: every number and word is that of the stored answers."""

from __future__ import annotations

import pytest

from tale_core.i18n import use_language
from tale_core.lessons import ladder
from tale_core.lessons.replay import call_at
from tale_core.types import Outcome

SPOKEN = ("en", "zh")


@pytest.mark.parametrize("spoken", SPOKEN)
def test_the_ladder_goes_from_no_budget_through_smaller_and_smaller_ones_with_the_recorded_tokens(spoken):
    recording = ladder.ladder_recording(spoken)
    shown = ladder.document(recording)["rungs"]
    budgets = [r["budget"] for r in shown]
    assert budgets[0] is None and budgets[1:] == sorted(recording.session.plan["budgets"], reverse=True)
    stored = {c.requested_budget: c for c in recording.session.calls if c.role != "direct"}
    for rung in shown:
        call = stored[rung["budget"]]
        assert (rung["tokens"], rung["text"]) == (call.completion_tokens, call.text)
        assert f"{call.completion_tokens:,}" in rung["count"]
    assert recording.session.question.language == spoken


@pytest.mark.parametrize("spoken", SPOKEN)
def test_the_race_is_between_no_budget_and_the_cheapest_right_answer_and_has_its_verdict_in_time(spoken):
    recording = ladder.ladder_recording(spoken)
    shown = ladder.document(recording)
    pair = [shown["rungs"][0], shown["rungs"][shown["best"]]]
    found = ladder.rungs(recording)
    right = [r.tokens for r in found if r.budget and r.call.outcome is Outcome.CORRECT]
    assert pair[1]["tokens"] == min(right) < pair[0]["tokens"]
    assert all(r["tape"] for r in pair) and not any(r["tape"] for r in shown["rungs"] if r not in pair)
    assert max(r["end"] for r in pair) / shown["speed"] < 11_000


@pytest.mark.parametrize("spoken", SPOKEN)
def test_what_the_race_has_written_at_a_moment_is_what_the_replay_of_the_recording_says(spoken):
    recording = ladder.ladder_recording(spoken)
    shown = ladder.document(recording)
    for rung, one in zip(shown["rungs"], ladder.rungs(recording), strict=True):
        if not rung["tape"]:
            continue
        at = rung["end"] // 2
        view = call_at(one.call, one.tape, one.tape.start_ms + at)
        clock = letters = 0
        for after, more in rung["tape"]:
            clock += after
            letters += more if clock <= at else 0
        assert view is not None and view.text == rung["text"][:letters]


def test_the_english_ladder_rebounds_and_says_so_with_both_numbers():
    recording = ladder.ladder_recording("en")
    last, best = ladder.rungs(recording)[-1], ladder.rungs(recording)[ladder.best(ladder.rungs(recording))]
    assert last.tokens > best.tokens
    verdict = ladder.document(recording)["rungs"][-1]["verdict"]
    assert f"asked for {last.budget} it wrote {last.tokens}, asked for {best.budget} only {best.tokens}." in verdict


def test_every_word_of_it_is_said_in_the_readers_language():
    with use_language("zh"):
        shown = ladder.document(ladder.ladder_recording())
    assert shown["rungs"][0]["name"] == "无" and "{n}" in shown["words"]["writing"]
