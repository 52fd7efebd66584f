"""Words in the reader's language: gettext catalogs and one switch.

`t("Budget: {tokens} tokens", tokens=50)` looks the sentence up in the reader's language, then fills in the values. The
sentence in the code is the English one and the key of the catalogs in `locales/<language>/*.po`, one file an area.
Knows no page: whoever draws says by `use_language` or `ask_language` who reads; jobs run in the language of whoever
started them. Numbers, model output and names are data and are never looked up.

A sentence remembers what it was made from, so that what one thread said can be said `again` to another reader: a model
that the whole process shares gets ready once, and each who watches reads of it in a language of their own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import cache, reduce
from pathlib import Path
from typing import Any

from tale_core.types import Language

LOCALES = Path(__file__).with_name("locales")
SOURCE: Language = "en"
NAMES: dict[Language, str] = {"en": "English", "zh": "中文"}
"""Each language in its own words."""

_STOPS = (".", "!", "?", ":", "。", "！", "？", "：")

_chosen: ContextVar[Language | None] = ContextVar("language", default=None)
_ask: list[Callable[[], Language | None]] = []


def language() -> Language:
    """The language of whoever reads what is said now; English when nobody said."""
    if (chosen := _chosen.get()) is not None:
        return chosen
    return (_ask[0]() if _ask else None) or SOURCE


def ask_language(who: Callable[[], Language | None]) -> None:
    """Ask this function for the reader's language wherever none was set; None means that it does not know."""
    _ask[:] = [who]


@contextmanager
def use_language(chosen: Language) -> Iterator[None]:
    """Speak this language while the block runs, in tasks that it starts as well."""
    token = _chosen.set(chosen)
    try:
        yield
    finally:
        _chosen.reset(token)


class Sentence(str):
    """A sentence in one language that can be said again in another.

    Attributes:
        message: What `t` was given, or the plural form that `tn` was given.
        one: The singular form that `tn` was given.
        values: What the placeholders stand for.
    """

    __slots__ = ("message", "one", "values")
    message: str
    one: str | None
    values: dict[str, Any]


def t(message: str, /, **values: Any) -> str:
    """The sentence in the reader's language with its `{placeholders}` filled in; English where nobody translated it.

    Args:
        message: A literal (the extractor reads the source), with format specs where a number wants one.
        values: What the placeholders stand for; without any, braces are left alone.
    """
    return _said(message, None, values)


def tn(one: str, many: str, n: int, /, **values: Any) -> str:
    """`t` with a plural: `one` where n is 1, else `many`; `{n}` is filled in."""
    return _said(many, one, {**values, "n": n})


def again(sentence: str) -> str:
    """A sentence that `t` or `tn` made, in the language of whoever reads it now; any other text as it is."""
    if not isinstance(sentence, Sentence):
        return sentence
    values = {k: again(v) if isinstance(v, Sentence) else v for k, v in sentence.values.items()}
    return _said(sentence.message, sentence.one, values)


def _said(message: str, one: str | None, values: dict[str, Any]) -> Sentence:
    spoken = language()
    # Chinese, the one other language so far, has a single form; it stands in the catalog at the plural.
    source = one if one is not None and spoken == SOURCE and values["n"] == 1 else message
    known = _catalog(spoken).get(source) or source
    sentence = Sentence(known.format(**values) if values else known)
    sentence.message, sentence.one, sentence.values = message, one, values
    return sentence


def joined(*said: str) -> str:
    """Sentences one after the other; Chinese puts no space after a full stop. Empty ones are left out."""
    text = ""
    for one in filter(None, said):
        if not text:
            text = one
        elif text.rstrip("*").endswith(_STOPS):
            text = t("{sentence} {next}", sentence=text, next=one)
        else:
            text = t("{words} {next}", words=text, next=one)
    return text


def listed(items: Iterable[str]) -> str:
    """Names one after the other, with the mark that the reader's language puts between them; "" without any."""
    return reduce(lambda names, name: t("{names}, {name}", names=names, name=name) if names else name, items, "")


def N_(message: str) -> str:
    """Mark a literal for the extractor where it is defined; `t` it where it is said."""
    return message


@cache
def _catalog(chosen: Language) -> dict[str, str]:
    if chosen == SOURCE:
        return {}
    from babel.messages.pofile import read_po  # 20 ms to load, and only readers of other languages need it

    found: dict[str, str] = {}
    for path in sorted((LOCALES / chosen).glob("*.po")):
        with path.open("rb") as file:
            for entry in read_po(file, locale=chosen):
                if entry.id and entry.string and not entry.fuzzy:
                    found[str(entry.id)] = str(entry.string)
    return found
