"""Every prompt template, English and Chinese, versioned.

A template is a pair, vanilla and budgeted, that differs in the budget sentence alone, so that a difference between two
answers is the budget's doing. Whoever changes a text raises its version: stored calls name template and version.
Sources: the paper (arXiv 2412.18547, Fig. 5 and section 5), its public repository, and the project's seed (plain form).
Knows text only: no client, no parsing of answers.
"""

from __future__ import annotations

from dataclasses import dataclass

from tale_core.errors import InputError
from tale_core.types import AnswerKind, Language, Message, Question

DEFAULT_TEMPLATE = "paper"

_ESTIMATE = (
    "Task: Analyze the given question and estimate the minimum number of tokens required to generate a complete and "
    "accurate response. Please Give the response by strictly following this format: [[budget]], for example: "
    'Budget: [[12]].\n\nBelow is the question:\n\nQuestion: "{question}"\n'
)
ESTIMATE_TEMPLATE = "paper-estimate"
ESTIMATE_VERSION = 1

_DIRECT: dict[Language, str] = {
    "en": "Answer directly, without any explanation.",
    "zh": "请直接给出答案，不要任何解释。",
}
DIRECT_TEMPLATE = "direct"
DIRECT_VERSION = 1

_STEP: dict[Language, str] = {"en": "Let's think step by step", "zh": "让我们一步一步思考"}
_BUDGET: dict[Language, str] = {"en": " and use less than {budget} tokens", "zh": "并使用少于 {budget} tokens"}
_COLON: dict[Language, str] = {"en": ":", "zh": "："}

# Concise CoT: the vanilla prompt that also asks to be brief (Renze and Guven, arXiv 2401.05618).
_CONCISE: dict[Language, str] = {"en": " and be concise", "zh": "，并保持简洁"}

# Chain of Draft, the paper's words (arXiv 2502.18600), after the question; it brings its own answer format.
_DRAFT: dict[Language, str] = {
    "en": "Think step by step, but only keep a minimum draft for each thinking step, with 5 words at most. "
    "Return the answer at the end of the response after a separator ####.",
    "zh": "一步一步思考，但每个思考步骤只保留最简短的草稿，每步最多 5 个词。在回答的末尾，在分隔符 #### 之后给出答案。",
}
DRAFT_TEMPLATE = "chain-of-draft"
DRAFT_VERSION = 1

# The wording that the default model obeyed best when it was measured: words instead of tokens. The budget's part stands
# in the middle, so that the pair differs in it alone.
_WORDS: dict[Language, tuple[str, str, str]] = {
    "en": ("Think step by step", " in at most {words} words", ", then give {what} like [[{example}]]."),
    "zh": ("一步一步思考", "，最多用 {words} 个词", "，然后给出{what}，例如 [[{example}]]。"),
}
_WORDS_FORMAT: dict[Language, dict[AnswerKind, tuple[str, str]]] = {
    "en": {
        "number": ("the final number", "42"),
        "choice": ("the letter of your choice", "A"),
        "text": ("the final answer", "Monday"),
    },
    "zh": {"number": ("最终的数字", "42"), "choice": ("所选选项的字母", "A"), "text": ("最终的答案", "星期一")},
}
WORDS_PER_TOKEN = 0.75
LEAST_WORDS = 5

# The repository's format instructions. Its example value is part of the experiment: small models copy it.
_FORMAT: dict[Language, str] = {
    "en": "Please Give the response by strictly following this format: [[{slot}]], "
    "for example: {label}: [[{example}]].",
    "zh": "请严格按照如下格式回答：[[{slot}]]，例如：{slot}: [[{example}]]。",
}
_SLOT: dict[Language, dict[AnswerKind, tuple[str, str, str]]] = {
    "en": {
        "number": ("answer", "Answer", "50"),
        "choice": ("choice", "Choice", "A"),
        "text": ("answer", "Answer", "Monday"),
    },
    "zh": {"number": ("答案", "答案", "50"), "choice": ("选项", "选项", "A"), "text": ("答案", "答案", "星期一")},
}


def _format(lang: Language, kind: AnswerKind) -> str:
    slot, label, example = _SLOT[lang][kind]
    return _FORMAT[lang].format(slot=slot, label=label, example=example)


@dataclass(frozen=True, slots=True)
class Template:
    """A pair of prompts.

    Attributes:
        name: Stored with every call.
        version: Raised whenever the text changes.
        title: For people, a few words.
        hint: For people, one sentence.
        with_format: Whether the answer's format is asked for (`[[answer]]`).
        question_first: Whether the question stands before the "step by step" sentence.
        in_words: Whether the budget is asked for in words, about three for every four tokens.
    """

    name: str
    version: int
    title: str
    hint: str
    with_format: bool
    question_first: bool
    in_words: bool = False

    def render(
        self, question: Question, *, kind: AnswerKind = "number", budget: int | None = None, concise: bool = False
    ) -> str:
        """The user message for `question`; with a budget sentence when `budget` (tokens, positive) is given.

        Args:
            question: In its own language.
            kind: Decides what the format instruction asks for.
            budget: Tokens; None asks for the vanilla answer.
            concise: Ask to be brief, without a number.

        Raises:
            InputError: The budget is not positive.
        """
        if budget is not None and budget < 1:
            raise InputError(f"A budget of {budget} tokens was given.", "A budget is a whole number from 1.")
        lang = question.language
        brief = _CONCISE[lang] if concise else ""
        if self.in_words:
            return _render_in_words(question, kind, budget, brief)
        ask = _STEP[lang] + (_BUDGET[lang].format(budget=budget) if budget is not None else "") + brief + _COLON[lang]
        body = question_block(question)
        if not self.question_first:
            return f"{ask} {body}"
        fmt = "\n" + _format(lang, kind) if self.with_format else ""
        return f"{body}{fmt}\n{ask}\n"


TEMPLATES: dict[str, Template] = {
    t.name: t
    for t in (
        Template(
            name="paper",
            version=1,
            title="Paper: answer in [[brackets]]",
            hint="The paper's prompts. The answer's format is asked for first, so that it can be graded surely.",
            with_format=True,
            question_first=True,
        ),
        Template(
            name="plain",
            version=1,
            title="Plain: the sentence and the question",
            hint="No format is asked for; the answer is read from the model's own words.",
            with_format=False,
            question_first=False,
        ),
    )
}


WORDINGS: dict[str, Template] = TEMPLATES | {
    "words": Template(
        name="words",
        version=1,
        title="Words: a limit on words, then [[the answer]]",
        hint="Small models obey a number of words where they ignore a number of tokens. The budget becomes three words "
        "for every four tokens.",
        with_format=True,
        question_first=True,
        in_words=True,
    )
}
"""Every template, with the wordings that are measured but not offered everywhere."""


def template(name: str) -> Template:
    """The template of this name.

    Raises:
        InputError: There is none; the message lists what there is.
    """
    try:
        return WORDINGS[name]
    except KeyError:
        raise InputError(f"There is no prompt template {name!r}.", f"Choose one of: {', '.join(WORDINGS)}.") from None


def words_of(budget: int) -> int:
    """A budget of tokens as words: about three for every four tokens, at least LEAST_WORDS."""
    return max(LEAST_WORDS, round(budget * WORDS_PER_TOKEN))


def _render_in_words(question: Question, kind: AnswerKind, budget: int | None, brief: str) -> str:
    start, limit, end = _WORDS[question.language]
    what, example = _WORDS_FORMAT[question.language][kind]
    asked = limit.format(words=words_of(budget)) if budget is not None else ""
    return f"{question_block(question)}\n{start}{asked}{brief}{end.format(what=what, example=example)}\n"


def question_block(question: Question) -> str:
    """The question with its options, one a line ("A. …")."""
    options = (f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(question.options))
    return "\n".join([question.text.strip(), *options])


def answer_messages(
    question: Question, *, template_name: str = DEFAULT_TEMPLATE, kind: AnswerKind = "number", budget: int | None = None
) -> tuple[Message, ...]:
    """Messages that ask for an answer: vanilla chain of thought, or budgeted when `budget` is given."""
    return (Message("user", template(template_name).render(question, kind=kind, budget=budget)),)


def direct_messages(question: Question, *, kind: AnswerKind = "number") -> tuple[Message, ...]:
    """Messages that ask for the answer alone: the lowest level that a budget could press a model to."""
    lang = question.language
    return (Message("user", f"{question_block(question)}\n{_format(lang, kind)}\n{_DIRECT[lang]}\n"),)


def concise_messages(
    question: Question, *, template_name: str = DEFAULT_TEMPLATE, kind: AnswerKind = "number"
) -> tuple[Message, ...]:
    """Messages of Concise CoT: the template's vanilla prompt that also asks to be brief."""
    return (Message("user", template(template_name).render(question, kind=kind, concise=True)),)


def draft_messages(question: Question) -> tuple[Message, ...]:
    """Messages of Chain of Draft."""
    return (Message("user", f"{question_block(question)}\n{_DRAFT[question.language]}\n"),)


def estimate_messages(question: Question) -> tuple[Message, ...]:
    """Messages that ask the model for its own budget (paper, Fig. 5). The paper uses the English text for both."""
    return (Message("user", _ESTIMATE.format(question=question_block(question))),)
