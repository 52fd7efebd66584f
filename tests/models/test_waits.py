"""How the embedded server's threads wait for each other beside neighbours."""

from __future__ import annotations

import ctypes
import ctypes.util
import threading
import time
from collections.abc import Callable, Iterator

import psutil
import pytest

from tale_core.models.embedded import waits
from tale_core.models.embedded.waits import (
    FEWER_LOOKS,
    MORE_LOOKS,
    Crowd,
    ShortWaits,
    Used,
    Waits,
    fitting,
    others,
    used,
)

CASES: dict[str, tuple[int, list[float], list[bool]]] = {
    "nobody else": (0, [0.0, 0.02, 0.05], [False, False, False]),
    "a busy neighbour is noticed at the first look": (0, [0.0, 0.67, 0.67], [False, True, True]),
    "a browser that draws is none": (0, [0.25, 0.45, 0.3], [False, False, False]),
    "more than half a core is one": (0, [0.5, 0.55], [False, True]),
    "a pause of a second does not end it": (0, [1.0, 0.0, 1.0, 0.0, 0.0], [True, True, True, True, True]),
    "five calm looks end it": (0, [1.0, 0, 0, 0, 0, 0, 0], [True, True, True, True, True, False, False]),
    "neither calm nor crowded leaves it as it is": (0, [1.0, *[0.45] * 8], [True] * 9),
    "the calm looks are in a row": (0, [1.0, 0, 0, 0, 0.3, 0.45, 0, 0.3, 0, 0, 0], [True] * 10 + [False]),
    "cores without a thread are the neighbours'": (2, [1.9, 2.4, 2.6], [False, False, True]),
    "and again at once when somebody comes back": (0, [1.0, 0, 0, 0, 0, 0, 1.0], [True] * 5 + [False, True]),
}


@pytest.mark.parametrize("case", CASES)
def test_waits_are_short_while_others_want_the_cores(case: str) -> None:
    spare, seen, expected = CASES[case]
    crowd, found = Crowd(), []
    for cores in seen:
        crowd = crowd.then(cores, spare)
        found.append(crowd.crowded)
    assert found == expected


def test_our_own_work_is_nobody_elses() -> None:
    assert others(Used(10.0, 100.0, 40.0), Used(12.0, 104.0, 44.0)) == 0.0
    assert others(Used(10.0, 100.0, 40.0), Used(12.0, 104.0, 42.0)) == pytest.approx(1.0)


def test_clocks_that_disagree_a_little_give_no_negative_neighbour() -> None:
    assert others(Used(10.0, 100.0, 40.0), Used(11.0, 101.9, 42.0)) == 0.0


def test_what_was_used_only_grows_and_is_counted_on_our_processors() -> None:
    before = used()
    assert sum(range(200_000))
    after = used()
    assert after.at >= before.at and after.all >= before.all and after.own >= before.own
    assert after.all >= after.own - 1.0


class Switch(ShortWaits):
    """Notes what it is told."""

    def __init__(self) -> None:
        super().__init__(1)
        self.short = False

    def keep(self) -> None:
        self.short = True

    def release(self) -> None:
        self.short = False


def watching(monkeypatch: pytest.MonkeyPatch, threads: int = 2) -> tuple[Callable[[float, float], bool], Switch]:
    """A function that lets seconds pass in which others use so many cores, and tells whether waits are short then."""
    monkeypatch.setattr(waits, "cores", lambda: frozenset(range(2)))
    for name in waits.OWN_WORDS:
        monkeypatch.delenv(name, raising=False)
    now, switch = [Used(0.0, 0.0, 0.0)], Switch()
    watched = Waits(threads, 2, look=lambda: now[0], short=switch)

    def passes(seconds: float, busy: float) -> bool:
        # The server itself uses a core meanwhile.
        last = now[0]
        now[0] = Used(last.at + seconds, last.all + seconds * (busy + 1), last.own + seconds)
        watched.adapt()
        return switch.short

    return passes, switch


def test_the_worker_follows_its_neighbours(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, _ = watching(monkeypatch)
    assert [passes(1.0, busy) for busy in (0.0, 0.7, 0.7, 0, 0, 0, 0, 0)] == [False] + [True] * 6 + [False]


@pytest.mark.parametrize(
    ("most", "wanted", "threads"),
    [(2, 0.0, 2), (2, 0.4, 2), (2, 0.7, 1), (2, 2.0, 1), (8, 1.0, 7), (8, 3.3, 5), (8, 8.0, 4), (3, 9.0, 2),
     (1, 1.0, 1), (4, -3.0, 4)],
)  # fmt: skip
def test_each_neighbour_takes_a_thread_and_half_of_them_stay(most: int, wanted: float, threads: int) -> None:
    assert fitting(most, wanted) == threads


@pytest.mark.parametrize(
    ("threads", "looks", "fit"),
    [
        (2, [1.0] * (FEWER_LOOKS - 1), 2), (2, [1.0] * FEWER_LOOKS, 1), (2, [*[1.0] * FEWER_LOOKS, 0.1, 1.0], 2),
        (2, [*[0.0] * 9, *[1.0] * FEWER_LOOKS], 1), (1, [0.0] * (MORE_LOOKS - 1), 1), (1, [0.0] * MORE_LOOKS, 2),
        (1, [*[1.0] * MORE_LOOKS, *[0.0] * (MORE_LOOKS // 3)], 1), (1, [1.0, *[0.0] * (MORE_LOOKS - 1)], 2),
        (1, [1.0] * MORE_LOOKS, 1), (1, [*[1.0] * MORE_LOOKS, *[0.0, 0.0, 1.0] * (MORE_LOOKS // 3)], 2),
    ],
)  # fmt: skip
def test_the_threads_follow_once_neighbours_have_come_to_stay_or_left(
    threads: int, looks: list[float], fit: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(waits, "cores", lambda: frozenset(range(2)))
    seen = iter([Used(0.0, 0.0, 0.0), *(Used(at + 1.0, sum(looks[: at + 1]), 0.0) for at in range(len(looks)))])
    watched = Waits(threads, 2, look=lambda: next(seen), short=Switch())
    for _ in looks:
        watched.adapt()
    assert watched.fitting() == fit


def test_a_look_that_comes_too_soon_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, _ = watching(monkeypatch)
    assert not passes(0.1, 2.0)
    assert passes(0.5, 2.0)


def test_one_thread_waits_for_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    passes, _ = watching(monkeypatch, threads=1)
    assert not passes(1.0, 2.0)


@pytest.mark.parametrize("name", waits.OWN_WORDS)
def test_who_has_set_how_openmp_waits_is_left_alone(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "cores", lambda: frozenset(range(2)))
    monkeypatch.setenv(name, "0")
    looks = iter([Used(0.0, 0.0, 0.0), Used(1.0, 2.0, 0.0)])
    switch = Switch()
    Waits(2, 2, look=lambda: next(looks), short=switch).adapt()
    assert not switch.short


@pytest.fixture
def openmp() -> Iterator[ctypes.CDLL]:
    name = ctypes.util.find_library("gomp")
    if name is None:
        pytest.skip("GNU's OpenMP is not on this machine")
    yield ctypes.CDLL(name)


def until_threads(count: Callable[[int], bool]) -> None:
    deadline = time.monotonic() + 20
    while not count(psutil.Process().num_threads()):
        assert time.monotonic() < deadline, psutil.Process().num_threads()
        time.sleep(0.02)


@pytest.mark.usefixtures("openmp")
def test_the_sleeping_threads_are_there_while_they_are_kept_and_gone_afterwards() -> None:
    before = psutil.Process().num_threads()
    short = ShortWaits(2)
    short.keep()
    short.keep()  # once more changes nothing
    until_threads(lambda n: n == before + 3)
    short.release()
    short.release()
    until_threads(lambda n: n == before)
    assert not [t for t in threading.enumerate() if t.name == "tale-short-waits"]


def test_where_openmp_is_another_one_nothing_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waits, "gnu_openmp", lambda: None)
    before = threading.active_count()
    ShortWaits(2).keep()
    assert threading.active_count() == before
