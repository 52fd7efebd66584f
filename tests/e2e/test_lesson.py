"""A class in real browsers: the lesson on a projector, a room that follows it; the lesson's file without a network."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import ExitStack, suppress
from itertools import islice
from pathlib import Path
from typing import Literal
from urllib.parse import parse_qs, urlsplit

import pytest
from playwright.sync_api import Browser, Page, expect

from tale_core.access.keys import load_keys
from tale_core.i18n import t, use_language
from tale_core.lessons import lesson
from tale_core.lessons.arc import lesson_arc
from tale_core.lessons.document import lesson_html
from tale_core.lessons.room import ENDPOINT_SLOTS
from tale_core.settings import Settings
from tale_core.store import RoomStore, SeatRecord, open_store
from tale_core.types import Language
from tests.e2e.app_process import PATIENCE_S, App, Viewer, steady, until
from tests.e2e.looks import LOOKS, SIZES, Looks
from tests.support.bad_endpoint import BadEndpoint

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
NAMES = ("Noor", "Ash", "禾")
CLASS = 30
BROWSERS = int(os.environ.get("TALE_TEST_BROWSERS", "3"))
"""Students of the class who have a browser, 3 to 30; the others sit in the room's database alone."""


def at(viewer: Viewer, **address: str) -> Page:
    query = "&".join(f"{name}={value}" for name, value in address.items())
    viewer.page.goto(f"{viewer.app.url}/Class?{query}")
    return viewer.page


def others(store: RoomStore, code: str) -> list[SeatRecord]:
    """The rest of the class takes its seats in the room's database alone, where the app finds it."""
    room = store.by_code(code)
    return [
        store.join(SeatRecord(f"seat-{i}", room.id, f"Student {i}", f"no secret {i}")) for i in range(CLASS - BROWSERS)
    ]


def come_in(students: list[Viewer], code: str) -> None:
    """By the code, a few at a time: a browser loads its page while another one types."""
    coming = zip(students, names(), strict=True)
    while wave := list(islice(coming, 5)):
        for student, _ in wave:
            student.page.goto(f"{student.app.url}/Class", wait_until="commit")
        for student, _ in wave:
            student.page.get_by_label("Code on the teacher's screen").fill(code)
            student.page.get_by_role("button", name="Join the class").click()
        for student, name in wave:
            student.page.get_by_label("Your nickname").fill(name)
            student.page.get_by_role("button", name="Join").click()
        for student, _ in wave:
            expect(student.page.get_by_text("Wait for your teacher")).to_be_visible()


def let_in(page: Page, done: Callable[[], bool]) -> None:
    """As many seats as the class has: a click into a box that unfolds may be lost, and is made again."""
    for _ in range(3):
        steady(page.get_by_label("Seats of one network address")).fill(str(CLASS))
        page.get_by_label("Seats of one network address").press("Tab")
        steady(page.get_by_role("button", name="Set", exact=True)).click()
        with suppress(AssertionError):
            return until(done, "the room to let them in", seconds=PATIENCE_S / 3)
    raise AssertionError(f"the room lets nobody in; its page says: {page.locator('.stMain').inner_text()}")


def names() -> list[str]:
    """Of those who have browsers."""
    return [*NAMES, *(f"Pupil {i}" for i in range(BROWSERS))][:BROWSERS]


@pytest.mark.timeout(180 + 20 * BROWSERS)
def test_a_class_of_thirty_joins_guesses_strikes_and_asks_while_one_remote_moves_lesson_and_room(
    browser: Browser, tmp_path: Path
) -> None:
    """Each student who has a browser has a context of their own; each step is read in the store and on the board."""
    with (
        App(tmp_path, cache=tmp_path / "cache", TALE_ACCESS="class", TALE_OFFLINE="1") as app, ExitStack() as stack,
        BadEndpoint() as endpoint,
    ):  # fmt: skip
        teacher = stack.enter_context(Viewer(browser, app))
        phone = {"width": SIZES["phone"][0], "height": SIZES["phone"][1]}
        students = [stack.enter_context(Viewer(browser, app, viewport=phone)) for _ in range(BROWSERS)]
        page = teacher.page
        page.goto(f"{app.url}/Settings?token={load_keys(app.data).token}")
        teacher.use_endpoint(endpoint.base_url, "ok")  # The model is the room's: students know neither address nor key.
        teacher.go("Class")
        page.get_by_role("button", name="Open a room").click()
        expect(page.get_by_role("heading", name=re.compile("Room "))).to_be_visible()
        code = parse_qs(urlsplit(page.url).query)["room"][0]
        store = RoomStore(open_store(Settings(data_dir=app.data).resolved_class_database_url))
        room = store.by_code(code)
        page.get_by_text("What may be spent").click()  # All browsers of this class come from one address.
        let_in(page, lambda: store.by_code(code).seats_per_address == CLASS)

        board = teacher.context.new_page()
        board.set_default_timeout(PATIENCE_S * 1000)
        board.set_viewport_size({"width": 1280, "height": 720})
        board.goto(str(page.get_by_role("link", name="Open the class screen").get_attribute("href")))
        expect(board.locator(".stage .join .code")).to_have_text(code)
        expect(board.locator(".stage .join img")).to_be_visible()
        board.wait_for_url(lambda url: "teacher" not in url)
        assert board.evaluate(_FITS) == []
        come_in(students, code)
        here = {seat.nickname: seat for seat in store.seats(room.id)}
        assert sorted(here) == sorted(names())
        present = others(store, code)
        expect(board.locator(".stage .join .here")).to_have_text(f"{CLASS} students are here")
        expect(page.get_by_role("cell", name=names()[-1], exact=True)).to_be_visible()

        for heading in (lesson.STEPS[0].title, lesson.STEPS[1].title, lesson.STEPS[2].title):  # By the board's keys.
            board.keyboard.press("ArrowRight")
            expect(board.get_by_role("heading", name=heading)).to_be_visible()
        expect(page.get_by_text(f"Step 3 of {len(lesson.STEPS)}")).to_be_visible()
        actual = lesson_arc("en").best.tokens
        told = {name: actual + 1 + 4 * at for at, name in enumerate(names())}
        for student, guess in zip(students, told.values(), strict=True):
            student.page.get_by_label("Your guess: tokens").fill(str(guess))
            student.page.get_by_role("button", name="Guess").click()
        for student, guess in zip(students, told.values(), strict=True):
            expect(student.page.get_by_text(f"You guessed {guess} tokens")).to_be_visible()
        recording = str(store.by_code(code).recording)
        assert store.guesses(room.id, recording) == {here[name].id: guess for name, guess in told.items()}
        guesses = board.locator(".stage [data-live=guess]")
        expect(guesses).to_contain_text(f"{BROWSERS} of {CLASS} have guessed")
        assert all(store.guess(seat, recording, actual + 20 + 10 * at) for at, seat in enumerate(present))
        expect(guesses).to_contain_text(f"{CLASS} of {CLASS} have guessed")
        expect(guesses.locator("circle")).to_have_count(CLASS)
        assert board.evaluate(_FITS) == []
        for one in (board, *(student.page for student in students)):
            assert f"It wrote {actual}" not in one.locator("body").inner_text()
        board.keyboard.press(" ")
        expect(guesses).to_contain_text(f"Nearest: {NAMES[0]}")
        assert store.by_code(code).revealed and board.evaluate(_FITS) == []

        for step in lesson.STEPS[3:6]:  # By the teacher's remote, once it has followed the board's keys.
            expect(page.get_by_text(f"Step {lesson.STEPS.index(step)} of")).to_be_visible()
            if step is lesson.STEPS[3]:
                expect(page.get_by_text("(its answer is shown)")).to_be_visible()
            page.get_by_role("button", name=re.compile("^Next")).click()
            expect(board.get_by_role("heading", name=step.title)).to_be_visible()
            until(lambda step=step: store.by_code(code).step == step.id, f"the room at {step.id}")
        for student in students:
            student.page.locator(".st-key-strikes label").first.click()
        for student in students:
            expect(student.page.locator(".st-key-strikes del").first).to_be_visible()
        recording = str(store.by_code(code).recording)
        assert store.strikes(room.id, recording) == {seat.id: (0,) for seat in here.values()}
        assert all(store.strike(seat, recording, {0: "To determine …"}) for seat in present)
        heat = board.locator(".stage [data-live=needed]")
        expect(heat).to_contain_text(f"{CLASS} students have struck out sentences")
        expect(heat.locator("span.heat5.most")).to_have_count(1)
        assert board.evaluate(_FITS) == []

        for student in students:
            student.page.get_by_label("Question", exact=True).fill("What is 2 + 2?")
            student.page.get_by_role("textbox", name="Known answer").fill("4")
            student.page.get_by_role("button", name=re.compile("^Ask")).click()
        in_turn = PATIENCE_S * 1000 * max(1, BROWSERS / 6)  # Whoever is last waits for all others.
        for student in students:
            expect(student.page.get_by_text(re.compile("You have used 2 of 20 calls"))).to_be_visible(timeout=in_turn)
            expect(student.page.get_by_text(re.compile(r"\d+ output tokens")).first).to_be_visible(timeout=in_turn)
        for student in students[:3]:
            student.page.reload()
            expect(student.page.get_by_text(re.compile(r"\d+ output tokens")).first).to_be_visible()
        assert {seat: spent.calls for seat, spent in store.spent(room.id).items()} == dict.fromkeys(
            (seat.id for seat in here.values()), 2
        )
        assert endpoint.count("ok") == 2 * BROWSERS and endpoint.most_open_streams <= ENDPOINT_SLOTS
        expect(page.get_by_text(re.compile(f"{2 * BROWSERS} of 400 calls"))).to_be_visible()
        assert NAMES[2] not in students[0].page.inner_text("body")
        for viewer in (teacher, *students):
            viewer.check()


_FITS = """
() => {
    const roots = [...document.querySelectorAll("*")].map(e => e.shadowRoot).filter(Boolean);
    const stage = roots.map(r => r.querySelector(".stage")).find(Boolean);
    const said = e => [...e.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
    const scale = e => e instanceof SVGElement ? e.getScreenCTM().a : 1;
    const seen = e => e.localName !== "title" && e.checkVisibility({visibilityProperty: true});
    const shown = [...stage.querySelectorAll("*")].filter(e => seen(e) && said(e));
    const small = shown.filter(e => parseFloat(getComputedStyle(e).fontSize) * scale(e) < 24 - 0.1);
    const box = e => e.getBoundingClientRect();
    const out = e => box(e).bottom > innerHeight + 1 || box(e).right > innerWidth + 1;
    const cut = shown.filter(e => !e.closest("pre") && out(e));
    const lines = shown.filter(e => !(e instanceof SVGElement) && !e.closest("pre, math"))
        .flatMap(e => [...e.getClientRects()].map(at => ({e, at})));
    const before = (a, b) => a.right < b.left + 3 || a.bottom < b.top + 3;
    const apart = (a, b) => before(a, b) || before(b, a);
    const over = lines.flatMap((a, i) => lines.slice(i + 1)
        .filter(b => !a.e.contains(b.e) && !b.e.contains(a.e) && !apart(a.at, b.at)).map(b => [a.e, b.e]));
    return [
        ...small.map(e => `small: ${e.textContent}`), ...cut.map(e => `cut: ${e.textContent}`),
        ...over.map(([a, b]) => `${a.textContent} lies on ${b.textContent}`),
        ...shown.filter(e => /\\\\[([]/.test(e.textContent)).map(e => `not set: ${e.textContent}`),
    ];
}
"""


def test_the_lesson_is_walked_by_keys_alone_on_two_projectors_in_both_languages(viewer: Viewer) -> None:
    page = viewer.page
    page.emulate_media(reduced_motion="reduce")  # Nothing plays by itself: every slide is whole at once.
    there = ((1280, 720), "ArrowRight", lesson.STOPS)
    back = ((1920, 1080), "ArrowLeft", lesson.STOPS[::-1])
    languages: tuple[Language, ...] = ("en", "zh")
    for spoken in languages:
        at(viewer, step=lesson.STOPS[0], lang=spoken)
        for size, way, stops in (there, back):
            page.set_viewport_size({"width": size[0], "height": size[1]})
            for stop in stops:
                with use_language(spoken):
                    expect(page.get_by_role("heading", name=t(lesson.step_of(stop).title), exact=True)).to_be_visible()
                page.wait_for_url(re.compile(f"step={stop}(&|$)"))
                assert page.evaluate(_FITS) == [], (spoken, size, stop)
                page.keyboard.press(way)
            page.keyboard.press(way)  # The arrows never leave the lesson.
            page.wait_for_url(re.compile(f"step={stops[-1]}(&|$)"))
    viewer.check()


def test_space_plays_tries_and_reveals_and_a_guess_is_scored(viewer: Viewer) -> None:
    page = at(viewer, step="thought", lang="en")
    expect(page.get_by_role("button", name="Play again")).to_be_visible()
    page.keyboard.press("Space")
    expect(page.locator(".stage pre").first).not_to_contain_text("boxed")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Play", exact=True)).to_be_visible()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    actual = lesson_arc("en").best.tokens
    page.get_by_label("Your guess: tokens").fill(str(2 * actual))
    page.get_by_label("Your guess: tokens").press("Enter")
    page.keyboard.press("Space")
    expect(page.get_by_text(f"It wrote {actual} tokens. Your guess scores 50 of 100.")).to_be_visible()
    page.wait_for_url(re.compile("step=guess-shown"))
    page.get_by_role("button", name="Leave").click()
    expect(page.get_by_role("button", name="Start the lesson")).to_be_visible()


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
    vanilla = page.locator("#thought pre")
    whole = vanilla.inner_text()
    page.locator("#thought [data-play]").click()
    expect(vanilla).not_to_have_text(whole)
    page.locator("#thought [data-all]").click()
    expect(vanilla).to_have_text(whole)
    page.locator("#guess input").fill("1")
    page.locator("#guess summary").click()
    expect(page.locator("#guess [data-score]")).to_contain_text(" 1 " if language == "en" else "1")
    told = page.locator("#search p[data-told]")
    last = told.inner_text()
    page.locator("#search [data-act]").click()
    expect(told).not_to_have_text(last)
    expect(page.locator("#search svg g[data-step='1']")).to_have_class(re.compile("later"))
    page.locator("#search [data-act]").click()
    expect(page.locator("#search svg g[data-step='1']")).not_to_have_class(re.compile("later"))
    page.evaluate("scrollTo(0, 0); document.activeElement.blur()")  # The Home key would scroll there slowly.
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowRight")
    expect(page.locator("#budget h2")).to_be_in_viewport()
    assert page.evaluate("[document.scrollingElement.scrollWidth <= innerWidth]") == [True]
    assert page.locator("svg").count() == 3
    assert asked == [path.as_uri()] and said == []
    context.close()
