"""What an answer of an OpenAI-compatible endpoint holds, whole or as a stream, and a whole one turned into a stream.

Read are chat completions, the older completions, embeddings and the Responses API.
https://developers.openai.com/api/reference/resources/responses/streaming-events
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from tale_core.errors import ModelError
from tale_core.models.client import usage
from tale_core.models.client.answer import Answer, choices
from tale_core.models.client.events import StreamedError
from tale_core.models.endpoints import Endpoint, preset_at
from tale_core.models.tokens import count
from tale_core.types import FinishReason

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
    finish_reason: FinishReason | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tools: bool = False
    sure: float | None = None
    estimated: bool = False
    thinking_tokens: int | None = None


def ended(stream: bytearray, before: int) -> bool:
    """Whether a stream holds its last line, which was not yet whole when it had `before` bytes."""
    return _LAST.search(stream, stream.rfind(b"\n", 0, before) + 1) is not None


def read(body: bytes, *, streamed: bool, model: str, upstream: str = "") -> Read:
    """What an answer holds; of one that is no answer, or was cut, what there is. Never raises.

    Text, thinking and tokens are read as they are of any endpoint that is asked (`tale_core.models.client`).

    Args:
        body: As it came.
        streamed: It is a stream of events.
        model: Whose tokenizer counts where the endpoint does not.
        upstream: Whose answer it is: some count thinking beside the completion.
    """
    known = preset_at(upstream)
    endpoint = Endpoint(base_url=upstream, model=model.strip() or "unnamed", usage=known.usage if known else "inside")
    answer, said, tools = Answer(started=0.0), [""], False
    for document in _events(body) if streamed else _whole(body):
        # In an event of the Responses API the answer's numbers stand within; else the answer is itself.
        inner = _mapping(document.get("response"))
        try:
            answer.add(
                document if "usage" in document or not inner else {**document, "usage": inner.get("usage")}, endpoint
            )
        except StreamedError:
            continue
        except ModelError:
            break
        if document.get("type") == "response.output_text.delta":
            said.append(_text(document.get("delta")))
        said += _output(document)
        for choice in choices(document):
            part = _mapping(choice.get("delta") or choice.get("message"))
            tools = tools or bool(part.get("tool_calls") or part.get("function_call"))
    answer.end()
    reported = usage.read(answer.usage, beside=endpoint.usage == "beside")
    text = answer.text + "".join(said)
    # A total alone, as of embeddings, tells of no completion where there is none.
    completion = reported.completion if reported.visible is not None or text else None
    estimated = completion is None
    if completion is None and (text or answer.reasoning):
        completion = count(answer.reasoning + text, model)
    finish = answer.finish_reason if answer.whole else None
    return Read(text, finish, reported.prompt, completion, tools, answer.confidence, estimated, reported.reasoning)


def _output(document: Mapping[str, Any]) -> list[str]:
    """The visible texts of a whole answer of the Responses API."""
    items = [_mapping(item).get("content") for item in _list(document.get("output"))]
    parts = [_mapping(part) for content in items for part in _list(content)]
    return [_text(part.get("text")) for part in parts if part.get("type") == "output_text"]


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _mapping(value: Any) -> Mapping[str, Any]:
    return value if isinstance(value, Mapping) else {}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else ""


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
