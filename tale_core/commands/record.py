"""`record`: run the recipes of a file and keep each as a recording with its timing, for lessons without a model."""

from __future__ import annotations

import argparse
import asyncio
import sys
from pathlib import Path

from tale_core.cli import OK, emit
from tale_core.commands.progress import open_with_progress
from tale_core.lessons.make import make
from tale_core.lessons.recipes import RECIPES, Recipe, read_recipes
from tale_core.lessons.recorded import Recording, own_folder, write
from tale_core.models.choice import ModelChoice, choice_from_flags
from tale_core.store import open_store


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    recipes = read_recipes(Path(args.recipes) if args.recipes else RECIPES)
    wanted = recipes.named(args.names)
    if args.list:
        listing = [{"name": one.name, "kind": one.kind, "question": one.question} for one in wanted]
        if args.json:
            emit({"recipes": listing})
        else:
            print("\n".join(f"{one['name']:20} {one['kind']:7} {one['question'][:80]}" for one in listing))
        return OK
    for recipe in wanted:
        recipe.plan().validate()
    folder = Path(args.out) if args.out else own_folder()
    made = []
    for recipe in wanted:
        print(f"recording {recipe.name} …", file=sys.stderr)
        choice = choice_from_flags(
            model=args.model or recipe.model, base_url=args.base_url, api_key_env=args.api_key_env
        )
        recording = asyncio.run(_make(recipe, choice, args, f"python -m tale_core record {recipe.name}"))
        path = write(recording, folder)
        made.append(_document(recording, path))
        if not args.json:
            print(f"{path}: {len(recording.tapes)} calls, {recording.duration_ms / 1000:.0f} s")
    if args.json:
        emit({"recordings": made})
    return OK


async def _make(recipe: Recipe, choice: ModelChoice, args: argparse.Namespace, command: str) -> Recording:
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
