"""A planted key must not be found in anything that an Ask on the command line leaves behind."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tale_core.settings import REPO_ROOT
from tale_core.store import open_store
from tests.support.bad_endpoint import BadEndpoint

pytestmark = pytest.mark.program

CANARY = "sk-canary-3c8e51b7f09d4a62-MmNnPpQq"
PIECES = (CANARY, CANARY[:16], CANARY[-14:])


@pytest.mark.parametrize(("model", "code"), [("ok", 0), ("401", 1), ("500-echo", 1), ("echo-in-stream", 1)])
def test_a_key_of_the_environment_is_nowhere_after_an_ask(tmp_path: Path, model: str, code: int) -> None:
    with BadEndpoint() as bad:
        command = ["ask", "What is six times seven?", "--answer", "42", "--budget", "20", "--json", "--model", model]
        command += ["--base-url", bad.base_url, "--api-key-env", "PLANTED_API_KEY"]
        done = subprocess.run(
            [sys.executable, "-m", "tale_core", *command],
            cwd=REPO_ROOT,
            env={**os.environ, "PLANTED_API_KEY": CANARY, "TALE_LOG_LEVEL": "DEBUG"},
            capture_output=True,
            text=True,
            check=False,
        )
        assert {r.headers["authorization"] for r in bad.requests} == {f"Bearer {CANARY}"}
    assert done.returncode == code, done.stderr
    session = json.loads(done.stdout)["session"]
    assert_clean(done.stdout, "the document")
    assert_clean(done.stderr, "standard error")
    store = open_store()
    assert_clean(str(store.export_session(session)) + repr(store.get_session(session)), "the export")
    store.close()
    files = [p for p in tmp_path.rglob("*") if p.is_file()]
    assert any(p.name == "tale.db" for p in files)
    for path in files:
        assert_clean(path.read_bytes().decode("latin-1"), str(path))


def assert_clean(text: str, where: str) -> None:
    for piece in PIECES:
        assert piece not in text, f"{where} holds {piece!r}"
