"""A model's answer is set as mathematics and Markdown, and nothing in it can do anything else."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from ui.common.answer import LONGEST, set_text

CASES = json.loads((Path(__file__).parents[1] / "cases" / "set_answers.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: case["name"])
def test_an_answer_is_set_as_this_markdown(case):
    assert set_text(case["text"]) == case["markdown"]


@pytest.mark.parametrize(
    "hostile",
    ["[x](javascript:alert(1))", "![p](http://a.example/p.png)", "<script>x</script>", ":red[x]", ":material/bolt:",
     "[r]: http://a.example", "<http://a.example>", "www.a.example", "$x^2$", "&lt;b&gt;", "[^1]", "text\n==="],
)  # fmt: skip
def test_nothing_in_a_set_answer_is_a_link_an_image_html_or_a_command(hostile):
    markdown = set_text(f"**Set:** {hostile}")
    assert markdown is not None
    assert not re.search(r"(?<!\\)[<>\[\]$&:]|(?<![\u2060\\])(?:://|www\.)", markdown)


@pytest.mark.parametrize(
    "name", ["href", "url", "includegraphics", "htmlClass", "def", "rule", "newcommand", "renewcommand"]
)
def test_a_formula_that_could_do_more_than_be_read_stays_text(name):
    markdown = set_text(rf"\(\{name}" + r"{a}{b}\)")
    assert markdown is not None and "$" not in markdown


def test_plain_prose_and_what_is_too_long_stay_text():
    assert set_text("It costs $5, and $6 with *care*.") is None
    assert set_text("**a** " * LONGEST) is None


@pytest.mark.parametrize(
    "text", ["**" * 3900, "\\(" * 3900, "`" * 7900, "> " * 3900, "- " * 3900, "| " * 3900, "$$ " * 2600]
)
def test_a_text_made_to_be_slow_is_set_at_once(text):
    set_text(text)


def test_a_dollar_inside_of_a_formula_does_not_end_it():
    assert set_text(r"\(5 \times \$9 = $45\)") == r"$5 \times \text{\textdollar}9 = \text{\textdollar}45$  "
