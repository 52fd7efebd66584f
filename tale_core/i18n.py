"""Words in the reader's language: gettext catalogs and one switch.

`t("Budget: {tokens} tokens", tokens=50)` looks the sentence up in the reader's language, then fills in the values. The
sentence in the code is the English one and the key of the catalogs in `locales/<language>/*.po`, one file an area. A
page says by `use_language` or `ask_language` who reads; jobs run in the language of the person who started them.
Numbers, model output and names are data and are never looked up.

A sentence remembers what it was made from, so that what one thread said can be said `again` to another reader: a model
that the whole process shares gets ready once, and each who watches reads of it in a language of their own. `to_stored`
and `from_stored` keep one in a text column or a file as `{"code": message, "values": {...}, "text": English}`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from contextvars import ContextVar
from functools import cache, reduce
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from tale_core.types import Language

LOCALES = Path(__file__).with_name("locales")
SOURCE: Language = "en"
NAMES: dict[Language, str] = {"en": "English", "zh": "中文"}
"""Each language in its own words."""

_STOPS = (".", "!", "?", ":", "。", "！", "？", "：")

_chosen: ContextVar[Language | None] = ContextVar("language", default=None)
asked_for_language: list[Callable[[], Language | None]] = []


def language() -> Language:
    """The reader's language; English when nobody said."""
    if (chosen := _chosen.get()) is not None:
        return chosen
    return (asked_for_language[0]() if asked_for_language else None) or SOURCE


def ask_language(who: Callable[[], Language | None]) -> None:
    """Ask this function for the reader's language wherever none was set; None means that it does not know."""
    asked_for_language[:] = [who]


@contextmanager
def use_language(chosen: Language) -> Iterator[None]:
    """Speak this language while the block runs, in tasks that it starts as well."""
    token = _chosen.set(chosen)
    try:
        yield
    finally:
        _chosen.reset(token)


Text = TypeVar("Text", str, str | None)


class Sentence(str):
    """A sentence in one language that can be said again in another.

    Attributes:
        message: What `t` was given, or the plural form that `tn` was given: the key of the catalogs.
        values: What the placeholders stand for.
        english: The sentence in English.
    """

    __slots__ = ("english", "message", "values")
    message: str
    values: dict[str, Any]
    english: str


def t(message: str, /, **values: Any) -> str:
    """The sentence in the reader's language with its `{placeholders}` filled in; English where nobody translated it.

    Args:
        message: A literal (the extractor reads the source), with format specs where a number wants one.
        values: What the placeholders stand for; without any, braces are left alone.
    """
    return _said(message, message, values)


def tn(one: str, many: str, n: int, /, **values: Any) -> str:
    """`t` with a plural: `one` where n is 1, else `many`; `{n}` is filled in."""
    # Chinese, the one other language so far, has a single form; it stands in the catalog at the plural.
    return _said(many, one if n == 1 else many, {**values, "n": n})


def number(value: float, form: str = "") -> str:
    """A number as people read it: with a real minus sign, and without any sign where rounding leaves nothing.

    Args:
        value: Of any sign.
        form: A format spec.
    """
    words = format(value, form)
    if words[:1] not in ("-", "+"):
        return words
    return words.replace("-", "−", 1) if re.search("[1-9infa]", words) else words[1:]


def percent(share: float, digits: int = 0) -> str:
    """A share as people write it: 0.125 as "12 %", or with one digit as "12.5 %"."""
    return number(share * 100, f".{digits}f") + " %"


class _Signed:
    """A number in a sentence."""

    def __init__(self, value: float) -> None:
        self._value = value

    def __format__(self, form: str) -> str:
        return number(self._value, form)

    def __repr__(self) -> str:
        return repr(self._value)

    __str__ = __repr__


def _filled(message: str, values: dict[str, Any]) -> str:
    if not values:
        return message
    signed = ":+" in message
    numbers = {
        name: _Signed(value)
        for name, value in values.items()
        if isinstance(value, int | float) and (signed or value < 0)
    }
    return message.format(**{**values, **numbers})


def again(text: Text) -> Text:
    """A sentence that `t` or `tn` made, in the reader's language now; anything else as it is."""
    if not isinstance(text, Sentence):
        return text
    return _sentence(text.message, {name: again(value) for name, value in text.values.items()}, text.english)


def in_english(text: Text) -> Text:
    """A sentence that `t` or `tn` made, in English; anything else as it is."""
    return text.english if isinstance(text, Sentence) else text


def to_stored(text: Text) -> Text:
    """What a column or a file keeps of a text: of a sentence the JSON that `from_stored` reads, else the text."""
    if isinstance(text, Sentence):
        with suppress(RecursionError):  # A list of hundreds of names.
            return json.dumps(_document(text), ensure_ascii=False)
    return in_english(text)


def from_stored(stored: Text) -> Text:
    """What `to_stored` made of a sentence, in the reader's language; any other text (of older rows, say) as it is."""
    with suppress(ValueError, RecursionError):
        if stored and stored.startswith(_BEGINS) and isinstance(found := _read(json.loads(stored)), Sentence):
            return found
    return stored


_BEGINS = '{"code": '


def _document(value: Any) -> Any:
    if isinstance(value, Sentence):
        values = {name: _document(one) for name, one in value.values.items()}
        return {"code": value.message, "values": values, "text": value.english}
    return value if value is None or isinstance(value, str | int | float) else str(value)


def _read(document: Any) -> Any:
    match document:
        case {"code": str(message), "values": dict(values), "text": str(english)}:
            return _sentence(message, {name: _read(value) for name, value in values.items()}, english)
    return document


def _said(message: str, source: str, values: dict[str, Any]) -> Sentence:
    english = {name: in_english(value) for name, value in values.items()}
    return _sentence(message, values, _filled(source, english))


def _sentence(message: str, values: dict[str, Any], english: str) -> Sentence:
    """A message may come from a hostile file: it is looked up, and only what the catalog has for it is filled in."""
    text, known = english, _catalog(language()).get(message)
    if known:
        # A value from a file need not suit its placeholder: English then.
        with suppress(ValueError, TypeError, LookupError, AttributeError, OverflowError):
            text = _filled(known, values)
    sentence = Sentence(text)
    sentence.message, sentence.values, sentence.english = message, values, english
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
