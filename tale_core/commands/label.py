"""`label queue`, `label import`, `label export`, `label agreement`: labelling without a browser."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

from tale_core.cli import OK, emit
from tale_core.datasets.loading import UPLOAD_BYTES
from tale_core.errors import InputError
from tale_core.labels import Desk
from tale_core.labels.agreement import Agreement, everyone, pairs
from tale_core.labels.gold_files import GoldImport, plan_import, read_golds, write_import
from tale_core.labels.training_files import as_csv, data_file, rows_of
from tale_core.labels.words import moved_words
from tale_core.store import LabelTarget, Moved, QueueFilter, annotator_key, open_store

_SHOWN = 20


def _desk(args: argparse.Namespace) -> Desk:
    desk = Desk(open_store(args.db))
    desk.sync()
    return desk


def run_queue(args: argparse.Namespace) -> int:
    """What an annotator would be shown, in that annotator's order; nothing is claimed and nothing written."""
    if args.limit < 1:
        raise InputError(f"The limit is {args.limit}.", "Give a whole number from 1.")
    desk = _desk(args)
    who = annotator_key(args.annotator)
    wanted = QueueFilter(
        kind=args.queue,
        which=args.which,
        models=tuple(args.model),
        outcomes=tuple(args.outcome),
        topics=tuple(args.topic),
        overlap=args.people,
    )
    counts = desk.queue.counts(who, wanted)
    targets = desk.queue.ahead(who, wanted, limit=args.limit)
    document = {
        "annotator": args.annotator,
        "queue": args.queue,
        "total": counts.total,
        "left": counts.left,
        "skipped": counts.skipped,
        "undoable": counts.undoable,
        "items": [_item(target, reveal=args.reveal) for target in targets],
    }
    if args.json:
        emit(document)
        return OK
    print(f"{counts.total - counts.left} of {counts.total} done, {counts.left} left")
    for target in targets:
        read = f" [{target.extracted}]" if target.extracted else ""
        print(f"- {_line(target.question.text)}{_line(read)}")
    return OK


def _line(text: str) -> str:
    """A line for a terminal, in which nothing acts upon it."""
    return "".join(c if c.isprintable() else " " for c in text[:100])


def _item(target: LabelTarget, *, reveal: bool) -> dict[str, Any]:
    call = target.call
    document: dict[str, Any] = {
        "target": target.key,
        "question_key": target.question_key,
        "question": target.question.text,
        "options": list(target.question.options),
        "known_answer": target.question.answer,
        "labelled_answer": target.gold,
        "answer": call.text if call else None,
        "extracted": target.extracted,
        "extracted_by": target.extracted_by,
        "copies": target.copies,
        "said": [{"annotator": s.name, "value": s.value} for s in target.said],
    }
    if reveal and call is not None:
        document |= {
            "strategy": target.strategy,
            "model": call.model,
            "budget": call.requested_budget,
            "completion_tokens": call.completion_tokens,
            "outcome": target.outcome.value if target.outcome else None,
            "session": call.session_id,
            "call": call.id,
        }
    return document


def run_import(args: argparse.Namespace) -> int:
    """Known answers from a file: a dry run, unless it is to be written."""
    path = Path(args.file)
    try:
        if path.stat().st_size > UPLOAD_BYTES:
            raise InputError(f"{path} is larger than {UPLOAD_BYTES // 1_000_000} MB.", "Split it.")
        data = path.read_bytes()
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror}.", "Give a file with questions and answers.") from e
    questions, problems = read_golds(path.name, data)
    desk = _desk(args)
    who = desk.sit_down(args.annotator) if args.write else annotator_key(args.annotator)
    plan = plan_import(desk, who, questions, problems=problems, replacing=args.replace)
    moved = write_import(desk, who, plan) if args.write else plan.moved
    if args.json:
        emit(_import_document(plan, moved, written=args.write))
    else:
        _tell(plan, moved, written=args.write)
    return OK


def _import_document(plan: GoldImport, moved: Moved, *, written: bool) -> dict[str, Any]:
    return {
        "written": written,
        "rows": [asdict(row) for row in plan.rows],
        "problems": [asdict(problem) for problem in plan.problems],
        "would_write": plan.writable,
        "moved": moved_document(moved),
    }


def moved_document(moved: Moved) -> dict[str, Any]:
    """What a label moved, JSON-safe; shares are right answers over those that could be judged."""
    accuracies = [
        {
            "experiment": one.session_id,
            "dataset": one.dataset,
            "strategy": one.strategy,
            "before": one.before._asdict(),
            "after": one.after._asdict(),
        }
        for one in moved.accuracies
    ]
    return asdict(moved) | {"accuracies": accuracies}


def _tell(plan: GoldImport, moved: Moved, *, written: bool) -> None:
    for problem in plan.problems[:_SHOWN]:
        print(f"line {problem.line}: {problem.reason}", file=sys.stderr)
    for row in plan.rows:
        if row.status != "same":
            before = f" (so far {row.before[:60]!r}{f', by {row.by}' if row.by else ''})" if row.before else ""
            print(f"{row.status}: {' '.join(row.question.split())[:80]!r} -> {row.answer[:60]!r}{before}")
    words = moved_words(moved)
    if written:
        print(f"wrote {plan.writable} known answers. {words}")
    else:
        print(f"{plan.writable} known answers would be written (add --write). {words}")


def run_export(args: argparse.Namespace) -> int:
    """Rows for estimators or fine-tuning, or the labels themselves, into a file."""
    desk = _desk(args)
    path = Path(args.file)
    file = data_file(desk.store, args.what, model=args.model)
    if path.suffix.lower() == ".csv" and args.what != "estimators":
        text = as_csv(rows_of(desk.store, args.what, model=args.model))
    elif path.suffix.lower() == ".jsonl":
        text = file.text
    else:
        raise InputError(f"{path.name!r} names no kind of export.", "End it in .jsonl; .csv but for estimators.")
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror}.", "Name a file in a folder of yours.") from e
    if args.json:
        emit({"what": args.what, "file": str(path), "rows": file.rows, "fingerprint": file.fingerprint,
              "labelled": file.labelled})  # fmt: skip
    else:
        print(f"wrote {file.rows} rows to {path}, fingerprint {file.fingerprint[:16]}")
    return OK


def run_agreement(args: argparse.Namespace) -> int:
    """How far annotators agree: Cohen's kappa of every two, Fleiss' kappa of all."""
    desk = _desk(args)
    standings = desk.queue.standings()
    names = {one.annotator: one.name for one in standings}
    verdicts = desk.queue.verdicts()
    whole, two = everyone(verdicts, names), pairs(verdicts, names)
    if args.json:
        emit({
            "annotators": [one._asdict() for one in standings],
            "fleiss": _agreement(whole),
            "cohen": [_agreement(one) for one in two],
        })  # fmt: skip
        return OK
    for one in standings:
        print(f"{one.name}: {one.right} right, {one.wrong} wrong, {one.unsure} unsure, {one.golds} known answers")
    for pair in [*two, whole]:
        kappa = "not defined" if pair.kappa is None else "{:.2f} ({:.2f} to {:.2f})".format(*pair.kappa)
        print(f"{', '.join(pair.names)}: kappa {kappa}, n = {pair.n}")
    return OK


def _agreement(one: Agreement) -> dict[str, Any]:
    kappa, low, high = one.kappa or (None, None, None)
    return {"names": list(one.names), "n": one.n, "same": one.same, "kappa": kappa, "kappa_low": low,
            "kappa_high": high}  # fmt: skip
