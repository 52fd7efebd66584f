"""Every message that is sent to a model, English and Chinese, versioned.

The templates of an answer's prompt stand in `tale_core.prompts.templates`; here are the messages made of them, and the
prompts that come in one template only. A changed text needs a higher version: stored calls name template and version.
Sources: the paper (arXiv 2412.18547, Fig. 5 and section 5), its public repository, and the project's seed (plain form).
"""

from __future__ import annotations

from tale_core.errors import InputError
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.i18n import t
from tale_core.prompts.templates import TEMPLATES, Template, Unit, format_instruction, question_block
from tale_core.types import AnswerKind, Language, Message, Question, Writes

__all__ = [
    "DEFAULT_TEMPLATE",
    "DIRECT_TEMPLATE",
    "DIRECT_VERSION",
    "DRAFT_TEMPLATE",
    "DRAFT_VERSION",
    "ESTIMATE_TEMPLATE",
    "ESTIMATE_VERSION",
    "TEMPLATES",
    "Template",
    "Unit",
    "answer_messages",
    "concise_messages",
    "direct_messages",
    "draft_messages",
    "estimate_messages",
    "plain_messages",
    "question_block",
    "template",
]

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
