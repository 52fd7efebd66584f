from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.store import new_session_id
from tale_core.store.records import scrub_credentials, scrub_endpoint
from tale_core.text import safe_text

pytestmark = pytest.mark.sqlite_only("no database is opened")


@given(st.text(st.characters()))
def test_safe_text_is_always_utf8_without_nul(text: str) -> None:
    cleaned = safe_text(text)
    assert "\x00" not in cleaned
    assert cleaned.encode("utf-8").decode("utf-8") == cleaned
    assert safe_text(cleaned) == cleaned


@given(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00")))
def test_safe_text_leaves_good_text_alone(text: str) -> None:
    assert safe_text(text) == text


@pytest.mark.parametrize(
    ("hostile", "stored"),
    [
        ("a\x00b", "a\ufffdb"),
        ("a\ud83db", "a\ufffdb"),
        ("a\ude00", "a\ufffd"),
        ("\ud83d", "\ufffd"),
        ("\ude00\ud83d", "\ufffd\ufffd"),
        ("half \ud83d\ude00 pair", "half \U0001f600 pair"),
    ],
)
def test_each_bad_character_becomes_one_replacement_and_split_pairs_are_joined(hostile: str, stored: str) -> None:
    assert safe_text(hostile) == stored


@pytest.mark.parametrize(
    ("given_endpoint", "kept"),
    [
        ("embedded", "embedded"),
        ("https://api.openai.com/v1", "https://api.openai.com/v1"),
        ("https://user:secret@host:8000/v1", "https://host:8000/v1"),
        ("https://secret@host/v1", "https://host/v1"),
        ("https://user:sec@ret@host/v1", "https://host/v1"),
        ("user:secret@host:8000/v1", "host:8000/v1"),
        ("https://host/v1?api-key=secret", "https://host/v1"),
        ("https://host/v1#secret", "https://host/v1"),
        ("https://host/a/@b/v1", "https://host/a/@b/v1"),
    ],
)
def test_an_endpoint_loses_everything_that_may_carry_a_key(given_endpoint: str, kept: str) -> None:
    assert scrub_endpoint(given_endpoint) == kept


def test_an_error_in_words_loses_the_credentials_of_its_addresses_only() -> None:
    words = "http://u:secret@host/v1 refused; write to me@example.org or see https://host/@b"
    assert scrub_credentials(words) == "http://host/v1 refused; write to me@example.org or see https://host/@b"


def test_session_ids_are_short_url_safe_and_never_the_same() -> None:
    ids = {new_session_id() for _ in range(1000)}
    assert len(ids) == 1000
    # 24 base32 characters hold 120 bits.
    assert all(re.fullmatch(r"ask-[a-z2-7]{24}", one) for one in ids)
