"""Is everything there? Told by exit code and in words."""

from __future__ import annotations

import json
import socket
import threading
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tale_core import cli
from tale_core.serving import health
from tale_core.settings import get_settings
from tests.support.counting_endpoint import CountingEndpoint, Reply


def told(capsys: pytest.CaptureFixture[str], *flags: str) -> tuple[int, dict[str, str]]:
    code = cli.main(["health", "--json", *flags])
    found = json.loads(capsys.readouterr().out)
    assert found["ready"] == (code == 0)
    return code, {c["name"]: c["detail"] if c["ok"] else f"FAIL {c['detail']}" for c in found["checks"]}


def test_a_fresh_place_is_ready(capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = told(capsys)
    assert code == 0 and checks["database"].startswith("0 sessions in ") and "GB free" in checks["data-folder"]


def test_a_database_that_cannot_be_used_is_not_ready(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALE_DATABASE_URL", "postgresql+psycopg://tale:hunter2@127.0.0.1:9/tale")
    get_settings.cache_clear()
    code, checks = told(capsys)
    assert code == 1 and "does not answer" in checks["database"] and "hunter2" not in checks["database"]


def test_a_full_disk_is_not_ready(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(health.shutil, "disk_usage", lambda _: usage(10**9, 10**9, 10**6))
    code, checks = told(capsys)
    assert code == 1 and checks["data-folder"].startswith("FAIL Only 1 MB are free")


@contextmanager
def _nonsense() -> Iterator[str]:
    """Something that listens and does not speak HTTP."""

    def answer() -> None:
        connection, _ = server.accept()
        with connection:
            connection.recv(4096)
            connection.sendall(b"220 mail.example ready\r\n")

    with socket.create_server(("127.0.0.1", 0)) as server:
        thread = threading.Thread(target=answer)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}"
        thread.join(10)


def test_the_page_and_a_group_are_looked_at_when_that_is_asked_for(capsys: pytest.CaptureFixture[str]) -> None:
    code, checks = told(capsys, "--page", "http://127.0.0.1:9")
    assert code == 1 and checks["page"].startswith("FAIL")
    code, checks = told(capsys, "--page", "file:///etc")
    assert code == 1 and "no address" in checks["page"]
    with _nonsense() as address:
        code, checks = told(capsys, "--page", address)
        assert code == 1 and checks["page"].startswith("FAIL")
    with CountingEndpoint(lambda _: Reply()) as one, CountingEndpoint(lambda _: Reply()) as other:
        file = get_settings().data_dir / "endpoint-groups.toml"
        file.write_text("".join(f'[[lab.endpoints]]\nbase_url = "{e.base_url}"\n' for e in (one, other)))
        other.down()
        code, checks = told(capsys, "--model", "lab")
        assert code == 0 and checks["model"] == "1 of 2 endpoints of lab answer"
        one.down()
        assert told(capsys, "--model", "lab")[0] == 1
