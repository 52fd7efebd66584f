"""`import-predictions`: answers that others published, as an experiment to compare with. Asks no model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import OK, emit, say
from tale_core.cli.run import print_results
from tale_core.errors import InputError

if TYPE_CHECKING:
    from tale_core.datasets.predictions import Predictions
    from tale_core.experiments.import_predictions import Imported


SHOWN = 20
COUNTED_FOR = "gpt-4"
"""Whose tokenizer the paper's repository counts every model's answers with."""
_FILES = ("tale.jsonl", "output_with_reasoning.jsonl", "output_without_reasoning_new_prompt.jsonl")
"""What its scripts write into a folder MODEL/DATA SET."""
_FILE_KINDS = "files of the paper's repository, logs of lm-eval, Inspect, promptfoo or OpenAI evals, or any table"
_FIELDS = "question, prediction, answer, tokens, strategy, budget, options; answer_is as for run"


def register(commands: Any) -> None:
    """Add the command."""
    imp = commands.add_parser(
        "import-predictions", help="answers that others published, as an experiment to compare with"
    )
    imp.add_argument("file", nargs="+", help=_FILE_KINDS)
    imp.add_argument("--model", metavar="NAME", help="who answered; default: as the file or its folders say")
    imp.add_argument("--dataset", metavar="NAME", help="what was answered; likewise")
    imp.add_argument("--answers", metavar="SET", help="a data set (or file) whose known answers count, not the files'")
    imp.add_argument("--map", metavar="F=C,…", help=f"columns: {_FIELDS}")
    imp.add_argument("--strategy", metavar="NAME", help="what the answers of one file are called")
    flags.add_store(imp)
    imp.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        InputError: A file cannot be used, or the model is not named.
        StoreError: It cannot be stored.
    """
    from tale_core.datasets import load
    from tale_core.datasets.predictions import load_predictions
    from tale_core.experiments.export import experiment_document
    from tale_core.experiments.import_notes import notes
    from tale_core.experiments.import_predictions import import_predictions
    from tale_core.experiments.results import results
    from tale_core.models import tokens
    from tale_core.store import open_store

    paths = [Path(name) for name in args.file]
    mapping = flags.columns(args)
    if args.strategy and len(paths) > 1:
        raise InputError("--strategy was given for several files.", "Import them one by one, or leave it out.")
    files = [load_predictions(path, mapping=mapping, strategy=args.strategy) for path in paths]
    model, dataset = _named(args, paths, files)
    answers = load(args.answers) if args.answers else None
    store = open_store(args.db)
    done = import_predictions(
        files,
        store=store,
        model=model,
        dataset=dataset,
        answers=answers.questions if answers else None,
        answers_from=answers.name if answers else "",
        count=lambda text: tokens.count(text, COUNTED_FOR),
    )
    _tell(done)
    found = results(store, done.experiment_id)
    if args.json:
        problems = [{"line": p.line, "reason": p.reason} for p in done.problems]
        emit(experiment_document(found) | {"problems": problems})
        return OK
    print_results(found)
    for note in notes(done.info):
        say(note)
    return OK


def _named(args: argparse.Namespace, paths: list[Path], files: list[Predictions]) -> tuple[str, str]:
    """Model and data set: by the flags, else as the files say, else by the folders that scripts write into.

    Raises:
        InputError: The model is named nowhere.
    """
    from tale_core.datasets.named import find_set

    first = paths[0].absolute()
    there = first.name.casefold() in _FILES
    named = list(dict.fromkeys(one.model for one in files if one.model))
    model, dataset = args.model or ", ".join(named), args.dataset or files[0].dataset
    if files[0].shape == "lm-eval" and files[0].dataset:
        # The harness writes into a folder that is called after the model, with __ for a slash.
        model = model or first.parent.name.replace("__", "/")
    elif there:
        model, dataset = model or first.parent.parent.name, dataset or first.parent.name
    if not model:
        raise InputError("No file says which model answered.", "Give --model NAME.")
    dataset = dataset or Path(files[0].file).stem
    known = find_set(dataset)
    return model, known.info.name if known else dataset


def _tell(done: Imported) -> None:
    say(f"experiment {done.experiment_id}", file=sys.stderr)
    for problem in done.problems[:SHOWN]:
        say(f"tale: line {problem.line} of {problem.reason}", file=sys.stderr)
    if (more := len(done.problems) - SHOWN) > 0:
        say(f"tale: and {more} more rows were passed over", file=sys.stderr)
