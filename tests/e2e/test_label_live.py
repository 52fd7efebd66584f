"""Labelling by keyboard alone in a real browser, and several browsers at the same queue at once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest
from playwright.sync_api import Browser, expect

from tale_core.labels import Labeling
from tale_core.store import QueueFilter
from tale_core.store.labels.keys import answer_key, question_key
from tale_core.types import Outcome, Question
from tests.e2e.app_process import App, Viewer, until
from tests.e2e.looks import LOOKS, SIZES, Looks
from tests.labels import samples

pytestmark = [pytest.mark.browser, pytest.mark.timeout(240)]
KEYS = {"y": "right", "n": "wrong", "u": "unsure"}
ALL = QueueFilter(which="all", overlap=0)


@pytest.fixture
def app(tmp_path: Path) -> Iterator[App]:
    """An app of its own, without any model."""
    with App(tmp_path, cache=tmp_path / "cache", TALE_OFFLINE="1") as app:
        yield app


def fill(app: App, n: int) -> None:
    for i, question in enumerate(samples.numbered(n, answer="7")):
        samples.asked(app.store, question, f"This is answer {i:02}, and it says [[5]]")


class Annotator(Viewer):
    """A person at the Label page with nothing but a keyboard."""

    def sit_down(self, name: str, *, query: str = "which=all") -> None:
        self.page.goto(f"{self.app.url}/Label?{query}")
        expect(self.page.get_by_label("Your name")).to_be_focused()
        self.page.keyboard.type(name)
        self.page.keyboard.press("Enter")
        expect(self.page.locator(".st-key-label_keys")).to_be_visible()
        expect(self.page.locator(".st-key-label_answer")).to_be_visible()

    @property
    def shown(self) -> str:
        """Which answer is in front of this person; "" at the end of the queue."""
        found = re.search(r"This is answer (\d\d)", self.words())
        return found.group(1) if found else ""

    def press(self, key: str) -> None:
        """Press a key and wait until the page has followed."""
        before = self.shown
        self.page.keyboard.press(key)
        until(lambda: self.shown != before, f"what {key} does")


def verdicts(app: App, who: str) -> dict[str, str]:
    """What this person has said of each answer, by the number in the answer."""
    numbers = {
        answer_key(question_key(session.question.text), call.text, cut=False): call.text[15:17]
        for summary in app.store.list_sessions(limit=99)
        for session in [app.store.get_session(summary.id)]
        for call in session.calls
    }
    return {numbers[target]: value for target, value in Labeling(app.store).queue.verdicts().get(who, {}).items()}


def test_thirty_answers_by_keyboard_alone_five_undone_and_a_refresh_in_the_middle(browser: Browser, app: App) -> None:
    fill(app, 30)
    said: dict[str, str] = {}
    order: list[str] = []
    with Annotator(browser, app) as ada:
        ada.sit_down("Ada")

        def label(i: int) -> None:
            key = "ynu"[i % 3]
            order.append(ada.shown)
            said[ada.shown] = KEYS[key]
            ada.press(key)

        for i in range(17):
            label(i)
        before = ada.shown
        ada.page.reload()
        expect(ada.page.locator(".st-key-label_answer")).to_be_visible()
        expect(ada.page.get_by_text("The model is not there").first).to_be_visible()
        assert ada.shown == before  # The place is the store's, not the page's.
        expect(ada.page.get_by_role("button", name="Undo (17)")).to_be_visible()
        for _ in range(5):
            ada.press("z")
            undone = order.pop()
            assert ada.shown == undone  # Undo leads back to the very answer, also to those from before the refresh.
            del said[undone]
        assert verdicts(app, "ada") == said and len(said) == 12
        for i in range(18):
            label(i + 1)
        expect(ada.page.get_by_text("Everything in this queue is labelled")).to_be_visible()
        assert verdicts(app, "ada") == said and len(said) == 30
        ada.check()
    outcome = {
        "right": (Outcome.CORRECT, "verdict"), "wrong": (Outcome.WRONG, "verdict"), "unsure": (Outcome.WRONG, None),
    }  # fmt: skip
    for session in app.store.list_sessions(limit=99):
        for call in app.store.get_session(session.id).calls:
            assert (call.outcome, call.labelled) == outcome[said[call.text[15:17]]]
    assert Labeling(app.store).queue.counts("ada", ALL)[:4] == (30, 0, 0, 30)


def test_a_key_counts_or_is_refused_in_words_tabs_are_tabs_and_one_key_judges_all_alike(
    browser: Browser, app: App
) -> None:
    fill(app, 6)
    samples.asked(app.store, Question("Three?", answer="3"), "This is answer 90: [[4]]", "This is answer 91: [[4]]")
    with Annotator(browser, app) as ada:
        ada.sit_down("Ada")
        note = ada.page.locator(".st-key-label_guard [role=status]")
        for pressed in (2, 4, 6):
            ada.page.keyboard.press("y")
            ada.page.keyboard.press("y")  # The next answer cannot have been read yet.

            def told(pressed: int = pressed) -> bool:
                return len(verdicts(app, "ada")) + int(note.get_attribute("data-refused") or 0) == pressed

            until(told, "each key to count or to be refused")
            expect(ada.page.locator("[data-test-script-state=notRunning]")).to_have_count(1)
        ada.page.get_by_role("tab", name="Agreement").click()
        expect(ada.page.get_by_text("No answer has been decided by two people yet.")).to_be_visible()
        assert "section=agreement" in ada.page.url
        ada.page.get_by_role("tab", name="Label", exact=False).first.click()
        expect(ada.page.locator(".st-key-label_keys")).to_be_visible()
        ada.page.get_by_text("What is in the queue").first.click()
        ada.page.get_by_text("One key for all answers read alike").click()
        while ada.shown:
            ada.press("n")
        assert len(verdicts(app, "ada")) == 8
        ada.check()


def test_two_browsers_and_a_second_tab_label_one_queue_at_once_and_none_is_lost_or_doubled(
    browser: Browser, app: App
) -> None:
    fill(app, 18)
    with Annotator(browser, app) as ada, Annotator(browser, app) as tab, Annotator(browser, app) as ben:
        people = {"ada": (ada, tab), "ben": (ben,)}
        for name, viewers in people.items():
            for viewer in viewers:
                viewer.sit_down(name)
        assert ada.shown == tab.shown != ben.shown
        said: dict[str, dict[str, str]] = {"ada": {}, "ben": {}}
        while any(viewer.shown for viewers in people.values() for viewer in viewers):
            before = {}
            for name, viewers in people.items():  # Pressed one right after the other, without waiting for any page.
                for viewer in viewers:
                    if viewer.shown:
                        before[viewer] = viewer.shown
                        said[name].setdefault(viewer.shown, "right")
                        viewer.page.keyboard.press("y")
            for viewer, shown in before.items():
                until(lambda v=viewer, s=shown: v.shown != s, "the next answer")
        for viewer in (ada, tab, ben):
            viewer.check()
    found = {name: verdicts(app, name) for name in said}
    assert found == said
    assert Counter(number for of in found.values() for number in of) == {f"{i:02}": 1 for i in range(18)}
    assert sum(Labeling(app.store).queue.counts(name, ALL).undoable for name in said) == 18


def test_a_known_answer_is_typed_without_the_mouse_and_what_is_typed_presses_no_key(browser: Browser, app: App) -> None:
    question = Question("How many legs have 3 cats?", kind="number")
    session = samples.asked(app.store, question, "This is answer 00: 12", "This is answer 01: [[13]]")
    with Annotator(browser, app) as ada:
        ada.sit_down("Ada")
        ada.page.keyboard.press("g")
        box = ada.page.get_by_role("textbox", name="Known answer")
        expect(box).to_be_focused()
        ada.page.keyboard.type("ynsz")
        ada.page.keyboard.press("Escape")
        expect(box).to_have_count(0)
        assert verdicts(app, "ada") == {} and not Labeling(app.store).queue.any_labels()
        ada.page.keyboard.press("g")
        expect(box).to_be_focused()
        ada.page.keyboard.type("12")
        ada.page.keyboard.press("Enter")
        expect(ada.page.get_by_text("2 stored answers have another outcome now.")).to_be_visible()
        assert samples.outcomes(app.store, session) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]
        ada.page.get_by_role("button", name="Search its budget").click()
        expect(ada.page.get_by_label("Question", exact=True)).to_have_value(question.text)
        expect(ada.page.get_by_label("Known answer", exact=True)).to_have_value("12")
        ada.check()


@pytest.mark.parametrize(("size", "scheme"), LOOKS)
def test_no_state_of_the_page_is_wider_than_the_screen_or_shuts_people_out(
    browser: Browser, app: App, size: str, scheme: Literal["light", "dark"]
) -> None:
    width, height = SIZES[size]
    questions = samples.numbered(12, answer="7", topic="legs")
    long = f"Three cats have **12** legs, for $4 each: {'so ' * 40}"
    texts = [f"This is answer {i:02}.\n{long}\nIt is {i}" for i in range(12)]
    samples.experiment(app.store, questions, {"vanilla": texts, "fixed:50": [f"[[{i}]]" for i in range(12)]})
    labeling = Labeling(app.store)
    labeling.sync()
    for name, verdict in (("Ada Lovelace", "right"), ("Benoit", "wrong")):
        who = labeling.sit_down(name)
        for target in sorted(labeling.queue.ahead(who, ALL, limit=8), key=lambda t: t.key)[:4]:
            labeling.judge(who, target, verdict)  # type: ignore[arg-type]
    with Annotator(browser, app, viewport={"width": width, "height": height}, color_scheme=scheme) as viewer:
        shot = Looks(viewer, size, scheme, "label-")
        viewer.page.goto(f"{app.url}/Label")
        expect(viewer.page.get_by_role("button", name="Begin")).to_be_visible()
        shot("welcome")
        for state, query, word in (
            ("answer", "which=all", "the grader reads"),
            ("settle", "queue=settle", "What people said"),
            ("end", "queue=questions", "No stored answer is in this queue"),
            ("agreement", "section=agreement", "Two by two"),
            ("import", "section=import", "at most"),
            ("export", "section=export", "Fingerprint"),
        ):
            viewer.page.goto(f"{app.url}/Label?annotator=Eve&{query}")
            expect(viewer.page.get_by_text(word).first).to_be_visible()
            shot(state)
        shot.check()
