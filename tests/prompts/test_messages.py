import pytest
from hypothesis import given
from hypothesis import strategies as st

from tale_core.errors import InputError
from tale_core.grading.lines import work_out
from tale_core.i18n import use_language
from tale_core.prompts import messages as prompts
from tale_core.prompts.messages import TOOL_FREE
from tale_core.types import Question

Q = Question(text="What is 2 + 3 {x} $5?")


def test_the_paper_template_is_the_reference_repositorys_text():
    text = prompts.TEMPLATES["paper"].render(Question(text="What is 2 + 3?"), budget=50)
    assert text == (
        "What is 2 + 3?\n"
        "Please Give the response by strictly following this format: [[answer]], for example: Answer: [[50]].\n"
        "Let's think step by step and use less than 50 tokens:\n"
    )


def test_the_plain_template_is_the_seeds_sentence():
    text = prompts.TEMPLATES["plain"].render(Question(text="What is 2 + 3?"), budget=50)
    assert text == "Let's think step by step and use less than 50 tokens: What is 2 + 3?"


def test_the_chinese_templates_ask_in_chinese():
    q = Question(text="二加三等于几？", language="zh")
    assert "让我们一步一步思考并使用少于 50 tokens" in prompts.TEMPLATES["paper"].render(q, budget=50)
    assert "[[答案]]" in prompts.TEMPLATES["paper"].render(q)
    assert prompts.TEMPLATES["plain"].render(q) == "让我们一步一步思考： 二加三等于几？"


def test_the_estimator_prompt_is_the_papers_text():
    (message,) = prompts.estimate_messages(Question(text="Why?"))
    assert message.content == (
        "Task: Analyze the given question and estimate the minimum number of tokens required to generate a complete "
        "and accurate response. Please Give the response by strictly following this format: [[budget]], for example: "
        'Budget: [[12]].\n\nBelow is the question:\n\nQuestion: "Why?"\n'
    )


BUDGET_PARTS = {
    "paper": (" and use less than 77 tokens", "并使用少于 77 tokens"),
    "plain": (" and use less than 77 tokens", "并使用少于 77 tokens"),
    "words": (" in at most 58 words", "，最多用 58 个词"),
    "calculations": (", in at most 58 words", "，最多用 58 个词"),
    "steps": (" in at most 6 short steps", "，最多用 6 个简短的步骤"),
    "lines": (", in at most 5 lines", "，最多 5 行"),
    "assignments": (", in at most 8 lines", "，最多 8 行"),
    "format-last": (" and use less than 77 tokens", "并使用少于 77 tokens"),
    "no-example": (" and use less than 77 tokens", "并使用少于 77 tokens"),
}


def test_every_template_is_listed_here():
    assert list(prompts.TEMPLATES) == list(BUDGET_PARTS)


@pytest.mark.parametrize("name", prompts.TEMPLATES)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["number", "choice", "text"])
@pytest.mark.parametrize("concise", [False, True])
def test_vanilla_and_budgeted_differ_in_the_budget_sentence_alone(name, language, kind, concise):
    q = Question(text="Q?", language=language)
    t = prompts.TEMPLATES[name]
    part = BUDGET_PARTS[name][("en", "zh").index(language)]
    vanilla, budgeted = (t.render(q, kind=kind, budget=b, concise=concise) for b in (None, 77))
    assert budgeted.count(part) == 1 and t.budget_part(77, language) == part
    assert budgeted.replace(part, "") == vanilla


@pytest.mark.parametrize(
    ("name", "budget", "asked"),
    [
        ("words", 1, "5 words"),
        ("words", 14, "10 words"),
        ("steps", 1, "1 short step,"),
        ("steps", 60, "5 short steps,"),
        ("lines", 7, "1 line,"),
        ("lines", 60, "4 lines,"),
        ("assignments", 7, "1 line;"),
        ("assignments", 60, "6 lines;"),
        ("no-example", 1, "1 tokens"),
    ],
)
def test_a_budget_is_told_in_the_templates_own_unit(name, budget, asked):
    assert asked in prompts.TEMPLATES[name].render(Q, budget=budget)


@given(budget=st.integers(1, 10_000), more=st.integers(0, 10_000), name=st.sampled_from(list(prompts.TEMPLATES)))
def test_a_larger_budget_never_asks_for_less(budget, more, name):
    unit = prompts.TEMPLATES[name].unit
    assert unit.least <= unit.of(budget) <= unit.of(budget + more)
    assert abs(unit.of(budget) * unit.tokens - budget) <= max(unit.tokens / 2, unit.least * unit.tokens)


@pytest.mark.parametrize("kind", ["number", "choice", "text"])
def test_the_template_without_an_example_names_the_slot_alone(kind):
    paper, bare = (prompts.TEMPLATES[n].render(Question("Q?"), kind=kind, budget=50) for n in ("paper", "no-example"))
    assert bare.count("[[") == 1 and "example" not in bare
    start, _, rest = paper.partition(", for example:")
    assert bare == start + "." + rest[rest.index("\n") :]


def test_the_format_stands_after_the_budget_where_the_template_says_so():
    text = prompts.TEMPLATES["format-last"].render(Question("Q?"), budget=50)
    assert text.index("Q?") < text.index("50 tokens") < text.index("[[answer]]")


def test_calculations_and_lines_are_worded_as_agreed():
    assert prompts.TEMPLATES["calculations"].render(Question("Q?"), budget=40) == (
        "Q?\nThink step by step, writing only the calculations, in at most 30 words, "
        "then give the final number like [[42]].\n"
    )
    assert prompts.TEMPLATES["lines"].render(Question("Q?"), budget=40) == (
        "Q?\nWrite only the calculations, one a line, in at most 3 lines, then give the final number like [[42]].\n"
    )


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("budget", [None, 60])
def test_assignments_are_shown_by_worked_examples_that_keep_to_their_own_limit(language, budget):
    question = Question("Q?", language=language)
    *shown, asked = prompts.answer_messages(question, template_name="assignments", budget=budget)
    assert asked.content == prompts.TEMPLATES["assignments"].render(question, budget=budget)
    assert [m.role for m in shown] == ["user", "assistant"] * 6
    for ask, lines in zip(shown[::2], shown[1::2], strict=True):
        found = work_out(lines.content)
        assert found.answer is not None and all(line.value is not None for line in found.lines)
        assert lines.content.splitlines()[-1].startswith("answer =" if language == "en" else "答案 =")
        limit = prompts.TEMPLATES["assignments"].limit[language].format(n=len(found.lines), s="s")
        assert (limit in ask.content) is (budget is not None)


def test_only_templates_that_need_no_tool_are_compared_where_nobody_has_chosen():
    assert set(prompts.TEMPLATES) - set(TOOL_FREE) == {"assignments"}


@pytest.mark.parametrize("name", prompts.TEMPLATES)
def test_braces_and_dollars_in_a_question_reach_the_model_unchanged(name):
    assert Q.text in prompts.TEMPLATES[name].render(Q, budget=5)


def test_options_are_lettered_lines():
    q = Question(text="Pick.", options=("one", "two"))
    assert prompts.question_block(q) == "Pick.\nA. one\nB. two"


@pytest.mark.parametrize("budget", [0, -1])
def test_a_budget_below_one_is_refused(budget):
    with pytest.raises(InputError, match="from 1"):
        prompts.TEMPLATES["paper"].render(Q, budget=budget)


def test_an_unknown_template_names_those_there_are():
    with pytest.raises(InputError, match="paper, plain, words"):
        prompts.template("nope")


def test_a_template_is_named_in_the_readers_language_and_asks_in_the_questions():
    template = prompts.template("words")
    assert template.title == "Words: a limit on words, then [[the answer]]"
    question = Question("What is 2 + 3?")
    english = template.render(question, budget=40)
    with use_language("zh"):
        assert template.title == "词数：限制词数，然后给出 [[答案]]" and template.hint.startswith("小模型")
        assert template.render(question, budget=40) == english
