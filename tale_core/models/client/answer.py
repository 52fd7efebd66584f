"""The text of an answer, made of an endpoint's chunks however it shapes them: `Answer` takes them one by one.

None of their types is trusted. Content may be a string or a list of typed parts; thinking has a dozen names and may
stand under several at once; some endpoints send the whole text so far each time, or once more at the end.
"""

from __future__ import annotations

import math
import re
import time
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

from tale_core.errors import ModelError, NotAnOpenAIEndpointError
from tale_core.grading.thinking import ThinkingStream, split_thinking
from tale_core.i18n import t
from tale_core.models.client.bodies import error_in
from tale_core.models.client.errors import broke_off, incomplete, not_openai
from tale_core.models.client.events import StreamedError
from tale_core.models.endpoints import Endpoint
from tale_core.text import KeyStream, whole_characters
from tale_core.types import Delta, FinishReason

MAX_CHARS = 4_000_000
"""Longest answer that is kept, in characters; a model that never stops has no other end."""

_THINKING_FIELDS = ("reasoning_content", "reasoning", "reasoning_text", "reasoning_details", "thinking",
                    "thinking_blocks", "thinking_content", "thoughts", "thought")  # fmt: skip
"""The names that thinking goes by, in the order in which one is believed where several say the same."""
_THOUGHT_PART = re.compile(r"think|thought|reason|summary", re.IGNORECASE)
_TEXT_PART = re.compile(r"^(?:(?:output_)?text|text_delta|output_text_delta|refusal|)$", re.IGNORECASE)
_INNER = ("text", "content", "thinking", "thought", "reasoning", "summary", "refusal", "value", "parts")
_DEEP = 5

_FINISH: dict[str, FinishReason] = {
    "stop": "stop",
    "eos": "stop",
    "eos_token": "stop",
    "end_turn": "stop",
    "stop_sequence": "stop",
    "complete": "stop",
    "completed": "stop",
    "length": "length",
    "incomplete": "length",
}
_FINISH_WORDS: tuple[tuple[re.Pattern[str], FinishReason], ...] = (
    (re.compile(r"filter|safety|refus|recitation|block|prohibit|spii|sensitive|moderat|toxic|guardrail|policy"),
     "content_filter"),
    (re.compile(r"length|max_?(?:\w*_)?tokens?|token_?limit|context"), "length"),
    (re.compile(r"error|fail|resource|abort|cancel|interrupt|overload|time_?out|malformed|unavailable"), "error"),
)  # fmt: skip


class Channel:
    """The text of an answer, or its thinking, as it grows.

    Most endpoints send what is new. Some send everything so far each time, and some send the whole once more in their
    last frame; what has been taken is not taken twice.
    """

    _SURE = 8
    """Letters that a piece has when it is believed to hold all before it: fewer may repeat by chance."""
    _LONG = 16

    def __init__(self) -> None:
        self.pieces: list[str] = []
        self._mode: Literal["unknown", "new", "whole"] = "unknown"
        self._held: list[str] = []
        self._last = ""
        self._text = ""
        self._count = 0
        self._half = ""
        self._before = ""
        self._added = False

    @property
    def text(self) -> str:
        """All of it, without what is held back."""
        if len(self.pieces) != self._count:
            self._text, self._count = "".join(self.pieces), len(self.pieces)
        return self._text

    def add(self, piece: str, *, last: bool = False) -> str:
        """Take a piece; what is new in it and certain by now.

        Args:
            piece: As the endpoint sent it.
            last: It came with a finish reason.
        """
        piece = self._joined(piece)
        if not piece:
            return self.settle() if last else ""
        self._added = True
        if self._mode == "whole":
            return self._keep(self._beyond(piece))
        if self._mode == "new":
            return self._keep(self._new(piece, last))
        return self._first(piece, last)

    def whole(self, text: str) -> str:
        """Take a whole message; what is new in it. A stream of nothing but messages may hold a piece in each."""
        text = whole_characters(text)
        held = self.settle()
        if text.startswith(self.text):
            return held + self._keep(text[len(self.text) :])
        repeats = self._added or self.text.strip().startswith(text.strip())
        return held + ("" if repeats else self._keep(text))

    def settle(self) -> str:
        """Nothing more comes: what had been held back, as it is best understood."""
        held, self._held = self._held, []
        if not held:
            return ""
        if (len(held) > 1 and len(held[-1]) >= self._SURE) or len(self.text) >= self._LONG:
            self._mode = "whole"
            return self._keep(self._beyond(held[-1]))
        self._mode = "new"
        return self._keep("".join(held))

    def end(self) -> str:
        """The answer ends here: as `settle`, and half of a pair stays a half."""
        half, self._half = self._half, ""
        return self.settle() + self._keep(whole_characters(half))

    def _joined(self, piece: str) -> str:
        """A piece whose first character may have begun in the piece before (JSON writes an emoji as two escapes).

        Where each piece is the whole so far, the half comes once more, with its other half.
        """
        if not piece:
            return ""
        if self._half and ("\udc00" <= piece[0] <= "\udfff" or not (self._before and piece.startswith(self._before))):
            piece = self._half + piece
        self._half = piece[-1] if "\ud800" <= piece[-1] <= "\udbff" else ""
        self._before = piece = whole_characters(piece[:-1] if self._half else piece)
        return piece

    def _first(self, piece: str, last: bool) -> str:
        """The first pieces: does each one begin with all that came before?"""
        before, self._last = self._last, piece
        if not before:
            return self._keep(piece)
        if len(piece) > len(before) and piece.startswith(before) and before.strip():
            self._held.append(piece)
            return self.settle() if last or (len(self._held) > 2 and len(piece) >= self._SURE) else ""
        if piece == before and self._held and len(piece) >= self._SURE:
            self._mode, self._held = "whole", []
            return self._keep(self._beyond(piece))
        self._mode = "new"
        held, self._held = self._held, []
        new = self._keep("".join(held))
        return new + self._keep(self._new(piece, last))

    def _new(self, piece: str, last: bool) -> str:
        """What is new in a piece that may be the whole once more: long, and letter by letter what has come."""
        if len(piece) < (self._LONG if last else 4 * self._LONG) or len(self.pieces) < (1 if last else 3):
            return piece
        if piece.strip() == self.text.strip():
            return ""
        return self._beyond(piece) if last and len(self.text) >= self._LONG else piece

    def _beyond(self, whole: str) -> str:
        so_far = self.text
        if whole.startswith(so_far):
            return whole[len(so_far) :]
        return "" if so_far.startswith(whole) else whole

    def _keep(self, piece: str) -> str:
        if piece:
            self.pieces.append(piece)
        return piece


@dataclass(slots=True)
class Answer:
    """What has arrived of an answer.

    Attributes:
        started: When the request was sent, on the monotonic clock.
        keys: Secrets that no answer may hold; a server that echoes one would have it stored and exported.
        usage: The endpoint's last word on tokens; None before it.
        whole: A finish reason has come.
        certain: It came as an end comes: without text, after text. Text may follow any other.
        chunks: Chunks of any kind.
        chars: Letters of text and thinking.
        ended: The endpoint has said that it is through (`[DONE]`).
        logprobs: Of its tokens, as far as the endpoint tells.
    """

    started: float
    keys: Collection[str] = ()
    usage: Any = None
    whole: bool = False
    certain: bool = False
    chunks: int = 0
    chars: int = 0
    ended: bool = False
    logprobs: list[float] = field(default_factory=list)
    finish_reason: FinishReason = "other"
    ttft_s: float | None = None
    _said: Channel = field(default_factory=Channel)
    _thought: Channel = field(default_factory=Channel)
    _live: ThinkingStream = field(default_factory=ThinkingStream)
    _source: str = ""
    _reason: str = ""
    _index: object = None
    _went_on: bool = False
    _shaped: bool = False
    _shown_text: KeyStream = field(init=False)
    _shown_thought: KeyStream = field(init=False)

    def __post_init__(self) -> None:
        self._shown_text, self._shown_thought = KeyStream(self.keys), KeyStream(self.keys)

    @property
    def text(self) -> str:
        """The visible text, without what the model thought in it."""
        return self._shown_text.clean(split_thinking(self._said.text).answer)

    @property
    def reasoning(self) -> str:
        """The chain of thought: what was streamed apart, and what stood in the text between marks."""
        return self._shown_thought.clean(self._reasoned())

    def _reasoned(self) -> str:
        # Marks may stand in there too.
        apart = "\n".join(part for part in split_thinking(self._thought.text)[:2] if part)
        inside = split_thinking(self._said.text).thought
        if inside.strip() in apart:  # Some servers take a thought out and leave it in.
            return apart
        return f"{apart}\n{inside}" if apart else inside

    @property
    def confidence(self) -> float | None:
        """Geometric mean of the probabilities of its tokens; None where the endpoint told none."""
        return math.exp(sum(self.logprobs) / len(self.logprobs)) if self.logprobs else None

    @property
    def begun(self) -> bool:
        """Whether any text has come: from then on asking again would pay twice."""
        return bool(self._said.pieces or self._thought.pieces)

    @property
    def trusted(self) -> bool:
        """Whether its finish reason is the end even where the connection is lost after it."""
        return self.whole and not self._went_on

    def add(self, chunk: Any, endpoint: Endpoint) -> Delta | None:
        """Take a chunk in; its new text, or None when it brings none.

        Raises:
            StreamedError: The chunk is an error object.
            ModelError: The answer is endless.
        """
        self.chunks += 1
        if (error := error_in(chunk)) is not None:
            raise StreamedError(error)
        self._shaped = self._shaped or (isinstance(chunk, Mapping) and "choices" in chunk)
        choice = self._choice(chunk)
        self._count(chunk, choice)
        delta = self._words(choice) if choice is not None else None
        if choice is not None and choice.get("logprobs"):
            self.logprobs += logprobs(choice)
        if self.chars > MAX_CHARS:
            raise _endless(endpoint)
        return delta

    def check_whole(self, endpoint: Endpoint) -> None:
        """Whether what has come is an answer, now that nothing more comes.

        Raises:
            ModelError: It broke off, the endpoint could not finish it, or it is none.
        """
        if self.chunks == 0:
            raise not_openai(endpoint, t("it answered, but with no stream of tokens"))
        if not self._shaped:
            raise not_openai(endpoint, t("it sent JSON that is no chat completion"))
        if not self.whole and not (self.ended and self.begun):
            raise incomplete(endpoint)
        if self.finish_reason == "error":
            raise broke_off(endpoint, self._reason)

    def end(self) -> Delta | None:
        """Nothing more comes: the text that had been held back, or None."""
        thought = self._thought.end()
        shown = self._shown(self._said.end(), thought)
        rest = self._live.rest()
        text = shown.text + self._shown_text.feed(rest.answer) + self._shown_text.rest()
        thought = shown.reasoning + self._shown_thought.feed(rest.thought) + self._shown_thought.rest()
        return Delta(text, thought) if text or thought else None

    def _choice(self, chunk: Any) -> Mapping[str, Any] | None:
        """The one choice that is ours: we ask for one, and some endpoints send more."""
        found = None
        for choice in choices(chunk):
            index = choice.get("index") or 0
            if self._index is None or (index == 0 and self._index != 0 and not self.begun):
                self._index, found = index, None
            if index == self._index and found is None:
                found = choice
        return found

    def _count(self, chunk: Any, choice: Mapping[str, Any] | None) -> None:
        """Note the token counts; Moonshot puts them into the choice, Groq into a corner of its own."""
        if not isinstance(chunk, Mapping):
            return
        groq = chunk.get("x_groq")
        usage = chunk.get("usage") or (choice.get("usage") if choice else None)
        usage = usage or (groq.get("usage") if isinstance(groq, Mapping) else None)
        if usage is None:
            return
        if isinstance(usage, dict) and isinstance(self.usage, dict):
            # A later word may be about one side only, or say nothing more.
            usage = {**self.usage, **{name: value for name, value in usage.items() if value or name not in self.usage}}
        self.usage = usage

    def _words(self, choice: Mapping[str, Any]) -> Delta | None:
        reason = choice.get("finish_reason")
        last = isinstance(reason, str) and bool(reason) and reason.lower() != "null"
        found = words(choice.get("delta"), self._source)
        # A whole answer (an endpoint that ignores `stream`) has a message where a chunk has a delta.
        repeats = not found.text and not found.thought and bool(choice.get("message"))
        if repeats:
            found = words(choice["message"], self._source)
        text = found.text or (choice["text"] if isinstance(choice.get("text"), str) else "")
        if found.thought and (self._source in ("", found.source) or found.thought.strip() not in self._thought.text):
            self._source = self._source or found.source
            thought = self._thought.whole(found.thought) if repeats else self._thought.add(found.thought, last=last)
        else:
            thought = ""
        new = self._said.whole(text) if repeats else self._said.add(text, last=last)
        self._finish(reason if last else None, brings=bool(text or found.thought))
        if not new and not thought:
            return None
        if self.ttft_s is None:
            self.ttft_s = time.monotonic() - self.started
        self.chars += len(new) + len(thought)
        shown = self._shown(new, thought)
        return shown if shown.text or shown.reasoning else None

    def _shown(self, text: str, thought: str) -> Delta:
        parts = self._live.feed(text) if text else None
        answer, thought = (parts.answer, thought + parts.thought) if parts else ("", thought)
        return Delta(self._shown_text.feed(answer), self._shown_thought.feed(thought))

    def _finish(self, reason: str | None, *, brings: bool) -> None:
        """Note a finish reason. One that text follows was not the end, whatever it said."""
        if brings and self.whole:
            self._went_on, self.certain = True, False
        if reason is None:
            return
        self.whole = True
        self._reason = reason
        self.finish_reason = finish_reason(reason)
        self.certain = not brings and bool(self._said.pieces) and not self._went_on


def _endless(endpoint: Endpoint) -> ModelError:
    return NotAnOpenAIEndpointError(
        t("{endpoint} does not stop: its answer passed every limit and was cut off.", endpoint=endpoint.label),
        t("Set a cap on tokens."),
    )


class Words(NamedTuple):
    """What a chunk brings.

    Attributes:
        text: Visible text; marks of thinking may still stand in it.
        thought: Thinking that stands apart from it.
        source: The field that the thinking came from.
    """

    text: str = ""
    thought: str = ""
    source: str = ""


def choices(chunk: object) -> Iterator[Mapping[str, Any]]:
    """The choices of a chunk that are of any use."""
    found = chunk.get("choices") if isinstance(chunk, Mapping) else None
    for one in found if isinstance(found, list) else ():
        if isinstance(one, Mapping):
            yield one


def logprobs(choice: Mapping[str, Any]) -> Iterator[float]:
    """The log-probabilities of the tokens of a choice that are any."""
    given = choice.get("logprobs")
    found = given.get("content") if isinstance(given, Mapping) else None
    for one in found if isinstance(found, list) else ():
        value = one.get("logprob") if isinstance(one, Mapping) else None
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0:
            yield float(value)


def finish_reason(reason: str) -> FinishReason:
    """What an endpoint's finish reason says, in our words; "other" where nobody knows."""
    name = re.sub(r"[\s\-]+", "_", reason.strip().lower()).rpartition(".")[2]
    if name in _FINISH:
        return _FINISH[name]
    return next((ours for pattern, ours in _FINISH_WORDS if pattern.search(name)), "other")


def words(part: object, source: str = "") -> Words:
    """The text and the thinking of a chunk's delta or of a whole message.

    Args:
        part: The delta or the message.
        source: The field that thinking came from so far; it goes before the others.
    """
    if not isinstance(part, Mapping):
        return Words()
    content = part.get("content")
    if isinstance(content, str):
        if content and len(part) == 1:  # Nearly every chunk: there is nothing else to look for.
            return Words(content)
        text, inside = content, ""
    else:
        text, inside = _of_parts(content)
    if text and _is_thought(part):
        text, inside = "", inside + text
    thought, named = (inside, "content") if inside else _thinking(part, source)
    if not text and not thought:
        # A refusal is text that OpenAI puts elsewhere.
        text = _flat(part.get("refusal"))
    return Words(text, thought, named)


def _thinking(part: Mapping[str, Any], source: str) -> tuple[str, str]:
    """The thinking of a delta, and the field it stands in; of several that repeat it, one."""
    for name in (source, *_THINKING_FIELDS) if source in _THINKING_FIELDS else _THINKING_FIELDS:
        value = part.get(name)
        if value and (found := _flat(value)):
            return found, name
    return "", ""


def _is_thought(part: Mapping[str, Any]) -> bool:
    """Gemini's interface marks a delta whose content is a thought."""
    extra = part.get("extra_content")
    google = extra.get("google") if isinstance(extra, Mapping) else None
    return (isinstance(google, Mapping) and google.get("thought") is True) or part.get("thought") is True


def _of_parts(content: object) -> tuple[str, str]:
    """The text and the thinking in a list of typed parts. Images, references and calls of tools are neither."""
    texts: list[str] = []
    thoughts: list[str] = []
    for one in content if isinstance(content, list) else [content]:
        if not isinstance(one, Mapping):
            continue
        kind = str(one.get("type") or "")
        if one.get("thought") is True or _THOUGHT_PART.search(kind):
            thoughts.append(_flat(one))
        elif _TEXT_PART.match(kind):
            texts.append(_flat(one))
    return "".join(texts), "".join(thoughts)


def _flat(value: object, depth: int = 0) -> str:
    """The words in a string, a list of parts or a part, however deep they stand."""
    if isinstance(value, str):
        return value
    if depth > _DEEP:
        return ""
    if isinstance(value, list):
        return "".join(_flat(one, depth + 1) for one in value)
    if isinstance(value, Mapping) and "encrypted" not in str(value.get("type") or ""):
        return next((found for name in _INNER if (found := _flat(value.get(name), depth + 1))), "")
    return ""
