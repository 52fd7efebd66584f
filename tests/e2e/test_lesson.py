"""A class in real browsers: a teacher and three students guess together; the lesson's file opens without a network."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tale_core.i18n import t, use_language
from tale_core.lessons import lesson
from tale_core.lessons.document import lesson_html
from tale_core.lessons.recorded import bundled
from tale_core.types import Language
from tests.e2e.app_process import App, Viewer
from tests.e2e.looks import LOOKS, SIZES, Looks
from tests.support.bad_endpoint import BadEndpoint

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
NAMES = ("Noor", "Ash", "禾")


def at(viewer: Viewer, **address: str) -> Page:
    query = "&".join(f"{name}={value}" for name, value in address.items())
    viewer.page.goto(f"{viewer.app.url}/Lesson?{query}")
    return viewer.page


@pytest.fixture
def class_of_three(browser: Browser, app: App) -> Iterator[list[Viewer]]:
    """A teacher, the class screen and three students."""
    with ExitStack() as stack:
        yield [stack.enter_context(Viewer(browser, app)) for _ in range(5)]


def test_a_teacher_and_three_students_guess_the_histogram_shows_and_all_ask(
    class_of_three: list[Viewer], bad: BadEndpoint
) -> None:
    teacher, screen, *students = class_of_three
    page = teacher.page
    teacher.open().use_endpoint(bad.base_url, "ok")  # The model is the room's: students know neither address nor key.
    teacher.go("Class")
    page.get_by_role("button", name="Open a room").click()
    expect(page.get_by_role("heading", name=re.compile("Room "))).to_be_visible()
    code = parse_qs(urlsplit(page.url).query)["room"][0]
    at(screen, room=code, screen="1")
    expect(screen.page.get_by_text(f"Join with {code}")).to_be_visible()
    for student, name in zip(students, NAMES, strict=True):
        at(student, room=code)
        student.page.get_by_label("Your nickname").fill(name)
        student.page.get_by_role("button", name="Join").click()
        expect(student.page.get_by_text("Wait for your teacher")).to_be_visible()
    expect(page.get_by_role("cell", name="禾")).to_be_visible()

    page.get_by_role("button", name="Ask the class").click()
    for student, guess in zip(students, ("40", "90", "250"), strict=True):
        box = student.page.get_by_label("Your guess: tokens")
        expect(box).to_be_visible()
        box.fill(guess)
        student.page.get_by_role("button", name="Guess").click()
        expect(student.page.get_by_text(f"You guessed {guess} tokens")).to_be_visible()
    expect(page.get_by_text("3 guesses, in the middle 90 tokens")).to_be_visible()
    expect(screen.page.get_by_text("3 of 3 have guessed")).to_be_visible()
    actual = lesson.guessed_tokens(bundled()["ask-en"])
    for viewer in (screen, *students):
        assert f"It wrote {actual}" not in viewer.page.locator("body").inner_text()

    page.get_by_role("button", name="Reveal").click()
    for viewer in (teacher, screen, *students):
        expect(viewer.page.get_by_text(f"3 guesses, in the middle 90 tokens; it wrote {actual}")).to_be_visible()
        expect(viewer.page.locator(".js-plotly-plot").first).to_be_visible()
    expect(students[1].page.get_by_text(f"It wrote {actual} tokens. You guessed 90")).to_be_visible()

    for student in students:
        student.page.get_by_label("Question", exact=True).fill("What is 2 + 2?")
        student.page.get_by_role("textbox", name="Known answer").fill("4")
        student.page.get_by_role("button", name=re.compile("^Ask")).click()
    for student in students:
        expect(student.page.get_by_text(re.compile(r"\d+ output tokens")).first).to_be_visible()
        expect(student.page.get_by_text(re.compile("You have used 2 of 20 calls"))).to_be_visible()
        student.page.reload()
        expect(student.page.get_by_text(re.compile(r"\d+ output tokens")).first).to_be_visible()
    expect(page.get_by_text(re.compile(r"6 of 400 calls"))).to_be_visible()
    assert "禾" not in students[0].page.inner_text("body")
    for viewer in class_of_three:
        viewer.check()


def test_the_lesson_is_turned_by_arrow_keys_and_played_by_space(viewer: Viewer) -> None:
    page = at(viewer, step="cost")
    expect(page.get_by_role("button", name=re.compile("^Play"))).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Pause")).to_be_visible()
    expect(page.get_by_text("To determine")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name=re.compile("^Play"))).to_be_visible()
    page.get_by_role("button", name="All at once").click()
    expect(page.get_by_text(re.compile(r"\d+ output tokens"))).to_be_visible()
    for n in (2, 3, 4):
        page.keyboard.press("ArrowRight")
        expect(page.get_by_text(f"Step {n} of 6")).to_be_visible()
    expect(page.locator(".js-plotly-plot").first).to_be_visible()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("Step 3 of 6")).to_be_visible()


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_no_step_is_wider_than_the_screen_or_shuts_people_out(
    browser: Browser, app: App, size: str, scheme: Literal["light", "dark"]
) -> None:
    width, height = SIZES[size]
    spoken: Language = "zh" if size == "phone" else "en"  # The longer words on the wide screen, the other ones too.
    with Viewer(browser, app, viewport={"width": width, "height": height}, color_scheme=scheme) as viewer:
        look = Looks(viewer, size, scheme, "class-")
        with use_language(spoken):
            for step in lesson.STEPS:
                page = at(viewer, step=step.id, lang=spoken)
                expect(page.get_by_role("heading", name=t(step.title), exact=True)).to_be_visible()
                expect(page.get_by_test_id("stSkeleton")).to_have_count(0)
                look(step.id)
            at(viewer, lang=spoken).get_by_role("button", name=t("Open a room")).click()
            expect(page.get_by_role("heading", name=re.compile(t("Room {code}", code="")))).to_be_visible()
            look("room")
        look.check()


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("width", [1440, 390])
def test_the_exported_lesson_opens_from_a_file_without_a_network(
    browser: Browser, tmp_path: Path, language: str, width: int
) -> None:
    path = tmp_path / "lesson.html"
    path.write_text(lesson_html(language), encoding="utf-8")  # type: ignore[arg-type]
    context = browser.new_context(viewport={"width": width, "height": 900}, offline=True, color_scheme="dark")
    asked: list[str] = []
    said: list[str] = []
    page = context.new_page()
    page.on("request", lambda request: asked.append(request.url))
    page.on("console", lambda message: said.append(message.text))
    page.on("pageerror", lambda error: said.append(str(error)))
    page.goto(path.as_uri())
    vanilla = page.locator("#cost pre")
    whole = vanilla.inner_text()
    page.locator("#cost [data-play]").click()
    expect(vanilla).not_to_have_text(whole)
    page.locator("#cost [data-all]").click()
    expect(vanilla).to_have_text(whole)
    page.locator("#guess input").fill("1")
    page.locator("#guess summary").click()
    expect(page.locator("#guess [data-score]")).to_contain_text(" 1 " if language == "en" else "1")
    told = page.locator("#search p[data-told]")
    last = told.inner_text()
    page.locator("#search [data-next]").click()
    expect(told).not_to_have_text(last)
    expect(page.locator("#search svg g[data-step='1']")).to_have_class(re.compile("later"))
    page.locator("#search [data-next]").click()
    expect(page.locator("#search svg g[data-step='1']")).not_to_have_class(re.compile("later"))
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")  # The Home key would scroll there slowly.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#guess h2")).to_be_in_viewport()
    assert page.evaluate("[document.scrollingElement.scrollWidth <= innerWidth]") == [True]
    assert page.locator("svg").count() == 3
    assert asked == [path.as_uri()] and said == []
    context.close()
