"""Log lines: one JSON object each where that is asked for, and never a key."""

from __future__ import annotations

import io
import json
import logging
from collections.abc import Iterator

import pytest

from tale_core import logs
from tale_core.settings import Settings
from tale_core.text import guard_logs

KEY = "pw.Zq8!vT2#mN5$xR7^"


@pytest.fixture
def lines() -> Iterator[io.StringIO]:
    stream = io.StringIO()
    before = logging.getLogger("tale_core").level
    yield stream
    root = logging.getLogger()
    for handler in [h for h in root.handlers if getattr(h, logs.OURS, False)]:
        root.removeHandler(handler)
    logging.getLogger("tale_core").setLevel(before)


def test_each_line_is_one_json_object_with_what_was_said(lines: io.StringIO) -> None:
    logs.set_up_logs(Settings(log_format="json"), stream=lines)
    logs.set_up_logs(Settings(log_format="json"), stream=lines)  # Twice is once.
    log = logging.getLogger("tale_core.somewhere")
    log.info("two\nlines of %s", "课堂", extra={"experiment": "experiment-x"})
    try:
        raise ValueError("a reason")
    except ValueError:
        log.exception("it failed")
    first, second = (json.loads(line) for line in lines.getvalue().splitlines())
    assert (first["level"], first["logger"], first["message"]) == ("INFO", log.name, "two\nlines of 课堂")
    assert first["experiment"] == "experiment-x" and first["time"].endswith("+00:00")
    assert "ValueError: a reason" in second["error"]


@pytest.mark.parametrize("form", ["json", "text"])
def test_no_line_holds_a_key_wherever_it_came_from(
    lines: io.StringIO, form: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LAB_API_KEY", KEY)
    monkeypatch.setenv("PGPASSWORD_TEST_PASSWORD", 'quoted"backslash\\secret')
    guard_logs(["guarded-key-123456"])
    logs.set_up_logs(Settings(log_format=form), stream=lines)  # type: ignore[arg-type]
    log = logging.getLogger("tale_core.somewhere")
    log.warning("with %s and sk-abcdefgh12345678", KEY)
    log.warning("then %s", "guarded-key-123456", extra={"also": KEY})
    log.warning('password quoted"backslash\\secret')
    monkeypatch.setenv("PGPASSWORD", "the-one-libpq-reads")
    log.warning("with the-one-libpq-reads at postgresql://tale:in-the-address@db/tale?password=in-the-query&x=1")
    try:
        raise ValueError(f"Bearer abcdefgh.ijkl and {KEY}")
    except ValueError:
        log.exception("failed")
    written = lines.getvalue()
    for secret in (KEY, "Zq8!vT2", "abcdefgh", "guarded-key", "backslash", "libpq-reads", "in-the-"):
        assert secret not in written
    assert written.count("[key removed]") >= 7 and "://db/tale" in written
