"""Every message that is sent to a model, English and Chinese, versioned.

The templates of an answer's prompt come first, each a pair, vanilla and budgeted, that differs in the budget's part
alone: a text with slots and a unit. Models differ in which unit they obey: large ones obey tokens, small ones words or
lines if any (`tale_core.calibration.run` finds out). Below stand the messages made of them, and the prompts that come
in one template only. A changed text needs a higher version: stored calls name template and version. Sources: the paper
(arXiv 2412.18547, Fig. 5 and section 5), its public repository (`paper`, with its format instruction), the project's
seed (`plain`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction

from tale_core.errors import InputError
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.grading.lines import evaluated
from tale_core.i18n import N_, t
from tale_core.prompts.worked import WORKED, Worked
from tale_core.types import AnswerKind, Language, Message, Question, Writes


@dataclass(frozen=True, slots=True)
class Unit:
    """What a budget is asked for in.

    Attributes:
        tokens: Tokens that one of it stands for.
        least: The smallest number that is asked for.
    """

    name: str
    tokens: Fraction
    least: int = 1

    def of(self, budget: int) -> int:
        """A budget of tokens in this unit."""
        return max(self.least, round(budget / self.tokens))


TOKENS = Unit("tokens", Fraction(1))
WORDS = Unit("words", Fraction(4, 3), least=5)
STEPS = Unit("steps", Fraction(12))
LINES = Unit("lines", Fraction(15))
SHORT_LINES = Unit("lines", Fraction(10))

# Concise CoT: the vanilla prompt that also asks to be brief (Renze and Guven, arXiv 2401.05618).
_CONCISE: dict[Language, str] = {"en": " and be concise", "zh": "，并保持简洁"}

# The repository's format instructions. Its example value is part of the experiment: small models copy it.
_FORMAT: dict[Language, str] = {
    "en": "Please Give the response by strictly following this format: [[{slot}]], "
    "for example: {label}: [[{example}]].",
    "zh": "请严格按照如下格式回答：[[{slot}]]，例如：{slot}: [[{example}]]。",
}
_BARE_FORMAT: dict[Language, str] = {
    "en": "Please Give the response by strictly following this format: [[{slot}]].",
    "zh": "请严格按照如下格式回答：[[{slot}]]。",
}
_SLOT: dict[Language, dict[AnswerKind, tuple[str, str, str]]] = {
    "en": {
        "number": ("answer", "Answer", "50"),
        "choice": ("choice", "Choice", "A"),
        "text": ("answer", "Answer", "Monday"),
    },
    "zh": {"number": ("答案", "答案", "50"), "choice": ("选项", "选项", "A"), "text": ("答案", "答案", "星期一")},
}
_THEN: dict[Language, str] = {
    "en": ", then give {what} like [[{example}]].\n",
    "zh": "，然后给出{what}，例如 [[{example}]]。\n",
}
_WHAT: dict[Language, dict[AnswerKind, tuple[str, str]]] = {
    "en": {
        "number": ("the final number", "42"),
        "choice": ("the letter of your choice", "A"),
        "text": ("the final answer", "Monday"),
    },
    "zh": {"number": ("最终的数字", "42"), "choice": ("所选选项的字母", "A"), "text": ("最终的答案", "星期一")},
}
_ALONE: dict[Language, str] = {"en": "Answer {part}.", "zh": "回答时{part}。"}
_TOKEN_LIMIT: dict[Language, str] = {"en": " and use less than {n} tokens", "zh": "并使用少于 {n} tokens"}


def format_instruction(lang: Language, kind: AnswerKind) -> str:
    """The repository's sentence that asks for `[[answer]]`."""
    slot, label, example = _SLOT[lang][kind]
    return _FORMAT[lang].format(slot=slot, label=label, example=example)


def question_block(question: Question) -> str:
    """The question with its options, one a line ("A. …")."""
    options = (f"{chr(ord('A') + i)}. {option}" for i, option in enumerate(question.options))
    return "\n".join([question.text.strip(), *options])


@dataclass(frozen=True, slots=True)
class Template:
    """A pair of prompts.

    Attributes:
        name: Stored with every call.
        version: Raised whenever the text changes.
        english_title: For people, a few words; `title` says them in the reader's language.
        english_hint: For people, one sentence or two; `hint` says them in the reader's language.
        text: The prompt by language, with the slots {question}, {budget}, {brief} and any of {format} and {bare_format}
            (the repository's instruction with and without its example), {then} (a short instruction of our own).
        limit: What stands in {budget}, by language, with {n} and in English {s}, the plural's letter.
        unit: What {n} counts.
        worked: Examples that stand before the question as earlier turns, by language; the limit that one names is the
            number of its own lines.
    """

    name: str
    version: int
    english_title: str
    english_hint: str
    text: Mapping[Language, str]
    limit: Mapping[Language, str]
    unit: Unit = TOKENS
    worked: Mapping[Language, tuple[Worked, ...]] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """For people, a few words."""
        return t(self.english_title)

    @property
    def hint(self) -> str:
        """For people, one sentence or two."""
        return t(self.english_hint)

    def messages(
        self, question: Question, *, kind: AnswerKind = "number", budget: int | None = None, concise: bool = False
    ) -> tuple[Message, ...]:
        """Worked examples if it has any, then the user message for `question`; see `render`."""
        lang = question.language
        messages = [Message("user", self.render(question, kind=kind, budget=budget, concise=concise))]
        for text, lines in reversed(self.worked.get(lang, ())):
            part = "" if budget is None else self._limit(lines.count("\n") + 1, lang)
            asked = self._filled(Question(text, language=lang), kind="number", budget_part=part, concise=concise)
            messages[:0] = [Message("user", asked), Message("assistant", lines)]
        return tuple(messages)

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
        part = "" if budget is None else self.budget_part(budget, question.language)
        return self._filled(question, kind=kind, budget_part=part, concise=concise)

    def _filled(self, question: Question, *, kind: AnswerKind, budget_part: str, concise: bool) -> str:
        lang = question.language
        what, example = _WHAT[lang][kind]
        return self.text[lang].format(
            question=question_block(question),
            budget=budget_part,
            brief=_CONCISE[lang] if concise else "",
            format=format_instruction(lang, kind),
            bare_format=_BARE_FORMAT[lang].format(slot=_SLOT[lang][kind][0]),
            then=_THEN[lang].format(what=what, example=example),
        )

    def sentence(self, lang: Language, *, budget: int | None = None, concise: bool = False) -> str:
        """What it says of how to answer, without the question and the answer's format: for other people's prompts."""
        part = "" if budget is None else self.budget_part(budget, lang)
        brief = _CONCISE[lang] if concise else ""
        parts = {"question": "", "format": "", "bare_format": "", "then": ".\n" if lang == "en" else "。\n"}
        return self.text[lang].format(budget=part, brief=brief, **parts).strip()

    def limit_alone(self, lang: Language, *, budget: int | None = None) -> str:
        """A sentence that asks for a budget, or without one to be brief, and for nothing else: not for reasoning."""
        part = _CONCISE[lang] if budget is None else self.budget_part(budget, lang)
        return _ALONE[lang].format(part=part.lstrip(" ,，并"))

    def budget_part(self, budget: int, lang: Language = "en") -> str:
        """The words that ask for a budget (tokens): all that the two prompts of the pair differ in.

        Raises:
            InputError: The budget is not positive.
        """
        if budget < 1:
            raise InputError(
                t("A budget of {budget} tokens was given.", budget=budget), t("A budget is a whole number from 1.")
            )
        return self._limit(self.unit.of(budget), lang)

    def _limit(self, n: int, lang: Language) -> str:
        return self.limit[lang].format(n=n, s="" if n == 1 else "s")


TEMPLATES: dict[str, Template] = {
    t.name: t
    for t in (
        Template(
            name="paper",
            version=1,
            english_title=N_("Paper: answer in [[brackets]]"),
            english_hint=N_(
                "The paper's prompts. The answer's format is asked for first, so that it can be graded surely."
            ),
            text={
                "en": "{question}\n{format}\nLet's think step by step{budget}{brief}:\n",
                "zh": "{question}\n{format}\n让我们一步一步思考{budget}{brief}：\n",
            },
            limit=_TOKEN_LIMIT,
        ),
        Template(
            name="plain",
            version=1,
            english_title=N_("Plain: the sentence and the question"),
            english_hint=N_("No format is asked for; the answer is read from the model's own words."),
            text={
                "en": "Let's think step by step{budget}{brief}: {question}",
                "zh": "让我们一步一步思考{budget}{brief}： {question}",
            },
            limit=_TOKEN_LIMIT,
        ),
        Template(
            name="words",
            version=1,
            english_title=N_("Words: a limit on words, then [[the answer]]"),
            english_hint=N_(
                "Small models obey a number of words where they ignore a number of tokens. The budget becomes three "
                "words for every four tokens."
            ),
            text={
                "en": "{question}\nThink step by step{budget}{brief}{then}",
                "zh": "{question}\n一步一步思考{budget}{brief}{then}",
            },
            limit={"en": " in at most {n} word{s}", "zh": "，最多用 {n} 个词"},
            unit=WORDS,
        ),
        Template(
            name="calculations",
            version=1,
            english_title=N_("Calculations: no prose, a limit on words"),
            english_hint=N_("Asks for the calculations alone and a number of words: three for every four tokens."),
            text={
                "en": "{question}\nThink step by step{brief}, writing only the calculations{budget}{then}",
                "zh": "{question}\n一步一步思考{brief}，只写计算过程{budget}{then}",
            },
            limit={"en": ", in at most {n} word{s}", "zh": "，最多用 {n} 个词"},
            unit=WORDS,
        ),
        Template(
            name="steps",
            version=1,
            english_title=N_("Steps: a limit on short steps"),
            english_hint=N_("The budget becomes a number of short steps, one for every twelve tokens."),
            text={
                "en": "{question}\nThink step by step{budget}{brief}{then}",
                "zh": "{question}\n一步一步思考{budget}{brief}{then}",
            },
            limit={"en": " in at most {n} short step{s}", "zh": "，最多用 {n} 个简短的步骤"},
            unit=STEPS,
        ),
        Template(
            name="lines",
            version=1,
            english_title=N_("Lines: a limit on lines of calculation"),
            english_hint=N_(
                "One calculation a line; the budget becomes a number of lines, one for every fifteen tokens."
            ),
            text={
                "en": "{question}\nWrite only the calculations{brief}, one a line{budget}{then}",
                "zh": "{question}\n只写计算过程{brief}，每行一个算式{budget}{then}",
            },
            limit={"en": ", in at most {n} line{s}", "zh": "，最多 {n} 行"},
            unit=LINES,
        ),
        Template(
            name=ASSIGNMENTS,
            version=1,
            english_title=N_("Assignments: lines evaluated by a calculator"),
            english_hint=N_(
                "The model writes assignments and no prose, as worked examples show; a tool, a calculator, "
                "works them out. The budget becomes a number of lines, one for every ten tokens."
            ),
            text={
                "en": '{question}\nPython assignments only{brief}{budget}; the last line begins with "answer =".\n',
                "zh": "{question}\n只写 Python 赋值语句{brief}{budget}；最后一行以“答案 =”开头。\n",
            },
            limit={"en": ", in at most {n} line{s}", "zh": "，最多 {n} 行"},
            unit=SHORT_LINES,
            worked=WORKED,
        ),
        Template(
            name="format-last",
            version=1,
            english_title=N_("Format last: budget first, then the format"),
            english_hint=N_(
                "The paper's sentences in the other order: the format stands last, where small models heed it most."
            ),
            text={
                "en": "{question}\nLet's think step by step{budget}{brief}.\n{format}\n",
                "zh": "{question}\n让我们一步一步思考{budget}{brief}。\n{format}\n",
            },
            limit=_TOKEN_LIMIT,
        ),
        Template(
            name="no-example",
            version=1,
            english_title=N_("No example: the paper's without its example"),
            english_hint=N_(
                "The paper's prompts without the example value, which small models copy into their answers."
            ),
            text={
                "en": "{question}\n{bare_format}\nLet's think step by step{budget}{brief}:\n",
                "zh": "{question}\n{bare_format}\n让我们一步一步思考{budget}{brief}：\n",
            },
            limit=_TOKEN_LIMIT,
        ),
    )
}
"""Every template, by name; the first is the default."""
TOOL_FREE = tuple(name for name in TEMPLATES if not evaluated(name))
"""Those that are compared where nobody has chosen: an answer with a tool is another kind of answer."""
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

# Chain of Draft, the paper's words (arXiv 2502.18600), after the question; it brings its own answer format.
_DRAFT: dict[Language, str] = {
    "en": "Think step by step, but only keep a minimum draft for each thinking step, with 5 words at most. "
    "Return the answer at the end of the response after a separator ####.",
    "zh": "一步一步思考，但每个思考步骤只保留最简短的草稿，每步最多 5 个词。在回答的末尾，在分隔符 #### 之后给出答案。",
}
DRAFT_TEMPLATE = "chain-of-draft"
DRAFT_VERSION = 1


def template(name: str) -> Template:
    """The template of this name.

    Raises:
        InputError: There is none; the message lists what there is.
    """
    try:
        return TEMPLATES[name]
    except KeyError:
        raise InputError(
            t("There is no prompt template {name!r}.", name=name),
            t("Choose one of: {names}.", names=", ".join(TEMPLATES)),
        ) from None


def answer_messages(
    question: Question, *, template_name: str = DEFAULT_TEMPLATE, kind: AnswerKind = "number", budget: int | None = None
) -> tuple[Message, ...]:
    """Messages that ask for an answer: vanilla chain of thought, or budgeted when `budget` is given."""
    return template(template_name).messages(question, kind=kind, budget=budget)


def direct_messages(question: Question, *, kind: AnswerKind = "number") -> tuple[Message, ...]:
    """Messages that ask for the answer alone: the lowest level that a budget could press a model to."""
    lang = question.language
    return (Message("user", f"{question_block(question)}\n{format_instruction(lang, kind)}\n{_DIRECT[lang]}\n"),)


def concise_messages(
    question: Question, *, template_name: str = DEFAULT_TEMPLATE, kind: AnswerKind = "number"
) -> tuple[Message, ...]:
    """Messages of Concise CoT: the template's vanilla prompt that also asks to be brief."""
    return template(template_name).messages(question, kind=kind, concise=True)


def draft_messages(question: Question) -> tuple[Message, ...]:
    """Messages of Chain of Draft."""
    return (Message("user", f"{question_block(question)}\n{_DRAFT[question.language]}\n"),)


def plain_messages(question: Question, *, writes: Writes = "words") -> tuple[Message, ...]:
    """What a model fine-tuned to be brief is trained on and asked with (TALE-PT).

    The question and nothing else; of one that writes lines the wording of lines, without its worked examples.
    """
    lines = TEMPLATES[ASSIGNMENTS]
    return (Message("user", lines.render(question) if writes == "lines" else question_block(question)),)


def estimate_messages(question: Question) -> tuple[Message, ...]:
    """Messages that ask the model for its own budget (paper, Fig. 5). The paper uses the English text for both."""
    return (Message("user", _ESTIMATE.format(question=question_block(question))),)
