"""The process that compares expressions: it ends with its program, and a time-out is no verdict."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tale_core.grading import equivalent, expressions, grade
from tale_core.grading.expressions import MathChecker
from tale_core.types import AnswerKind, Outcome, Question
from tests.grading.test_grading import ROOT


@pytest.fixture(scope="module")
def checker() -> Iterator[MathChecker]:
    checker = MathChecker(limit_s=2.0)
    yield checker
    checker.close()


def test_expressions_are_compared_and_a_time_out_is_not_taken_for_different(checker: MathChecker) -> None:
    assert checker.same("x^2+1", "1+x^2") is True
    assert checker.same("x^2+1", "x^2+2") is False
    impatient = MathChecker(limit_s=0.3)
    try:
        assert impatient.same("5", "100000000!") is None
        impatient.limit_s = 20
        assert impatient.same("x", "x") is True, "the same process answers the next question"
    finally:
        impatient.close()


def test_a_verdict_is_remembered_and_a_time_out_is_not() -> None:
    checker = MathChecker(limit_s=20)  # On a busy machine the first comparison of a process takes its time.
    try:
        assert (checker.same("x+1", "1+x"), checker.same("x+1", "2+x")) == (True, False)
        checker.limit_s = 0.3
        assert checker.same("5", "100000000!") is None
        checker.close()
        assert (checker.same("x+1", "1+x"), checker.same("x+1", "2+x"), checker.worker_pid) == (True, False, None)
        assert checker.same("5", "100000000!") is None and checker.worker_pid is not None, "it is asked again"
    finally:
        checker.close()


def test_a_killed_worker_is_replaced_at_the_next_call(checker: MathChecker) -> None:
    assert checker.same("x", "x") is True
    pid = checker.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    assert checker.same("\\sqrt{2}", "\\sqrt{2}") is True
    assert checker.worker_pid not in {None, pid}


def test_a_worker_that_no_signal_can_interrupt_is_killed_and_replaced(
    checker: MathChecker, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert checker.same("x", "x") is True
    pid = checker.worker_pid
    assert pid is not None
    os.kill(pid, signal.SIGSTOP)  # stands for C code that never comes back
    monkeypatch.setattr(checker, "limit_s", 0.1)
    monkeypatch.setattr(expressions, "GRACE_S", 0.2)
    assert checker.same("y", "y") is None
    monkeypatch.undo()
    assert checker.same("y", "y") is True
    assert checker.worker_pid != pid


def test_a_worker_that_cannot_start_leaves_answers_ungraded(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "worker.py"
    broken.write_text("raise SystemExit(1)")
    monkeypatch.setattr(expressions, "WORKER", broken)
    checker = MathChecker()
    monkeypatch.setattr(expressions, "shared_checker", checker)
    try:
        for _ in range(5):
            result = grade("[[1+x]]", Question("?", answer="x+1"), finish_reason="stop")
            assert result.outcome is Outcome.UNGRADED
    finally:
        checker.close()
    assert len(caplog.records) == 3, "it is not tried for ever"


def test_eight_threads_grade_at_once_and_each_gets_its_own_verdict() -> None:
    jobs: list[tuple[str, str, AnswerKind, bool]] = []
    for i in range(8):
        jobs.append((f"{i}+x^2", f"x^2+{i}", "number", True))
        jobs.append((f"{i}+x^2", f"x^2+{i + 1}", "number", False))
        jobs.append((f"{i}.00", str(i), "number", True))
        jobs.append(("B", "A", "choice", False))
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda job: equivalent(job[0], job[1], job[2]), jobs))
    assert found == [job[3] for job in jobs]
    expressions.shut_down()


def test_the_shared_worker_starts_again_after_a_shut_down() -> None:
    assert expressions.math_equal("x", "x") is True
    expressions.shut_down()
    assert expressions.shared_checker.worker_pid is None
    assert expressions.math_equal("x+1", "1+x") is True
    expressions.shut_down()


def _gone(pid: int) -> bool:
    """Whether a process has ended, reaped or not."""
    stat = Path(f"/proc/{pid}/stat")
    try:
        return stat.read_text().rpartition(")")[2].split()[0] in "ZX"
    except OSError:
        return True


def _wait(until: Callable[[], bool], seconds: float = 30.0) -> bool:
    deadline = time.monotonic() + seconds
    while not until() and time.monotonic() < deadline:
        time.sleep(0.05)
    return until()


_MAIN = textwrap.dedent(
    """
    import sys, time
    print("main runs")
    from tale_core.grading import expressions
    print(expressions.math_equal("x+1", "1+x"), expressions.shared_checker.worker_pid, flush=True)
    if "wait" in sys.argv:
        time.sleep(120)
    """
)

on_linux = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks processes up in /proc")


@on_linux
@pytest.mark.parametrize("how", ["script", "module"])
def test_the_worker_never_runs_main_again_and_ends_with_it(tmp_path: Path, how: str) -> None:
    package = tmp_path / "pkg"
    package.mkdir()
    (package / "__init__.py").touch()
    (package / "__main__.py").write_text(_MAIN)  # unguarded, like a page that Streamlit runs
    (package / "streamlit.py").write_text("raise SystemExit('imported by the worker')")
    target = ["-m", "pkg"] if how == "module" else [str(package / "__main__.py")]
    env = os.environ | {"PYTHONPATH": os.pathsep.join([str(ROOT), str(tmp_path)])}
    run = subprocess.run(
        [sys.executable, *target], env=env, cwd=tmp_path, capture_output=True, text=True, timeout=100, check=False
    )
    assert run.stderr == ""
    first, second = run.stdout.splitlines()
    verdict, pid = second.split()
    assert (first, verdict, run.returncode) == ("main runs", "True", 0)
    assert _wait(lambda: _gone(int(pid)))


@on_linux
def test_the_worker_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "main.py"
    script.write_text(_MAIN)
    with subprocess.Popen(
        [sys.executable, str(script), "wait"],
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        text=True,
    ) as parent:
        assert parent.stdout is not None
        parent.stdout.readline()
        pid = int(parent.stdout.readline().split()[1])
        assert not _gone(pid)
        parent.kill()
    assert _wait(lambda: _gone(pid))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_process_gets_a_worker_of_its_own() -> None:
    code = textwrap.dedent(
        """
        import os
        from tale_core.grading import expressions
        assert expressions.math_equal("x", "x") is True
        mine = expressions.shared_checker.worker_pid
        child = os.fork()
        if child == 0:
            ok = expressions.shared_checker.worker_pid is None and expressions.math_equal("x", "x") is True
            ok = ok and expressions.shared_checker.worker_pid != mine
            expressions.shut_down()
            os._exit(0 if ok else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert expressions.math_equal("y", "y") is True and expressions.shared_checker.worker_pid == mine
        """
    )
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], cwd=ROOT, capture_output=True, text=True, timeout=100, check=False
    )
    assert (run.returncode, run.stderr) == (0, "")
