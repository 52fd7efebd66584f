"""Results as tables for people and as one JSON document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import rich.table
from rich.console import Console

from benchmarks.figures import Goal
from benchmarks.parts import PartResult


def document(results: Sequence[PartResult], machine: dict[str, Any], settings: dict[str, Any]) -> dict[str, Any]:
    """Everything, ready for JSON."""
    return {
        "machine": machine,
        "settings": settings,
        "goals": [{**asdict(g), "met": g.met, "verdict": g.verdict} for r in results for g in r.goals],
        "parts": {r.name: r.data for r in results},
    }


def write(found: dict[str, Any], folder: Path) -> Path:
    """Write the document to a file named by its time; returns the path."""
    folder.mkdir(parents=True, exist_ok=True)
    name = str(found["machine"]["when"]).replace(":", "").replace("+0000", "Z")
    path = folder / f"{name}.json"
    path.write_text(json.dumps(found, indent=1), encoding="utf-8")
    return path


def show(results: Sequence[PartResult], machine: dict[str, Any], console: Console) -> None:
    """Print tables, notes and goals."""
    llama = machine["versions"]["xllamacpp"]
    cores = f"{machine['physical_cores']} cores ({machine['logical_cores']} logical), {machine['memory_gib']} GiB"
    console.print(f"{machine['cpu']}, {cores}, Python {machine['python']}, xllamacpp {llama}", highlight=False)
    for result in results:
        for table in result.tables:
            drawn = rich.table.Table(title=table.title, title_justify="left")
            for number, column in enumerate(table.columns):
                drawn.add_column(column, justify="right" if number else "left")
            for row in table.rows:
                drawn.add_row(*row)
            console.print(drawn)
        for note in result.notes:
            console.print(note, style="dim", highlight=False)
        for goal in result.goals:
            console.print(goal_words(goal), highlight=False, markup=False)


def goal_words(goal: Goal) -> str:
    """The goal, what was measured and the verdict, in one line."""
    m, unit, digits = goal.measured, f" {goal.unit}" if goal.unit else "", 1 if goal.unit else 3
    limit = f"goal {goal.side} {goal.limit:g}{unit}"
    value = f"{m.value:.{digits}f}{unit} (95 % interval {m.low:.{digits}f} to {m.high:.{digits}f}, n = {m.n})"
    return f"{goal.words}: {value}; {limit}: {goal.verdict}."
