"""Log lines: plain or as JSON, one object a line, never with a key.

Every line passes `scrub` as a whole, so that neither a message, nor its arguments, nor a traceback can carry a key.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from datetime import UTC, datetime
from typing import TextIO

from tale_core.settings import Settings, get_settings
from tale_core.text import REMOVED, json_escaped, known_keys, sanitize, scrub

OURS = "_tale"
_PLAIN = "%(asctime)s %(levelname)s %(name)s: %(message)s"
_ELSEWHERE = ("streamlit", "uvicorn")
"""Loggers with handlers of their own."""
_STANDARD = set(logging.makeLogRecord({}).__dict__) | {"message", "asctime", "taskName"}
_USER = re.compile(r"(?<=://)[^/?#\s]*@")
_IN_QUERY = re.compile(r"([?&](?:ssl)?password=)[^&#\s'\"]+", re.IGNORECASE)


def clean(line: str) -> str:
    """A line without any key that this process knows of, anything that looks like one, and users of addresses."""
    # The longest first: one may begin like another.
    for key in sorted(known_keys(), key=len, reverse=True):
        line = scrub(line, key)
    return scrub(_IN_QUERY.sub(rf"\1{REMOVED}", _USER.sub("", line)), "")


class PlainFormatter(logging.Formatter):
    """Lines for people."""

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        return sanitize(clean(super().format(record)))


class JsonFormatter(logging.Formatter):
    """One JSON object a line: `time` (UTC), `level`, `logger`, `message`, `process`, and `error` with its traceback.

    What is given as `extra` stands beside them.
    """

    def format(self, record: logging.LogRecord) -> str:
        """The line."""
        found: dict[str, object] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
            "process": record.process,
        }
        if record.exc_info:
            found["error"] = self.formatException(record.exc_info)
        found |= {k: v for k, v in record.__dict__.items() if k not in _STANDARD and not k.startswith("_")}
        # Each text by itself: a key may hold a character that JSON writes in another way.
        texts = {k: clean(v) if isinstance(v, str) else v for k, v in found.items()}
        return json_escaped(clean(json.dumps(texts, ensure_ascii=False, default=str)))


class _StandardError(logging.StreamHandler[TextIO]):
    """Writes to what standard error is now, not to what it was."""

    def __init__(self) -> None:
        logging.Handler.__init__(self)

    @property
    def stream(self) -> TextIO:  # type: ignore[override]
        """Standard error."""
        return sys.stderr


def set_up_logs(settings: Settings | None = None, *, level: int | None = None, stream: TextIO | None = None) -> None:
    """Send what is logged to standard error in the form that the settings ask for. Doing it again changes nothing.

    Args:
        settings: The environment's by default.
        level: Least level that is written; the settings' by default.
        stream: Where to, in place of standard error.
    """
    settings = settings or get_settings()
    as_json = settings.log_format == "json"
    form: logging.Formatter = JsonFormatter() if as_json else PlainFormatter(_PLAIN)
    root = logging.getLogger()
    for handler in [h for h in root.handlers if getattr(h, OURS, False)]:
        root.removeHandler(handler)
    handler = logging.StreamHandler(stream) if stream is not None else _StandardError()
    setattr(handler, OURS, True)
    handler.setFormatter(form)
    root.addHandler(handler)
    if level is not None:
        handler.setLevel(level)
    else:
        for name in ("tale_core", "ui"):
            logging.getLogger(name).setLevel(settings.log_level)
    if as_json:
        for name in list(logging.root.manager.loggerDict):
            if name.partition(".")[0] in _ELSEWHERE:
                for other in logging.getLogger(name).handlers:
                    other.setFormatter(form)
