"""Every sentence that the code marks stands in the Chinese catalog, whole and with the same placeholders."""

from __future__ import annotations

import re
from functools import cache
from string import Formatter

import pytest
from babel.messages.extract import extract_from_dir
from babel.messages.pofile import read_po

from tale_core.i18n import LOCALES, ask_language, language, t, tn, use_language
from tale_core.settings import REPO_ROOT

KEYWORDS = {"t": None, "tn": (1, 2), "N_": None}
PLACES = ("tale_core", "ui", "pages")


@cache
def marked() -> dict[str, str]:
    """Message -> the file that says it; of a plural the second form, which is the catalog's key."""
    found = {}
    for place in PLACES:
        for name, _line, message, *_ in extract_from_dir(
            REPO_ROOT / place, [("**.py", "python")], keywords=KEYWORDS, comment_tags=()
        ):
            found.setdefault(message if isinstance(message, str) else message[-1], f"{place}/{name}")
    return found


@cache
def translated() -> dict[str, str]:
    found = {}
    for path in sorted((LOCALES / "zh").glob("*.po")):
        with path.open("rb") as file:
            for entry in read_po(file, locale="zh"):
                if entry.id:
                    assert isinstance(entry.id, str), f"{path.name}: {entry.id}: one form each, keyed by the plural"
                    assert entry.id not in found, f"{path.name}: {entry.id!r} stands in two catalogs"
                    assert not entry.fuzzy, f"{path.name}: {entry.id!r} is marked fuzzy"
                    found[entry.id] = str(entry.string)
    return found


def placeholders(message: str) -> set[str]:
    return {name for _, name, _, _ in Formatter().parse(message) if name is not None}


def test_nothing_that_is_said_is_missing_in_chinese():
    missing = {m: where for m, where in marked().items() if not translated().get(m)}
    assert missing == {}


def test_the_catalog_holds_nothing_that_is_no_longer_said():
    assert sorted(set(translated()) - set(marked())) == []


@pytest.mark.parametrize("message", sorted(translated()))
def test_a_translation_fills_in_the_same_values(message):
    if "{" in message:
        assert placeholders(translated()[message]) == placeholders(message)


@pytest.mark.parametrize("message", sorted(translated()))
def test_a_translation_is_chinese_and_keeps_its_markdown(message):
    words = translated()[message]
    if re.search("[a-z]{3}", re.sub(r"\{[^}]*\}|`[^`]*`|:\w+/?\w*:|https?://\S+", "", message)):
        assert re.search("[\u4e00-\u9fff]", words) or words == message, words
    assert words.count("**") == message.count("**") and words.count("`") == message.count("`")
    assert re.findall(r":material/\w+:", words) == re.findall(r":material/\w+:", message)


def test_who_reads_is_asked_only_where_nobody_said():
    try:
        ask_language(lambda: "zh")
        assert language() == "zh"
        with use_language("en"):
            assert language() == "en"
        assert language() == "zh"
    finally:
        ask_language(lambda: None)
    assert language() == "en"


def test_values_are_filled_in_and_never_looked_up_or_interpreted():
    assert t("{n:,} of {words}", n=1234, words="{x} $y") == "1,234 of {x} $y"
    assert t("braces {stay} without values") == "braces {stay} without values"
    assert tn("{n} call", "{n} calls", 1) == "1 call" and tn("{n} call", "{n} calls", 3) == "3 calls"
