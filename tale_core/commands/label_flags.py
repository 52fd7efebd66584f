"""The flags of `label`. The work stands in `tale_core.commands.label`, imported when it is asked for."""

from __future__ import annotations

import argparse
from typing import Any

_OUTCOMES = ["correct", "wrong", "truncated", "unparsed", "ungraded"]


def add_label(commands: Any, parser_class: type[argparse.ArgumentParser]) -> None:
    """Add `label queue`, `label import`, `label export` and `label agreement`."""
    label = commands.add_parser("label", help="labels: the queue, known answers from a file, training data, agreement")
    actions = label.add_subparsers(required=True, metavar="ACTION", parser_class=parser_class)
    _add_queue(actions)
    _add_import(actions)
    export = actions.add_parser("export", help="rows for estimators or fine-tuning, or the labels")
    export.add_argument("what", choices=["fine-tuning", "estimators", "labels"])
    export.add_argument("file", help=".jsonl or .csv")
    export.add_argument("--model", metavar="NAME", help="only this model's")
    export.set_defaults(command=_export)
    _add_common(export)
    agreement = actions.add_parser("agreement", help="Cohen's and Fleiss' kappa")
    agreement.set_defaults(command=_agreement)
    _add_common(agreement)


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
    queue.set_defaults(command=_queue)
    _add_common(queue)


def _add_import(actions: Any) -> None:
    gold = actions.add_parser("import", help="known answers from a file; a dry run without --write")
    gold.add_argument("file", help=".csv, .tsv, .json, .jsonl or .parquet with question and answer")
    gold.add_argument("--annotator", required=True, metavar="NAME", help="whose answers they are")
    gold.add_argument("--write", action="store_true", help="write what the dry run shows")
    gold.add_argument("--replace", action="store_true", help="settle conflicts with other people's answers")
    gold.set_defaults(command=_import)
    _add_common(gold)


def _add_common(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _queue(args: argparse.Namespace) -> int:
    from tale_core.commands.label import run_queue

    return run_queue(args)


def _import(args: argparse.Namespace) -> int:
    from tale_core.commands.label import run_import

    return run_import(args)


def _export(args: argparse.Namespace) -> int:
    from tale_core.commands.label import run_export

    return run_export(args)


def _agreement(args: argparse.Namespace) -> int:
    from tale_core.commands.label import run_agreement

    return run_agreement(args)
