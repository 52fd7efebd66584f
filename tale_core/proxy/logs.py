"""Reads what others logged of chat completions, so that it can be asked again: Langfuse, OpenAI's exports, JSONL.

A file is one JSON document (a list, or an object with a list in `data`) or one a line. Understood are: a request with
its response (`request` and `response`, or `body` and `response.body` as in OpenAI's batches), stored completions
(`messages` or `input` beside `choices`), conversations whose last message is the answer, and Langfuse's observations
(`input`, `output`, `model`, `usage` or `usageDetails`).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.proxy.reading import Read, read

MOST_BYTES = 1_000_000_000
_KEPT = ("temperature", "top_p", "max_tokens", "max_completion_tokens", "seed", "tools", "response_format", "n", "stop",
         "reasoning_effort", "logprobs", "functions")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Logged:
    """A request that was answered, as a log holds it."""

    body: dict[str, Any]
    answer: Read


@dataclass(frozen=True, slots=True)
class LogFile:
    """What a file holds; `skipped` entries are no answered chat completion."""

    entries: tuple[Logged, ...]
    skipped: int


def read_log(path: Path) -> LogFile:
    """Read a file.

    Raises:
        InputError: It cannot be read, is too large, or holds no answered chat completion.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise InputError(t("{path} is larger than {n:,} bytes.", path=path, n=MOST_BYTES), t("Split it."))
        documents = list(_documents(path.read_text(encoding="utf-8-sig", errors="replace")))
    except OSError as e:
        raise InputError(t("{path} cannot be read: {why}.", path=path, why=e.strerror), t("Check the path.")) from e
    found = [one for document in documents if (one := _logged(document)) is not None]
    if not found:
        raise InputError(
            t("{path} holds no answered chat completion.", path=path),
            t("Give an export of Langfuse or OpenAI, or lines of {form}.", form='{"request": …, "response": …}'),
        )
    return LogFile(tuple(found), len(documents) - len(found))


def _documents(text: str) -> Iterator[Any]:
    whole = _parsed(text)
    if isinstance(whole, Mapping) and isinstance(whole.get("data"), list):
        yield from whole["data"]
    elif isinstance(whole, list):
        yield from whole
    elif whole is not None:
        yield whole
    else:
        yield from (_parsed(line) for line in text.splitlines() if line.strip())


def _parsed(text: Any) -> Any:
    """JSON out of a string; what is no string, or no JSON, is None or itself."""
    if not isinstance(text, str):
        return text
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _logged(one: Any) -> Logged | None:
    if not isinstance(one, Mapping):
        return None
    request = one.get("request") or one.get("body") or one
    request = request if isinstance(request, Mapping) else {}
    response = one.get("response") or (one if "choices" in one else None)
    response = response.get("body", response) if isinstance(response, Mapping) else response
    messages = request.get("messages")
    if messages is None:
        given = _parsed(one.get("input")) if isinstance(one.get("input"), str) else one.get("input")
        messages = given.get("messages") if isinstance(given, Mapping) else given
        messages = messages or ([{"role": "user", "content": one["input"]}] if one.get("input") else None)
    if not isinstance(messages, list) or not all(isinstance(m, Mapping) for m in messages):
        return None
    model = str(request.get("model") or one.get("model") or (response or {}).get("model") or "")
    answer = _answer(one, response, messages, model)
    if answer is None or not model:
        return None
    if response is None and "output" not in one:
        messages = messages[:-1]
    settings = {**_mapping(one.get("modelParameters")), **request}
    kept = {name: settings[name] for name in _KEPT if settings.get(name) is not None}
    return Logged({"model": model, "messages": messages, **kept}, answer)


def _answer(one: Mapping[str, Any], response: Any, messages: list[Any], model: str) -> Read | None:
    if isinstance(response, Mapping) and "choices" in response:
        found = read(json.dumps(response).encode(), model=model)
        return found if found.completion_tokens is not None else None
    said = _parsed(one["output"]) or one["output"] if "output" in one else None
    if said is None and messages and messages[-1].get("role") == "assistant":
        said = messages[-1]
    text = said.get("content") if isinstance(said, Mapping) else said
    if not isinstance(text, str) or not text:
        return None
    usage = _mapping(one.get("usageDetails") or one.get("usage"))
    tokens = {"prompt_tokens": usage.get("input", usage.get("prompt_tokens")),
              "completion_tokens": usage.get("output", usage.get("completion_tokens"))}  # fmt: skip
    document = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}], "usage": tokens}
    return read(json.dumps(document).encode(), model=model)


def _mapping(value: Any) -> Mapping[str, Any]:
    value = _parsed(value) if isinstance(value, str) else value
    return value if isinstance(value, Mapping) else {}
