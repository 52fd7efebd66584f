"""What other people and models wrote, on its way into the page."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.drawing.text import PIECE, shortened, width, wrapped
from tale_core.i18n import t, use_language
from ui.common.charts import wide_table
from ui.common.text import MAX_SHOWN, answer_text, as_numbers, literal, sanitize, whole

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
    assert sanitize(f"a{char}b") == f"a⟨U+{ord(char):04X}⟩b"


def test_line_ends_and_tabs_stay():
    assert sanitize("a\r\nb\tc\rd") == "a\nb\tc\nd"


@given(st.text(max_size=400))
def test_a_label_is_one_line_of_bounded_length_whatever_comes_in(text):
    shown = literal(text, 50)
    assert "\n" not in shown
    assert len(re.sub(r"\\(.)", r"\1", shown).replace("\u2060", "")) <= 50


def test_a_long_answer_is_clipped_and_says_so():
    shown, clipped = answer_text("x" * 200_000)
    assert clipped and len(shown) == MAX_SHOWN


@given(st.text(alphabet="预算 token，。（）“”ab1:-", max_size=120), st.integers(4, 40))
def test_a_wrapped_title_loses_nothing_and_no_line_is_wider_than_it_may_be(text, letters):
    lines = wrapped(text, letters)
    assert re.sub(r"\s", "", "".join(lines)) == re.sub(r"\s", "", text)
    for line in lines:
        assert line == line.strip() and line
        assert width(line) <= letters or len(PIECE.findall(line)) == 1, line


def test_a_chinese_title_breaks_after_a_mark_and_never_before_one():
    assert wrapped("fixed:50：输出 token 少 62 %，正确率 +0.0 个百分点", 34) == [
        "fixed:50：输出 token 少 62 %，", "正确率 +0.0 个百分点",
    ]  # fmt: skip
    assert not [line for line in wrapped("预测的预算，平均偏差。" * 9, 21) if line[0] in "，。"]


def test_what_is_shortened_fits_and_says_so():
    assert shortened("小明有 24 颗糖，分给 6 个朋友", 40) == "小明有 24 颗糖，分给 6 个朋友"
    short = shortened("小明有二十四颗糖分给六个朋友每人几颗", 16)
    assert short.endswith("…") and width(short) <= 16 and len(short) > 6
    assert shortened("plain words of a question", 12) == "plain words…"
    assert shortened("plain words of a question†", 13) == "plain words…†", "its footnote is true of the short name too"


def test_a_stored_sentence_has_its_shares_as_the_pages_write_them():
    said = t("Until then use the estimator zero-shot.")
    with use_language("zh"):
        assert as_numbers(said) == "在此之前请使用估计器 zero-shot。"
    assert as_numbers("9% (95 % interval -16% to 30%), qwen-7b") == "9 % (95 % interval −16 % to 30 %), qwen-7b"


def test_a_cell_of_a_table_has_no_place_to_break():
    assert whole("a b") == "a\u00a0b" and whole("tale-zero") == "tale-\u2060zero"
    assert "\u2060".join("正确率") in whole("正确率 n") and " " not in whole("正确率 n")


def test_of_a_wide_table_only_the_names_break_and_no_line_of_one_is_long():
    drawn = {}
    name = "Fine-tuned: lines, vote of 3, evaluated by a calculator"
    wide_table({"Strategy": [name, "", "TALE"], "Right [95 %]": ["57.7 %, n = 300"] * 3}, alt="", place=drawn.update)
    strategy, right = (column for key, column in drawn.items() if key not in {"border", "alt"})
    lines = strategy[0].replace("\u00a0", "_").replace("\u2060", "").replace("\\", "").split(" ")
    assert " ".join(lines).replace("_", " ") == name and max(map(len, lines)) <= 22 and len(lines) == 3
    assert " " not in right[0] and strategy[1] == ""
