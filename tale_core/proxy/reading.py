"""What an answer of an OpenAI-compatible endpoint holds, whole or as a stream, and a whole one turned into a stream.

Read are chat completions, the older completions, embeddings and the Responses API.
https://developers.openai.com/api/reference/resources/responses/streaming-events
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from tale_core.errors import ModelError
from tale_core.models.client import usage
from tale_core.models.client.answer import Answer, choices
from tale_core.models.client.events import EventLines, StreamedError, WebPageError, documents
from tale_core.models.endpoints import Endpoint, preset_at
from tale_core.models.tokens import count
from tale_core.types import FinishReason

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
        failed: It holds an error in an answer's place.
    """

    text: str = ""
    finish_reason: FinishReason | None = None
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    tools: bool = False
    sure: float | None = None
    estimated: bool = False
    thinking_tokens: int | None = None
    failed: bool = False


def ended(stream: bytearray, before: int) -> bool:
    """Whether a stream holds its last line, which was not yet whole when it had `before` bytes."""
    return _LAST.search(stream, stream.rfind(b"\n", 0, before) + 1) is not None


def read(body: bytes, *, model: str, upstream: str = "") -> Read:
    """What an answer holds; of one that is no answer, or was cut, what there is. Never raises.

    Text, thinking and tokens are read as they are of any endpoint that is asked (`tale_core.models.client`).

    Args:
        body: As it came, a whole document or a stream of events under whatever label.
        model: Whose tokenizer counts where the endpoint does not.
        upstream: Whose answer it is: some count thinking beside the completion.
    """
    known = preset_at(upstream)
    endpoint = Endpoint(base_url=upstream, model=model.strip() or "unnamed", usage=known.usage if known else "inside")
    answers, said, calls, tools, failed = {0: Answer(started=0.0)}, [""], [""], False, False
    for document in _documents(body):
        # In an event of the Responses API the answer's numbers stand within; else the answer is itself.
        inner = _mapping(document.get("response"))
        plain = document if "usage" in document or not inner else {**document, "usage": inner.get("usage")}
        each = {choice.get("index") if isinstance(choice.get("index"), int) else 0: choice
                for choice in reversed(list(choices(document)))}  # fmt: skip
        try:
            for index, choice in each.items():
                answers.setdefault(index, Answer(started=0.0)).add({**plain, "choices": [choice]}, endpoint)
            for answer in () if each else answers.values():
                answer.add(plain, endpoint)
        except StreamedError:
            failed = True
            continue
        except ModelError:
            break
        kind = str(document.get("type"))
        if kind == "response.output_text.delta":
            said.append(_text(document.get("delta")))
        elif kind.startswith("response.") and kind.endswith("arguments.delta"):
            calls.append(_text(document.get("delta")))
        said += _output(document)
        for choice in choices(document):
            part = _mapping(choice.get("delta") or choice.get("message"))
            tools = tools or bool(part.get("tool_calls") or part.get("function_call"))
            calls += _calls(part)
        calls += [_text(_mapping(item).get("arguments")) for item in _list(document.get("output"))]
    for answer in answers.values():
        answer.end()
    answer = next((answers[index] for index in sorted(answers) if answers[index].begun), answers[0])
    told = next((one.usage for one in answers.values() if one.usage is not None), None)
    reported = usage.read(told, beside=endpoint.usage == "beside")
    text = answer.text + "".join(said)
    written = "".join([*(one.reasoning + one.text for one in answers.values()), *said, *calls])
    # A total alone, as of embeddings, tells of no completion where there is none.
    completion = reported.completion if reported.visible is not None or written else None
    estimated = completion is None
    if completion is None and written:
        completion = count(written, model)
    return Read(
        text, answer.finish_reason if answer.whole else None, reported.prompt, completion, tools,
        answer.confidence, estimated, reported.reasoning, failed,
    )  # fmt: skip


def _calls(part: Mapping[str, Any]) -> list[str]:
    """What the model wrote to call tools: their names and arguments."""
    called = [_mapping(_mapping(call).get("function")) for call in _list(part.get("tool_calls"))]
    called.append(_mapping(part.get("function_call")))
    return [_text(one.get(name)) for one in called for name in ("name", "arguments")]


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


def _documents(body: bytes) -> Iterator[dict[str, Any]]:
    """The JSON that an answer holds; what of it cannot be read is passed over."""
    with suppress(ValueError, RecursionError):
        whole = json.loads(body)
        yield from [whole] if isinstance(whole, dict) else []
        return
    lines = EventLines()
    try:
        events = [*lines.feed(body), *lines.rest()]
    except WebPageError:
        return
    for data in events:
        try:
            yield from (found for found in documents(data) if isinstance(found, dict))
        except StreamedError as e:
            yield {"error": e.body}
        except (ValueError, RecursionError):
            continue


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
