"""Text from anywhere made safe to show, log and save, and times in words.

`sanitize` shows invisible and direction-changing characters, which can make a page lie; `safe_text` is text that can be
stored; `scrub`, `plain`, `guard_logs` and `KeyStream` keep keys out of sentences, log lines and answers; `safe_cell`
keeps formulas out of spreadsheets; `duration` and `seconds_left` say how long something takes, `megabytes` how large
it is.
"""

from __future__ import annotations

import csv
import io
import json
import logging
import os
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tale_core.i18n import t

# Left-to-right and right-to-left marks, embeddings, overrides and isolates; byte order mark; interlinear annotations;
# control characters, of which a terminal takes U+0080 to U+009F for commands too; lone surrogates.
_INVISIBLE = re.compile(
    "[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ufeff\ufff9-\ufffb\u0000-\u0008\u000b-\u001f\u007f-\u009f\ud800-\udfff]"
)
_HALVES = re.compile("[\ud800-\udfff]")
REMOVED = "[key removed]"
MAX_CHARS = 300
_NOT_SECRET = {"empty", "none", "ollama", "not-needed", "lm-studio", "no-key"}
_SECRET = re.compile(r"(API_?KEY|PASSWORD|PASSWD|SECRET|TOKEN)$", re.IGNORECASE)
"""How variables of the environment are named that hold a key."""
# OpenAI masks the middle of a key it echoes (sk-abc***xyz); what is left is still nobody's business.
# Not \b: a Chinese letter right before the key is a letter of a word to it.
_LOOKS_LIKE_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:(?:sk|pk|rk)-[A-Za-z0-9_\-*]{6,}|(Bearer)\s+[A-Za-z0-9._~+/\-*=]{6,})", re.IGNORECASE
)
_TAG = re.compile(r"<(script|style)\b.*?</\1\s*>|<[^<>]{0,500}>", re.IGNORECASE | re.DOTALL)
_CONTROL = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\ufeff]")
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
_FORMULA = ("=", "+", "-", "@", "\t", "\r", "\n", "\uff1d", "\uff0b", "\uff0d", "\uff20")
"""How a cell begins that a spreadsheet may run, full-width forms included (OWASP, CSV Injection)."""
_NUMBER = re.compile(r"[-+](?:\d{1,3}(?:,\d{3})+(?:\.\d*)?|\d+(?:\.\d*)?|\.\d+)(?:[eE][-+]?\d{1,3})?%?")
SEPARATORS = re.compile(r"[\s,，、;；]+")


def sanitize(text: str) -> str:
    """`text` with control and direction characters shown as `⟨U+202E⟩`; line ends and tabs stay."""
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    return _INVISIBLE.sub(lambda m: f"⟨U+{ord(m.group()):04X}⟩", text)


def json_escaped(document: str) -> str:
    """A JSON document with the same characters as JSON's own escapes; only texts hold them."""
    return _INVISIBLE.sub(lambda m: f"\\u{ord(m.group()):04x}", document)


def whole_characters(text: str) -> str:
    """Join the halves of pairs; a half alone (a lone surrogate, which UTF-8 does not have) becomes U+FFFD."""
    if not _HALVES.search(text):
        return text
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def safe_text(text: str) -> str:
    """`whole_characters`, and U+FFFD for NUL, which PostgreSQL refuses.

    Model output may hold both: a broken byte sequence in a stream, or a JSON escape cut in two.
    """
    return whole_characters(text).replace("\x00", "\ufffd")


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
    for other in guarded_keys():
        raw = raw.replace(other, REMOVED)
    line = " ".join(safe_text(_CONTROL.sub("", _TAG.sub(" ", raw))).split())
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


class KeyStream:
    """Takes keys out of text that arrives in pieces. An end that may be the beginning of a key waits for its rest.

    Args:
        keys: What is taken out; what is too short to be a secret stays.
    """

    def __init__(self, keys: Iterable[str]) -> None:
        self._keys = sorted({key for key in keys if _is_secret(key)}, key=len, reverse=True)
        self._first = frozenset(key[0] for key in self._keys)
        self._waiting = ""

    def feed(self, piece: str) -> str:
        """Take new text; what of it may be shown by now."""
        if not self._keys:
            return piece
        text = self.clean(self._waiting + piece)
        end = self._cut(text)
        self._waiting = text[end:]
        return text[:end]

    def rest(self) -> str:
        """Nothing more comes: what had to wait."""
        rest, self._waiting = self._waiting, ""
        return rest

    def clean(self, text: str) -> str:
        """A whole text without the keys."""
        for key in self._keys:
            text = text.replace(key, REMOVED)
        return text

    def _cut(self, text: str) -> int:
        """Where an end begins that a key begins with."""
        longest = len(self._keys[0]) - 1
        for at in range(max(0, len(text) - longest), len(text)):
            if text[at] in self._first and any(key.startswith(text[at:]) for key in self._keys):
                return at
        return len(text)


def _is_secret(key: str) -> bool:
    """Whether a model's own words are unlikely to hold it by chance."""
    return len(key) >= 8 and key.lower() not in _NOT_SECRET


def named_keys() -> set[str]:
    """The keys that this process's environment names as such."""
    return {value for name, value in os.environ.items() if _SECRET.search(name) and value}


def known_keys() -> set[str]:
    """The keys of this process: those that its clients have used, and those that its environment names as such."""
    return named_keys() | guarded_keys()


def keys_to_hide(own: str, named: set[str]) -> set[str]:
    """What no answer may hold: its endpoint's own key, and this process's others but for passwords that are a word.

    Args:
        own: The endpoint's key.
        named: `named_keys`, read once: looking through an environment takes longer than all else that is checked here.
    """
    return {own} | {key for key in named | guarded_keys() if not key.isalpha()}


def guard_logs(keys: Iterable[str]) -> None:
    """From now on no log line of the HTTP libraries holds one of these keys."""
    _filter.keys.update(key for key in keys if len(key) >= 6)
    for name in _LOGGERS:
        logging.getLogger(name).addFilter(_filter)


def safe_cell(value: Any) -> Any:
    """A cell that no spreadsheet takes for a formula: such text gets a leading quote.

    Numbers stay numbers, also those that are text and have a sign (a known answer of -1): no part of one can run.
    """
    if not isinstance(value, str) or not value.startswith(_FORMULA) or _NUMBER.fullmatch(value):
        return value
    return f"'{value}"


def csv_text(columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> str:
    """A table as CSV, none of whose cells a spreadsheet takes for a formula."""
    text = io.StringIO()
    writer = csv.DictWriter(text, fieldnames=columns, lineterminator="\r\n")
    writer.writeheader()
    writer.writerows({name: safe_cell(value) for name, value in row.items()} for row in rows)
    return text.getvalue()


def json_lines(rows: Iterable[object]) -> str:
    """JSON Lines, a line each."""
    return "".join(f"{json.dumps(row, ensure_ascii=False)}\n" for row in rows)


def seconds_left(*, finished: int, planned: int, timed: int, elapsed_s: float) -> float | None:
    """Seconds until the last answer, at the pace so far; None before the first answer that took any time.

    Args:
        finished: Answers that are there.
        planned: Answers that were asked for.
        timed: Those of them that were generated now, and not known from earlier.
        elapsed_s: Seconds since the first of those began.
    """
    if timed < 1 or elapsed_s <= 0:
        return None
    return max(0, planned - finished) * elapsed_s / timed


def megabytes(n: float) -> str:
    """Bytes as "1,117 MB" or, below ten million, "9.4 MB"."""
    return f"{n / 1e6:,.0f} MB" if n >= 10e6 else f"{n / 1e6:,.1f} MB"


def duration(seconds: float) -> str:
    """A time as people say it: "40 s", "3 min", "1 h 10 min"."""
    if seconds < 90:
        return t("{n} s", n=max(1, round(seconds)))
    minutes = round(seconds / 60)
    if minutes < 90:
        return t("{n} min", n=minutes)
    hours, rest = divmod(minutes, 60)
    return t("{h} h {min} min", h=hours, min=rest) if rest and hours < 10 else t("{h} h", h=hours)
