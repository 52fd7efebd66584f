"""The arithmetic and the fairness of `make bench`; its figures are not tested, for machines differ."""

from __future__ import annotations

import json
import random
import statistics
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import SecretStr

from benchmarks import __main__ as bench
from benchmarks import busy, drawn, page
from benchmarks.clock import MeasurementError, Stream, Timed
from benchmarks.figures import Goal, Interval, median_interval, spread
from benchmarks.parts import PARTS, Part, PartResult, Table
from benchmarks.report import goal_words
from benchmarks.requests import Cases
from benchmarks.stack import SETUPS, Pair, compare
from tale_core.ask.plan import ask
from tale_core.calls.events import CallStarted
from tale_core.models.endpoints import Endpoint
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.settings import get_settings
from tests.support.fixtures_model import TEST_MODEL, smollm_cache

__all__ = ["smollm_cache"]


def timed(*streams: tuple[float, float], seconds: float, together: bool = False, tokens: int = 10) -> Timed:
    made = tuple(Stream(first, last, tokens=tokens, prompt_tokens=50) for first, last in streams)
    return Timed(made, seconds, 0.02, together)


def pair(*, added_s: float = 0.0) -> Pair:
    bare = timed((1.0, 2.0), (3.0, 4.0), seconds=4.0)
    stack = timed((1.0 + added_s, 2.0), (3.0, 4.0), seconds=4.0)
    return Pair(bare, stack, stack_first=False)


def goal(*measured: float, side: str = "at least", limit: float = 0.95) -> Goal:
    return Goal("speed", side, limit, Interval(5, *measured))  # type: ignore[arg-type]


# --- arithmetic


def test_quartiles_of_a_known_sample():
    s = spread([5, 1, 4, 2, 3])
    assert (s.n, s.low, s.median, s.high) == (5, 2, 3, 4)


def test_one_value_is_its_own_quartiles():
    assert spread([7.0]) == replace(spread([7.0]), n=1, median=7.0, low=7.0, high=7.0)


@pytest.mark.parametrize("figure", [spread, median_interval])
def test_no_values_have_no_median(figure):
    with pytest.raises((ValueError, statistics.StatisticsError)):
        figure([])


def test_the_same_values_give_the_same_interval():
    values = [random.Random(3).gauss(1, 0.1) for _ in range(12)]
    assert median_interval(values) == median_interval(values)
    assert median_interval(values).value == statistics.median(values)


def test_the_interval_holds_the_true_median_about_as_often_as_it_says():
    rng = random.Random(11)
    trials = 200
    hits = 0
    for trial in range(trials):
        i = median_interval([rng.gauss(0, 1) for _ in range(15)], seed=trial, resamples=300)
        hits += i.low <= 0 <= i.high
    assert 0.88 <= hits / trials <= 0.99


def test_an_interval_of_equal_values_is_a_point():
    i = median_interval([2.0] * 6)
    assert (i.low, i.value, i.high) == (2.0, 2.0, 2.0)


# --- goals


def test_a_goal_is_met_on_its_own_side_only():
    assert goal(0.96, 0.955, 0.97).met and not goal(0.94, 0.93, 0.945).met
    assert goal(40, 30, 45, side="at most", limit=50).met and not goal(60, 55, 70, side="at most", limit=50).met


@pytest.mark.parametrize(("measured", "word"), [((0.96, 0.9, 0.99), "met"), ((0.94, 0.9, 0.99), "missed")])
def test_an_interval_across_the_limit_is_said_to_be_unsure(measured, word):
    assert goal(*measured).verdict.startswith(f"{word}, but")
    assert "0.95" in goal_words(goal(*measured)) and "n = 5" in goal_words(goal(*measured))


def test_a_clear_goal_is_said_in_one_word():
    assert goal(0.99, 0.97, 1.0).verdict == "met"
    assert goal(0.8, 0.7, 0.9).verdict == "missed"


# --- what is timed


def test_one_stream_waits_for_its_first_answer():
    run = timed((0.5, 1.5), (2.0, 3.0), seconds=4.0)
    assert run.ttft_s == 0.5
    assert run.tokens_per_s == 5.0
    assert run.streaming_tokens_per_s == 10.0
    assert run.cpu_ms_per_token == pytest.approx(1.0)
    assert run.seen_s == run.ttft_s


def test_streams_at_once_share_the_time_in_which_text_arrives():
    run = timed((0.2, 2.0), (0.4, 2.2), (0.6, 1.0), (1.0, 2.0), seconds=4.0, together=True)
    assert run.ttft_s == pytest.approx(0.5)
    assert run.streaming_tokens_per_s == pytest.approx(40 / 2.0)


def test_an_answer_without_text_cannot_be_timed():
    with pytest.raises(MeasurementError):
        _ = Timed((Stream(),), 1.0, 0.0, together=False).ttft_s


def test_ratios_are_taken_round_by_round():
    # A busy machine slows whole rounds down, both sides alike; the medians of the two sides would not show that.
    bare_s, ratios = (4.0, 40.0, 8.0), (0.9, 0.9, 1.0)
    rounds = [
        replace(made, bare=replace(made.bare, seconds=s), stack=replace(made.stack, seconds=s / r))
        for made, s, r in zip((pair(added_s=a) for a in (0.01, 0.03, 0.02)), bare_s, ratios, strict=True)
    ]
    found = compare("m", SETUPS[0], rounds, (0.0, 0.0))
    assert found.ratio.value == pytest.approx(0.9)
    assert found.speed["stack"].median / found.speed["bare"].median == pytest.approx(1.0)
    assert found.added_ms.value == pytest.approx(20.0)
    assert [g.limit for g in found.goals()] == [0.95, 50.0]


def test_a_fair_share_is_what_all_who_want_the_cores_get(monkeypatch):
    monkeypatch.setattr(busy, "cores", lambda: frozenset(range(4)))
    shares = [busy.fair_share(threads, neighbours) for threads, neighbours in ((4, 0), (4, 1), (4, 4), (2, 1), (2, 2))]
    assert shares == [1.0, 0.8, 0.5, 1.0, 1.0]


def test_speed_beside_neighbours_is_held_against_the_fair_share_of_the_speed_alone_before(monkeypatch):
    monkeypatch.setattr(busy, "cores", lambda: frozenset(range(2)))
    found = {(busy.BEFORE.name, 0): 9.0}
    found |= {(busy.NOW.name, neighbours): rate for neighbours, rate in ((0, 9.0), (0.3, 7.2), (1, 5.4), (2, 3.6))}
    speeds = [busy.Speed(side, neighbours, 50.0, rate) for (side, neighbours), rate in found.items()]
    measured = {goal.words: (round(goal.measured.value, 2), goal.met) for goal in busy.goals("m", speeds, 2)}
    assert measured == {
        "busy: m alone, now over before": (1.0, True),
        "busy: m beside 0.3 busy, over its fair share of the speed alone": (0.92, True),
        "busy: m beside 1 busy, over its fair share of the speed alone": (0.9, True),
        "busy: m beside 2 busy, over its fair share of the speed alone": (0.8, False),
    }


def test_an_answer_that_is_drawn_is_held_against_what_the_browser_leaves_of_the_cores():
    pairs = [
        drawn.Pair(*rates, others, 0.0) for *rates, others in ((9.0, 12.0, 0.5), (8.0, 10.0, 0.0), (5.0, 9.0, 1.0))
    ]
    found = drawn.goal("m", pairs, threads=2, cores=2)
    assert (found.measured.value, found.met) == (1.0, True)
    assert [round(pair.watched / pair.left / pair.fair(2, 2), 2) for pair in pairs] == [1.0, 0.8, 1.11]
    assert pairs[2].fair(2, 4) == 1.0 and drawn.Pair(8.0, 10.0, 1.0, 1.0).fair(2, 2) == 1.0
    assert drawn.table("m", pairs, 2, 2).rows == (("page left", "10.0", "0.00"), ("watched", "8.0 (1.00)", "0.50"))


def test_a_round_that_ended_early_or_unequal_is_not_compared():
    whole = pair()
    assert whole.ran_to(10) and not whole.ran_to(11)
    short = replace(whole.stack, streams=(whole.stack.streams[0], Stream(1.0, 2.0, tokens=9, prompt_tokens=50)))
    assert not replace(whole, stack=short).ran_to(10)
    longer = replace(whole.stack, streams=(whole.stack.streams[0], Stream(1.0, 2.0, tokens=10, prompt_tokens=51)))
    with pytest.raises(MeasurementError, match="prompts"):
        replace(whole, stack=longer).ran_to(10)


# --- the questions


async def test_the_bare_client_sends_what_an_ask_sends():
    case = Cases(tokens=8, seed=1).next()
    client = ScriptedClient(["some words"], repeat=True)
    sent = [e.call async for e in ask(case.plan(together=False).checked(), client) if isinstance(e, CallStarted)]
    assert tuple(call.messages for call in sent) == case.messages()
    bodies = case.bodies(Endpoint("http://127.0.0.1:1/v1", "m", SecretStr("k")))
    for call, body in zip(sent, bodies, strict=True):
        assert body["messages"] == [{"role": "user", "content": call.messages[0].content}]
        assert body["max_tokens"] == call.sampling.max_tokens == 8
        assert body["temperature"] == call.sampling.temperature == 0.0
        assert body["seed"] == call.sampling.seed


def test_no_question_comes_twice_and_all_are_equally_long():
    cases = Cases(tokens=8, seed=1)
    texts = [cases.next().question.text for _ in range(500)]
    assert len(set(texts)) == 500
    assert len({len(text) for text in texts}) == 1


# --- the command


def fake_part(monkeypatch: pytest.MonkeyPatch, *goals: Goal) -> None:
    result = PartResult("page", (Table("Cold starts", ("what", "ms"), (("import", "3"),)),), goals, {"seconds": [1]})
    monkeypatch.setattr(Part, "run", lambda self, options: result)


def test_a_missed_goal_fails_the_command_only_when_asked_to(monkeypatch, tmp_path, capsys):
    fake_part(monkeypatch, goal(0.8, 0.7, 0.9))
    args = ["page", "--results", str(tmp_path)]
    assert bench.main(args) == 0
    assert "missed" in capsys.readouterr().out
    assert bench.main([*args, "--strict"]) == 1


def test_json_is_one_document_and_the_same_as_the_kept_file(monkeypatch, tmp_path, capsys):
    fake_part(monkeypatch, goal(0.99, 0.98, 1.0))
    assert bench.main(["page", "--json", "--results", str(tmp_path)]) == 0
    printed = json.loads(capsys.readouterr().out)
    (kept,) = tmp_path.glob("*.json")
    assert printed == json.loads(kept.read_text(encoding="utf-8"))
    assert printed["goals"][0]["met"] is True
    assert printed["machine"]["versions"]["xllamacpp"]
    assert printed["parts"] == {"page": {"seconds": [1]}}


def test_an_unknown_part_is_refused_by_name(capsys):
    with pytest.raises(SystemExit) as stop:
        bench.main(["nothing"])
    assert stop.value.code == 2
    said = capsys.readouterr().err
    assert all(name in said for name in ["nothing", *PARTS])


def test_a_part_that_cannot_measure_says_why_and_fails(monkeypatch, tmp_path, capsys):
    def refuse(self: Part, options: object) -> PartResult:
        raise MeasurementError("the prompts' tokens differ")

    monkeypatch.setattr(Part, "run", refuse)
    assert bench.main(["stack", "--results", str(tmp_path)]) == 1
    assert "tokens differ" in capsys.readouterr().err


def test_measuring_leaves_the_data_folder_alone(monkeypatch, tmp_path):
    before = get_settings().data_dir
    with bench.own_data_folder() as folder:
        assert get_settings().data_dir == folder != before
    assert get_settings().data_dir == before
    assert not folder.exists()


def test_a_cold_start_is_timed_in_a_process_of_its_own(tmp_path):
    took = page.cold_start_s("import time", "time.sleep(0.05)", tmp_path / "x.db")
    assert took >= 0.05


# --- with a model


@pytest.mark.model
@pytest.mark.timeout(600)
def test_both_sides_do_the_same_work_on_the_same_server(smollm_cache: Path, monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("TALE_CACHE_DIR", str(smollm_cache))
    get_settings.cache_clear()
    args = ["stack", "--model", TEST_MODEL, "--rounds", "1", "--tokens", "6", "--json", "--results", str(tmp_path)]
    assert bench.main(args) == 0, capsys.readouterr().err
    data = json.loads(capsys.readouterr().out)["parts"]["stack"]
    assert [c["streams"] for c in data["comparisons"]] == [1, 4]
    for one, streams in zip(data["rounds"], (2, 4), strict=True):
        for side in ("bare", "stack"):
            assert [s["tokens"] for s in one[side]["streams"]] == [6] * streams
            assert all(0 < s["first_s"] <= s["last_s"] <= one[side]["seconds"] for s in one[side]["streams"])
        assert [s["prompt_tokens"] for s in one["bare"]["streams"]] == [
            s["prompt_tokens"] for s in one["stack"]["streams"]
        ]


# --- history


def test_history_compares_a_full_store_with_an_empty_one_and_lets_users_in(monkeypatch, tmp_path, capsys):
    from benchmarks import history

    monkeypatch.setattr(history, "SESSIONS", 40)
    monkeypatch.setattr(history, "USERS", 3)
    monkeypatch.setattr(history, "SECONDS", 0.5)
    monkeypatch.setattr(history, "ADDRESSES", {"the newest page": {}})
    assert bench.main(["history", "--rounds", "1", "--json", "--results", str(tmp_path)]) == 0, capsys.readouterr().err
    data = json.loads(capsys.readouterr().out)["parts"]["history"]
    assert data["errors"] == data["lost"] == [] and sum(map(len, data["users_s"].values())) > 2
    ((full,), (empty,)) = (data["times_ms"]["the newest page"][which] for which in ("full", "empty"))
    assert all(time > 0 for time in (*full, *empty))
