"""The lesson: every number on a step is that of the recorded answers, and steps that speak of one question agree."""

from __future__ import annotations

import itertools
import json
import re
from dataclasses import replace

import pytest

from tale_core.i18n import use_language
from tale_core.lessons import arc as says
from tale_core.lessons import lesson
from tale_core.lessons.arc import answer_sentences, lesson_arc, sentences
from tale_core.lessons.document import slides_html
from tale_core.lessons.recorded import BUNDLED
from tale_core.types import Outcome

pytestmark = pytest.mark.sqlite_only("the lesson asks no database")
SPOKEN = ("en", "zh")


def numbers(text: str) -> set[int]:
    return {int(n.replace(",", "")) for n in re.findall(r"\d[\d,]*", text)}


def stored(spoken: str) -> dict[int | None, dict]:
    """What the ladder's file says of each budget, read without the code that the lesson uses."""
    session = json.loads((BUNDLED / f"ladder-{spoken}.json").read_text(encoding="utf-8"))["session"]
    return {c["requested_budget"]: c for c in session["calls"] if c["role"] in ("vanilla", "probe")}


@pytest.mark.parametrize("spoken", SPOKEN)
def test_every_number_of_a_step_is_worked_out_from_the_recorded_answers(spoken):
    raw, english = stored(spoken), stored("en")
    tokens = {budget: c["completion_tokens"] for budget, c in raw.items()}
    right = {budget for budget, c in raw.items() if c["outcome"] == "correct"}
    with use_language(spoken):
        arc = lesson_arc()
        tried = [r.budget for r in arc.tried]
        best = min((b for b in tried if b in right), key=lambda b: (tokens[b], tried.index(b)))
        assert (arc.best.budget, arc.best.tokens, arc.first.budget) == (best, tokens[best], tried[1])
        # Each budget of the search is the recorded one nearest to half of the one before; the first halves vanilla.
        for before, here in itertools.pairwise(tried):
            half = (before or tokens[None]) / 2
            left = [b for b in raw if b and b < (before or 10**6)]
            assert abs(max(here / half, half / here)) == min(max(b / half, half / b) for b in left)
        assert all(b in right for b in tried[:-1])
        spent = sum(tokens[b] for b in tried)
        all_in = {b: c["completion_tokens"] + c["prompt_tokens"] for b, c in raw.items()}
        saved = [round(100 * (1 - each[tried[1]] / each[None])) for each in (tokens, all_in)]
        assert numbers(says.budget_words(arc)) == {tokens[None], tokens[tried[1]], *saved}
        for at, b in enumerate(tried):
            assert numbers(says.tried_words(arc, at)) == {tokens[b], *([b] if b else [])}
        assert numbers(says.search_words(arc)) == {best, tokens[best], tokens[None], len(tried), spent}
        cost, each = spent - tokens[None], tokens[None] - tokens[best]
        many = {1000, 1000 * tokens[None], 1000 * tokens[best]}
        assert numbers(says.cost_words(arc)) == {*many, cost, each, -(-cost // each)}
        rows = {int(line.output_tokens.replace(",", "")): line.all_in_tokens for line in says.summary(arc)}
        assert rows == {
            **{tokens[b]: f"{all_in[b]:,}" for b in (None, tried[1], best)},
            spent: f"{sum(all_in[b] for b in tried):,}",
        }
        less = min(b for b in english if b)
        top = min((b for b in english if b and english[b]["outcome"] == "correct"),
                  key=lambda b: (english[b]["completion_tokens"], -b))  # fmt: skip
        assert numbers(says.rebound_words(arc)) == {
            less, top, english[less]["completion_tokens"], english[top]["completion_tokens"],
        }  # fmt: skip
        assert arc.borrowed is (spoken != "en") and ("English" in says.rebound_words(arc)) is False


@pytest.mark.parametrize("spoken", SPOKEN)
def test_where_the_answer_was_there_is_read_off_the_recorded_probes(spoken):
    recorded = json.loads((BUNDLED / f"lesson-{spoken}.json").read_text(encoding="utf-8"))["session"]
    calls = {c["role"]: c for c in recorded["calls"] if c["role"] != "forced"}
    probes = [c for c in recorded["calls"] if c["role"] == "forced"]
    raw = stored(spoken)
    for role, budget in (("vanilla", None), ("budgeted", calls["budgeted"]["requested_budget"])):
        same = ("text", "completion_tokens", "prompt_tokens", "outcome")
        assert {name: calls[role][name] for name in same} == {name: raw[budget][name] for name in same}
    last_wrong = max(at for at, c in enumerate(probes) if c["outcome"] != "correct")
    there, of = probes[last_wrong + 1]["requested_budget"], raw[None]["completion_tokens"]
    with use_language(spoken):
        arc = lesson_arc()
        assert arc.best.budget == calls["budgeted"]["requested_budget"]
        said = numbers(says.needed_words(arc))
        assert said == {there, of, round(100 * (1 - there / of)), arc.best.budget, arc.best.tokens}
        parts = answer_sentences(arc)
    assert "".join(one.text for one in parts) == raw[None]["text"]
    after = [one.after for one in parts]
    assert after == sorted(after) and after[-1] and not after[0]


@pytest.mark.parametrize("spoken", SPOKEN)
def test_the_slides_say_the_same_of_the_same_question_on_every_step(spoken):
    with use_language(spoken):
        arc = lesson_arc()
        sections = dict(re.findall(r'<section id="(\w+)">(.*?)</section>', slides_html(arc), re.DOTALL))
        assert list(sections) == [step.id for step in lesson.STEPS]
        vanilla, best = f"{arc.vanilla.tokens:,}", f"{arc.best.tokens:,}"
        for step in ("thought", "budget", "guess", "search", "needed", "cost"):
            assert vanilla in sections[step], step
        for step in ("guess", "search", "needed", "cost"):
            assert best in sections[step], step
        assert all(lesson.mark(one) in sections["thought"] for one in [arc.ladder])


def test_a_search_ends_with_the_first_answer_that_is_wrong_or_longer():
    found = lesson_arc("en").rungs
    wrong = replace(found[0].call, outcome=Outcome.WRONG)
    bad = [replace(r, call=wrong) if r.budget == 50 else r for r in found]
    assert [r.budget for r in says.halved(bad)] == [None, 100, 50]
    longer = [replace(r, tokens=500) if r.budget == 25 else r for r in found]
    assert [r.budget for r in says.halved(longer)] == [None, 100, 50, 25]


@pytest.mark.parametrize(
    "text", ["", "One.", "1. Add.\n2. Stop. Now.\n\n", "x = 1.5\n- y\n\nSo, z.", "先加。再乘。\n1. 完"]
)
def test_the_sentences_of_a_text_are_the_text_and_none_is_a_number_alone(text):
    parts = sentences(text)
    assert "".join(parts) == text
    assert not any(re.fullmatch(r"\s*(\d+[.)])?\s*", part) for part in parts if text)
