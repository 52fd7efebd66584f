"""Training examples as JSON lines: what a training's folder keeps, and what `tune examples --export` writes.

A file is somebody's until every line has been read as an example.
"""

from __future__ import annotations

import json
from dataclasses import asdict

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.tuning.examples import Example, Examples, comes_to_its_value, leak_key, question_from
from tale_core.types import Question


def to_jsonl(examples: Examples) -> str:
    """The examples as JSON lines, each with its side of the split."""
    sides = (("train", examples.train), ("held-out", examples.held_out))
    rows = [{"split": side} | e.document() for side, part in sides for e in part]
    rows += [{"split": "question", "question": asdict(q)} for q in examples.questions]
    rows += [{"split": "source", "command": examples.source}] if examples.source else []
    return "".join(json.dumps(row, ensure_ascii=False, sort_keys=True) + "\n" for row in rows)


def from_jsonl(text: str, *, where: str = "the file") -> Examples:
    """The examples of such lines.

    Raises:
        InputError: A line is no example, or a question stands on both sides.
    """
    sides: dict[str, list[Example]] = {"train": [], "held-out": []}
    questions: list[Question] = []
    source = ""
    for number, line in enumerate(text.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
            if (split := row.pop("split")) == "question":
                questions.append(question_from(row["question"]))
            elif split == "source":
                source = _text(row["command"])
            else:
                sides[split].append(_checked(Example.from_document(row)))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as e:
            raise InputError(
                t("Line {number} of {where} is no training example.", number=number, where=where),
                t("Write it with `tune examples`."),
            ) from e
    aside = {e.key for e in sides["held-out"]} | {leak_key(q) for q in questions}
    if wrong := next((e for part in sides.values() for e in part if not comes_to_its_value(e)), None):
        raise InputError(
            t(
                "In {where} the lines of “{question}” do not come to its answer.",
                where=where,
                question=wrong.question.text[:60],
            ),
            t("Leave that example out."),
        )
    both = {e.key for e in sides["train"]} & aside
    if both:
        raise InputError(
            t("{count} questions of {where} stand on both sides of the split.", count=len(both), where=where),
            t("Leave one side out."),
        )
    return Examples(tuple(sides["train"]), tuple(sides["held-out"]), questions=tuple(questions), source=source)


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError("no text")
    return value


def _checked(example: Example) -> Example:
    texts = (example.question.text, example.target, *(r.text for r in (example.vanilla, example.wrong) if r))
    if not all(isinstance(text, str) and text.strip() for text in texts):
        raise ValueError("an empty text")
    if not isinstance(example.target_tokens, int) or example.target_tokens < 1:
        raise ValueError("no count of tokens")
    return example
