"""Chats as files hold them: a list of messages, each with its role and a text, or parts of one.

The messages are those of OpenAI's API (`role`, `content`) or ShareGPT's (`from`, `value`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

_TEXTS = ("text", "output_text", "input_text")
_ROLES = {"human": "user", "gpt": "assistant", "model": "assistant", "developer": "system"}
"""Other names of roles -> OpenAI's."""


def messages(asked: object) -> list[Mapping[str, Any]]:
    """The messages of a chat, also when they stand as JSON in a text; none for a plain text."""
    if isinstance(asked, str) and asked.lstrip().startswith("[{"):
        try:
            asked = json.loads(asked)
        except (ValueError, RecursionError):
            return []
    found = [_message(m) for m in as_list(asked) if isinstance(m, Mapping)]
    return found if found and len(found) == len(as_list(asked)) and all("content" in m for m in found) else []


def _message(of: Mapping[str, Any]) -> Mapping[str, Any]:
    if "content" not in of and {"from", "value"} <= of.keys():
        of = {"role": of["from"], "content": of["value"]}
    role = of.get("role")
    return {**of, "role": _ROLES[role]} if isinstance(role, str) and role in _ROLES else of


def said_by(role: str, chat: list[Mapping[str, Any]]) -> list[object]:
    """What a role said, message by message: its text, or the content as it is where that is not text alone."""
    said = [m.get("content") for m in chat if m.get("role") == role]
    return [content if (text := _text(content)) is None else text for content in said]


def last_user(asked: object) -> str | None:
    """What was asked: of a chat the last message of the user, else the text itself; None where it is not text alone."""
    chat = messages(asked)
    said = [m for m in chat if m.get("role") == "user"] or chat
    return _text(said[-1].get("content") if said else asked)


def whole_prompt(asked: object) -> str:
    """Everything that the model was given, as one text."""
    chat = messages(asked)
    return "\n\n".join(written(m.get("content")) for m in chat) if chat else written(asked)


def _text(content: object) -> str | None:
    kinds = [one.get("type") for one in as_list(content) if isinstance(one, Mapping)]
    return written(content) if all(kind in (None, *_TEXTS, "reasoning") for kind in kinds) else None


def written(value: object) -> str:
    """A value as text: of a message's parts the texts, without thinking; of any other structure its JSON."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    parts = [one for one in as_list(value) if isinstance(one, Mapping) and "type" in one]
    if parts and len(parts) == len(as_list(value)):
        return "".join(str(one.get("text") or "") for one in parts if one.get("type") in _TEXTS)
    try:
        return json.dumps(value, ensure_ascii=False)
    except (TypeError, ValueError, RecursionError):
        return str(value)


def as_list(value: object) -> list[Any]:
    """The value where it is a list, else an empty one."""
    return value if isinstance(value, list) else []
