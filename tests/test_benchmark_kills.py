"""The benchmarks that kill and that change files: they say how many there were, and go on after a stop."""

from __future__ import annotations

import random
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import fuzz, kills
from benchmarks.clock import MeasurementError
from benchmarks.kept import Kept
from benchmarks.parts import Options

OPTIONS = Options(models=())


def test_kills_that_were_counted_before_a_stop_are_not_made_again(tmp_path: Path) -> None:
    said: list[str] = []
    options = replace(OPTIONS, limit=4, keep=tmp_path, say=said.append)
    kept = Kept(tmp_path, f"kills-4-{options.seed}")
    there = kills.Found(kills=1, stored=7)
    kept.write({kind: vars(there) for kind in kills.KINDS[1:4]})
    found = kills.run(options)
    assert found.data["search"]["stored"] == 7 and found.data["ask"]["kills"] == 1
    assert found.tables[0].title.startswith("4 kills") and found.tables[0].rows[-1][:2] == ("all", "4")
    assert said[0].startswith("3 of 4") and said[1].startswith("kill 4 of 4")
    assert all(goal.met for goal in found.goals) and kept.read() == {}


def test_a_lane_whose_jobs_all_fail_measures_nothing_and_says_so() -> None:
    found, end = kills.Found(), {"code": 1, "waited": 0.0}
    span = kills.Span("ask", random.Random(1))
    with pytest.raises(MeasurementError, match="a job ended with 1"):
        for _ in range(kills.MOST_BROKEN):
            span.learn("ask", end, found)
    assert found.lost == kills.MOST_BROKEN


def test_a_stopped_fuzz_goes_on_where_it_was_and_tells_its_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = fuzz.Target("budget", (b"[[25]]",), lambda data: data, at_once=3)
    monkeypatch.setattr(fuzz, "targets", lambda folder: (one,))
    options = replace(OPTIONS, minutes=1.0, keep=tmp_path)
    kept = Kept(tmp_path, f"fuzz-1-{options.seed}")
    kept.write({"turn": 2000, "seconds": 3600.0, "found": {"budget": {"read": 1200, "refused": 34}}})
    found = fuzz.run(options)
    assert found.tables[0].title == "1,234 changed files through 1 readers, 1 min"
    kept.path.write_text('{"turn": ')
    assert kept.read() == {}


def test_a_reader_that_never_ends_is_broken_by_that_file(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fuzz, "ENDS_S", 0.05)

    def forever(data: bytes) -> None:
        while True:
            pass

    found = fuzz.Found()
    fuzz.once(fuzz.Target("x", (b"a",), forever, at_once=1), found, 1)
    assert [one["why"].split(" at ")[0] for one in found.broken] == ["TimeoutError"]
