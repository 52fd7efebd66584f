"""The language of the pages: who chooses it, where it is kept, and what runs in it."""

from __future__ import annotations

import threading
from types import SimpleNamespace
from typing import Any, cast

import pytest
from streamlit.testing.v1 import AppTest

from tale_core import i18n
from tale_core.i18n import language, use_language
from tale_core.runs.runner import Runner
from tale_core.types import Language
from tests.pages.app_page import opened, words
from ui.common import state

ZH, EN = "看清、测量并减少", "See, measure and shrink"


def started(path: str = "app.py", **query: str) -> AppTest:
    return opened(path, address=query)


def switch(at: AppTest, to: Language) -> AppTest:
    # AppTest labels the options of every widget in this thread, and looks for them among those that it was sent.
    with use_language("zh" if ZH in words(at.sidebar) else "en"):
        return at.sidebar.radio[0].set_value(to).run()


def speaks(at: AppTest, tagline: str) -> bool:
    assert not at.exception
    return tagline in words(at.sidebar)


def test_the_switch_changes_the_page_and_the_address_and_keeps_what_else_the_address_says() -> None:
    at = started(session="gone")
    assert speaks(at, EN) and "lang" not in at.query_params
    spoken: tuple[tuple[Language, str], ...] = (("zh", ZH), ("en", EN))
    for to, tagline in spoken:
        switch(at, to)
        assert speaks(at, tagline)
        assert {k: str(at.query_params[k]) for k in at.query_params} == {"session": "gone", "lang": to}


def test_the_choice_survives_another_page_whose_address_says_nothing() -> None:
    at = switch(started(), "zh")
    at.query_params.clear()
    with use_language("zh"):
        at.switch_page("pages/Search.py").run()
    assert speaks(at, ZH) and at.query_params["lang"] == "zh"


def test_links_to_the_pages_carry_the_language_once_it_is_chosen() -> None:
    at = started()
    assert {link.proto.query_string for link in at.sidebar.get("page_link")} == {""}
    switch(at, "zh")
    assert {link.proto.query_string for link in at.sidebar.get("page_link")} == {"lang=zh"}


@pytest.mark.parametrize(
    ("tag", "tagline"), [("zh", ZH), ("zh-CN", ZH), ("ZH_tw", ZH), ("en", EN), ("fr", EN), ("", EN)]
)
def test_the_address_says_the_language_and_nonsense_there_changes_nothing(tag: str, tagline: str) -> None:
    assert speaks(started(lang=tag), tagline)


@pytest.mark.parametrize(("locale", "tagline"), [("zh-CN", ZH), ("fr-FR", EN)])
def test_the_browser_decides_until_somebody_does(
    monkeypatch: pytest.MonkeyPatch, locale: str | None, tagline: str
) -> None:
    monkeypatch.setattr(type(state.st.context), "locale", property(lambda _: locale))
    at = started()
    assert speaks(at, tagline) and "lang" not in at.query_params
    assert speaks(switch(at, "en"), EN)


def test_a_job_speaks_the_language_of_whoever_started_it(monkeypatch: pytest.MonkeyPatch) -> None:
    heard: list[str] = []
    here = threading.current_thread()

    class Run:
        id = "r"
        ended = False

        def view(self) -> Any:
            return SimpleNamespace(running=not self.ended)

        async def run(self) -> Any:
            heard.append(language())
            self.ended = True

    monkeypatch.setattr(i18n, "asked_for_language", [lambda: "zh" if threading.current_thread() is here else None])
    runner = Runner()
    try:
        runner.start(lambda changed: cast(Any, Run())).wait(5)
    finally:
        runner.close()
    assert heard == ["zh"]


def test_a_thread_without_a_page_is_told_nothing_and_streamlit_says_nothing(caplog: pytest.LogCaptureFixture) -> None:
    started(lang="zh")
    caplog.clear()
    heard: list[object] = []
    thread = threading.Thread(target=lambda: heard.extend([state.language(), language()]))
    thread.start()
    thread.join()
    assert heard == [None, "en"] and not caplog.records
