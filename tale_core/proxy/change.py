"""Which requests may be changed so that their answers take fewer tokens, and what is changed in them.

A change has a strategy's name (`tale_core.strategies`), and says the same words: those of the prompt template that the
model is known to obey. The client's own words stay, and the sentence stands behind them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from typing import Any, Final

from tale_core.budgets import kinds as budgets
from tale_core.budgets.native import merged, native
from tale_core.calibration.saved import usual_template
from tale_core.datasets import language_of
from tale_core.errors import InputError
from tale_core.estimators import trained
from tale_core.i18n import N_, t
from tale_core.models.endpoints import preset_at
from tale_core.prompts.messages import TEMPLATES, Template
from tale_core.proxy.reading import Read
from tale_core.settings import get_settings
from tale_core.strategies.several import SURE
from tale_core.types import Language, Question

REASONS: Final = {
    "tools": N_("it offers tools"),
    "json": N_("it asks for JSON by a schema"),
    "images": N_("it holds more than text"),
    "system": N_("its system prompt forbids it"),
}
"""Why a request is left as it is; each can be allowed."""
SHAPE: Final = "shape"
"""The request has not the shape that can be changed: several answers, no last message of a user, …"""
OFFERED: Final = ("concise", "fixed:N", "predicted", "effort:LEVEL", "thinking:N", "cascade")
_SYSTEM, _TOOLS = ("system", "developer"), ("tool", "function")
_FORBIDS = re.compile(
    r"\btale\s*[:=]\s*off\b|\b(?:do not|don't|never) (?:be brief|shorten|abbreviate|summari[sz]e|limit (?:the|your))|"
    r"不要(?:缩短|简略|省略)",
    re.IGNORECASE,
)
_BRACKETS = re.compile(r"\[\[.+?\]\]", re.DOTALL)
_FENCE = re.compile(r"```(?:json)?\s*(.*?)```", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Change:
    """A way to change a request.

    Attributes:
        name: As a strategy is called: "fixed:60", "predicted", "effort:low", "thinking:512", "concise", "cascade".
    """

    name: str

    @property
    def doubtful(self) -> bool:
        """Whether its answer counts only where the model was sure of it."""
        return self.name == "cascade"


@dataclass(frozen=True, slots=True)
class Changed:
    """A changed request, and the budget in tokens that it asks for, if it asks for one."""

    body: dict[str, Any]
    budget: int | None = None


def change(name: str) -> Change:
    """The change of this name.

    Raises:
        InputError: There is none, or not with this level.
    """
    head, colon, level = name.strip().partition(":")
    if head in ("concise", "predicted", "cascade") and not colon:
        return Change(head)
    if head == "fixed":
        return Change(f"fixed:{budgets.ASKED.read(level)}")
    if head in ("effort", "thinking"):
        return Change(f"{head}:{budgets.kind(head).read(level)}")
    raise InputError(t("There is no change {name!r}.", name=name[:60]),
                     t("Choose from: {names}.", names=", ".join(OFFERED)))  # fmt: skip


def usual(model: str) -> tuple[Change, ...]:
    """What is tried where nobody has chosen: the predicted budget, where an estimator is trained for the model."""
    return (*((Change("predicted"),) if predictor(model) else ()), Change("concise"))


def left_alone(body: Mapping[str, Any], allowed: Collection[str] = ()) -> str:
    """Why a request is not to be changed: one of `REASONS` that is not allowed, or `SHAPE`; "" where it may be."""
    messages = body.get("messages")
    if not isinstance(messages, list) or not messages or not all(isinstance(m, Mapping) for m in messages):
        return SHAPE
    wanted = body.get("response_format")
    found = {
        "tools": body.get("tools") or body.get("functions") or any(m.get("role") in _TOOLS for m in messages),
        "json": isinstance(wanted, Mapping) and wanted.get("type") != "text",
        "images": not all(_only_text(m.get("content")) for m in messages) or body.get("modalities"),
        "system": any(m.get("role") in _SYSTEM and _FORBIDS.search(_text(m.get("content"))) for m in messages),
    }
    why = next((name for name, there in found.items() if there and name not in allowed), "")
    if why:
        return why
    several = body.get("n") not in (None, 1) or body.get("logprobs")
    return SHAPE if several or messages[-1].get("role") != "user" or not question_of(body).text.strip() else ""


def question_of(body: Mapping[str, Any]) -> Question:
    """What a request asks: the text of its last message."""
    text = _text(body["messages"][-1].get("content"))
    return Question(text, language=language_of(text))


def applied(how: Change, body: Mapping[str, Any], *, model: str, base_url: str) -> Changed | None:
    """The changed request; None where there is no estimator for the model. A body that `left_alone` lets pass."""
    head, _, level = how.name.partition(":")
    question = question_of(body)
    if head == "fixed":
        return Changed(_said(body, model, question.language, int(level)), int(level))
    if head == "predicted":
        found = predictor(model)
        budget = found.budget(question)[0] if found else None
        return None if budget is None else Changed(_said(body, model, question.language, budget), budget)
    if head in ("effort", "thinking"):
        known = preset_at(base_url)
        knob = native(known.knobs_of(model) if known else (), head)
        number = head == "thinking"
        parts = knob.parts(int(level) if number else level) if knob else {}
        return Changed(merged(body, parts), int(level) if number else None)
    brief = _said(body, model, question.language, None)
    return Changed(brief | {"logprobs": True} if how.doubtful else brief)


def predictor(model: str) -> Any:
    """The trained estimator that names budgets for a model without asking it first; None where there is none."""
    found = trained(model=model, template=_template(model).name)
    return next((one for one in found.values() if not one.needs_zero_shot), None)


def broken(request: Mapping[str, Any], answer: Read, how: Change) -> str:
    """Why the answer to a changed request does not do: "empty", "cut", "format" or "unsure"; "" where it does."""
    if not answer.text.strip() and not answer.tools:
        return "empty"
    if answer.finish_reason == "length":
        return "cut"
    wanted = demanded(request)
    if wanted is not None and not answer.tools and not wanted(answer.text):
        return "format"
    return "unsure" if how.doubtful and (answer.sure is None or answer.sure < SURE) else ""


def demanded(request: Mapping[str, Any]) -> Callable[[str], bool] | None:
    """What an answer has to hold by the client's own words; None where they name no format that we know."""
    asked = "\n".join(_text(m.get("content")) for m in request["messages"] if m.get("role") != "assistant")
    wanted = request.get("response_format")
    if isinstance(wanted, Mapping) and wanted.get("type") != "text":
        return _is_json
    if _BRACKETS.search(asked):
        return lambda text: bool(_BRACKETS.search(text))
    for mark in ("####", "\\boxed"):
        if mark in asked:
            return lambda text, mark=mark: mark in text  # type: ignore[misc]
    return _is_json if re.search(r"\bJSON\b", asked) else None


def _is_json(text: str) -> bool:
    fenced = _FENCE.search(text)
    try:
        json.loads(fenced[1] if fenced else text)
    except (ValueError, RecursionError):
        return False
    return True


def _said(body: Mapping[str, Any], model: str, language: Language, budget: int | None) -> dict[str, Any]:
    """The body with the sentence in its last message, in the place of the template's own where it holds that."""
    form = _template(model)
    plain = form.sentence(language)
    asked = form.sentence(language, budget=budget, concise=budget is None)

    def with_it(text: str) -> str:
        before, found, after = text.rpartition(plain)
        return f"{before}{asked}{after}" if found else f"{text.rstrip()}\n{form.limit_alone(language, budget=budget)}"

    *earlier, last = body["messages"]
    content = last["content"]
    if isinstance(content, list):
        place = max(i for i, part in enumerate(content) if part.get("type") == "text")
        content = [{**part, "text": with_it(part["text"])} if i == place else part for i, part in enumerate(content)]
    else:
        content = with_it(content)
    return {**body, "messages": [*earlier, {**last, "content": content}]}


def _template(model: str) -> Template:
    """The template that the model is known to obey, else the paper's; none whose answers need a calculator."""
    found = TEMPLATES[usual_template(model, get_settings())]
    return TEMPLATES["paper"] if found.worked else found


def _only_text(content: Any) -> bool:
    if isinstance(content, list):
        return all(isinstance(p, Mapping) and p.get("type") == "text" and isinstance(p.get("text"), str)
                   for p in content)  # fmt: skip
    return content is None or isinstance(content, str)


def _text(content: Any) -> str:
    if isinstance(content, list):
        return "\n".join(p["text"] for p in content if isinstance(p, Mapping) and isinstance(p.get("text"), str))
    return content if isinstance(content, str) else ""
