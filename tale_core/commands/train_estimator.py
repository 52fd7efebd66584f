"""`train-estimator`: learn budgets from stored searches; the comparison is a table on standard error."""

from __future__ import annotations

import argparse
import math
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import OK, emit
from tale_core.errors import InputError
from tale_core.estimators.rows import TrainingRow, available, require_rows, rows_from_store, select_rows
from tale_core.estimators.rows_file import read_rows, rows_to_jsonl
from tale_core.settings import get_settings

if TYPE_CHECKING:
    from rich.console import Console

    from tale_core.estimators.report import Figure, TrainingReport
    from tale_core.estimators.saved import SavedEstimator


def run(args: argparse.Namespace) -> int:
    """Run the command.

    Raises:
        InputError: The file of rows is wrong.
        TrainingError: There is not enough to learn from.
        EstimatorFileError: The estimator cannot be saved.
    """
    model = args.model or get_settings().model
    if args.seed < 0:
        raise InputError(f"The seed is {args.seed}.", "Give a whole number from 0.")
    rows = _rows(args, model)
    if args.export is not None:
        return _export(rows, args, model)
    saved = _trained(rows, args, model)
    from rich.console import Console

    console = Console(stderr=True, highlight=False)
    _show(saved, console)
    if args.json:
        emit(document(saved))
    else:
        print(f"saved {saved.metadata.kind}:{saved.metadata.version} to {saved.path}")
    return OK


def _rows(args: argparse.Namespace, model: str) -> list[TrainingRow]:
    if args.rows_file is not None:
        return read_rows(Path(args.rows_file))
    from tale_core.store import open_store

    return rows_from_store(open_store(args.db), model=model)


def _export(rows: list[TrainingRow], args: argparse.Namespace, model: str) -> int:
    mine = select_rows(rows, model=model, template=args.template)
    try:
        Path(args.export).write_text(rows_to_jsonl(mine), encoding="utf-8")
    except OSError as e:
        raise InputError(f"{args.export} cannot be written: {e.strerror}.") from e
    if args.json:
        emit({"rows": len(mine), "file": args.export, "model": model, "template": args.template})
    else:
        print(f"wrote {len(mine)} rows to {args.export}")
    return OK


def _trained(rows: list[TrainingRow], args: argparse.Namespace, model: str) -> SavedEstimator:
    from tale_core.estimators import saved

    mine = select_rows(rows, model=model, template=args.template)
    _require(mine, rows, model=model, template=args.template)
    require_rows(mine, model=model, template=args.template)  # Before scikit-learn is imported: that takes a second.
    from tale_core.estimators import calibrated, regression

    train = regression.train if args.kind == "regression" else calibrated.train
    now = datetime.now(UTC).isoformat(timespec="seconds")
    found = train(mine, model=model, template=args.template, trained_on=now, aim=args.aim, seed=args.seed)
    kept = saved.save(found)
    if args.set_default:
        saved.set_default(kept)
    return kept


def _require(mine: list[TrainingRow], rows: list[TrainingRow], *, model: str, template: str) -> None:
    """A file for other models or wordings is a wrong argument; say what it holds.

    Raises:
        InputError: There are rows, and none is for this model and wording.
    """
    if mine or not rows:
        return
    there = "; ".join(f"{m} with {t}: {n}" for (m, t), n in available(rows).most_common(5))
    raise InputError(f"There are no rows for {model} with the wording {template!r}.", f"There are rows for {there}.")


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
    title = Text(f"{report.rows} searches of {report.model}, wording {report.template}; * is used")
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
    return [report.reason, *curve, *report.notes]
