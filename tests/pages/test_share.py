"""A result is handed on as a card that says what it is of, and its link sets the form to how it was asked."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest

from tale_core.drawing.text import width
from tale_core.history.card import MOST_BARS, WIDE, Bar, Card, card_of, card_svg
from tale_core.lessons.recorded import bundled
from tale_core.lessons.replay import whole
from tale_core.types import Outcome
from tests.pages.app_page import endpoint, opened, store, words

ABOUT = "qwen2.5-coder-1.5b · on this machine · temperature 0, seed 1024 · 2026-11-25 00:10"


def texts(svg: str) -> list[str]:
    return ["".join(e.itertext()) for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


@pytest.mark.parametrize("name", sorted(bundled()))
def test_a_card_shows_the_question_the_finding_the_tokens_and_what_they_are_of(name):
    view = whole(bundled()[name])
    card = card_of(view, about=ABOUT, link="http://127.0.0.1:8501/?session=x")
    assert card is not None and 2 <= len(card.bars) <= MOST_BARS
    said = " ".join(texts(card_svg(card)))
    assert said.startswith(view.question.text[:20]) and card.finding[:20] in said
    assert "qwen2.5-coder-1.5b" in said and "2026-11-25" in said and "recorded" in said
    assert "http://127.0.0.1:8501/?session=x" in said
    for bar in card.bars:
        assert f"{round(bar.tokens):,} token" in said


def test_the_card_of_an_ask_has_both_answers_with_their_tokens_budget_and_outcome():
    view = whole(bundled()["ask-en"])
    card = card_of(view, about=ABOUT)
    assert card is not None
    stored = [(c.record.completion_tokens, c.record.outcome) for c in view.calls.values()]
    assert [(b.tokens, b.outcome) for b in card.bars] == stored and [b.budget for b in card.bars] == [None, view.budget]


@pytest.mark.parametrize("name", ["sweep-rebound", "sweep-zh", "ask-en"])
def test_a_card_has_room_for_its_words_and_ends_no_sentence_in_the_middle(name):
    card = card_of(whole(bundled()[name]), about=ABOUT)
    assert card is not None
    long = tuple(replace(bar, outcome=Outcome.UNPARSED) for bar in card.bars)
    svg = card_svg(replace(card, bars=long))
    said = [e for e in ET.fromstring(svg).iter("{http://www.w3.org/2000/svg}text") if " token" in (e.text or "")]
    assert len(said) >= len(long)
    assert all(float(e.get("x", "")) + 0.6 * 24 * width(e.text or "") < WIDE for e in said)
    assert not any("…" in text for text in texts(svg))
    assert not any(text.startswith("%") for text in texts(svg))


def test_a_ladder_longer_than_the_card_keeps_its_first_and_its_last():
    view = whole(bundled()["ladder-en"])
    card = card_of(view, about=ABOUT)
    assert card is not None and card.bars[0].budget is None and card.bars[-1].budget == 7


def test_hostile_and_endless_texts_stay_text_inside_of_the_picture():
    hostile = '</text><script>alert(1)</script>"&' + "word " * 400
    card = Card(
        hostile, hostile, (Bar(hostile[:30], 10**9, 1, None), Bar("b", 0, None, None)), hostile, "http://" + "x" * 500
    )
    svg = card_svg(card)
    assert "<script" not in svg and max(map(width, texts(svg))) <= 120


def test_an_ask_with_one_answer_has_no_card():
    view = whole(bundled()["ask-en"])
    assert card_of(replace(view, calls={"vanilla": view.calls["vanilla"]}), about=ABOUT) is None


def test_a_link_names_what_the_result_is_of_and_sets_the_form_or_says_what_is_not_there():
    session = replace(bundled()["ask-en"].session, model="gpt-4o", endpoint="https://api.example/v1")
    store().create_session(session)
    at = opened(session=session.id)
    assert not at.exception
    said = words(at.main)
    assert "gpt-4o" in said and "api.example" in said
    assert "is not set up here: the form asks" in said
    sampling = session.calls[0].sampling
    assert at.session_state["max_tokens"] == sampling.max_tokens and at.session_state["seed"] == sampling.seed
    assert at.session_state["template"] == session.template


def test_a_link_to_a_model_whose_weights_are_not_here_says_so_and_fetches_none():
    session = replace(bundled()["ask-en"].session, model="smollm2-135m")
    store().create_session(session)
    at = opened(session=session.id, use=endpoint("http://127.0.0.1:9/v1", "other"))
    assert not at.exception
    assert "The weights of SmolLM2 135M Instruct (Q4_1) are not here" in words(at.main)
    assert at.session_state["chosen_model"] == "http://127.0.0.1:9/v1|other"
