"""Lines of assignments: what they come to, why they come to nothing, and that nothing in them runs or hangs."""

from __future__ import annotations

import ast
import json
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tale_core.grading import grade
from tale_core.grading.lines import Worked, evaluated, reader, work_out
from tale_core.types import Outcome, Question

CASES = json.loads((Path(__file__).parents[2] / "cases" / "lines.json").read_text(encoding="utf-8"))


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case['kind']}: {case['text'][:40]!r}")
def test_lines_come_to_a_value_or_to_a_reason(case):
    found = work_out(case["text"])
    assert found.answer == case.get("answer"), found.problem
    assert (found.problem is None) is ("answer" in case) and case.get("problem", "") in (found.problem or "")
    if "values" in case:
        assert [line.value for line in found.lines] == case["values"]


def whole(found: Worked) -> bool:
    """An answer or a reason, and never both; of a line not both either."""
    lines = all(line.value is None or line.problem is None for line in found.lines)
    return lines and (found.answer is None) is not (found.problem is None)


_WORDS = """
= = + - * / % ^ ( ) [ ] { } , . : ; # $ ¥ 元 × ÷ − ＝ （ ） ， ％ 0 1 9 ² ½ ① ٣ ｅ é == += := // ** \\ ' " ` ```
answer 答案 x y __class__ __import__ eval exec lambda for in if else not of sum len max min round int abs print
class import 007 1,000 2.5 .5 1e9 1e999 20%
"""
_BLANK = ["\n", "\n", " ", "\t", "\r", "\x00", "\u202e", "\u2028", "\ud800", "\N{COMBINING ACUTE ACCENT}"]
_PIECES = st.sampled_from([*_WORDS.split(), *_BLANK])
_SOUP = st.lists(_PIECES, max_size=60).map("".join) | st.lists(_PIECES, max_size=60).map(" ".join)
_LINES = st.lists(st.tuples(st.sampled_from(["x", "y", "answer"]), _SOUP).map(" = ".join), max_size=6).map("\n".join)


@settings(max_examples=400, deadline=None)
@given(_SOUP | _LINES | st.text(max_size=300))
@example("answer = " + "(" * 300 + "1" + ")" * 300)
@example("answer = " + "[" * 500)
@example("answer = " + "-" * 590 + "1")
@example("answer = " + "not " * 140 + "1")
@example("answer = " + "9**" * 190 + "9")
@example("answer = " + "x." * 290 + "x")
@example("answer = " + "lambda:" * 80 + "1")
@example("answer = " + "1+" * 290 + "1")
def test_whatever_is_written_becomes_a_value_or_a_reason(text):
    assert whole(work_out(text)) and whole(work_out(text, whole=False))


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("x = 1\n" * 3_000 + "answer = x", "200 lines"),
        ("answer = " + "1 + " * 9_000 + "1", "20,000 characters"),
        ("answer = [" + "1," * 290 + "1]", "list"),
        (("x = sum([" + "1, " * 190 + "1])\n") * 20 + "answer = x", "steps"),
        ("answer = " + "1+" * 290 + "1", "steps"),
        ("answer = " + "(" * 21 + "1" + ")" * 21, "can read"),
        ("answer = " + "7" * 700, "can read"),
        ("answer = " + "7" * 500, "60 digits"),
        ("answer = '" + "a" * 300 + "'", "nothing like"),
    ],
)
def test_what_is_too_long_or_too_deep_says_so(text, problem):
    found = work_out(text)
    assert found.answer is None and problem in (found.problem or "")


@pytest.mark.parametrize(
    "line",
    [
        "x = 1.23456789 ** 987",
        "x = 0.999999999 ** 999999999",
        "x = 10 ** 59 / 3 ** 99",
        "x = (10 ** 59 + 1) ** 9",
        "x = 3 ** 0.123456789 ** 0.1",
        "x = sum([1/3, 1/7, 1/11, 1/13, 1/17, 1/19, 1/23]) ** 50",
        "x = " + "9**" * 190 + "9",
        "x = " + "(" * 19 + "1/3" + ")/7" * 19,
        "(" * 500,
        "x" * 90,
        "1. " * 30,
        "- " * 45,
        "$" * 90,
        "*" * 90,
        "* " * 45,
        "$" * 19_000,
        "* " * 9_500,
        "x" * 19_000,
        "x = " + "1" * 19_000,
        "x = " + "1," * 9_000,
        "x " * 9_000 + "= 1",
        "x: " + "y" * 19_000,
        "except " + "y" * 19_000,
        "```" * 6_000,
    ],
)
def test_the_worst_lines_take_no_time(line):
    text = "\n".join([line] * min(199, 19_000 // (len(line) + 1)))
    began = time.process_time()
    assert whole(work_out(text + "\nanswer = x"))
    assert time.process_time() - began < 3


def test_nothing_runs(tmp_path, monkeypatch):
    """Neither code nor Python's own doors to it: audited by the interpreter itself."""
    seen: list[str] = []
    watching = [True]

    def hook(event: str, args: object) -> None:
        if watching and event in ("exec", "open", "import", "os.system", "subprocess.Popen"):
            seen.append(event)

    work_out("answer = 1")  # Whatever is loaded at the first use is.
    sys.addaudithook(hook)
    for code in ("__import__('os').system('ls')", "exec('x = 1')", "eval('1')", f"open({str(tmp_path / 'x')!r}, 'w')"):
        assert work_out(f"{code}\nanswer = {code}").answer is None
    watching.clear()
    assert seen == [] and list(tmp_path.iterdir()) == []


@settings(deadline=None)
@given(st.integers(-(10**9), 10**9), st.integers(-(10**9), 10**9), st.sampled_from("+-*"))
def test_whole_numbers_are_exact(a, b, sign):
    assert work_out(f"a = {a}\nb = {b}\nanswer = a {sign} b").answer == str({"+": a + b, "-": a - b, "*": a * b}[sign])


@settings(deadline=None)
@given(st.integers(1, 10**7), st.integers(0, 4), st.integers(1, 10**7), st.integers(0, 4))
def test_decimals_are_added_as_on_paper(a, i, b, k):
    found = work_out(f"answer = {a / 10**i:.{i}f} + {b / 10**k:.{k}f}").answer
    assert found is not None and float(found) == pytest.approx((a * 10**k + b * 10**i) / 10 ** (i + k), rel=1e-15)
    assert "e" not in found and not found.endswith((".", ".0"))


def test_while_it_grows_the_last_line_has_no_value_yet():
    growing = work_out("a = 12\nb = a * 1", whole=False)
    assert [(line.text, line.value) for line in growing.lines] == [("a = 12", "12"), ("b = a * 1", None)]
    assert [line.value for line in work_out("a = 12\nb = a * 1\n", whole=False).lines] == ["12", "12"]
    assert work_out("", whole=False).lines == ()


def test_lines_are_shown_as_they_were_written_with_what_each_comes_to():
    found = work_out("So:\n```python\nshare = 20%  # a fifth\nrest = 50 apples\nanswer = rest * share\n```")
    assert [line.text for line in found.lines] == [
        "So:", "share = 20%  # a fifth", "rest = 50 apples", "answer = rest * share",
    ]  # fmt: skip
    assert [line.value for line in found.lines] == [None, "0.2", None, None]
    assert [bool(line.problem) for line in found.lines] == [False, False, True, True]


@pytest.mark.parametrize(
    ("text", "gold", "outcome"),
    [
        ("answer = 6 * 7", "42", Outcome.CORRECT),
        ("答案 = 6 * 7", "42", Outcome.CORRECT),
        ("answer = 100 / 3", "33.33", Outcome.CORRECT),
        ("answer = 1 / 3", "1/3", Outcome.CORRECT),
        ("answer = 25% * 2", "50%", Outcome.CORRECT),
        ("answer = 6 * 8", "42", Outcome.WRONG),
        ("The answer is [[42]]\nanswer = 41", "42", Outcome.WRONG),
        ("The answer is [[42]].", "42", Outcome.UNPARSED),
        ("answer = 6 * seven", "42", Outcome.UNPARSED),
    ],
)
def test_an_answer_in_lines_is_graded_by_its_value(text, gold, outcome):
    found = grade(text, Question("?", answer=gold), finish_reason="stop", read=reader("assignments"))
    assert found.outcome is outcome
    assert found.extraction.method == ("none" if outcome is Outcome.UNPARSED else "lines")


def test_an_answer_that_was_cut_is_cut_even_if_its_lines_come_to_something():
    question = Question("?", answer="42")
    for text in ("six = 6\nanswer = six *", "answer = 42"):
        found = grade(text, question, finish_reason="length", read=reader("assignments"))
        assert found.outcome is Outcome.TRUNCATED
    assert (
        grade("answer = 42", Question("?"), finish_reason="stop", read=reader("assignments")).outcome
        is Outcome.UNGRADED
    )


@pytest.mark.parametrize(("value", "outcome"), [('"B"', "correct"), ("5", "correct"), ('"A"', "wrong"), ("9", "wrong")])
def test_a_choice_is_graded_by_its_letter_or_its_value(value, outcome):
    question = Question("Which?", answer="B", kind="choice", options=("4", "5", "6"))
    found = grade(f"answer = {value}", question, finish_reason="stop", read=reader("assignments"))
    assert found.outcome == outcome


def test_prompts_of_lines_alone_are_read_by_the_calculator():
    assert [evaluated(name) for name in ("assignments", "assignments-concise", "lines", "paper", "", None)] == [
        True, True, False, False, False, False,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "answer", "problem"),
    [
        ("scores = [65, 94, 81, 86, 74]\nanswer = sum(scores) / len(scores)", "80", None),
        ("answer = len([])", "0", None),
        ("name = 'Grey'\nanswer = len(name)", None, "list of numbers"),
        ("answer = len(1, 2)", None, "list of numbers"),
    ],
)
def test_a_list_of_numbers_is_counted_and_nothing_else_is(text, answer, problem):
    found = work_out(text)
    assert found.answer == answer and (problem or "") in (found.problem or "")


def test_a_parser_that_another_thread_confuses_is_asked_again_and_ours_take_turns(monkeypatch):
    """Python 3.11 raises SystemError where two threads parse at the same time: here it does so every second time."""
    inside, most, failures = set[int](), set[int](), count()

    def parse(source: str) -> ast.Module:
        inside.add(threading.get_ident())
        most.add(len(inside))
        time.sleep(0.0005)
        inside.remove(threading.get_ident())
        if next(failures) % 2 == 0:
            raise SystemError("AST constructor recursion depth mismatch (before=15, after=9)")
        return parsed(source)

    parsed = ast.parse
    monkeypatch.setattr(ast, "parse", parse)
    sums = {n: f"a = {n} + 1\nanswer = a * 2" for n in range(40)}
    with ThreadPoolExecutor(4) as threads:
        found = dict(zip(sums, threads.map(lambda text: work_out(text).answer, sums.values()), strict=True))
    assert found == {n: str(2 * n + 2) for n in sums} and most == {1}
