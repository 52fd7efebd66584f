"""`label queue`, `label import`, `label export`, `label agreement`: labelling without a browser."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.calls.outcomes import OUTCOMES
from tale_core.cli import flags
from tale_core.cli.output import OK, emit, say, show
from tale_core.errors import InputError

if TYPE_CHECKING:
    from tale_core.labels import Labeling
    from tale_core.labels.agreement import Agreement
    from tale_core.labels.gold_files import GoldImport
    from tale_core.store import LabelTarget, Moved

_SHOWN = 20
_OUTCOMES = [outcome.value for outcome, kind in OUTCOMES.items() if kind.labelled]


def register(commands: Any) -> None:
    """Add `label queue`, `label import`, `label export` and `label agreement`."""
    label = commands.add_parser("label", help="labels: the queue, known answers from a file, training data, agreement")
    actions = label.add_subparsers(required=True, metavar="ACTION")
    _add_queue(actions)
    _add_import(actions)
    export = actions.add_parser("export", help="rows for estimators or fine-tuning, or the labels")
    export.add_argument("what", choices=["fine-tuning", "estimators", "labels"])
    export.add_argument("file", help=".jsonl or .csv")
    export.add_argument("--model", metavar="NAME", help="only this model's")
    export.set_defaults(command=run_export)
    flags.add_store(export)
    agreement = actions.add_parser("agreement", help="Cohen's and Fleiss' kappa")
    agreement.set_defaults(command=run_agreement)
    flags.add_store(agreement)


def _add_queue(actions: Any) -> None:
    queue = actions.add_parser("queue", help="what an annotator would be shown, in that annotator's order")
    queue.add_argument("--annotator", required=True, metavar="NAME")
    queue.add_argument("--queue", default="answers", choices=["answers", "questions", "settle"])
    queue.add_argument("--which", default="doubtful", choices=["doubtful", "disagree", "all"], help="of the answers")
    queue.add_argument("--model", action="append", default=[], metavar="NAME", help="only this model's; may repeat")
    queue.add_argument("--topic", action="append", default=[], metavar="NAME", help="only this topic; may repeat")
    queue.add_argument("--outcome", action="append", default=[], choices=_OUTCOMES, help="as the grader saw it")
    queue.add_argument("--people", type=int, default=1, choices=[0, 1, 2, 3], help="who decide each answer; 0: all")
    queue.add_argument("--limit", type=int, default=20, metavar="N", help="items to print")
    queue.add_argument("--reveal", action="store_true", help="strategy, model, budget and the grader's outcome too")
    queue.set_defaults(command=run_queue)
    flags.add_store(queue)


def _add_import(actions: Any) -> None:
    gold = actions.add_parser("import", help="known answers or labels from a file; a dry run without --write")
    gold.add_argument("file", help=".csv, .tsv, .json, .jsonl or .parquet with question and answer, or exported labels")
    gold.add_argument("--annotator", required=True, metavar="NAME", help="whose answers they are")
    gold.add_argument("--map", metavar="F=C,…", help="columns of a file: question=…, answer=…, options=A|B|C")
    gold.add_argument("--write", action="store_true", help="write what the dry run shows")
    gold.add_argument("--replace", action="store_true", help="settle conflicts with other people's answers")
    gold.set_defaults(command=run_import)
    flags.add_store(gold)


def _labeling(args: argparse.Namespace) -> Labeling:
    from tale_core.labels import Labeling
    from tale_core.store import open_store

    labeling = Labeling(open_store(args.db))
    labeling.sync()
    return labeling


def run_queue(args: argparse.Namespace) -> int:
    """What an annotator would be shown, in that annotator's order; nothing is claimed and nothing written."""
    from tale_core.store import QueueFilter, annotator_key

    if args.limit < 1:
        raise InputError(f"The limit is {args.limit}.", "Give a whole number from 1.")
    labeling = _labeling(args)
    who = annotator_key(args.annotator)
    wanted = QueueFilter(
        kind=args.queue,
        which=args.which,
        models=tuple(args.model),
        outcomes=tuple(args.outcome),
        topics=tuple(args.topic),
        overlap=args.people,
    )
    counts = labeling.queue.counts(who, wanted)
    targets = labeling.queue.ahead(who, wanted, limit=args.limit)
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
    say(f"{counts.total - counts.left} of {counts.total} done, {counts.left} left")
    for target in targets:
        read = f" [{target.extracted}]" if target.extracted else ""
        say(f"- {_line(target.question.text)}{_line(read)}")
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
        "said": [{"annotator": s.name, "value": s.value} for s in target.labels],
    }
    if reveal and call is not None:
        document |= {
            "strategy": target.strategy,
            "model": call.model,
            "budget": call.requested_budget,
            "completion_tokens": call.completion_tokens,
            "visible_tokens": call.visible_tokens,
            "thinking_tokens": call.thinking_tokens,
            "outcome": target.outcome.value if target.outcome else None,
            "session": call.session_id,
            "call": call.id,
        }
    return document


def run_import(args: argparse.Namespace) -> int:
    """Known answers from a file, or exported labels: a dry run, unless they are to be written."""
    from tale_core.datasets.loading import UPLOAD_BYTES
    from tale_core.labels.gold_files import plan_import, write_import
    from tale_core.labels.label_files import read_labels
    from tale_core.store import annotator_key

    path = Path(args.file)
    try:
        if path.stat().st_size > UPLOAD_BYTES:
            raise InputError(f"{path} is larger than {UPLOAD_BYTES // 1_000_000} MB.", "Split it.")
        data = path.read_bytes()
    except OSError as e:
        raise InputError(f"{path} cannot be read: {e.strerror}.", "Give a file with questions and answers.") from e
    given = read_labels(path.name, data, mapping=flags.columns(args))
    labeling = _labeling(args)
    who = labeling.sit_down(args.annotator) if args.write else annotator_key(args.annotator)
    plan = plan_import(
        labeling, who, given.questions, problems=given.problems, replacing=args.replace, verdicts=given.verdicts
    )
    moved = write_import(labeling, who, plan) if args.write else plan.moved
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
    from tale_core.labels.text import moved_words

    for problem in plan.problems[:_SHOWN]:
        say(f"line {problem.line}: {problem.reason}", file=sys.stderr)
    for row in plan.rows:
        if row.status != "same":
            before = f" (so far {row.before[:60]!r}{f', by {row.by}' if row.by else ''})" if row.before else ""
            before += " (the answer that was judged is not stored here)" if row.status == "no-answer" else ""
            say(f"{row.status}: {' '.join(row.question.split())[:80]!r} -> {row.answer[:60]!r}{before}")
    words = moved_words(moved)
    what = f"{plan.writable - plan.verdicts} known answers"
    what += f" and {plan.verdicts} verdicts or marks" if any(row.verdict or row.mark for row in plan.rows) else ""
    say(f"wrote {what}. {words}" if written else f"{what} would be written (add --write). {words}")


def run_export(args: argparse.Namespace) -> int:
    """Rows for estimators or fine-tuning, or the labels themselves, into a file."""
    from tale_core.labels.training_files import as_csv, data_file, label_rows
    from tale_core.tuning.data import training_file, training_table

    labeling = _labeling(args)
    path = Path(args.file)
    tuned = args.what == "fine-tuning"
    file = (training_file if tuned else partial(data_file, kind=args.what))(labeling.store, model=args.model)
    if path.suffix.lower() == ".csv" and args.what != "estimators":
        text = as_csv(training_table(labeling.store, model=args.model) if tuned else label_rows(labeling.store))
    elif path.suffix.lower() == ".jsonl":
        text = file.text
    else:
        raise InputError(f"{path.name!r} names no kind of export.", "End it in .jsonl; .csv but for estimators.")
    try:
        path.write_text(text, encoding="utf-8", newline="")
    except OSError as e:
        raise InputError(f"{path} cannot be written: {e.strerror}.", "Name a file in a folder of yours.") from e
    document = {"what": args.what, "file": str(path), "rows": file.rows, "fingerprint": file.fingerprint,
                "labelled": file.labelled}  # fmt: skip
    return show(args, document, f"wrote {file.rows} rows to {path}, fingerprint {file.fingerprint[:16]}")


def run_agreement(args: argparse.Namespace) -> int:
    """How far annotators agree: Cohen's kappa of every two, Fleiss' kappa of all."""
    from tale_core.labels.agreement import everyone, pairs, same_marks

    labeling = _labeling(args)
    annotators = labeling.queue.annotators()
    names = {one.annotator: one.name for one in annotators}
    verdicts = labeling.queue.verdicts()
    whole, two = everyone(verdicts, names), pairs(verdicts, names)
    marks = same_marks(labeling.queue.marks())
    if args.json:
        emit({
            "annotators": [one._asdict() for one in annotators],
            "fleiss": _kappa(whole),
            "cohen": [_kappa(one) for one in two],
            "marks": marks._asdict() | {"interval": list(marks.interval)} if marks else None,
        })  # fmt: skip
        return OK
    for one in annotators:
        say(
            f"{one.name}: {one.right} right, {one.wrong} wrong, {one.unsure} unsure, {one.golds} known answers, "
            f"{one.marks} marked sentences"
        )
    for pair in [*two, whole]:
        kappa = "not defined" if pair.kappa is None else "{:.2f} ({:.2f} to {:.2f})".format(*pair.kappa)
        say(f"{', '.join(pair.names)}: kappa {kappa}, n = {pair.n}")
    if marks:
        say(f"marks: {marks.same} of {marks.n} answers have the same sentence from all who marked them")
    return OK


def _kappa(one: Agreement) -> dict[str, Any]:
    kappa, low, high = one.kappa or (None, None, None)
    return {"names": list(one.names), "n": one.n, "same": one.same, "kappa": kappa, "kappa_low": low,
            "kappa_high": high}  # fmt: skip
