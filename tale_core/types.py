"""The nouns of the project as frozen dataclasses, and the client protocol that everything else is written against.

Imports nothing but the standard library.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any, Final, Literal, NamedTuple, Protocol

AnswerKind = Literal["number", "choice", "text"]
Language = Literal["en", "zh"]
Source = Literal["live", "cached", "recorded", "simulated"]
FinishReason = Literal["stop", "length", "content_filter", "cancelled", "error", "other"]
ReasoningEffort = Literal["none", "minimal", "low", "medium", "high", "xhigh", "max", "default"]
Level = int | str
"""What a budget is set to: a number of tokens, or a provider's word."""
Role = Literal["estimate", "vanilla", "budgeted", "direct", "probe", "forced"]
SessionKind = Literal["ask", "search", "sweep", "experiment"]
ProbePhase = Literal["vanilla", "bisect", "greedy", "sweep"]
AnswerRole = Literal["vanilla", "budgeted"]
ExtractionMethod = Literal[
    "tag", "brackets", "boxed", "hashes", "phrase", "last-number", "expression", "letter", "whole", "lines", "none"
]
GUESSED: Final[frozenset[str]] = frozenset({"last-number", "expression"})
"""Ways of finding an answer that are a last resort: nothing in the text announced it."""
Writes = Literal["words", "lines"]
"""What an adapter writes: prose, or lines of assignments for the calculator."""
TUNED: Final = "tuned:"
"""How the strategy and the template of an answer begin that an adapter gave."""
LINES: Final = "lines"
"""The strategy, and in an Ask the budget's place, of answers that a calculator works out (`grading.lines`)."""
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


REFUSAL: Final[FinishReason] = "content_filter"
"""How an answer ends that a content filter refused."""


def judged(outcome: Outcome | None, *, refused: bool = False) -> bool | None:
    """Whether an answer is right, for every accuracy of the project; None for one that belongs to no denominator.

    Wrong, cut off, unreadable and refused answers are answers: they count as not right, though each is shown by its own
    name. A call that failed at the endpoint is no answer, and an answer that nobody could grade tells nothing.

    Args:
        outcome: What became of it; None where there is no answer.
        refused: An `ERROR` is a content filter's refusal and no failure of the endpoint.
    """
    if outcome is Outcome.CORRECT:
        return True
    if outcome is Outcome.ERROR:
        return False if refused else None
    return None if outcome in (None, Outcome.UNGRADED) else False


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
        knob: Another budget that is set beside the prompt: its kind and level (`tale_core.budgets.kinds`), as in
            "thinking:1024" and "enforced:200".
    """

    temperature: float | None = 0.0
    top_p: float | None = None
    seed: int | None = 1024
    max_tokens: int | None = 2048
    reasoning_effort: ReasoningEffort | None = None
    knob: str | None = None

    @property
    def level(self) -> Level | None:
        """What a knob is set to, or the effort; None where neither is set."""
        if self.knob is None:
            return self.reasoning_effort
        level = self.knob.partition(":")[2]
        return int(level) if level.isdecimal() else level


@dataclass(frozen=True, slots=True)
class Request:
    """One call to a model. Where its last message is the assistant's, that message is continued.

    Attributes:
        adapter: Key of the adapter that answers (`tale_core.models.adapters.registry.Adapter.key`); "" asks the model
            as it is.
        stop: Texts that end the answer, and are no part of it.
        logprobs: The endpoint is asked how sure it was of each token.
    """

    messages: tuple[Message, ...]
    sampling: Sampling = field(default_factory=Sampling)
    adapter: str = ""
    stop: tuple[str, ...] = ()
    logprobs: bool = False

    @property
    def continued(self) -> bool:
        """Its last message is begun already, and the endpoint is to write on."""
        return bool(self.messages) and self.messages[-1].role == "assistant"


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens of one call.

    Attributes:
        prompt_tokens: Tokens of the request.
        completion_tokens: All billed output: the visible answer and the thinking, shown or hidden.
        reasoning_tokens: The part of completion_tokens that is thinking; None when unknown.
        cached_prompt_tokens: The part of prompt_tokens the endpoint served from a cache; None when unknown.
        estimated: True when the numbers are ours and not the endpoint's `usage`.
        reasoning_estimated: True when the endpoint does not say how much of the output is thinking and
            reasoning_tokens is our own reading of the text that came.
        cache_write_tokens: The part of prompt_tokens the endpoint put into its cache; None when unknown.
    """

    prompt_tokens: int
    completion_tokens: int
    reasoning_tokens: int | None = None
    cached_prompt_tokens: int | None = None
    estimated: bool = False
    reasoning_estimated: bool = False
    cache_write_tokens: int | None = None

    @property
    def thinking_tokens(self) -> int | None:
        """The part of the output that is thinking; None when unknown."""
        return self.reasoning_tokens

    @property
    def visible_tokens(self) -> int | None:
        """The part of the output that is the answer; None when unknown. With thinking_tokens it is all of it."""
        return visible_part(self.completion_tokens, self.reasoning_tokens)


def visible_part(completion_tokens: int | None, reasoning_tokens: int | None) -> int | None:
    """Tokens of the answer without the thinking; None when either count is unknown."""
    if completion_tokens is None or reasoning_tokens is None:
        return None
    return max(0, completion_tokens - reasoning_tokens)


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
        confidence: Geometric mean of the probabilities of its tokens, 0 to 1; None where nobody asked or told.
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
    confidence: float | None = None


@dataclass(frozen=True, slots=True)
class Price:
    """Published price in US dollars per million tokens, with the day it was read. Unknown is None, never 0.

    Attributes:
        input_per_mtok: For the request's tokens.
        output_per_mtok: For the answer's, thinking included.
        cached_input_per_mtok: For the part of the request that came out of the endpoint's cache; None when no such
            price is known: then it is charged as the rest is, which is never too little.
        cache_write_per_mtok: For the part that was put into the cache; None as before.
    """

    input_per_mtok: float
    output_per_mtok: float
    as_of: str
    cached_input_per_mtok: float | None = None
    cache_write_per_mtok: float | None = None

    def cost(self, usage: Usage) -> float:
        """Dollars for one call: the request, its cached part at the cache's price, and the answer with its thinking."""
        read = usage.cached_prompt_tokens or 0
        written = usage.cache_write_tokens or 0
        parts = (
            (usage.prompt_tokens - read - written, self.input_per_mtok),
            (read, _else(self.cached_input_per_mtok, self.input_per_mtok)),
            (written, _else(self.cache_write_per_mtok, self.input_per_mtok)),
            (usage.completion_tokens, self.output_per_mtok),
        )
        return sum(tokens * price for tokens, price in parts) / 1_000_000


def _else(price: float | None, ordinary: float) -> float:
    return ordinary if price is None else price


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
    method: ExtractionMethod

    @property
    def last_resort(self) -> bool:
        """True when the answer was guessed from the last number or expression in the text."""
        return self.method in GUESSED


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
        cache_key: Fingerprint of the request (see `tale_core.calls.caller`); None where answers are never reused.
        unit: Part of an experiment that asked for it (see `tale_core.experiments.plan`); None outside experiments.
        step: Place among the calls of its unit, from 0.
        reasoning_estimated: How much of the output is thinking is our own reading of the text; see `Usage`.
        confidence: See `Completion`.
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
    cached_prompt_tokens: int | None = None
    usage_estimated: bool = False
    reasoning_estimated: bool = False
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
    confidence: float | None = None

    @property
    def thinking_tokens(self) -> int | None:
        """The part of the output that is thinking; None when unknown. See `Usage`."""
        return self.reasoning_tokens

    @property
    def visible_tokens(self) -> int | None:
        """The part of the output that is the answer; None when unknown. See `Usage`."""
        return visible_part(self.completion_tokens, self.reasoning_tokens)

    @property
    def refused(self) -> bool:
        """A content filter refused the answer; the endpoint did not fail."""
        return self.outcome is Outcome.ERROR and self.finish_reason == REFUSAL

    @property
    def judged(self) -> bool | None:
        """True for a right answer, False for one that counts as not right, None for one that does not count."""
        return judged(self.outcome, refused=self.refused)

    @property
    def level(self) -> Level | None:
        """What the budget was set to, whatever its kind; None for answers without one."""
        if self.requested_budget is not None:
            return self.requested_budget
        # The effort may be the whole run's: only a probe's is known to be its own.
        return self.sampling.level if self.role == "probe" or self.sampling.knob else None

    @property
    def tokens_for_budget(self) -> int | None:
        """What a budget is held against: the visible answer, or all of the output where thinking is not told apart."""
        return self.completion_tokens if self.visible_tokens is None else self.visible_tokens


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


class Found(NamedTuple):
    """A finished call that answers a request; `own` when it is the very step that asks, from before a stop."""

    call: CallRecord
    own: bool
