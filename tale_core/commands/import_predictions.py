"""`import-predictions`: answers that others published, as an experiment to compare with. Asks no model."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from tale_core.cli import OK, emit
from tale_core.commands.mapping import mapping_of
from tale_core.datasets import load
from tale_core.datasets.named import find_set
from tale_core.datasets.predictions import Predictions, load_predictions
from tale_core.errors import InputError
from tale_core.experiments.document import experiment_document
from tale_core.experiments.imported import notes
from tale_core.experiments.importing import Imported, import_predictions
from tale_core.experiments.results import results
from tale_core.experiments.words import finding
from tale_core.models import tokens
from tale_core.store import open_store

SHOWN = 20
COUNTED_FOR = "gpt-4"
"""Whose tokenizer the paper's repository counts every model's answers with."""
_FILES = ("tale.jsonl", "output_with_reasoning.jsonl", "output_without_reasoning_new_prompt.jsonl")
"""What its scripts write into a folder MODEL/DATA SET."""


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        InputError: A file cannot be used, or the model is not named.
        StoreError: It cannot be stored.
    """
    paths = [Path(name) for name in args.file]
    mapping = mapping_of(args.map)
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
    from rich.console import Console

    from tale_core.commands.run import results_table

    Console(highlight=False, width=None if sys.stdout.isatty() else 140).print(results_table(found))
    print(finding(found))
    for note in notes(done.info):
        print(note)
    return OK


def _named(args: argparse.Namespace, paths: list[Path], files: list[Predictions]) -> tuple[str, str]:
    """Model and data set: by the flags, else by the folders that the repository's scripts write into.

    Raises:
        InputError: The model is named nowhere.
    """
    first = paths[0].absolute()
    there = first.name.casefold() in _FILES
    model = args.model or (first.parent.parent.name if there else "")
    if not model:
        raise InputError("No file says which model answered.", "Give --model NAME.")
    dataset = args.dataset or (first.parent.name if there else Path(files[0].file).stem)
    known = find_set(dataset)
    return model, known.info.name if known else dataset


def _tell(done: Imported) -> None:
    print(f"experiment {done.experiment_id}", file=sys.stderr)
    for problem in done.problems[:SHOWN]:
        print(f"tale: line {problem.line} of {problem.reason}", file=sys.stderr)
    if (more := len(done.problems) - SHOWN) > 0:
        print(f"tale: and {more} more rows were passed over", file=sys.stderr)
