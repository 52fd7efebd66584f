"""Training examples out of the store, and the one file of them.

Of an answer that a person marked, what came after it was settled is not learnt. Nothing is made up: what closes such a
trace is what the model itself answered when it was closed there, or the value that the whole answer came to, and it is
graded again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from typing import Any

from tale_core.budgets.forcing import whole_text
from tale_core.calls.settling import announced, closed_at, probe_at, trace_of
from tale_core.datasets import Loaded
from tale_core.grading import equivalent, grade, infer_kind
from tale_core.labels.marks import sentences
from tale_core.labels.training_files import DataFile, file_name
from tale_core.models import tokens
from tale_core.store import MarkedAnswer, Store, StoredAnswer, answering_models, marked_answers, stored_answers
from tale_core.tuning import solutions
from tale_core.tuning.examples import MARKED, Example, Examples, Selection, build, leak_key
from tale_core.tuning.examples_file import to_jsonl
from tale_core.types import Outcome, Writes


def examples_from_store(
    store: Store,
    *,
    model: str,
    selection: Selection,
    exclude: Collection[str] = (),
    parent: str = "",
    writes: Writes = "words",
) -> Examples:
    """The examples that a model's own stored answers give.

    Args:
        store: Where searches and experiments are.
        model: Catalog name, or the endpoint's.
        selection: Which answers.
        exclude: Keys of questions that are kept for an evaluation.
        parent: Key of the adapter that the training goes on from: its answers count as the model's.
        writes: What that adapter writes.

    Raises:
        InputError: A number of the selection is out of range.
    """
    selection.validate()
    chosen = selection.sessions
    found = stored_answers(store, model=model, sessions_only=chosen, adapter=parent, writes=writes)
    if writes == "words":
        found += _marked_right(marked_answers(store, model=model, sessions_only=chosen, adapter=parent))
    return build(found, selection, exclude=exclude)


def examples_from_solutions(
    sets: Sequence[Loaded],
    store: Store,
    *,
    model: str,
    selection: Selection,
    exclude: Collection[str] = (),
    parent: str = "",
) -> Examples:
    """The examples that the worked solutions of data sets give; the model's own answers are what DPO rejects.

    Args:
        sets: Data sets with solutions.
        store: Where the model's own answers are.
        model: Catalog name, or the endpoint's.
        selection: Which of them.
        exclude: Keys of questions that are kept for an evaluation.
        parent: Key of the adapter that the training goes on from: its wrong answers are the first to be rejected.

    Raises:
        InputError: A number of the selection is out of range, or a set without a single solution.
    """
    selection.validate()
    for one in sets:
        solutions.require(one)
    stored = stored_answers(store, model=model, sessions_only=selection.sessions, adapter=parent)
    questions = [q for one in sets for q in one.questions]
    solved = {name: text for one in sets for name, text in one.solutions.items()}
    return build(solutions.answers(questions, solved, stored), selection, exclude=exclude)


def training_file(store: Store, *, model: str | None = None) -> DataFile:
    """The rows for fine-tuning as a file that `tune train --from` reads: what `tune examples --export` writes.

    Args:
        store: With the labels brought up to date (`Labeling.sync`).
        model: Whose answers; None takes those of every model, each by the same rules.
    """
    found = _of_models(store, model)
    mark = found.fingerprint
    rows = len(found.train) + len(found.held_out)
    return DataFile(file_name("fine-tuning", mark), to_jsonl(found), rows, mark, _labelled(store, found, model))


def training_table(store: Store, *, model: str | None = None) -> list[dict[str, Any]]:
    """The same rows as a table to look at; a table cannot be trained from."""
    found = _of_models(store, model)
    sides = (("train", found.train), ("held-out", found.held_out))
    return [{"split": side} | _row(example) for side, part in sides for example in part]


def _of_models(store: Store, model: str | None) -> Examples:
    names = answering_models(store) if model is None else [model]
    parts = [examples_from_store(store, model=name, selection=Selection()) for name in names]
    questions = {leak_key(q): q for part in parts for q in part.questions}
    return Examples(
        train=tuple(e for part in parts for e in part.train),
        held_out=tuple(e for part in parts for e in part.held_out),
        questions=tuple(questions.values()),
    )


def _labelled(store: Store, found: Examples, model: str | None) -> int:
    """How many of the rows are right because people said so."""
    names = answering_models(store) if model is None else [model]
    answers = [a for name in names for a in stored_answers(store, model=name) if a.labelled is not None]
    said = {(leak_key(a.question), a.text.strip()) for a in answers}
    return sum(e.template == MARKED or (e.key, e.target) in said for e in (*found.train, *found.held_out))


def _row(example: Example) -> dict[str, Any]:
    question = example.question
    return {
        "question": question.text,
        "options": list(question.options),
        "known_answer": question.answer,
        "answer": example.target,
        "tokens": example.target_tokens,
        "budget": example.budget,
        "template": example.template,
        "language": question.language,
        "topic": question.topic,
    }


def _marked_right(marked: Iterable[MarkedAnswer]) -> list[StoredAnswer]:
    """What `examples.build` takes: each marked answer that is right, up to its mark and closed there."""
    return [found for one in marked if (found := _closed(one)) is not None]


def _closed(one: MarkedAnswer) -> StoredAnswer | None:
    call, parts = one.call, sentences(one.call)
    if call.outcome is not Outcome.CORRECT or call.finish_reason != "stop" or not 1 <= one.sentence < len(parts):
        return None  # A mark at the last sentence says that all of it was needed.
    text = _text(one, len("".join(parts[: one.sentence])))
    if text is None or not _right(one, text):
        return None
    share = tokens.count(text) / max(1, tokens.count(trace_of(call)))
    return StoredAnswer(
        one.question, text, max(1, round((call.completion_tokens or 0) * share)), Outcome.CORRECT, whole=True,
        vanilla=False, template=MARKED, budget=None, optimum=None, temperature=call.sampling.temperature,
        session_id=call.session_id, kind="mark",
    )  # fmt: skip


def _text(one: MarkedAnswer, end: int) -> str | None:
    """The trace up to there, closed by the model's own answer from there, else by the value that it came to."""
    if (probe := probe_at(one.call, one.probes, end)) is not None:
        return whole_text(probe)
    if not announced(one.call):
        return None
    request = closed_at(one.call, end)
    return whole_text(replace(one.call, messages=request.messages, text=str(one.call.extracted)))


def _right(one: MarkedAnswer, text: str) -> bool:
    question = replace(one.question, kind=infer_kind(one.question))
    found = grade(text, question, finish_reason="stop")
    if question.answer is not None:
        return found.outcome is Outcome.CORRECT
    given, known = found.extraction.value, one.call.extracted  # A person said that the whole answer is right.
    alike = given is not None and known is not None and equivalent(given, known, infer_kind(question), question.options)
    return alike is True
