"""The nouns of the project as frozen dataclasses, and the client protocol that everything else is written against.

Knows nothing but the standard library: no SDK, no database, no page.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, Protocol

AnswerKind = Literal["number", "choice", "text"]
Language = Literal["en", "zh"]
Source = Literal["live", "cached", "recorded", "simulated"]
FinishReason = Literal["stop", "length", "content_filter", "cancelled", "error", "other"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh"]
Role = Literal["estimate", "vanilla", "budgeted", "direct", "probe"]
SessionKind = Literal["ask", "search", "sweep", "experiment"]
ProbePhase = Literal["vanilla", "bisect", "greedy", "sweep"]
AnswerRole = Literal["vanilla", "budgeted"]
TUNED: Final = "tuned:"
"""How the strategy and the wording of an answer begin that an adapter gave."""
ANSWERS: tuple[AnswerRole, AnswerRole] = ("vanilla", "budgeted")
LabelledBy = Literal["verdict", "gold"]
Status = Literal["running", "done", "failed", "cancelled", "interrupted"]


class Outcome(StrEnum):
    """What became of an answer. Never folded into each other: a truncated or unparsed answer is not a wrong one."""

    CORRECT = "correct"
    WRONG = "wrong"
    TRUNCATED = "truncated"
    UNPARSED = "unparsed"
    ERROR = "error"
    UNGRADED = "ungraded"


@dataclass(frozen=True, slots=True)
class Question:
    """A question, with its known answer where there is one.

    Attributes:
        text: The question as the model sees it, without options.
        answer: The known answer; for choices the letter. None when nobody knows it yet.
        kind: How answers are compared; None lets the grader infer it from `answer` and `options`.
        options: For choices, the option texts in order A, B, C, …; empty otherwise.
        difficulty: 1 (one step) to 5 (competition style); None when unknown.
    """

    text: str
    id: str | None = None
    answer: str | None = None
    kind: AnswerKind | None = None
    options: tuple[str, ...] = ()
    language: Language = "en"
    topic: str | None = None
    difficulty: int | None = None
    source: str | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """One chat message."""

    role: Literal["system", "user", "assistant"]
    content: str


@dataclass(frozen=True, slots=True)
class Sampling:
    """How to sample. None leaves a setting to the endpoint.

    Attributes:
        max_tokens: Cap on completion tokens. Large enough that a vanilla answer is not cut.
        reasoning_effort: The provider's native knob, for models that have one.
    """

    temperature: float | None = 0.0
    top_p: float | None = None
    seed: int | None = 1024
    max_tokens: int | None = 2048
    reasoning_effort: ReasoningEffort | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a model.

    Attributes:
        adapter: Key of the adapter that answers (`tale_core.models.adapters.Adapter.key`); "" asks the model as it is.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    adapter: str = ""


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call.

    Attributes:
        prompt_tokens: Tokens of the request.
        completion_tokens: Tokens of the answer, hidden reasoning included (as OpenAI's `usage` counts).
        reasoning_tokens: The hidden part of completion_tokens; None when the endpoint does not say.
        cached_prompt_tokens: The part of prompt_tokens the endpoint served from a cache; None when unknown.
        estimated: True when the numbers are ours and not the endpoint's `usage`.
    """

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Delta:
    """A piece of a streaming answer.

    Attributes:
        text: New visible text.
        reasoning: New text of the visible chain of thought that some endpoints stream apart (`reasoning_content`).
    """

    text: str = ""
    reasoning: str = ""


@dataclass(frozen=True, slots=True)
class Completion:
    """One whole (or cut) answer with its bookkeeping.

    Attributes:
        ttft_s: Seconds from sending the request to the first piece of text; None when nothing came.
        latency_s: Seconds from sending the request to the end.
        finish_reason: "length" means cut by max_tokens; "cancelled" means we closed the stream.
        attempts: Requests that were sent, retries included.
        adjustments: What was asked for but not sent, because the endpoint refuses it, in words.
        endpoint: Who answered, where the client has several endpoints; else None.
    """

    text: str
    usage: Usage
    finish_reason: FinishReason
    ttft_s: float | None
    latency_s: float
    reasoning_text: str = ""
    source: Source = "live"
    attempts: int = 1
    adjustments: tuple[str, ...] = ()
    endpoint: str | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Published price in US dollars per million tokens, with the day it was read. Unknown is None, never 0."""

    input_per_mtok: float
    output_per_mtok: float
    as_of: str

    def cost(self, usage: Usage) -> float:
        """Dollars for one call (prompt plus completion, reasoning included)."""
        return (usage.prompt_tokens * self.input_per_mtok + usage.completion_tokens * self.output_per_mtok) / 1_000_000


class Client(Protocol):
    """What every model looks like to the rest of the core.

    Attributes:
        model: The model's name as stored with each call.
        endpoint: Where it runs, in words that hold no key ("embedded", "https://api.openai.com/v1").
        price: Published price, or None when unknown. The embedded model costs no money: Price(0, 0, …).
    """

    @property
    def model(self) -> str:
        """Name of the model."""
        ...

    @property
    def endpoint(self) -> str:
        """Where it runs."""
        ...

    @property
    def price(self) -> Price | None:
        """Published price."""
        ...

    def stream(self, request: Request) -> AsyncGenerator[Delta | Completion, None]:
        """Yield zero or more `Delta`s, then exactly one `Completion`.

        Closing the generator (`aclose()`, or cancelling the task that runs it) closes the HTTP request at once, so that
        the endpoint stops generating.

        Raises:
            ModelError: With `partial` holding what had arrived.
        """
        ...

    async def count_tokens(self, text: str) -> int:
        """Count tokens of plain text: exact where the endpoint has a tokenizer, else tiktoken's estimate."""
        ...

    async def aclose(self) -> None:
        """Close the connections."""
        ...


@dataclass(frozen=True, slots=True)
class Extraction:
    """What the grader took for the final answer.

    Attributes:
        value: The extracted answer as written, or None when there was none.
        method: How it was found. "last-number" is a last resort and is shown as such.
    """

    value: str | None
    method: Literal["brackets", "boxed", "hashes", "phrase", "last-number", "letter", "whole", "none"]

    @property
    def last_resort(self) -> bool:
        """True when the answer was guessed from the last number in the text."""
        return self.method == "last-number"


@dataclass(frozen=True, slots=True)
class Grade:
    """Outcome of one answer, with what was extracted from it."""

    outcome: Outcome
    extraction: Extraction


@dataclass(frozen=True, slots=True)
class Estimate:
    """A budget and where it came from.

    Attributes:
        estimator: Registry name ("zero-shot", "fixed").
        budget: Tokens to put into the prompt; always positive.
        raw: The model's own words; "" for estimators that ask nobody.
        problem: Why `raw` could not be used and the stated default was taken instead; None when it could.
        completion: The estimator's call with its tokens; None when no call was made.
    """

    estimator: str
    budget: int
    raw: str = ""
    problem: str | None = None
    completion: Completion | None = None


@dataclass(frozen=True, slots=True)
class CallRecord:
    """One stored call, with everything needed to know where a number came from. `id` is 0 before it is stored.

    Attributes:
        repeat_index: 0 for the first answer to a prompt; repeats sample with the seed plus this.
        phase: For probes, the part of a search that asked for it.
        cut: A search stopped this answer because it could no longer win; its outcome is unknown, its tokens are a
            lower bound of what it would have cost.
        cache_key: Fingerprint of the request (see `tale_core.probing`); None where answers are never reused.
        unit: Part of an experiment that asked for it (see `tale_core.experiments.plan`); None outside experiments.
        step: Place among the calls of its unit, from 0.
        labelled: Who decided the outcome: "verdict" a person, "gold" the grader against a known answer that a person
            gave; None the grader alone.
    """

    session_id: str
    role: Role
    status: Status
    model: str
    endpoint: str
    prompt_template: str
    prompt_version: int
    messages: tuple[Message, ...]
    sampling: Sampling
    id: int = 0
    created_at: datetime | None = None
    repeat_index: int = 0
    requested_budget: int | None = None
    phase: ProbePhase | None = None
    cut: bool = False
    cache_key: str | None = None
    unit: str | None = None
    step: int | None = None
    text: str = ""
    reasoning_text: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    reasoning_tokens: int | None = None
    usage_estimated: bool = False
    ttft_s: float | None = None
    latency_s: float | None = None
    finish_reason: FinishReason | None = None
    price: Price | None = None
    cost_usd: float | None = None
    source: Source = "live"
    attempts: int = 1
    adjustments: tuple[str, ...] = ()
    outcome: Outcome = Outcome.UNGRADED
    extracted: str | None = None
    extracted_by: str | None = None
    labelled: LabelledBy | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class SessionRecord:
    """One stored session: a question with its calls. An Ask holds an estimate and two answers, a search its probes.

    Attributes:
        kind: What the session is. An experiment's `question` holds the data set's name.
        plan: What a search, sweep or experiment was asked to do, JSON-safe; empty for an Ask.
        result: What it found so far, JSON-safe; None before the first finding and for an Ask.
        id: Unguessable, URL-safe; it is the `?session=` of a shared link.
        budget: The budget used in the prompt; None until it is known.
        budget_problem: Why the estimator's answer was not used, if it was not.
        together: True when both answers were generated at the same time (they shared the machine).
        guesses: Token counts guessed before the reveal, by role; empty when nobody guessed.
        parent_id: The session this one reran with an edited budget.
        owner: "host:pid:started" of the process that runs it, to tell running from interrupted.
    """

    id: str
    question: Question
    model: str
    endpoint: str
    estimator: str
    status: Status = "running"
    created_at: datetime | None = None
    updated_at: datetime | None = None
    budget: int | None = None
    budget_raw: str = ""
    budget_problem: str | None = None
    template: str = ""
    together: bool = True
    guesses: dict[str, int] = field(default_factory=dict)
    parent_id: str | None = None
    owner: str = ""
    error: str | None = None
    source: Source = "live"
    kind: SessionKind = "ask"
    plan: dict[str, Any] = field(default_factory=dict)
    result: dict[str, Any] | None = None
    calls: tuple[CallRecord, ...] = ()
