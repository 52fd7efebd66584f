"""The benchmarks of many viewers and of a cluster: what they would say of a run, and what they send."""

from __future__ import annotations

import asyncio
import importlib.util
import json
import sys
import urllib.request
from pathlib import Path

import pytest
from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from benchmarks import class_room, cluster, db_copy, load
from benchmarks.clock import MeasurementError
from benchmarks.fixed_endpoint import asked_of, fixed_endpoint
from benchmarks.load_viewer import Viewer
from benchmarks.parts import Options
from benchmarks.peers import Peer
from tale_core.store import Store, open_store


@pytest.fixture
def store() -> Store:
    return open_store()


def seen(*, ms: float = 100.0, grown: float = 1.0, problems: tuple[str, ...] = ()) -> load.Seen:
    found = load.Seen(problems=list(problems), answered=7)
    found.times["open Ask"] = [ms] * 30
    found.rss = [(float(at), 300.0 if at < 60 else 300.0 * grown) for at in range(80)]
    found.cpu = [(float(at), at / 2) for at in range(80)]
    return found


@pytest.mark.parametrize(
    ("found", "met"),
    [
        (seen(), (True, True, True)),
        (seen(problems=("ValueError: x",)), (False, True, True)),
        (seen(ms=501.0), (True, False, True)),
        (seen(grown=1.2), (True, True, False)),
    ],
)
def test_an_error_a_slow_page_and_growing_memory_each_miss_a_goal(found: load.Seen, met: tuple[bool, ...]) -> None:
    assert tuple(goal.met for goal in load.result_of(found, 80.0, (0.0, 0.0)).goals) == met


@pytest.mark.parametrize(
    ("change", "asked", "missed"),
    [
        ({}, 40, None), ({}, 41, "limit"), ({}, 39, "limit"), ({"late": 1}, 40, "pause"),
        ({"fair": {"a": 9, "b": 4}}, 40, "fewest"), ({"fair": {"a": 9}}, 40, "fewest"),
    ],
)  # fmt: skip
def test_a_call_too_many_or_too_late_and_a_student_left_behind_each_miss_a_goal_of_the_class(
    store: Store, change: dict[str, object], asked: int, missed: str | None
) -> None:
    values = {"fair": {"a": 9, "b": 7}, "able": {"a", "b"}, "cap": 40, "late": 0, "students": 2, **change}
    room = class_room.Room("CODE", store, **values)  # type: ignore[arg-type]
    goals = class_room.result_of(seen(), room, asked, 60.0, (0.0, 0.0), 1).goals
    assert [goal.words for goal in goals if not goal.met] == [g.words for g in goals if missed and missed in g.words]


def test_one_slow_rerun_in_ten_is_seen_in_the_p95_and_one_in_a_hundred_is_not() -> None:
    assert load.p95_of(sorted([1.0] * 90 + [900.0] * 10)) == 900.0
    assert load.p95_of(sorted([1.0] * 99 + [900.0])) == 1.0


def message(**fields: object) -> ForwardMsg:
    return ForwardMsg(**fields)  # type: ignore[arg-type]


async def test_a_viewer_keeps_what_a_browser_keeps_and_tells_what_a_page_complains_of() -> None:
    viewer = Viewer(1)
    pages = [
        {"page_script_hash": "aa", "url_pathname": "", "is_default": True},
        {"page_script_hash": "bb", "url_pathname": "History"},
    ]
    viewer._take(message(navigation={"page_script_hash": "bb", "app_pages": pages}))
    viewer._take(message(page_info_changed={"query_string": "session=x"}))
    viewer._take(message(delta={"new_element": {"text_input": {"id": "$$ID-0123-hist_text"}}}))
    viewer._take(message(auto_rerun={"fragment_id": "f", "interval": 5.0}))
    sent = viewer._message().rerun_script
    assert (sent.page_name, sent.page_script_hash, sent.query_string) == ("History", "bb", "session=x")
    assert viewer._id("hist_text") == "$$ID-0123-hist_text" and list(viewer._clocks) == ["f"]
    assert viewer._message("f").rerun_script.is_auto_rerun
    viewer._take(message(stop_auto_rerun={"fragment_ids": ["f"]}))
    assert not viewer._clocks and not viewer.problems
    viewer._take(message(delta={"new_element": {"exception": {"type": "ValueError", "message": "no"}}}))
    viewer._take(message(delta={"new_element": {"alert": {"format": Alert.ERROR, "body": "It failed."}}}))
    viewer._take(message(delta={"new_element": {"alert": {"format": Alert.INFO, "body": "Wait."}}}))
    assert viewer.problems == ["ValueError: no", "It failed."]
    await asyncio.sleep(0)


def test_a_varied_endpoint_answers_the_same_request_the_same_way_and_counts() -> None:
    with fixed_endpoint(0.0, varied=True) as url:

        def answer(text: str) -> bytes:
            request = urllib.request.Request(f"{url}/chat/completions", text.encode())
            with urllib.request.urlopen(request, timeout=10) as found:
                return bytes(found.read())

        answers = [answer(str(i)) for i in range(30)]
        assert answers == [answer(str(i)) for i in range(30)] and len(set(answers)) > 2
        assert asked_of(url) == 60


def test_an_endpoint_answers_whole_unless_it_is_asked_to_stream() -> None:
    with fixed_endpoint(0.0) as url:
        found = []
        for stream in (True, False):
            asked = urllib.request.Request(f"{url}/chat/completions", json.dumps({"stream": stream}).encode())
            with urllib.request.urlopen(asked, timeout=10) as answer:
                found.append(answer.read())
    assert found[0].startswith(b"data: ") and json.loads(found[1])["choices"][0]["message"]["content"].endswith("42]]")


PEER = """import os, sys, urllib.request
open("seen", "w").close()
for _ in range(int(sys.argv[1])):
    urllib.request.urlopen(urllib.request.Request(os.environ["ASKED"] + "/chat/completions", b"{}")).read()
sys.exit(int(sys.argv[1]) == 0)
"""


def test_another_tool_is_measured_with_its_own_processes_or_says_why_not(tmp_path: Path) -> None:
    peer = Peer("tool", (sys.executable, "-c", PEER), lambda _folder, _url, n, _most: [str(n)], lambda u: {"ASKED": u})
    with fixed_endpoint(0.0) as url:
        wall, cpu = peer.measure(tmp_path / "three", url, 3, 64)
        assert asked_of(url) == 3 and wall > 0 and cpu > 0 and (tmp_path / "three" / "seen").exists()
        with pytest.raises(MeasurementError, match="tool failed"):
            peer.measure(tmp_path / "none", url, 0, 64)
    assert Peer("tool", ("no-such-program",), peer.arguments, peer.env).missing() == "tool needs no-such-program"


def test_without_ray_the_cluster_is_passed_over_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _name: None)
    found = cluster.run(Options(models=()))
    assert not found.goals and "make ray" in found.notes[0]


def test_without_postgresql_the_copy_is_passed_over_in_words(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing() -> None:
        raise db_copy.MissingError("there is no PostgreSQL on this machine")

    monkeypatch.setattr(db_copy, "make_server", missing)
    found = db_copy.run(Options(models=()))
    assert not found.goals and found.notes == ("Not measured: there is no PostgreSQL on this machine.",)


def test_an_error_in_the_apps_log_is_told_with_the_way_into_it() -> None:
    way = "\n".join(f'  File "a.py", line {n}, in f' for n in range(40))
    log = f"all is well\nTraceback (most recent call last):\n{way}\nKeyError: 'gone'\nagain well\n12:00 ERROR x: broken"
    first, second = load.faults(log)
    assert first.endswith("KeyError: 'gone'") and "line 39, in f" in first and len(first.splitlines()) == 24
    assert second == "12:00 ERROR x: broken" and load.faults("all is well") == []
    cut_off = "Traceback (most recent call last):\n  File 'a.py'"
    assert load.faults(cut_off) == [cut_off]
