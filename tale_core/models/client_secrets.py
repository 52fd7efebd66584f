"""Keeping keys out of messages and logs. Knows text only; endpoints echo keys, so their words pass through here."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterable

REMOVED = "[key removed]"
MAX_CHARS = 300
_NOT_SECRET = {"empty", "none", "ollama", "not-needed", "lm-studio", "no-key"}
# OpenAI masks the middle of a key it echoes (sk-abc***xyz); what is left is still nobody's business.
# Not \b: a Chinese letter right before the key is a letter of a word to it.
_LOOKS_LIKE_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:(?:sk|pk|rk)-[A-Za-z0-9_\-*]{6,}|(Bearer)\s+[A-Za-z0-9._~+/\-*=]{6,})", re.IGNORECASE
)
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^<>]{0,500}>", re.IGNORECASE | re.DOTALL)
_INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
_LOGGERS = (
    "openai",
    "openai._base_client",
    "openai._legacy_response",
    "openai._response",
    "httpx2",
    "httpcore2.connection",
    "httpcore2.http11",
    "httpcore2.http2",
    "httpcore2.proxy",
    "httpcore2.socks",
)


def scrub(text: str, key: str) -> str:
    """The text without the key, and without anything that looks like one."""
    if len(key) >= 6 and key.lower() not in _NOT_SECRET:
        # A cut or masked echo still begins like the key.
        begins = re.escape(key[:10]) + r"[\w\-*.…]*" if len(key) >= 16 else re.escape(key)
        text = re.sub(begins, REMOVED, text.replace(key, REMOVED))
    return _LOOKS_LIKE_KEY.sub(lambda m: f"{m[1]} {REMOVED}" if m[1] else REMOVED, text)


def plain(text: object, key: str, *, limit: int = MAX_CHARS) -> str:
    """An endpoint's words as one line of plain text: no key, no tags, no invisible characters, at most `limit` long."""
    raw = scrub(str(text)[:20_000], key)
    line = " ".join(_INVISIBLE.sub("", _TAG.sub(" ", raw)).split())
    return line if len(line) <= limit else line[: limit - 1] + "…"


class _KeyFilter(logging.Filter):
    """Takes the keys in use out of what the HTTP libraries log (response headers are logged at DEBUG)."""

    def __init__(self) -> None:
        super().__init__()
        self.keys: set[str] = set()

    def filter(self, record: logging.LogRecord) -> bool:
        message = record.getMessage()
        clean = message
        for key in self.keys:
            clean = scrub(clean, key)
        if clean != message:
            record.msg, record.args = clean, None
        return True


_filter = _KeyFilter()


def guarded_keys() -> set[str]:
    """The keys that clients of this process have used."""
    return set(_filter.keys)


def guard_logs(keys: Iterable[str]) -> None:
    """From now on no log line of the HTTP libraries holds one of these keys."""
    _filter.keys.update(key for key in keys if len(key) >= 6)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)
