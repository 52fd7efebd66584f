"""One name for one thing: on every page in both languages, in the command line's help and in the documents."""

from __future__ import annotations

import ast
import re

from tale_core.settings import REPO_ROOT
from tests.test_translations import marked, translated
from ui.common.glossary import TERMS

DOCUMENTS = ("README.md", "CONTRIBUTING.md", "docs/*.md", "data/*.md")
_CODE = re.compile(r"```.*?```|`[^`]*`|\{[^}]*\}|\]\([^)]*\)|https?:\S+", re.DOTALL)


def plain(words: str) -> str:
    """Without code, addresses and what is filled in."""
    return _CODE.sub(" ", words)


def help_of_the_command_line() -> dict[str, str]:
    found = {}
    for path in sorted((REPO_ROOT / "tale_core" / "cli").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.keyword) and node.arg in ("help", "description", "epilog"):
                for part in ast.walk(node.value):
                    if isinstance(part, ast.Constant) and isinstance(part.value, str):
                        found[part.value] = path.name
    return found


def test_nothing_is_called_by_another_name() -> None:
    english = {**marked(), **help_of_the_command_line()}
    for pattern in DOCUMENTS:
        english |= {path.read_text(encoding="utf-8"): path.name for path in sorted(REPO_ROOT.glob(pattern))}
    wrong = [
        (where, found[0], f"say {term.name!r}")
        for term in TERMS
        for name in term.never
        for words, where in english.items()
        if (found := re.search(name, plain(words), re.IGNORECASE))
    ]
    chinese = [
        (words, f"say {term.chinese!r}")
        for term in TERMS
        for name in term.never_chinese
        for words in translated().values()
        if re.search(name, words)
    ]
    assert wrong == [] and chinese == []
    assert not [words for words in translated().values() if "您" in words]  # The reader is spoken to in one way.


def test_a_term_has_one_name_in_chinese() -> None:
    wrong = [
        (message, words, f"say {term.chinese!r}")
        for term in TERMS
        for message, words in translated().items()
        if re.search(rf"(?<![\w-]){term.name}s?\b", plain(message), re.IGNORECASE) and term.chinese not in words
    ]
    assert wrong == []
