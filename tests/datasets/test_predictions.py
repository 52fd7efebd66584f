"""Predictions of others are read as what they are: every shape of the paper's repository, and any mapped table."""

from __future__ import annotations

import csv
import io
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as some

from tale_core.datasets import predictions
from tale_core.datasets.predictions import MAX_ANSWER, read_predictions
from tale_core.datasets.reference_prompts import unwrap
from tale_core.errors import InputError
from tests.support.prediction_files import DIRECT, FORMAT, GOLDS, SEARCHED, TALE, TEXTS, VANILLA, lines, vanilla

DIRECTLY = "Please answer the following question and give the answer directly"
CHOICE = "Which is even?\nA. 3\nB. 4\nC. 5\nD. 7"


@pytest.mark.parametrize(
    ("prompt", "text", "options", "asked", "budget"),
    [
        ("Q: How many?\nLet's think step by step:\n", "How many?", (), "vanilla", None),
        ("Q: How many?\nLet's think step by step and use less than 50 tokens:\n", "How many?", (), "budgeted", 50),
        ("Q: How many?\nLet's think step by step and use less than -1 tokens:\n", "How many?", (), "budgeted", -1),
        ("Q: 多少？\n让我们一步一步思考来回答这个问题：\n", "多少？", (), "vanilla", None),
        ("Q: 多少？\n让我们一步一步思考并使用少于 30 tokens来回答这个问题:\n", "多少？", (), "budgeted", 30),
        ("请直接回答下面的问题并直接给出答案\nQ: 多少？", "多少？", (), "direct", None),
        (f"{DIRECTLY}\nQ: How many?", "How many?", (), "direct", None),
        (f"{CHOICE}\n\n{FORMAT}\nLet's think step by step:\n", "Which is even?", ("3", "4", "5", "7"), "vanilla", None),
        (
            "Please answer the following question directly and give the answer directly without any reasoning process. "
            f"Please strictLy follow the format: [[choice]],for example: Choice: [[A]].\n{CHOICE}\n\n",
            "Which is even?", ("3", "4", "5", "7"), "direct", None,
        ),
        (
            f"{CHOICE}\n\n请直接回答下面的问题并直接给出答案的选项序号。请严格按照如下格式回答：[[选项]]，例如：[[A]]。\n",
            "Which is even?", ("3", "4", "5", "7"), "direct", None,
        ),
        (
            "How many?\nPlease Give the response by strictly following this format: [[answer]], for example: [[50]].",
            "How many?", (), "bare", None,
        ),
        ("Two lines.\nA. Smith has 3. How many?", "Two lines.\nA. Smith has 3. How many?", (), "bare", None),
        ("Let's think step by step:\n", "", (), "vanilla", None),
    ],
)  # fmt: skip
def test_a_prompt_is_taken_apart(prompt, text, options, asked, budget):
    found = unwrap(prompt)
    assert (found.text, found.options, found.asked, found.budget) == (text, options, asked, budget)
    assert found.language == ("zh" if "多少" in text else "en")


def test_an_option_may_go_on_in_the_next_line_and_the_last_list_counts():
    found = unwrap("A. Lee asks:\nwhich?\nA. one\ntwo\nB. three\n\nLet's think step by step:\n")
    assert found.text == "A. Lee asks:\nwhich?" and found.options == ("one\ntwo", "three")


def test_each_script_of_the_repository_is_recognised_by_its_rows():
    named = {name: read_predictions("x.jsonl", data).strategies for name, data in
             {"vanilla": VANILLA, "direct": DIRECT, "tale": TALE, "searched": SEARCHED}.items()}  # fmt: skip
    assert named == {
        "vanilla": ("vanilla",), "direct": ("direct",), "tale": ("tale-zero-shot",), "searched": ("vanilla", "oracle"),
    }  # fmt: skip
    bare = lines([{"question": TEXTS[0], "ground truth": "12", "prediction": "12"}])
    assert read_predictions("internalize-lora.jsonl", bare).strategies == ("tuned:lora",)
    assert read_predictions("other.jsonl", bare).strategies == ("bare",)
    assert read_predictions("other.jsonl", bare, strategy="mine").strategies == ("mine",)
    fixed = lines([{**vanilla(TEXTS[0], "12"), "question": f"Q: {TEXTS[0]}\nLet's think step by step and use less than "
                    "40 tokens:\n"}])  # fmt: skip
    (row,) = read_predictions("x.jsonl", fixed).rows
    assert (row.strategy, row.budget) == ("fixed:40", 40)


def test_an_estimate_that_could_not_be_read_is_no_budget():
    one, unread, _ = read_predictions("TALE.jsonl", TALE).rows
    assert (one.budget, one.unread, one.tokens) == (20, None, 4)
    assert (unread.budget, unread.unread, unread.tokens) == (None, -1, 9)
    assert [r.question.text for r in (one, unread)] == list(TEXTS[:2]) and one.question.answer == "12"


def test_a_search_that_found_nothing_keeps_the_vanilla_answer_and_not_the_text_none():
    rows = read_predictions("searched_budget.jsonl", SEARCHED).rows
    assert [r.strategy for r in rows] == ["vanilla", "oracle"] * 2 and all(r.searched for r in rows)
    found, nothing = rows[1], rows[3]
    assert (found.text, found.budget, found.no_optimum) == ("[[12]]", 10, False)
    assert (nothing.text, nothing.budget, nothing.no_optimum) == (rows[2].text, None, True)
    assert "None" not in nothing.text


def test_bad_rows_are_named_by_line_and_reason_and_the_good_ones_go_on():
    good = vanilla(TEXTS[0], "12")
    data = lines([good]) + b"{broken\n" + lines([
        {**good, "question": 7}, {**good, "question": "Q: \nLet's think step by step:\n"}, {**good, "prediction": None},
        {**good, "ground truth": {}}, {**good, "prediction": "x" * 200_001}, {**good, "question": "a\x00b"},
        {**good, "budget_TALE": "many"}, {**good, "token_cost": -3}, {**good, "token_cost": True},
        {**good, "prediction_budget": "x", "question_budget": None}, {**good, "question": "z?", "prediction": ""},
    ])  # fmt: skip
    found = read_predictions("x.jsonl", data)
    assert [r.line for r in found.rows] == [1, 3, 13] and found.rows[-1].text == ""
    said = {p.line: p.reason for p in found.problems}
    assert (
        said[2].startswith("broken JSON") and said[4] == "there is no question" and said[5] == "there is no prediction"
    )
    assert (
        said[6] == "the answer is not text but dict" and said[7] == "the prediction is longer than 200,000 characters"
    )
    assert "NUL" in said[8] and said[9] == "the budget is not a whole number"
    assert said[10] == said[11] == "the token cost is not a whole number from 0" and said[12] == "there is no question"


def test_any_other_table_is_read_by_its_columns():
    first = {"prompt": TEXTS[0], "response": "[[12]]", "gold": 12.0, "completion_tokens": "7", "method": "mine"}
    second = {"prompt": TEXTS[1], "response": "?", "gold": "", "completion_tokens": None, "method": "vanilla"}
    one, other = read_predictions("x.jsonl", lines([first, second])).rows
    assert (one.strategy, one.tokens, one.question.answer, one.text) == ("mine", 7, "12", "[[12]]")
    assert (other.strategy, other.tokens, other.question.answer) == ("vanilla", None, None)
    odd = b'frage,antwort,n,wahl\nwhich?,B,5,"[""3"", ""4""]"\n'
    mapping = {"question": "frage", "prediction": "antwort", "tokens": "n", "options": "wahl"}
    (row,) = read_predictions("x.csv", odd, mapping=mapping).rows
    assert (row.question.options, row.tokens, row.strategy) == (("3", "4"), 5, "bare")


@pytest.mark.parametrize(
    ("name", "data", "options", "words"),
    [
        ("x.jsonl", b"", {}, "No column can be taken for the question"),
        ("x.jsonl", lines([{"question": "a?"}]), {}, "No column can be taken for the prediction. Columns: question"),
        ("x.jsonl", lines([{"a": 1}]), {"mapping": {"question": "b"}}, "There is no column 'b' for question"),
        ("x.jsonl", lines([{"a": 1}]), {"mapping": {"frage": "a"}}, "field 'frage'"),
        ("x.jsonl", lines([{**vanilla("", "1")}]), {}, "line 1: there is no question"),
        ("x.jsonl", VANILLA, {"strategy": "a\nb"}, "cannot be used"),
        ("x.exe", VANILLA, {}, "ends in '.exe'"),
        ("x.jsonl", VANILLA.decode().encode("utf-16"), {}, "UTF-16"),
    ],
)
def test_a_file_that_cannot_be_used_is_told_in_words(name, data, options, words):
    with pytest.raises(InputError) as e:
        read_predictions(name, data, **options)
    assert words in str(e.value)


def test_a_file_has_limits(monkeypatch):
    monkeypatch.setattr(predictions, "MAX_ROWS", 2)
    with pytest.raises(InputError, match="more than 2 rows"):
        read_predictions("x.jsonl", VANILLA)
    monkeypatch.setattr(predictions, "MAX_BYTES", 10)
    with pytest.raises(InputError, match="more than 10 bytes"):
        read_predictions("x.jsonl", VANILLA)
    monkeypatch.undo()
    many = lines({"question": TEXTS[0], "prediction": "x", "strategy": f"s{i}"} for i in range(22))
    found = read_predictions("x.jsonl", many)
    assert len(found.strategies) == 20 and [p.line for p in found.problems] == [21, 22]


anything = some.recursive(
    some.none() | some.booleans() | some.integers() | some.floats() | some.text(max_size=12),
    lambda inner: some.lists(inner, max_size=3) | some.dictionaries(some.text(max_size=4), inner, max_size=3),
    max_leaves=5,
)
KEYS = ("question", "ground truth", "prediction", "budget_TALE", "token_cost", "prediction_budget", "question_budget",
        "budget")  # fmt: skip


@given(some.lists(some.dictionaries(some.sampled_from(KEYS), anything), max_size=4))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_whatever_the_rows_hold_is_read_or_told_and_never_raises(rows):
    good = vanilla(TEXTS[0], GOLDS[0])
    data = lines([good]) + b"".join(json.dumps(row).encode() + b"\n" for row in rows)
    found = read_predictions("x.jsonl", data)
    told = {p.line for p in found.problems} | {r.line for r in found.rows}
    assert told == set(range(1, len(rows) + 2))
    for row in found.rows:
        assert row.question.text and (row.budget is None or row.budget >= 1) and (row.tokens or 0) >= 0


def test_a_prediction_of_any_length_is_read_from_a_table_and_refused_by_our_own_limit():
    long = "\n".join(f"Step {i}, he has {i} apples, so we go on" for i in range(4_500))
    assert 131_072 < len(long) <= MAX_ANSWER
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerows([("question", "answer", "prediction"), ("a?", 1, long), ("b?", 2, long * 2), ("c?", 3, "3")])
    found = read_predictions("x.csv", out.getvalue().encode())
    assert [(r.question.answer, len(r.text)) for r in found.rows] == [("1", len(long)), ("3", 1)]
    assert [(p.line, p.reason) for p in found.problems] == [(4_502, "the prediction is longer than 200,000 characters")]


def test_predictions_to_options_are_read_in_every_layout_of_them():
    rows = [
        {"question": "a?", "choices": ["w", "x", "y"], "answer": 0, "response": "A"},
        {"question": "b?", "choices": ["w", "x", "y"], "answer": 2, "response": "C"},
    ]
    found = read_predictions("x.jsonl", lines(rows)).rows
    assert [(r.question.options, r.question.answer) for r in found] == [(("w", "x", "y"), "A"), (("w", "x", "y"), "C")]
    table = b"question,A,B,C,answer,response\na?,w,,y,C,It is C\n"
    (row,) = read_predictions("x.csv", table).rows
    assert row.question.options[2] == "y" and row.question.answer == "C"
    with pytest.raises(InputError, match="--map answer_is=0 or --map answer_is=1"):
        read_predictions("x.jsonl", lines([rows[1] | {"answer": 1}]))
    asked = read_predictions("x.jsonl", lines([rows[1] | {"answer": 1}]), mapping={"answer_is": "1"})
    assert asked.rows[0].question.answer == "A"


def test_a_worked_solution_beside_a_prediction_gives_its_box():
    row = {"problem": "a?", "solution": "So it is $\\boxed{\\frac{1}{2}}$.", "prediction": "0.5"}
    assert read_predictions("x.jsonl", lines([row])).rows[0].question.answer == "\\frac{1}{2}"


def test_the_decimal_comma_of_a_table_counts_for_its_known_answers():
    (row,) = read_predictions("x.csv", b"question;answer;prediction\na?;5,5;It is 5.5\n").rows
    assert (row.question.answer, row.question.kind) == ("5.5", "number")
