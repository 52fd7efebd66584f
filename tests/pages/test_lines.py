"""Answers in lines of assignments on the pages and on the terminal: each line beside what a calculator makes of it."""

from __future__ import annotations

from typing import Any

import pytest

from tale_core.cli.main import main
from tests.pages.app_page import ask, endpoint, opened, result, sent
from tests.support import bad_endpoint
from tests.support.bad_endpoint import BadEndpoint


def lines(h: Any, body: dict[str, Any]) -> None:
    with h.stream() as s:
        s.text(["pens = 1,000\n", "share = $3 / 7\n", "<b>prose</b> **here**\n", "answer = pens * ", "share * oops"])
        s.chunk(finish="stop")
        s.usage()
        s.done()


def test_the_page_shows_lines_with_what_each_comes_to(bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "lines", lines)
    at = opened(use=endpoint(bad.base_url, "lines"))
    at.selectbox(key="estimator").select("lines").run()
    ask(at)
    assert not at.exception
    shown = result(at)
    assert "Lines, evaluated by a calculator" in shown and "Value, by a calculator" in shown
    assert "**1000**" in shown and "**≈ 0.4285714**" in shown
    assert "nothing: No line before gives “oops” a value." in shown
    assert "<b>prose" not in sent(at.main).split("share \\=")[-1]  # Escaped in the table of lines.


def test_the_command_line_says_what_each_line_comes_to(
    bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "lines", lines)
    main(["ask", "How many?", "--estimator", "lines", "--base-url", bad.base_url, "--model", "lines"])
    told = capsys.readouterr().out
    assert "pens = 1,000  # 1000\n" in told and "answer = pens * share * oops  # No line before" in told
