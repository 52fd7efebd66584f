import pytest

from tale_core import prompts
from tale_core.errors import InputError
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


@pytest.mark.parametrize("name", prompts.TEMPLATES)
@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize("kind", ["number", "choice", "text"])
def test_vanilla_and_budgeted_differ_in_the_budget_sentence_alone(name, language, kind):
    q = Question(text="Q?", language=language)
    t = prompts.TEMPLATES[name]
    sentence = {"en": " and use less than 77 tokens", "zh": "并使用少于 77 tokens"}[language]
    budgeted = t.render(q, kind=kind, budget=77)
    assert sentence in budgeted
    assert budgeted.replace(sentence, "") == t.render(q, kind=kind)


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
    with pytest.raises(InputError, match="paper, plain"):
        prompts.template("nope")
