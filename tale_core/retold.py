"""Sentences that were stored in English, told again in the reader's language.

A trained estimator's file and a calibration's entry hold their findings as English sentences, whoever made them, so
that a file means the same everywhere. Each is made from a message that its module marks; here the message is
recognised, and said anew with the same values. Knows text only: a sentence from elsewhere, of which no message is
known, stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import cache
from string import Formatter

from tale_core.i18n import SOURCE, language, t

MOST_LETTERS = 600
"""Longer ones are none of ours; a hostile one could make the matching slow."""


def retold(stored: str, messages: Iterable[str]) -> str:
    """A stored English sentence in the reader's language.

    Args:
        stored: Made by `message.format(...)`, with values that are text, or made from one of `messages` themselves.
        messages: What it may have been made from; the first that fits is taken. Their placeholders have no format.
    """
    if language() == SOURCE or len(stored) > MOST_LETTERS:
        return stored
    known = tuple(messages)
    for message in known:
        if found := _pattern(message).fullmatch(stored):
            values = {name: retold(value, known) for name, value in found.groupdict().items()}
            return t(message, **values)
    return stored


@cache
def _pattern(message: str) -> re.Pattern[str]:
    """What a message makes: each placeholder is any text on one line."""
    parts = []
    for text, name, _, _ in Formatter().parse(message):
        parts += [re.escape(text), f"(?P<{name}>.+?)" if name else ""]
    return re.compile("".join(parts))
