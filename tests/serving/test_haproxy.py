"""Several processes of the app behind HAProxy: who stays where, what a death does, and that nothing is left over."""

from __future__ import annotations

import os
import re
import resource
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.client import HTTPMessage
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest

from benchmarks.load_viewer import Viewer
from tale_core.cli.main import main
from tale_core.errors import InputError, TaleError
from tale_core.serving import haproxy as app_processes
from tale_core.serving.haproxy import COOKIE, AppProcesses, command, haproxy_config
from tale_core.settings import REPO_ROOT
from tests.support.waiting import free_port, until

pytestmark = pytest.mark.program

needs_haproxy = pytest.mark.skipif(
    shutil.which("haproxy", path=f"{os.environ.get('PATH', '')}:/usr/sbin") is None and "CI" not in os.environ,
    reason="HAProxy is not installed: apt install haproxy",
)
STAND_IN = """
import http.server, os, sys
class Answers(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        said = str(os.getpid()).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(said)))
        self.end_headers()
        self.wfile.write(said)
    def log_message(self, *_): pass
http.server.ThreadingHTTPServer(("127.0.0.1", int(sys.argv[1])), Answers).serve_forever()
"""


APP = "import sys; from tale_core.cli.main import main; sys.exit(main(sys.argv[1:]))"
APP_OF_STAND_INS = f"""
import sys
from tale_core.serving import haproxy
haproxy.command = lambda port, **_: [sys.executable, "-c", {STAND_IN!r}, str(port)]
{APP}
"""


def stand_in(port: int) -> list[str]:
    return [sys.executable, "-c", STAND_IN, str(port)]


def get(port: int, cookie: str = "", path: str = "/") -> tuple[str, HTTPMessage]:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Cookie": cookie} if cookie else {})
    with urllib.request.urlopen(request, timeout=10) as answer:
        return answer.read().decode(), answer.headers


def come(port: int) -> tuple[str, str]:
    """A new reader: which process answered, and the cookie."""
    said, headers = get(port)
    return said, headers["Set-Cookie"].partition(";")[0]


def alive(pid: int) -> bool:
    with suppress(psutil.NoSuchProcess):
        return bool(psutil.Process(pid).status() != psutil.STATUS_ZOMBIE)
    return False


@contextmanager
def two() -> Iterator[tuple[AppProcesses, int]]:
    port = free_port()
    with AppProcesses(2, port, start=stand_in) as apps:
        yield apps, port


def test_the_configuration_names_every_process_and_opens_only_what_was_asked_for():
    text = haproxy_config([5001, 5002, 5003], port=8501, address="127.0.0.1")
    assert re.findall(r"server (\w+) 127\.0\.0\.1:(\d+) cookie (\w+)", text) == [
        ("p1", "5001", "p1"), ("p2", "5002", "p2"), ("p3", "5003", "p3"),
    ]  # fmt: skip
    assert re.findall(r"^\s+bind (.+)$", text, re.MULTILINE) == ["127.0.0.1:8501"] and "stats" not in text
    assert "bind [::1]:8501" in haproxy_config([1], port=8501, address="::1")


def test_each_process_listens_on_loopback_and_knows_the_port_that_a_browser_sees():
    line = command(5001, seen_at=8501)
    assert {"--server.address=127.0.0.1", "--browser.serverPort=8501", str(REPO_ROOT / "app.py")} <= set(line)


@needs_haproxy
@pytest.mark.parametrize("count", [-1, 0, 1, 65])
def test_a_number_of_processes_out_of_range_is_refused(count):
    with pytest.raises(InputError, match="2 to 64"):
        AppProcesses(count, free_port())


def test_without_haproxy_it_says_how_to_get_it_and_that_one_process_needs_none(monkeypatch, capsys):
    monkeypatch.setattr(app_processes.shutil, "which", lambda *_, **__: None)
    assert main(["app", "--processes", "2"]) == 2
    assert "apt install haproxy" in (said := capsys.readouterr().err) and "start one process" in said


@pytest.mark.parametrize(
    "where", [("--address", "\x9b2J\u202e"), ("--address", "127.0.0.1\nbind *:9"), ("--port", "99999")]
)
def test_where_nothing_can_listen_one_process_says_so_in_words(where, capsys):
    assert main(["app", *where]) == 2
    said = capsys.readouterr().err
    assert "cannot listen on" in said and "\x9b" not in said and "Traceback" not in said


@needs_haproxy
def test_a_port_that_is_taken_is_told_before_anything_starts(capsys):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert main(["app", "--processes", "2", "--port", str(taken.getsockname()[1])]) == 2
    assert "cannot listen on 127.0.0.1" in capsys.readouterr().err
    assert main(["app", "--processes", "2", "--port", "99999"]) == 2


@needs_haproxy
def test_readers_spread_over_the_processes_and_each_stays_on_one():
    with two() as (apps, port):
        readers = [come(port) for _ in range(6)]
        assert {said for said, _ in readers} == {str(pid) for pid in apps.pids}
        assert all(cookie.startswith(f"{COOKIE}=p") for _, cookie in readers)
        for said, cookie in readers:
            assert {get(port, cookie, path)[0] for path in ("/", "/media/1", "/_stcore/upload_file")} == {said}


@needs_haproxy
def test_where_few_descriptors_are_allowed_it_starts_with_fewer_connections(monkeypatch):
    """As in a container; HAProxy itself refuses to start with a limit that it cannot serve."""
    monkeypatch.setattr(app_processes, "die_with", lambda parent: few)
    monkeypatch.setattr(resource, "getrlimit", lambda which: (1024, 1024))
    with two() as (apps, port):
        monkeypatch.undo()
        assert come(port)[0] in {str(pid) for pid in apps.pids}


def few() -> None:
    resource.setrlimit(resource.RLIMIT_NOFILE, (1024, 1024))


@needs_haproxy
def test_the_cookie_is_kept_from_scripts_and_other_sites():
    with two() as (_, port):
        whole = get(port)[1]["Set-Cookie"]
    assert "HttpOnly" in whole and "SameSite=Lax" in whole


@needs_haproxy
def test_when_a_process_dies_its_readers_go_to_another_and_it_is_started_again():
    with two() as (apps, port):
        said, cookie = come(port)
        os.kill(int(said), signal.SIGKILL)
        assert get(port, cookie)[0] != said
        until(lambda: len(apps.pids) == 2 and int(said) not in apps.pids, "a new process", tend=apps.tend)
        until(lambda: {come(port)[0] for _ in range(4)} == {str(p) for p in apps.pids}, "both", tend=apps.tend)


@needs_haproxy
def test_a_process_that_keeps_dying_is_started_less_and_less_often(monkeypatch):
    clock = SimpleNamespace(now=time.monotonic(), sleep=time.sleep)
    clock.monotonic = lambda: clock.now
    with two() as (apps, _), monkeypatch.context() as patched:
        patched.setattr(app_processes, "time", clock)
        apps.start = lambda port: [shutil.which("false") or "/bin/false"]
        os.kill(apps.pids[0], signal.SIGKILL)
        dying, waits = apps._apps[0], []
        for _ in range(4):
            assert dying.process is not None and dying.process.wait(60)
            apps.tend()
            ended = clock.now
            while dying.process is None:
                clock.now += 0.1
                apps.tend()
            waits.append(clock.now - ended)
    assert waits[0] < waits[1] < waits[2] < waits[3] < 30, waits


@needs_haproxy
def test_without_its_haproxy_it_ends_with_words():
    with two() as (apps, _):
        assert apps._balancer is not None
        apps._balancer.kill()
        until(lambda: apps._balancer is not None and apps._balancer.poll() is not None, "its end")
        with pytest.raises(TaleError, match="HAProxy has ended"):
            apps.tend()


@needs_haproxy
def test_a_process_that_cannot_start_is_told_and_nothing_is_left_over():
    before = {p.pid for p in psutil.Process().children(recursive=True)}
    ends = AppProcesses(2, free_port(), start=lambda _: [sys.executable, "-c", "raise SystemExit(3)"])
    with pytest.raises(TaleError, match="ended with code 3"), ends:
        pass
    assert {p.pid for p in psutil.Process().children(recursive=True) if alive(p.pid)} <= before


@needs_haproxy
@pytest.mark.parametrize(
    ("how", "code"),
    [(signal.SIGTERM, APP), (signal.SIGINT, APP_OF_STAND_INS), (signal.SIGKILL, APP_OF_STAND_INS)],
    ids=["SIGTERM", "SIGINT", "SIGKILL"],
)
def test_the_app_in_two_processes_draws_its_pages_and_ends_whole(how, code, tmp_path):
    """The real app once: pages come through HAProxy, by websocket too; whatever ends it, no process is left."""
    port = free_port()
    with (tmp_path / "log").open("wb") as log:
        app = subprocess.Popen(
            [sys.executable, "-c", code, "app", "--processes", "2", "--port", str(port)], cwd=REPO_ROOT,
            env={**os.environ, "TALE_OFFLINE": "1"}, stdout=log, stderr=log,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
        )  # fmt: skip
        try:
            until(lambda: answers(port) or app.poll() is not None, "the app")
            assert app.poll() is None, (tmp_path / "log").read_text()
            children = [p.pid for p in psutil.Process(app.pid).children(recursive=True)]
            assert len(children) >= 3
            if how is signal.SIGTERM:
                visit(port)
            app.send_signal(how)
            assert app.wait(60) == (-signal.SIGKILL if how is signal.SIGKILL else 0)
            until(lambda: not any(map(alive, children)), "the end of every process")
            assert not answers(port)
        finally:
            app.kill()


def answers(port: int) -> bool:
    with suppress(OSError):
        return get(port, path="/_stcore/health")[1] is not None
    return False


def visit(port: int) -> None:
    import asyncio

    async def see() -> None:
        async with Viewer(port) as one, Viewer(port) as other:
            for viewer in (one, other):
                await viewer.open("History")
                await viewer.open("")
                assert viewer.has("question") and all("cannot be had" in p for p in viewer.problems)  # No weights here.

    asyncio.run(see())


def test_the_balancer_is_named_where_people_look_for_it():
    assert "--processes" in (REPO_ROOT / "docs" / "scale.md").read_text() and Path(REPO_ROOT / "README.md").is_file()
