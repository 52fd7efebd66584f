"""The lesson as one file: whatever a recording holds is text in it, never markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tale_core.lessons import arc as arcs
from tale_core.lessons.arc import Arc
from tale_core.lessons.document import Guessed, guesses_html, heat_html, lesson_html

EVIL = "\"'></pre></script><script>alert(1)</script><img src=http://evil/x>\u202e{{ 7 * 7 }}"


@pytest.fixture
def hostile(monkeypatch):
    """Recordings whose question, answers, machine and model are an attack."""

    def evil(recording):
        session, made = recording.session, recording.made
        calls = tuple(replace(call, text=EVIL + call.text) for call in session.calls)
        session = replace(session, question=replace(session.question, text=EVIL), calls=calls)
        return replace(recording, session=session, made=made.model_copy(update={"model": EVIL, "machine": EVIL}))

    found = arcs.lesson_arc("en")
    # The closed answer stays itself: it is only read for where it was settled.
    made = Arc(evil(found.ladder), found.closed, evil(found.rebounds))
    monkeypatch.setattr(arcs, "lesson_arc", lambda: made)


def test_hostile_text_of_a_recording_is_text_in_the_lessons_file(hostile):
    page = lesson_html("en")
    assert "<img" not in page and "\u202e" not in page and "⟨U+202E⟩" in page and "{{ 7 * 7 }}" in page
    # The scripts are two answers' texts, once alone and once side by side, what a search tells, and the file's own.
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 5 and page.count("</script>") == 5
    for script in scripts[:3]:
        assert json.loads(script)["text"].startswith(EVIL.replace("\u202e", "⟨U+202E⟩"))


def test_what_a_class_says_is_text_on_the_board_and_only_the_nearest_is_named_once_it_is_revealed():
    guesses = [Guessed(EVIL, 40), Guessed("Noor", 31), Guessed("Ash", 300)]
    before = guesses_html(guesses, students=5, actual=None)
    assert "3 of 5 have guessed" in before and before.count("<circle") == 3
    assert "Noor" not in before and "30" not in re.sub(r"<svg.*?>|[xyr12]+=\S+|300", "", before)
    after = guesses_html([*guesses, Guessed("禾", 28)], students=5, actual=30)
    assert "It wrote 30 tokens." in after and "Nearest: Noor, 97 of 100" in after and "Ash" not in after
    alone = guesses_html(guesses[:1], students=5, actual=30)
    assert "<img" not in alone and "⟨U+202E⟩" in alone
    assert "<figure></figure>" in guesses_html([], students=0, actual=30)


def test_the_heat_of_a_sentence_is_how_many_have_struck_it_out():
    arc = arcs.lesson_arc("en")
    n = len(arcs.answer_sentences(arc))
    struck = arcs.struck_by(n, {"a": (0, 1), "b": (0,)})
    assert struck == [2, 1, *[0] * (n - 2)]
    heats = re.findall(r'class="heat(\d)', heat_html(arc, struck, students=2))
    assert [int(h) for h in heats] == [5, 2, *[0] * (n - 2)]
    assert set(re.findall(r'class="heat(\d)', heat_html(arc, [0] * n, students=0))) == {"0"}


def test_the_lessons_file_names_nothing_to_be_fetched():
    for language in ("en", "zh"):
        page = lesson_html(language).replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
        assert "http" not in page and not re.search(r"\b(src|href|url)\s*[=(]", page.split("<body class")[1])
