"""`train-estimator`: learn budgets from stored searches; the comparison is a table on standard error."""

from __future__ import annotations

import argparse
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import console_of, show
from tale_core.errors import InputError

if TYPE_CHECKING:
    from rich.console import Console

    from tale_core.estimators.report import Figure, TrainingReport
    from tale_core.estimators.rows import TrainingRow
    from tale_core.estimators.saved import SavedEstimator


def register(commands: Any) -> None:
    """Add the command."""
    from tale_core.estimators.kinds import trainings
    from tale_core.estimators.report import AIMS

    kinds = list(trainings())
    train = commands.add_parser("train-estimator", help="learn budgets from searches")
    train.add_argument("--model", metavar="NAME", help="whose searches; default: the configured model")
    flags.add_template(train, "template of the searches")
    train.add_argument("--kind", default=kinds[0], choices=kinds, help="from the question, or its estimate")
    train.add_argument("--aim", default=AIMS[0], choices=AIMS, help="the middle budget, or enough for 9 of 10")
    train.add_argument("--seed", type=int, default=20_241_218, help="of folds and draws")
    train.add_argument(
        "--from", dest="rows_file", type=str, metavar="FILE.jsonl", help="rows of a file, not of the database"
    )
    train.add_argument("--export", type=str, metavar="FILE.jsonl", help="write the rows and train nothing")
    train.add_argument("--set-default", action="store_true", help="use this one from now on")
    flags.add_store(train)
    train.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        InputError: The file of rows is wrong.
        TrainingError: There is not enough to learn from.
        EstimatorFileError: The estimator cannot be saved.
    """
    from tale_core.settings import get_settings

    model = args.model or get_settings().model
    if args.seed < 0:
        raise InputError(f"The seed is {args.seed}.", "Give a whole number from 0.")
    rows = _rows(args, model)
    if args.export is not None:
        return _export(rows, args, model)
    saved = _trained(rows, args, model)

    console = console_of(stderr=True, highlight=False)
    _show(saved, console)
    return show(args, document(saved), f"saved {saved.metadata.kind}:{saved.metadata.version} to {saved.path}")


def _rows(args: argparse.Namespace, model: str) -> list[TrainingRow]:
    from tale_core.estimators.rows import rows_from_store
    from tale_core.estimators.rows_file import read_rows
    from tale_core.store import open_store

    if args.rows_file is not None:
        return read_rows(Path(args.rows_file))
    return rows_from_store(open_store(args.db), model=model)


def _export(rows: list[TrainingRow], args: argparse.Namespace, model: str) -> int:
    from tale_core.estimators.rows import select_rows
    from tale_core.estimators.rows_file import rows_to_jsonl

    mine = select_rows(rows, model=model, template=args.template)
    try:
        Path(args.export).write_text(rows_to_jsonl(mine), encoding="utf-8")
    except OSError as e:
        raise InputError(f"{args.export} cannot be written: {e.strerror}.") from e
    document = {"rows": len(mine), "file": args.export, "model": model, "template": args.template}
    return show(args, document, f"wrote {len(mine)} rows to {args.export}")


def _trained(rows: list[TrainingRow], args: argparse.Namespace, model: str) -> SavedEstimator:
    from tale_core.estimators import saved
    from tale_core.estimators.rows import require_rows, select_rows

    named = {"model": model, "template": args.template}
    mine = select_rows(rows, **named)
    _require(mine, rows, **named)
    require_rows(mine, **named)  # Before scikit-learn is imported: that takes a second.
    from tale_core.estimators.training import train

    now = datetime.now(UTC).isoformat(timespec="seconds")
    found = train(args.kind, mine, **named, trained_on=now, aim=args.aim, seed=args.seed)
    kept = saved.save(found)
    if args.set_default:
        saved.set_default(kept)
    return kept


def _require(mine: list[TrainingRow], rows: list[TrainingRow], *, model: str, template: str) -> None:
    """A file for other models or prompt templates is a wrong argument; say what it holds.

    Raises:
        InputError: There are rows, and none is for this model and prompt template.
    """
    from tale_core.estimators.rows import available

    if mine or not rows:
        return
    there = "; ".join(f"{m} with {t}: {n}" for (m, t), n in available(rows).most_common(5))
    raise InputError(f"There are no rows for {model} with the template {template!r}.", f"There are rows for {there}.")


def document(saved: SavedEstimator) -> dict[str, Any]:
    """JSON-safe: `estimator`, what was kept and where, and `report`, how it was found (see `TrainingReport`)."""
    from tale_core.estimators.saved import find

    metadata = saved.metadata
    described = metadata.document()
    report = described.pop("report")
    more = {
        "name": f"{metadata.kind}:{metadata.version}",
        "file": str(saved.path),
        "in_use": find(saved.use).path == saved.path,
        "interval_factor": None if metadata.radius is None else math.exp(metadata.radius),
    }
    return {"estimator": more | described, "report": report}


def _show(saved: SavedEstimator, console: Console) -> None:
    from rich.table import Table
    from rich.text import Text

    report = saved.metadata.report
    title = Text(f"{report.rows} searches of {report.model}, template {report.template}; * is used")
    table = Table(title=title, title_justify="left")
    table.add_column("predictor", no_wrap=True)
    for name in ("factor off", "tokens off", "in 90 %", "rank", "beats constant", "enough", "tokens"):
        table.add_column(name, justify="right")
    for c in report.candidates:
        table.add_row(
            f"{c.name}{' *' if c.name == report.chosen else ''}",
            f"× {c.error_factor:.2f}",
            _span(c.mae_tokens, ".0f"),
            "" if c.coverage is None else f"{c.coverage.value:.0%} of {c.n}",
            "" if c.spearman is None else f"{c.spearman.value:.2f}",
            _span(c.gain, ".0%"),
            f"{c.enough.value:.0%}",
            f"{c.mean_budget:.0f}",
        )
    console.print(table)
    for words in _sentences(report):
        console.print(words, markup=False)


def _span(figure: Figure | None, form: str) -> str:
    return "" if figure is None else f"{figure.value:{form}} ({figure.low:{form}} to {figure.high:{form}})"


def _sentences(report: TrainingReport) -> list[str]:
    curve = [report.learning_curve.words] if report.learning_curve else []
    return [report.reason, *report.findings, *curve, *report.notes]
