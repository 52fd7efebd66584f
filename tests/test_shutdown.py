"""Told to end, the program stops the spending, writes what it has, and leaves what was running to be resumed."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tale_core.cli.main import main
from tale_core.errors import NotFoundError
from tale_core.experiments import results
from tale_core.settings import REPO_ROOT
from tale_core.store import Store, open_store
from tests.support.counting_endpoint import CountingEndpoint, Reply
from tests.support.waiting import until

pytestmark = pytest.mark.program

JOB = """
import sys
from tale_core.experiments import ExperimentPlan
from tale_core.runs.runner import start_experiment
from tale_core.models.choice import endpoint_choice
from tale_core.store import open_store
from tale_core.types import Question
import signal
signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # As Streamlit's server ends.
asked = tuple(Question(f"What is 6 times 7? {i}", answer="42") for i in range(400))
plan = ExperimentPlan(questions=asked, strategies=("vanilla",), concurrency=4)
choice = endpoint_choice(model="counted", base_url=sys.argv[1])
job = start_experiment(plan, choice, store=open_store())
print(job.id, flush=True)
signal.pause()
"""


def calls(store: Store, session_id: str) -> int:
    try:
        return len(store.get_session(session_id).calls)
    except NotFoundError:
        return 0


def started(*command: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, *command], cwd=REPO_ROOT, env=dict(os.environ), text=True,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # A shell's background jobs ignore it.
    )  # fmt: skip


def test_jobs_of_the_app_are_interrupted_and_everything_that_was_paid_for_is_stored() -> None:
    store = open_store()
    with CountingEndpoint(lambda _: Reply("6 times 7 is [[42]]", delay_s=0.02)) as endpoint:
        process = started("-W", "error", "-c", JOB, endpoint.base_url)
        assert process.stdout is not None
        experiment_id = process.stdout.readline().strip()
        until(lambda: calls(store, experiment_id) > 20, "the first answers")
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=30)
        asked = endpoint.requests
        assert process.returncode == 0, err
    session = store.get_session(experiment_id)
    assert session.status == "interrupted", err
    done = [call for call in session.calls if call.status == "done"]
    assert results(store, experiment_id).finished > 15 and len(done) >= asked - 4
    assert {call.status for call in session.calls} <= {"done", "interrupted"}


@pytest.mark.parametrize("sent", [signal.SIGTERM, signal.SIGINT])
def test_a_run_on_the_command_line_is_stopped_in_order_and_resumed_without_paying_twice(
    tmp_path: Path, sent: signal.Signals, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "".join(f'{{"question": "What is 6 times 7? {i}", "answer": "42"}}\n' for i in range(120))
    (tmp_path / "mine.jsonl").write_text(rows)
    store = open_store()
    with CountingEndpoint(lambda _: Reply("6 times 7 is [[42]]", delay_s=0.02)) as endpoint:
        where = ["--base-url", endpoint.base_url, "--model", "counted"]
        run = ["-m", "tale_core", "run", str(tmp_path / "mine.jsonl"), "--strategies", "vanilla", *where]
        process = started(*run)
        until(lambda: store.count_sessions(), "the experiment")
        experiment_id = store.list_sessions()[0].id
        until(lambda: calls(store, experiment_id) > 10, "the first answers")
        process.send_signal(sent)
        _, err = process.communicate(timeout=30)
        assert process.returncode == 130, err
        assert f"--resume {experiment_id}" in err
        status = store.get_session(experiment_id).status
        assert status == ("interrupted" if sent == signal.SIGTERM else "cancelled")
        assert main(["run", "--resume", experiment_id, *where]) == 0, capsys.readouterr().err
        assert max(endpoint.counts.values()) <= 2 and endpoint.requests <= 120 + 4
    assert results(store, experiment_id).complete
