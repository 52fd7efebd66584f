"""Every sentence that the code marks stands in the Chinese catalog, whole and with the same placeholders."""

from __future__ import annotations

import ast
import pickle
import re
from collections.abc import Iterable, Iterator
from functools import cache
from pathlib import Path
from string import Formatter

import pytest
from babel.messages.pofile import read_po
from jinja2 import Environment, nodes

from tale_core import errors, i18n
from tale_core.errors import InputError
from tale_core.i18n import LOCALES, N_, again, ask_language, joined, language, t, tn, use_language
from tale_core.settings import REPO_ROOT

KEYS = {"t": 0, "tn": 1, "N_": 0}
"""Function -> which argument is the catalog's key."""
PLACES = ("tale_core", "ui", "pages")


@cache
def marked() -> dict[str, str]:
    """Message -> the file that says it; of a plural the second form, which is the catalog's key."""
    found: dict[str, str] = {}
    for path in (p for place in PLACES for p in sorted((REPO_ROOT / place).rglob("*.py"))):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            # Read from the tree: an extractor that reads tokens misses what stands inside of an f-string.
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in KEYS:
                key = node.args[KEYS[node.func.id]]
                assert not isinstance(key, ast.JoinedStr), f"{path}:{node.lineno}: an f-string is in no catalog"
                if isinstance(key, ast.Constant):
                    found.setdefault(str(key.value), str(path.relative_to(REPO_ROOT)))
    for path in sorted((REPO_ROOT / "tale_core").rglob("*.html")):
        for call in Environment().parse(path.read_text(encoding="utf-8")).find_all(nodes.Call):
            if isinstance(call.node, nodes.Name) and call.node.name == "t" and isinstance(call.args[0], nodes.Const):
                found.setdefault(call.args[0].value, str(path.relative_to(REPO_ROOT)))
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


# One test each for the whole catalog: thousands of tests of a microsecond take longer to tell than to run.
def test_a_translation_fills_in_the_same_values():
    other = {m: words for m, words in translated().items() if "{" in m and placeholders(words) != placeholders(m)}
    assert other == {}


def is_chinese(message: str, words: str) -> bool:
    """Whether a translation has Chinese words, where the message has words at all."""
    bare = re.sub(r"\{[^}]*\}|`[^`]*`|:\w+/?\w*:|https?://\S+", "", message)
    return words == message or not re.search("[a-z]{3}", bare) or bool(re.search("[\u4e00-\u9fff]", words))


def marks(message: str) -> tuple[int, int, list[str]]:
    """The Markdown that a translation has to keep."""
    return message.count("**"), message.count("`"), re.findall(r":material/\w+:", message)


def test_a_translation_is_chinese_and_keeps_its_markdown():
    assert {m: words for m, words in translated().items() if not is_chinese(m, words)} == {}
    assert {m: words for m, words in translated().items() if marks(m) != marks(words)} == {}


def is_drawn_bold(words: str) -> bool:
    """Whether every `**` closes: CommonMark closes none between a mark and a letter, where Chinese puts no space."""
    _, *parts = words.split("**")
    for bold, after in zip(parts[::2], parts[1::2], strict=True):
        closed = bold[-1].isalnum() or bold[-1] == "}" or not after[:1] or not (after[0].isalnum() or after[0] == "{")
        if not closed or bold[0].isspace():
            return False
    return True


def test_bold_words_of_a_translation_are_drawn_bold():
    assert {m: words for m, words in translated().items() if "**" in m and not is_drawn_bold(words)} == {}


@pytest.mark.parametrize(
    ("message", "words", "fits"),
    [
        ("**Search** it", "**搜索**它", True),
        ("**Search!** it", "**搜索！**它", False),
        ("**Search!**", "**搜索！**", True),
    ],
)
def test_bold_that_would_not_close_is_noticed(message, words, fits):
    assert is_chinese(message, words) and marks(message) == marks(words) and is_drawn_bold(words) is fits


def test_who_reads_is_asked_only_where_nobody_said(monkeypatch):
    monkeypatch.setattr(i18n, "asked_for_language", [])
    assert language() == "en"
    ask_language(lambda: "zh")
    assert language() == "zh"
    with use_language("en"):
        assert language() == "en"
    assert language() == "zh"
    ask_language(lambda: None)
    assert language() == "en"


def test_what_one_thread_said_is_said_again_in_the_language_of_another_reader():
    inner = t(N_("Search"))
    outer = t(N_("Model: {name}"), name=inner)
    error = InputError(inner, t(N_("Settings")))
    with use_language("zh"):
        assert again(outer) == "模型：搜索" and str(error) == "搜索 设置"
        spoken = pickle.loads(pickle.dumps(again(inner)))
    assert spoken == "搜索" and again(spoken) == "Search" and again("as it is") == "as it is"
    assert str(error) == "Search Settings"


def test_values_are_filled_in_and_never_looked_up_or_interpreted():
    assert t("{n:,} of {words}", n=1234, words="{x} $y") == "1,234 of {x} $y"
    assert t("braces {stay} without values") == "braces {stay} without values"
    assert tn("{n} call", "{n} calls", 1) == "1 call" and tn("{n} call", "{n} calls", 3) == "3 calls"


TRANSLATED = ("t", "tn", "N_")
ENGLISH_BY_DESIGN = ("tale_core/cli/", "tale_core/models/testing/scripted.py")
"""The command line speaks English, and so does a script that a test got wrong."""
ERRORS = {name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.TaleError)}
CORE = [
    path
    for path in sorted((REPO_ROOT / "tale_core").rglob("*.py"))
    if not path.relative_to(REPO_ROOT).as_posix().startswith(ENGLISH_BY_DESIGN)
]


def called(node: ast.Call) -> str:
    return node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")


def english(node: ast.AST, assigned: dict[str, ast.expr]) -> Iterator[str]:
    """Words in an expression that no translation is looked up for; a variable stands for what it was set to last."""
    if isinstance(node, ast.Call) and called(node) in TRANSLATED:
        return
    if isinstance(node, ast.Name) and node.id in assigned:
        rest = {name: value for name, value in assigned.items() if name != node.id}
        yield from english(assigned[node.id], rest)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        if re.search(r"[A-Za-z]{2,}(?:[ ,:]|\.(?:\s|$))", node.value):
            yield node.value
    else:
        for child in ast.iter_child_nodes(node):
            yield from english(child, assigned)


def assignments(nodes: Iterable[ast.AST]) -> dict[str, ast.expr]:
    return {
        target.id: node.value
        for node in nodes
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }


def untranslated(source: str) -> list[str]:
    """What the errors raised in a module say in English alone."""
    found = []
    tree = ast.parse(source)
    constants = assignments(tree.body)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for scope in (tree, *functions):
        assigned = constants if scope is tree else constants | assignments(ast.walk(scope))
        for node in ast.walk(scope):
            if isinstance(node, ast.Call) and called(node) in ERRORS:
                said = [*node.args, *(k.value for k in node.keywords)]
                found += [f"line {node.lineno}: {words}" for one in said for words in english(one, assigned)]
    return sorted(set(found))


@pytest.mark.parametrize("path", CORE, ids=lambda p: p.relative_to(REPO_ROOT).as_posix())
def test_every_error_is_raised_in_the_language_of_whoever_reads_it(path: Path):
    assert untranslated(path.read_text(encoding="utf-8")) == []


@pytest.mark.parametrize(
    "code",
    [
        'raise InputError("No address was given.")',
        'raise InputError(t("No address was given."), f"Give {n} or more.")',
        'raise ModelError(t("It failed.") + " Try again.")',
        'def f():\n    hint = "Look at it."\n    raise errors.StoreError(t("It failed."), hint=hint)',
        'raise InputError(t("It failed.") if x else "No, it did not.")',
        'HINT = "Look at it."\ndef f():\n    raise StoreError(t("It failed."), HINT)',
    ],
)
def test_an_error_in_english_alone_is_noticed(code):
    assert untranslated(code)
    assert not untranslated('HINT = N_("Look.")\ndef f(x):\n    raise StoreError(t("{x} failed.", x=x), t(HINT))')


def test_an_error_is_one_text_in_the_language_of_its_reader():
    def failure() -> errors.TaleError:
        return errors.InputError(t("No address was given."), joined(t("Copy it again."), "", t("Give a key.")))

    assert str(failure()) == "No address was given. Copy it again. Give a key."
    with use_language("zh"):
        assert str(failure()) == "没有给出地址。请重新复制。请给出密钥。"
        assert joined(f"**{t('Connected')}**", t("Copy it again.")) == "**已连接** 请重新复制。"
