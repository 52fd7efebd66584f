"""What an answer of an OpenAI-compatible endpoint holds, whole or as a stream, and a whole one turned into a stream.

Read are chat completions, the older completions, embeddings and the Responses API: their tokens have several names.
https://developers.openai.com/api/reference/resources/responses/streaming-events
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tale_core.models.tokens import count
from tale_core.stats import mean_if_all

DONE = b"[DONE]"
_LAST = re.compile(rb'^data: ?\[DONE\]|^data:.*"type": ?"response\.(?:completed|incomplete|failed)".*\n', re.MULTILINE)
"""The line that ends a stream: the mark of completions, or the last event of the Responses API."""


@dataclass(frozen=True, slots=True)
class Read:
    """An answer.

    Attributes:
        text: The visible text of the first choice.
        thinking_tokens: Of the completion's tokens, those that nobody saw; None where the endpoint does not say.
        tools: It calls a tool.
        sure: The mean probability of its tokens; None where the endpoint tells none.
        estimated: The tokens are our count.
    """

    text: str = ""
    finish_reason: str | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tools: bool = False
    sure: float | None = None
    estimated: bool = False
    thinking_tokens: int | None = None


def ended(stream: bytearray, before: int) -> bool:
    """Whether a stream holds its last line, which was not yet whole when it had `before` bytes."""
    return _LAST.search(stream, stream.rfind(b"\n", 0, before) + 1) is not None


def read(body: bytes, *, streamed: bool, model: str) -> Read:
    """What an answer holds; of one that is no answer, or was cut, what there is. Never raises."""
    said: list[str] = []
    thought: list[str] = []
    finish, usage, tools, sure = None, None, False, None
    for document in _events(body) if streamed else _whole(body):
        response = _mapping(document.get("response"))  # In an event of the Responses API; else the answer is itself.
        usage = document.get("usage") or response.get("usage") or usage
        choices = document.get("choices")
        first = choices[0] if isinstance(choices, list) and choices and isinstance(choices[0], Mapping) else {}
        part = _mapping(first.get("delta") or first.get("message"))
        said.append(_text(part.get("content") or first.get("text")))
        thought.append(_text(part.get("reasoning_content") or part.get("reasoning")))
        if document.get("type") == "response.output_text.delta":
            said.append(_text(document.get("delta")))
        said += _output(document)
        tools = tools or bool(part.get("tool_calls") or part.get("function_call"))
        finish = first.get("finish_reason") or finish
        sure = _sure(first.get("logprobs")) if first.get("logprobs") else sure
    prompt, completion, thinking = _counts(_mapping(usage))
    text = "".join(said)
    estimated = completion is None
    if completion is None and (text or any(thought)):
        completion = count("".join(thought) + text, model)
    finish = finish if isinstance(finish, str) else None
    return Read(text, finish, prompt, completion, tools, sure, estimated, thinking)


def _counts(usage: Mapping[str, Any]) -> tuple[int | None, int | None, int | None]:
    """Tokens of the prompt and the completion, and how many of the latter nobody saw, by either API's names."""
    details = _mapping(usage.get("completion_tokens_details") or usage.get("output_tokens_details"))
    found = (
        usage.get("prompt_tokens", usage.get("input_tokens")),
        usage.get("completion_tokens", usage.get("output_tokens")),
        details.get("reasoning_tokens"),
    )
    prompt, completion, thinking = (n if isinstance(n, int) and 0 <= n < 10**12 else None for n in found)
    return prompt, completion, thinking


def _output(document: Mapping[str, Any]) -> list[str]:
    """The visible texts of a whole answer of the Responses API."""
    output = document.get("output")
    parts = [part for item in output if isinstance(item, Mapping) for part in item.get("content") or ()
             ] if isinstance(output, list) else []  # fmt: skip
    return [
        _text(part.get("text")) for part in parts if isinstance(part, Mapping) and part.get("type") == "output_text"
    ]


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


def _sure(logprobs: Any) -> float | None:
    import math

    content = logprobs.get("content") if isinstance(logprobs, Mapping) else None
    if not isinstance(content, list) or not content:
        return None
    values = [one.get("logprob") for one in content if isinstance(one, Mapping)]
    mean = mean_if_all([v if isinstance(v, int | float) else None for v in values])
    return None if mean is None else math.exp(min(0.0, mean))


def _whole(body: bytes) -> Iterator[dict[str, Any]]:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return
    if isinstance(document, dict):
        yield document


def _events(body: bytes) -> Iterator[dict[str, Any]]:
    for line in body.splitlines():
        if line.startswith(b"data:") and (data := line[5:].strip()) != DONE:
            yield from _whole(data)


def as_events(document: Mapping[str, Any], *, with_usage: bool) -> bytes:
    """A whole answer as the stream that a client asked for: one piece a choice, its end, and the tokens if wanted."""
    head = {k: document[k] for k in ("id", "created", "model", "system_fingerprint", "service_tier") if k in document}
    head["object"] = "chat.completion.chunk"
    choices = [one for one in document.get("choices") or () if isinstance(one, Mapping)]
    pieces: list[dict[str, Any]] = []
    for one in choices:
        message = dict(one.get("message") or {})
        for place, call in enumerate(message.get("tool_calls") or ()):
            call["index"] = place
        pieces.append({"choices": [{"index": one.get("index", 0), "delta": message, "finish_reason": None}]})
        ended = {"index": one.get("index", 0), "delta": {}, "finish_reason": one.get("finish_reason")}
        pieces.append({"choices": [ended]})
    if with_usage:
        pieces.append({"choices": [], "usage": document.get("usage")})
    lines = [f"data: {json.dumps({**head, **piece}, ensure_ascii=False)}\n\n" for piece in pieces]
    return "".join([*lines, "data: [DONE]\n\n"]).encode()
