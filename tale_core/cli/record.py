"""`record`: run the recipes of a file and keep each as a recording with its timing, for lessons without a model."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import OK, emit, say, show
from tale_core.cli.progress import open_with_progress

if TYPE_CHECKING:
    from tale_core.lessons.recipes import Recipe
    from tale_core.lessons.recorded import Recording
    from tale_core.models.choice import ModelChoice


def register(commands: Any) -> None:
    """Add the command."""
    record = commands.add_parser("record", help="run recipes and keep them with their timing, for lessons")
    record.add_argument("names", nargs="*", metavar="NAME", help="recipes to run; default: all of the file")
    record.add_argument(
        "--recipes", type=str, metavar="FILE.toml", help="default: the bundled recordings' (data/recorded)"
    )
    record.add_argument(
        "--out", type=str, metavar="DIR", help="default: recorded/ in the data folder, which lessons offer too"
    )
    record.add_argument("--list", action="store_true", help="list the recipes and run nothing")
    flags.add_endpoint(record, "default: the recipe's, else the configured model")
    flags.add_store(record)
    record.set_defaults(command=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    from tale_core.lessons.recipes import RECIPES, read_recipes
    from tale_core.lessons.recorded import own_folder, write

    recipes = read_recipes(Path(args.recipes) if args.recipes else RECIPES)
    wanted = recipes.named(args.names)
    if args.list:
        listing = [{"name": one.name, "kind": one.kind, "question": one.question} for one in wanted]
        lines = (f"{one['name']:20} {one['kind']:7} {one['question'][:80]}" for one in listing)
        return show(args, {"recipes": listing}, "\n".join(lines))
    for recipe in wanted:
        recipe.plan()  # A wrong one is told before the first is recorded.
    folder = Path(args.out) if args.out else own_folder()
    made = []
    for recipe in wanted:
        say(f"recording {recipe.name} …", file=sys.stderr)
        choice = flags.model_choice(args, default=recipe.model)
        recording = asyncio.run(_make(recipe, choice, args, f"python -m tale_core record {recipe.name}"))
        path = write(recording, folder)
        made.append(_document(recording, path))
        if not args.json:
            say(f"{path}: {len(recording.tapes)} calls, {recording.duration_ms / 1000:.0f} s")
    if args.json:
        emit({"recordings": made})
    return OK


async def _make(recipe: Recipe, choice: ModelChoice, args: argparse.Namespace, command: str) -> Recording:
    from tale_core.lessons.make import make
    from tale_core.store import open_store

    return await make(
        recipe,
        choice,
        store=open_store(args.db),
        open_client=lambda: open_with_progress(choice),
        command=command,
    )


def _document(recording: Recording, path: Path) -> dict[str, object]:
    return {
        "name": recording.name,
        "kind": recording.kind,
        "file": str(path),
        "session": recording.session.id,
        "model": recording.made.model,
        "date": recording.made.on.isoformat(),
        "calls": len(recording.tapes),
        "seconds": round(recording.duration_ms / 1000, 1),
    }
