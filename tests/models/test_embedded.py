from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psutil
import pytest

from tale_core.errors import ServerStartError, StoppedError, UnknownModelError
from tale_core.models.embedded import server as embedded
from tale_core.models.embedded.catalog import EmbeddedModel, embedded_model
from tale_core.models.embedded.run_folder import RunFolder, ServerState, context_per_slot, threads
from tale_core.models.embedded.server import ServerInfo, ensure_server, lease, server_status, stop_server
from tale_core.settings import REPO_ROOT, Settings, get_settings
from tests.support.fixtures_model import TEST_MODEL
from tests.support.waiting import until

CHILD = """
import json, sys, time
from tale_core.models.embedded.server import ensure_server, lease
with lease("smollm2-135m"):
    info = ensure_server("smollm2-135m")
    print(json.dumps({"pid": info.pid}), flush=True)
    sys.stdin.read()
"""


def send(info: ServerInfo, path: str, body: object = None, *, key: str | None = None) -> tuple[int, Any]:
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(info.base_url).port, timeout=60)
    headers = {"Authorization": f"Bearer {info.api_key if key is None else key}", "Content-Type": "application/json"}
    try:
        connection.request("GET" if body is None else "POST", path, json.dumps(body) if body else None, headers)
        response = connection.getresponse()
        return response.status, json.loads(response.read())
    finally:
        connection.close()


def chat(tokens: int, **more: object) -> dict[str, object]:
    messages = [{"role": "user", "content": "Count from one to a thousand in words."}]
    return {"model": TEST_MODEL, "messages": messages, "max_tokens": tokens, "ignore_eos": True, **more}


def busy_slots(info: ServerInfo) -> int:
    return sum(slot["is_processing"] for slot in send(info, "/slots")[1])


def run_folder() -> RunFolder:
    return RunFolder.of(embedded_model(TEST_MODEL), get_settings())


# --- what can be said without a model


@pytest.fixture
def folder(tmp_path: Path) -> RunFolder:
    made = RunFolder(tmp_path / "run")
    made.create()
    return made


def own_state(**changes: object) -> ServerState:
    process = psutil.Process()
    return replace(ServerState("m", 1, "key", process.pid, process.create_time(), 4, 4096), **changes)


def test_a_state_survives_the_round_trip_and_is_for_this_user_alone(folder: RunFolder) -> None:
    folder.write(own_state())
    assert folder.read() == own_state()
    if sys.platform != "win32":
        assert stat.S_IMODE((folder.path / "state.json").stat().st_mode) == 0o600
        assert stat.S_IMODE(folder.path.stat().st_mode) == 0o700


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"pid": 1}', "null"])
def test_a_state_that_cannot_be_understood_is_none(folder: RunFolder, text: str) -> None:
    (folder.path / "state.json").write_text(text)
    assert folder.read() is None


def test_only_its_own_state_is_removed(folder: RunFolder) -> None:
    folder.write(own_state(pid=12345))
    folder.remove(os.getpid())
    assert folder.read() is not None
    folder.remove(12345)
    assert folder.read() is None


def test_a_recycled_process_id_is_not_taken_for_the_server() -> None:
    assert own_state().is_alive()
    assert not own_state(create_time=psutil.Process().create_time() - 60).is_alive()
    assert not own_state(pid=2**22 + 1).is_alive()


def test_the_key_is_in_no_representation() -> None:
    state = own_state(api_key="very-secret")
    assert "very-secret" not in repr(state)
    assert "very-secret" not in repr(embedded.info_of(state))


def test_a_lease_counts_until_it_is_released(folder: RunFolder) -> None:
    assert not folder.leased()
    held = folder.new_lease()
    assert folder.leased()
    held.release()
    assert not folder.leased()
    assert not list((folder.path / "leases").iterdir())


def test_the_lease_of_a_process_that_was_killed_is_gone(folder: RunFolder) -> None:
    code = (
        "import sys, pathlib; from tale_core.models.embedded.run_folder import RunFolder\n"
        "lease = RunFolder(pathlib.Path(sys.argv[1])).new_lease(); print('held', flush=True); sys.stdin.read()"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(folder.path)],
        cwd=REPO_ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None and process.stdout.readline() == "held\n"
    assert folder.leased()
    process.kill()
    process.communicate()
    assert not folder.leased()


def test_other_settings_mean_another_server_and_the_idle_time_does_not() -> None:
    model = embedded_model(TEST_MODEL)
    base = Settings()
    assert RunFolder.of(model, base).path == RunFolder.of(model, Settings(server_idle_s=1)).path
    others = [Settings(server_slots=2), Settings(server_context=1024), Settings(server_threads=3)]
    assert len({RunFolder.of(model, s).path for s in [base, *others]}) == 4


def test_a_slot_never_gets_more_context_than_the_model_was_trained_for() -> None:
    model = embedded_model(TEST_MODEL)
    assert context_per_slot(model, Settings(server_context=100_000)) == model.context_length == 8192
    assert context_per_slot(model, Settings(server_context=1024)) == 1024


def test_threads_are_as_set_or_at_least_one() -> None:
    assert threads(Settings(server_threads=7)) == 7
    assert 1 <= threads(Settings()) <= (os.cpu_count() or 1)


def test_an_unknown_model_is_refused_before_anything_is_made() -> None:
    for call in (ensure_server, server_status, stop_server):
        with pytest.raises(UnknownModelError):
            call("nope")
    assert not get_settings().data_dir.exists()


def test_without_a_server_status_is_none_and_stopping_does_nothing() -> None:
    assert server_status(TEST_MODEL) is None
    assert stop_server(TEST_MODEL) is False


# --- a file that is no model: the worker fails for real


@pytest.fixture
def not_a_model(model: EmbeddedModel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    junk = tmp_path / "junk.gguf"
    junk.write_bytes(b"this is no model" * 100)
    monkeypatch.setattr(embedded, "embedded_model", lambda name: model)
    monkeypatch.setattr(embedded, "ensure_weights", lambda model, **options: junk)
    return junk


@pytest.mark.model
def test_a_worker_that_cannot_load_is_reported_with_its_last_words(not_a_model: Path) -> None:
    with pytest.raises(ServerStartError, match=r"ended while it loaded.*Its log ends: .*"):
        ensure_server("tiny")
    assert server_status("tiny") is None


def test_a_worker_that_does_not_get_ready_is_ended(not_a_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started: list[subprocess.Popen[bytes]] = []

    def sleeper(plan: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-S", "-E", "-c", "import time; time.sleep(60)"]))
        return started[0]

    monkeypatch.setattr(embedded, "spawn", sleeper)
    monkeypatch.setattr(embedded, "START_TIMEOUT_S", 0.3)
    with pytest.raises(ServerStartError, match="did not get ready"):
        ensure_server("tiny")
    assert started[0].wait(10) != 0


def test_cancel_while_loading_is_heard(not_a_model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cancel = threading.Event()
    started: list[subprocess.Popen[bytes]] = []

    def sleeper(plan: object) -> subprocess.Popen[bytes]:
        started.append(subprocess.Popen([sys.executable, "-S", "-E", "-c", "import time; time.sleep(60)"]))
        return started[0]

    monkeypatch.setattr(embedded, "spawn", sleeper)
    words: list[str] = []

    def say(text: str) -> None:
        words.append(text)
        cancel.set()

    with pytest.raises(StoppedError):
        ensure_server("tiny", progress=say, cancel=cancel)
    assert words == ["Loading Tiny… 0 s"]
    started[0].kill()
    started[0].wait()


# --- the real server


@pytest.fixture
def serving(smollm_cache: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TALE_CACHE_DIR", str(smollm_cache))
    monkeypatch.setenv("TALE_SERVER_CONTEXT", "1024")
    monkeypatch.setenv("TALE_SERVER_SLOTS", "2")
    get_settings.cache_clear()
    yield
    stop_server(TEST_MODEL)


@pytest.mark.model
def test_the_server_answers_and_says_what_each_slot_has(serving: None) -> None:
    words: list[str] = []
    info = ensure_server(TEST_MODEL, progress=words.append)
    status, answer = send(info, "/v1/chat/completions", chat(8))

    assert status == 200 and answer["usage"]["completion_tokens"] == 8
    assert (info.slots, info.n_ctx_per_slot) == (2, 1024)
    assert words and all(w.startswith("Loading SmolLM2") for w in words)
    assert ensure_server(TEST_MODEL).pid == info.pid
    assert server_status(TEST_MODEL) == info


@pytest.mark.model
def test_every_slot_has_its_whole_context_at_the_same_time(serving: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALE_SERVER_CONTEXT", "512")
    get_settings.cache_clear()
    info = ensure_server(TEST_MODEL)
    results: list[dict[str, Any]] = []
    long = [{"role": "user", "content": "word " * 400}]

    def one() -> None:
        results.append(send(info, "/v1/chat/completions", chat(20, messages=long))[1])

    both = [threading.Thread(target=one) for _ in range(2)]
    for thread in both:
        thread.start()
    for thread in both:
        thread.join()
    assert [r["usage"]["completion_tokens"] for r in results] == [20, 20]
    assert all(r["usage"]["prompt_tokens"] > 400 for r in results)


@pytest.mark.model
def test_nothing_but_health_is_served_without_the_key(asked_server: ServerInfo) -> None:
    info = asked_server
    for path, body in [
        ("/v1/models", None),
        ("/slots", None),
        ("/props", None),
        ("/tokenize", {"content": "hi"}),
        ("/v1/chat/completions", chat(1)),
    ]:
        assert send(info, path, body, key="wrong")[0] == 401, path
        assert send(info, path, body)[0] == 200, path


@pytest.mark.model
def test_only_loopback_is_listened_on(asked_server: ServerInfo) -> None:
    info = asked_server
    port = urlsplit(info.base_url).port
    listening = [c.laddr for c in psutil.Process(info.pid).net_connections("inet") if c.status == psutil.CONN_LISTEN]
    assert [tuple(a) for a in listening] == [("127.0.0.1", port)]
    own = {a.address for found in psutil.net_if_addrs().values() for a in found if a.family == socket.AF_INET}
    for address in own - {"127.0.0.1"}:
        with pytest.raises(OSError), socket.create_connection((address, port or 0), timeout=2):
            pass


@pytest.mark.model
def test_the_key_shows_nowhere_but_in_the_state(asked_server: ServerInfo) -> None:
    info = asked_server
    send(info, "/v1/chat/completions", chat(2))
    send(info, "/v1/models", key="wrong")
    process = psutil.Process(info.pid)
    assert info.api_key not in " ".join(process.cmdline())
    assert info.api_key not in str(process.environ())
    assert "a-key-of-the-user" not in str(process.environ())
    data_dir = get_settings().data_dir
    holders = [p.name for p in data_dir.rglob("*") if p.is_file() and info.api_key in p.read_text()]
    assert holders == ["state.json"]
    logs = list((data_dir / "logs").iterdir())
    assert logs and all("Count from one" not in p.read_text() for p in logs)


@pytest.mark.model
def test_closing_the_stream_stops_the_generation(asked_server: ServerInfo) -> None:
    info = asked_server
    connection = http.client.HTTPConnection("127.0.0.1", urlsplit(info.base_url).port, timeout=60)
    headers = {"Authorization": f"Bearer {info.api_key}", "Content-Type": "application/json"}
    connection.request("POST", "/v1/chat/completions", json.dumps(chat(900, stream=True)), headers)
    response = connection.getresponse()
    assert response.readline().startswith(b"data: ")
    started = time.monotonic()
    for _ in range(60):  # a line of data and an empty one for each token
        response.readline()
    thirty_tokens = time.monotonic() - started
    assert busy_slots(info) == 1
    closed = time.monotonic()
    response.close()
    connection.close()
    until(lambda: busy_slots(info) == 0)
    assert time.monotonic() - closed < 10 * thirty_tokens, "it went on as if 900 tokens were still wanted"


@pytest.mark.model
def test_two_processes_that_start_together_share_one_server(serving: None) -> None:
    children = [
        subprocess.Popen(
            [sys.executable, "-c", CHILD], cwd=REPO_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    pids = [json.loads(c.stdout.readline())["pid"] for c in children if c.stdout is not None]
    for child in children:
        child.communicate()
    assert len(pids) == 2 and len(set(pids)) == 1
    assert ensure_server(TEST_MODEL).pid == pids[0]


@pytest.mark.model
def test_after_a_kill_the_next_call_starts_a_new_server(serving: None) -> None:
    first = ensure_server(TEST_MODEL)
    psutil.Process(first.pid).kill()
    until(lambda: not psutil.pid_exists(first.pid))
    second = ensure_server(TEST_MODEL)
    assert second.pid != first.pid and second.api_key != first.api_key
    assert send(second, "/v1/models")[0] == 200


@pytest.mark.model
@pytest.mark.skipif(sys.platform == "win32", reason="stopping a process is suspending it on POSIX only")
def test_a_server_that_no_longer_answers_is_replaced(serving: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(embedded, "PATIENCE_S", 0.5)
    monkeypatch.setattr(embedded, "TRUST_S", 0.0)
    monkeypatch.setattr(embedded, "END_S", 0.5)
    first = ensure_server(TEST_MODEL)
    os.kill(first.pid, signal.SIGSTOP)
    second = ensure_server(TEST_MODEL)
    assert second.pid != first.pid
    until(lambda: not psutil.pid_exists(first.pid))


@pytest.mark.model
def test_the_server_leaves_after_its_last_user_and_not_before(serving: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALE_SERVER_IDLE_S", "0")
    get_settings.cache_clear()
    with lease(TEST_MODEL):
        info = ensure_server(TEST_MODEL)
        with lease(TEST_MODEL):
            pass
        time.sleep(3)
        assert server_status(TEST_MODEL) == info
    until(lambda: not psutil.pid_exists(info.pid))
    assert run_folder().read() is None
    assert not list((run_folder().path / "leases").iterdir())


@pytest.mark.model
def test_the_server_leaves_when_its_user_is_killed(serving: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TALE_SERVER_IDLE_S", "0")
    child = subprocess.Popen(
        [sys.executable, "-c", CHILD], cwd=REPO_ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert child.stdout is not None
    pid = json.loads(child.stdout.readline())["pid"]
    child.kill()
    child.communicate()
    until(lambda: not psutil.pid_exists(pid))


@pytest.mark.model
def test_an_answer_in_flight_keeps_the_server_even_without_a_lease(
    serving: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TALE_SERVER_IDLE_S", "0")
    get_settings.cache_clear()
    with lease(TEST_MODEL):
        info = ensure_server(TEST_MODEL)
        result: list[tuple[int, Any]] = []
        thread = threading.Thread(target=lambda: result.append(send(info, "/v1/chat/completions", chat(600))))
        thread.start()
        until(lambda: busy_slots(info) == 1)
    thread.join()
    assert result[0][0] == 200 and result[0][1]["usage"]["completion_tokens"] == 600
    until(lambda: not psutil.pid_exists(info.pid))


@pytest.mark.model
@pytest.mark.skipif(sys.platform == "win32", reason="Windows ends a process without asking it")
def test_a_server_that_is_asked_to_end_cleans_up(serving: None) -> None:
    info = ensure_server(TEST_MODEL)
    psutil.Process(info.pid).terminate()
    until(lambda: not psutil.pid_exists(info.pid))
    assert run_folder().read() is None


@pytest.mark.model
def test_stopping_ends_the_server_whoever_uses_it(serving: None) -> None:
    with lease(TEST_MODEL):
        info = ensure_server(TEST_MODEL)
        assert stop_server(TEST_MODEL) is True
        assert not psutil.pid_exists(info.pid)
        assert server_status(TEST_MODEL) is None


@pytest.mark.model
@pytest.mark.skipif((psutil.cpu_count(logical=False) or 1) < 2, reason="one thread has nobody to wait for")
@pytest.mark.parametrize("ends", ["in its place", "stopped before"])
def test_beside_neighbours_that_stay_a_server_with_fewer_threads_takes_over_and_no_answer_is_cut_off(
    serving: None, monkeypatch: pytest.MonkeyPatch, ends: str
) -> None:
    monkeypatch.delenv("TALE_SERVER_THREADS")
    get_settings.cache_clear()
    busy = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(os.cpu_count() or 1)]
    try:
        with lease(TEST_MODEL):
            old = ensure_server(TEST_MODEL)
            until(lambda: len(psutil.Process(old.pid).children()) == 1)
            (coming,) = psutil.Process(old.pid).children()
            if ends == "stopped before":
                coming.suspend()  # It may have been just ready.
                stopped = server_status(TEST_MODEL)
                assert stopped is None or stopped.pid == old.pid
                psutil.Process(old.pid).terminate()
                until(lambda: not coming.is_running() or coming.status() == psutil.STATUS_ZOMBIE)
                assert run_folder().read() is None
                return
            result: list[tuple[int, Any]] = []
            thread = threading.Thread(target=lambda: result.append(send(old, "/v1/chat/completions", chat(100))))
            thread.start()
            until(lambda: (run_folder().read() or own_state()).pid == coming.pid)
            new = ensure_server(TEST_MODEL)
            assert new.pid == coming.pid and send(new, "/v1/chat/completions", chat(3))[0] == 200
            thread.join()
            assert result[0][0] == 200 and result[0][1]["usage"]["completion_tokens"] == 100
            until(lambda: not psutil.pid_exists(old.pid))
    finally:
        for one in busy:
            one.kill()
            one.wait()
