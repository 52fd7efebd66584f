"""The Responses API, for models that answer nowhere else: our request in its words, its events as chat chunks.

The two formats: https://platform.openai.com/docs/api-reference/responses-streaming.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RESPONSES = "responses"
_RENAMED = {"max_tokens": "max_output_tokens", "max_completion_tokens": "max_output_tokens"}
_KEPT = ("model", "stream", "temperature", "top_p")
_TEXT = ("response.output_text.delta", "response.refusal.delta")
_THOUGHT = ("response.reasoning_text.delta", "response.reasoning_summary_text.delta", "response.reasoning.delta")
_ENDS = ("response.completed", "response.incomplete", "response.failed", "response.done")


def as_responses(chat: Mapping[str, Any]) -> dict[str, Any]:
    """A chat request as a request to the Responses API. It has no seed; nothing is stored there."""
    sent = {name: chat[name] for name in _KEPT if name in chat}
    sent |= {new: chat[old] for old, new in _RENAMED.items() if old in chat}
    if "reasoning_effort" in chat:
        sent["reasoning"] = {"effort": chat["reasoning_effort"]}
    if "verbosity" in chat:
        sent["text"] = {"verbosity": chat["verbosity"]}
    return {**sent, "input": chat["messages"], "store": False}


def as_chunk(event: Any) -> Any:
    """One of its events, or a whole response, as the chat chunk that says the same."""
    if not isinstance(event, Mapping):
        return event
    kind = event.get("type")
    if kind in _TEXT:
        return _chunk({"content": event.get("delta")})
    if kind in _THOUGHT:
        return _chunk({"reasoning_content": event.get("delta")})
    if kind in _ENDS:
        return _ended(event.get("response"))
    if event.get("object") == "response":
        return _ended(event)
    if kind == "error" or (event.get("error") and "response" not in event):
        return event
    return _chunk({})


def _ended(response: Any) -> dict[str, Any]:
    """The end of a response: its usage, its finish reason and, as a message, all that it says."""
    found = response if isinstance(response, Mapping) else {}
    if error := found.get("error"):
        return {"error": error}
    details = found.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, Mapping) else None
    status = found.get("status")
    finish = reason or ("stop" if status in (None, "completed") else status)
    message = {"content": _said(found.get("output"))}
    return {"choices": [{"index": 0, "finish_reason": finish, "message": message}], "usage": found.get("usage")}


def _said(output: Any) -> list[Any]:
    """The parts of all messages and of the thinking, in their order."""
    items = [item for item in output if isinstance(item, Mapping)] if isinstance(output, list) else []
    parts: list[Any] = []
    for item in items:
        if item.get("type") == "reasoning":
            parts.append({"type": "thinking", "thinking": item.get("content") or item.get("summary")})
        elif isinstance(content := item.get("content"), list):
            parts += content
    return parts


def _chunk(delta: Mapping[str, Any]) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}
