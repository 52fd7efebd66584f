"""What other people and models wrote, on its way into the page."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ui.text import MAX_SHOWN, answer_text, literal, visible

HOSTILE = [
    "<script>alert(1)</script>",
    "![x](http://127.0.0.1/x.png)",
    "costs $5 and $x^2$",
    ":material/delete: :red[now] :emoji:",
    "**bold** _it_ `code` ~~no~~ # head > quote | a | b |",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_in_a_label_every_mark_of_markdown_is_escaped(text):
    shown = literal(text)
    assert not re.search(r"(?<!\\)[*_`$<>\[\]#|~:!]", shown)
    assert re.sub(r"\\(.)", r"\1", shown).replace("\u2060", "") == " ".join(text.split())


@pytest.mark.parametrize("text", ["http://evil.example/x", "https://a.b", "www.evil.example", "me@evil.example"])
def test_an_address_in_a_label_does_not_become_a_link(text):
    plain = re.sub(r"\\(.)", r"\1", literal(text))
    assert not re.search(r"://\w|www\.\w|@\w", plain, re.IGNORECASE)


@pytest.mark.parametrize("char", ["\u202e", "\u200f", "\u2066", "\x00", "\x1b", "\ufeff"])
def test_characters_that_could_make_a_page_lie_are_shown_by_their_code(char):
    assert visible(f"a{char}b") == f"a⟨U+{ord(char):04X}⟩b"


def test_line_ends_and_tabs_stay():
    assert visible("a\r\nb\tc\rd") == "a\nb\tc\nd"


@given(st.text(max_size=400))
def test_a_label_is_one_line_of_bounded_length_whatever_comes_in(text):
    shown = literal(text, 50)
    assert "\n" not in shown
    assert len(re.sub(r"\\(.)", r"\1", shown).replace("\u2060", "")) <= 50


def test_a_long_answer_is_clipped_and_says_so():
    shown, clipped = answer_text("x" * 200_000)
    assert clipped and len(shown) == MAX_SHOWN
