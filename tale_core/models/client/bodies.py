"""What an endpoint says went wrong, whatever shape it says it in.

An error may be an object, a list of one, a string, a `detail`, a list of `errors`, a `base_resp`, or another provider's
error as JSON inside a sentence. What an error means is said in `errors`.
"""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

_MESSAGES = ("message", "detail", "details", "msg", "error_msg", "error_message", "errorMessage", "status_msg",
             "Message", "reason", "title", "description", "error_description", "raw")  # fmt: skip
_CODES = ("code", "type", "status", "error_type", "error_code", "__type", "reason", "status_code", "quotaId")
_NESTED = ("error", "errors", "base_resp", "metadata", "innererror", "inner_error", "data", "response", "violations")
_ERRORISH = re.compile(
    r"error|invalid|limit|throttl|denied|exceed|fail|unavail|not.?found|unauthor|forbidden|arrear|quota|exhaust|overload"
)
_DEEP = 6
_MAX_CHARS = 20_000
_WAITS = ("retryDelay", "retry_delay", "retry_after", "retryAfter", "retry_after_seconds", "estimated_time")
_UNIT = r"(ms|millisecond|h|m|s)(?:rs?|ours?|in(?:ute)?s?|ec(?:ond)?s?|s)?(?![a-z])"
_SPAN = re.compile(rf"(\d+(?:\.\d+)?)\s*{_UNIT}", re.IGNORECASE)
_UNITS = {"ms": 0.001, "millisecond": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0}
_SAID_WAIT = re.compile(
    rf"\b(?:try|retry|again|wait|available|resets?)\b[^.\d]{{0,40}}(?P<span>(?:\d+(?:\.\d+)?\s*{_UNIT}[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)


@dataclass(frozen=True, slots=True)
class ErrorBody:
    """An error in the endpoint's own words.

    Attributes:
        message: Its sentences, the innermost reason included; "" when it gives none.
        words: Codes, types and sentences, in lower case, for telling errors apart.
        status: An HTTP status that the body itself names; None when it names none.
        param: The request's parameter that it names as wrong; None when it names none.
        wait_s: Seconds it asks to wait; None when it does not say.
    """

    message: str = ""
    words: str = ""
    status: int | None = None
    param: str | None = None
    wait_s: float | None = None


def read_error(body: object) -> ErrorBody:
    """Read an error body of any shape; a body that is no error at all says nothing."""
    found = [d for d in _walk(body) if isinstance(d, Mapping)]
    message = _message(body)
    codes = [str(d[name]) for d in found for name in _CODES if isinstance(d.get(name), str | int)]
    params = (d["param"] for d in found if isinstance(d.get("param"), str) and d["param"])
    return ErrorBody(
        message=message,
        words=" ".join([*codes, message]).lower(),
        status=next((s for d in found if (s := _status(d)) is not None), None),
        param=next(iter(params), None) or _place(found),
        wait_s=_wait(found, message),
    )


def error_in(document: object) -> object | None:
    """The error that a response of status 200 holds in an answer's place, or None when it holds none."""
    if isinstance(document, list):
        return next((e for one in document[:3] if (e := error_in(one)) is not None), None)
    if not isinstance(document, Mapping):
        return None
    if error := document.get("error"):
        return error if isinstance(error, Mapping) and error.get("message") else document
    if document.get("object") == "error" or document.get("type") == "error":
        return document
    if document.get("choices"):
        return _choice_error(document["choices"])
    base = document.get("base_resp")
    if isinstance(base, Mapping) and base.get("status_code") not in (0, None, "0"):
        return base
    if document.get("errors") and not document.get("success"):
        return document
    return document if "choices" not in document and _complains(document) else None


def _complains(document: Mapping[Any, Any]) -> bool:
    """Whether an object without an `error` is one all the same: a keep-alive may have a type and a message too."""
    says = [value for name in _MESSAGES[:6] if isinstance(value := document.get(name), str) and value]
    if not says:
        return "detail" in document and bool(document["detail"])
    codes = [document.get(name) for name in ("code", "error_code", "status", "type")]
    numbers = [int(str(code)) for code in codes if str(code).isdecimal()]
    return (
        "detail" in document
        or any(number not in (0, 200) for number in numbers)
        or bool(_ERRORISH.search(" ".join(map(str, [*codes, *says])).lower()))
    )


def span(text: str) -> float | None:
    """Seconds in a span of time as endpoints write it: `2s`, `1.5s`, `6m0s`, `120ms`, `1h2m`, or a bare number."""
    if re.fullmatch(r"\s*\d+(?:\.\d+)?\s*", text):
        return float(text)
    parts = _SPAN.findall(text)
    if not parts:
        return None
    return sum(float(number) * _UNITS[unit.lower()] for number, unit in parts)


def _choice_error(choices: object) -> object | None:
    first = choices[0] if isinstance(choices, list) and choices else None
    error = first.get("error") if isinstance(first, Mapping) else None
    return error if isinstance(error, Mapping) and error else None


def _walk(body: object, depth: int = 0) -> Iterator[object]:
    """A body and the parts of it that may say something, outermost first."""
    if depth > _DEEP:
        return
    yield body
    if isinstance(body, str):
        if (inner := _json_inside(body)) is not None:
            yield from _walk(inner, depth + 1)
    elif isinstance(body, Mapping):
        for name in (*_NESTED, *_MESSAGES):
            if body.get(name):
                yield from _walk(body[name], depth + 1)
    elif isinstance(body, list):
        for one in body[:5]:
            yield from _walk(one, depth + 1)


def _message(body: object, depth: int = 0) -> str:
    """The sentences of a body: its own, and what stands further in."""
    if depth > _DEEP:
        return ""
    if isinstance(body, str):
        return _sentence(body, depth)
    if isinstance(body, list):
        return _joined(_message(one, depth + 1) for one in body[:5])
    if not isinstance(body, Mapping):
        return ""
    if isinstance(body.get("loc"), list | tuple) and isinstance(body.get("msg"), str):  # FastAPI's validation errors
        return f"{'.'.join(str(part) for part in body['loc'])}: {body['msg']}"
    own = next((m for name in _MESSAGES if (m := _message(body.get(name), depth + 1))), "")
    return _joined([own, *(_message(body.get(name), depth + 1) for name in _NESTED)])


def _sentence(text: str, depth: int) -> str:
    text = text[:_MAX_CHARS].strip()
    inner = _json_inside(text)
    if inner is None or not (said := _message(inner, depth + 1)):
        return text
    before = text[: text.index("{")].rstrip(" :-\"'[b") if "{" in text else ""
    return _joined([before, said])


def _json_inside(text: str) -> Any:
    """A JSON object that a sentence holds, or None."""
    at = text.find("{")
    if at < 0:
        return None
    for candidate in (text[at:], text[at:].replace('\\"', '"')):
        with suppress(ValueError):
            found, _ = json.JSONDecoder().raw_decode(candidate)
            return found if isinstance(found, dict) and found else None
    # Proxies written in Python quote a dictionary as Python writes it.
    with suppress(ValueError, SyntaxError, MemoryError, RecursionError):
        found = ast.literal_eval(text[at : text.rfind("}") + 1])
        return found if isinstance(found, dict) and found else None
    return None


def _joined(sentences: Iterable[str]) -> str:
    """Sentences behind each other, none of them twice."""
    kept: list[str] = []
    for one in sentences:
        if one and not any(one in other for other in kept):
            kept = [other for other in kept if other not in one]
            kept.append(one)
    return ": ".join(one.rstrip(".") if one is not kept[-1] else one for one in kept)


def _status(body: Mapping[Any, Any]) -> int | None:
    for name in ("code", "status", "status_code", "raw_status_code", "http_status_code"):
        value = body.get(name)
        number = int(value) if isinstance(value, str) and value.isdecimal() and len(value) < 9 else value
        if isinstance(number, int) and not isinstance(number, bool) and 400 <= number < 600:
            return number
    return None


def _place(found: list[Mapping[Any, Any]]) -> str | None:
    """The parameter that a validation error points at (`loc`: body, seed)."""
    for one in found:
        loc = one.get("loc")
        if isinstance(loc, list | tuple):
            names = [part for part in loc if isinstance(part, str) and part != "body"]
            if names:
                return ".".join(names)
    return None


def _wait(found: list[Mapping[Any, Any]], message: str) -> float | None:
    """Seconds that the body asks to wait: by number, by Google's RetryInfo, or in a sentence; the longest of them."""
    waits = [_seconds(d[name]) for d in found for name in _WAITS if name in d]
    waits += [ms / 1000 for d in found if (ms := _seconds(d.get("retry_after_ms"))) is not None]
    if said := _SAID_WAIT.search(message[:4000]):
        waits.append(span(said["span"]))
    return max((w for w in waits if w is not None and 0 <= w < float("inf")), default=None)


def _seconds(value: object) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        return float(value)
    if isinstance(value, Mapping):  # A protobuf Duration as JSON.
        return _seconds(value.get("seconds"))
    return span(value) if isinstance(value, str) else None
