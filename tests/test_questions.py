"""The shipped questions: every answer is computed again, and the set keeps the shape its README promises."""

from __future__ import annotations

import ast
import inspect
import itertools
import json
import re
import textwrap
from collections import Counter
from collections.abc import Callable, Iterable
from fractions import Fraction
from typing import Any

import pytest

from tale_core.datasets import featured, shipped
from tale_core.grading import grade
from tale_core.settings import REPO_ROOT
from tale_core.types import Outcome, Question
from tests.question_checks import CHECKS, TOPICS

Row = dict[str, Any]

ROWS: list[Row] = [
    json.loads(line) for line in (REPO_ROOT / "data" / "questions.jsonl").read_text(encoding="utf-8").splitlines()
]
BY_ID: dict[str, Row] = {row["id"]: row for row in ROWS}
KEYS = {"id", "text", "answer", "kind", "language", "topic", "difficulty", "steps"}
NUMBER = re.compile(r"\d{1,3}(?:,\d{3})+|\d+(?:\.\d+)?")
WORDS = re.compile(r"[a-z]+|#|[\u4e00-\u9fff]")
ENGLISH = "zero one two three four five six seven eight nine ten eleven twelve"
NUMBER_WORDS = (
    {word: n for n, word in enumerate(ENGLISH.split())}
    | {char: n for n, char in enumerate("零一二三四五六七八九")}
    | {"fifty": 50, "十四": 14, "⁵": 5, "third": 3, "quarter": 4, "square": 4, "cubes": 3, "正方体": 3}
)
"""Numbers that a text gives without digits; a square has four sides, a cube three directions."""

WORK = (ast.BinOp, ast.AugAssign, ast.Compare, ast.Subscript, ast.ListComp, ast.SetComp, ast.GeneratorExp)


def of_each(rows: Iterable[Any]) -> Callable[[Callable[[Any], None]], Callable[[], None]]:
    """One test over all rows, which names those that fail: thousands of tests would take longer than what they do."""

    def decorate(check: Callable[[Any], None]) -> Callable[[], None]:
        def test() -> None:
            failed = []
            for row in rows:
                try:
                    check(row)
                except AssertionError as e:
                    failed.append(f"{row['id'] if isinstance(row, dict) else row.id}: {e}")
            assert not failed, "\n".join(failed)

        return test

    return decorate


each_question = of_each(ROWS)


def numbers_in(text: str) -> set[Fraction]:
    """Return the numbers written in digits; "1,900" is one number, "8:45" is two."""
    return {Fraction(found.replace(",", "")) for found in NUMBER.findall(text)}


def tree_of(question_id: str) -> ast.FunctionDef:
    tree = ast.parse(textwrap.dedent(inspect.getsource(CHECKS[question_id]))).body[0]
    assert isinstance(tree, ast.FunctionDef)
    return tree


def numbers_used(question_id: str) -> set[Fraction]:
    """Return the numbers a check's body names, whether bare or inside a string such as "12:35"."""
    used: set[Fraction] = set()
    for node in itertools.chain.from_iterable(ast.walk(statement) for statement in tree_of(question_id).body):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            used |= numbers_in(node.value)
        elif isinstance(node, ast.Constant) and type(node.value) in (int, float):
            used.add(Fraction(str(node.value)))
    return used


def shown(row: Row) -> str:
    return "\n".join((row["text"], *row.get("options", ())))


def names_value(option: str, value: object) -> bool:
    """Tell whether an option is this value: the same words, or the same number with a unit or currency around it."""
    if isinstance(value, str):
        return option == value
    found = re.fullmatch(r"\D*?(−?\d+(?:[./]\d+)?)\D*", option)
    return found is not None and Fraction(found[1].replace("−", "-")) == Fraction(str(value))


def similarity(one: set[str], other: set[str]) -> float:
    return len(one & other) / len(one | other)


def test_the_set_has_the_promised_shape() -> None:
    assert len(ROWS) == len(BY_ID) == 200
    assert Counter(row["language"] for row in ROWS) == {"en": 130, "zh": 70}
    assert Counter(row["kind"] for row in ROWS) == {"number": 130, "choice": 40, "text": 30}
    assert Counter(row["difficulty"] for row in ROWS) == {1: 50, 2: 55, 3: 45, 4: 30, 5: 20}
    assert min(Counter(row["topic"] for row in ROWS).values()) >= 10


def test_right_letters_are_spread_evenly() -> None:
    assert Counter(row["answer"] for row in ROWS if row["kind"] == "choice") == dict.fromkeys("ABCD", 10)


def test_yes_and_no_are_both_right_somewhere() -> None:
    assert {row["answer"] for row in ROWS if "yes or no" in row["text"]} == {"yes", "no"}


@each_question
def test_a_row_is_well_formed(row: Row) -> None:
    assert set(row) == KEYS | ({"options"} if row["kind"] == "choice" else set())
    assert re.fullmatch(rf"{row['language']}-[a-z]+-\d{{3}}", row["id"])
    assert isinstance(row["steps"], int) and row["steps"] >= 1
    for text in (row["text"], row["answer"], *row.get("options", ())):
        assert isinstance(text, str) and text and text == text.strip()
    if row["kind"] == "choice":
        assert row["answer"] in ("A", "B", "C", "D")
        assert len(set(row["options"])) == 4


def test_the_file_is_readable_utf8_without_escapes() -> None:
    assert "\\u" not in (REPO_ROOT / "data" / "questions.jsonl").read_text(encoding="utf-8")


@pytest.mark.parametrize("language", ["en", "zh"])
def test_no_two_texts_are_near_duplicates_even_with_other_numbers(language: str) -> None:
    tokens = {
        row["id"]: set(WORDS.findall(NUMBER.sub("#", shown(row)).lower()))
        for row in ROWS
        if row["language"] == language
    }
    close = [pair for pair in itertools.combinations(tokens, 2) if similarity(*(tokens[i] for i in pair)) >= 0.8]
    assert close == []


@of_each([row for row in ROWS if row["language"] == "zh"])
def test_a_chinese_text_is_chinese_with_full_width_punctuation(row: Row) -> None:
    assert len(re.findall(r"[\u4e00-\u9fff]", row["text"])) >= 8
    assert row["text"].endswith(("？", "。"))
    assert not re.search(r"[,;?!]|:(?!\d)|[\u4e00-\u9fff]\.", shown(row))


@of_each([row for row in ROWS if row["language"] == "en"])
def test_an_english_text_holds_no_chinese(row: Row) -> None:
    assert not re.search(r"[\u3000-\u9fff\uff00-\uffef]", shown(row))


def test_every_question_has_one_check_and_every_check_a_question() -> None:
    functions = [name for topic in TOPICS for name in vars(topic) if name.startswith(("en_", "zh_"))]
    assert len(functions) == len(CHECKS)
    assert set(CHECKS) == set(BY_ID)


@each_question
def test_the_answer_comes_out_of_the_facts(row: Row) -> None:
    value = CHECKS[row["id"]]()
    if row["kind"] == "choice":
        assert [letter for letter, o in zip("ABCD", row["options"], strict=True) if names_value(o, value)] == [
            row["answer"]
        ]
    elif row["kind"] == "number":
        assert Fraction(str(value)) == Fraction(row["answer"])
    else:
        assert value == row["answer"]


def is_work(node: ast.AST) -> bool:
    """Tell whether this node computes something; wrapping one constant, as in Fraction(18), does not count."""
    if isinstance(node, ast.Call):
        return not all(isinstance(arg, ast.Constant) for arg in node.args)
    return isinstance(
        node, ast.BinOp | ast.AugAssign | ast.Compare | ast.Subscript | ast.ListComp | ast.SetComp | ast.GeneratorExp
    )


def names_of(node: ast.AST) -> set[str]:
    return {name.id for name in ast.walk(node) if isinstance(name, ast.Name)}


@each_question
def test_a_check_computes_instead_of_restating(row: Row) -> None:
    tree = tree_of(row["id"])
    assert any(is_work(node) for statement in tree.body for node in ast.walk(statement))
    worked_out: set[str] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant):
            worked_out |= set().union(*map(names_of, node.targets))
        elif isinstance(node, ast.AugAssign | ast.For):
            worked_out |= names_of(node.target)
    result = tree.body[-1]
    assert isinstance(result, ast.Return)
    assert not isinstance(result.value, ast.Constant)
    assert not isinstance(result.value, ast.Name) or result.value.id in worked_out


@each_question
def test_a_check_uses_no_number_that_its_question_does_not_give(row: Row) -> None:
    """0, 1 and 2 are left free: a start, an off-by-one, a pair. Unit constants have names."""
    given = numbers_in(shown(row)) | {Fraction(n) for word, n in NUMBER_WORDS.items() if word in row["text"].lower()}
    assert {n for n in numbers_used(row["id"]) if n > 2} <= given


@each_question
def test_every_number_of_a_text_is_used_by_its_check_or_declared_unused(row: Row) -> None:
    declared: frozenset[Fraction] = getattr(CHECKS[row["id"]], "unused", frozenset())
    given = numbers_in(row["text"])
    assert declared <= given
    assert given - declared <= numbers_used(row["id"])


def wrong_answer(question: Question) -> str:
    """Return an answer of the right form that is not the known one."""
    assert question.answer is not None
    if question.kind == "choice":
        return "ABCD"["ABCD".index(question.answer) - 1]
    if question.kind == "number":
        return str(Fraction(question.answer) + 1)
    opposite = {"yes": "no", "no": "yes", "是": "否"}
    others = ("Friday", "blue", "Wren") if question.language == "en" else ("星期四", "丁", "小树")
    return opposite.get(question.answer, others[len(question.answer) % len(others)])


@of_each(shipped())
def test_the_grader_tells_the_known_answer_from_another(question: Question) -> None:
    right = grade(f"[[{question.answer}]]", question, finish_reason="stop")
    wrong = grade(f"[[{wrong_answer(question)}]]", question, finish_reason="stop")
    assert (right.outcome, wrong.outcome) == (Outcome.CORRECT, Outcome.WRONG)


@of_each([q for q in shipped() if q.kind == "choice"])
def test_the_grader_knows_an_option_by_its_text(question: Question) -> None:
    outcomes = [grade(f"[[{option}]]", question, finish_reason="stop").outcome for option in question.options]
    right = outcomes.pop("ABCD".index(question.answer or ""))
    assert (right, set(outcomes)) == (Outcome.CORRECT, {Outcome.WRONG})


def test_the_featured_questions_are_mixed_and_need_a_few_steps() -> None:
    rows = [BY_ID[question.id or ""] for question in featured()]
    assert len(rows) == len({row["id"] for row in rows}) == 12
    assert len({row["topic"] for row in rows}) >= 6
    assert {row["language"] for row in rows} == {"en", "zh"}
    assert all(row["steps"] >= 2 for row in rows)
