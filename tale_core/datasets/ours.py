"""The project's own questions, and telling the language of a text.

The project's own questions (`data/questions.jsonl`) are checked by an independent computation in the tests.
"""

from __future__ import annotations

import json
from functools import lru_cache
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.settings import DATA_ROOT
from tale_core.types import AnswerKind, Language, Question

SHIPPED = DATA_ROOT / "questions.jsonl"
FEATURED = DATA_ROOT / "featured.json"


class _Row(BaseModel):
    model_config = ConfigDict(extra="ignore")

    id: str
    text: str
    answer: str
    kind: AnswerKind
    options: tuple[str, ...] = ()
    language: Language
    topic: str
    difficulty: int


def read_questions(path: Path) -> tuple[Question, ...]:
    """Read questions from JSON Lines in the shipped format.

    Raises:
        InputError: The file cannot be read or a row is wrong; the message names the line.
    """
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError as e:
        raise InputError(t("The questions in {path} cannot be read: {why}.", path=path, why=e.strerror)) from e
    questions = []
    for number, line in enumerate(lines, start=1):
        if not line.strip():
            continue
        try:
            row = _Row.model_validate_json(line)
        except ValidationError as e:
            first = e.errors()[0]
            where = ".".join(map(str, first["loc"])) or "row"
            line = t("{file}, line {line}", file=path.name, line=number)
            raise InputError(f"{line}: {where}: {first['msg']}.", t("See data/README.md.")) from e
        questions.append(Question(**row.model_dump(), source=path.stem))
    return tuple(questions)


@lru_cache(maxsize=1)
def shipped() -> tuple[Question, ...]:
    """The project's own questions."""
    return read_questions(SHIPPED)


@lru_cache(maxsize=1)
def featured() -> tuple[Question, ...]:
    """A dozen of them that make good first examples, in both languages."""
    by_id = {q.id: q for q in shipped()}
    return tuple(by_id[i] for i in json.loads(FEATURED.read_text(encoding="utf-8"))["featured"])


def language_of(text: str) -> Language:
    """Chinese when at least a fifth of the letters are Chinese characters, else English."""
    letters = [c for c in text if c.isalpha()]
    chinese = sum("\u4e00" <= c <= "\u9fff" for c in letters)
    return "zh" if letters and chinese * 5 >= len(letters) else "en"
