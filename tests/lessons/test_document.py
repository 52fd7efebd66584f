"""The lesson as one file: whatever a recording holds is text in it, never markup."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from tale_core.lessons import lesson
from tale_core.lessons.document import lesson_html

EVIL = "\"'></pre></script><script>alert(1)</script><img src=http://evil/x>\u202e{{ 7 * 7 }}"


@pytest.fixture
def hostile(monkeypatch):
    """Recordings whose question, answers, machine and model are an attack."""

    def evil(recording):
        session, made = recording.session, recording.made
        calls = tuple(replace(call, text=EVIL + call.text) for call in session.calls)
        session = replace(session, question=replace(session.question, text=EVIL), calls=calls)
        return replace(recording, session=session, made=made.model_copy(update={"model": EVIL, "machine": EVIL}))

    found = lesson.LessonRecordings(*map(evil, lesson.lesson_recordings("en")))
    monkeypatch.setattr(lesson, "lesson_recordings", lambda: found)


def test_hostile_text_of_a_recording_is_text_in_the_lessons_file(hostile):
    page = lesson_html("en")
    assert "<img" not in page and "\u202e" not in page and "⟨U+202E⟩" in page and "{{ 7 * 7 }}" in page
    # The three scripts are two answers' texts, once alone and once side by side, and the file's own.
    scripts = re.findall(r"<script[^>]*>(.*?)</script>", page, re.DOTALL)
    assert len(scripts) == 4 and page.count("</script>") == 4
    for script in scripts[:3]:
        assert json.loads(script)["text"].startswith(EVIL.replace("\u202e", "⟨U+202E⟩"))


def test_the_lessons_file_names_nothing_to_be_fetched():
    for language in ("en", "zh"):
        page = lesson_html(language).replace("http-equiv", "").replace("http://www.w3.org/2000/svg", "")
        assert "http" not in page and not re.search(r"\b(src|href|url)\s*[=(]", page.split("<body>")[1])
