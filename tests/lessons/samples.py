"""Recordings of a scripted model, made by the very code that records the real one."""

from __future__ import annotations

from pathlib import Path

from tale_core.lessons.make import make
from tale_core.lessons.recipes import Recipe
from tale_core.lessons.recorded import Recording
from tale_core.models.choice import ModelChoice
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.store import open_store
from tale_core.types import Request

CHOICE = ModelChoice("endpoint", "scripted", "Scripted", base_url="scripted")
NOTE = {"en": "A scripted model.", "zh": "脚本模型。"}


def answer(request: Request) -> Reply:
    """Shorter with a smaller budget until 8 words, then longer again; always right but below 5 words."""
    words = request.messages[-1].content
    if "estimate" in words:
        return Reply("Budget: [[20]]", delay_s=0.001)
    asked = [int(w) for w in words.replace(",", " ").split() if w.isdigit()]
    most = next((n for n in asked if f"at most {n} word" in words), 60)
    length = 40 if most < 8 else most
    return Reply("so " * length + f"[[{43 if most >= 6 else 41}]]", delay_s=0.0005)


def recipe(kind: str, **changes: object) -> Recipe:
    grid = {"budgets": (60, 30, 14, 7), "repeats": 2, "temperature": 0.7} if kind == "sweep" else {}
    return Recipe.model_validate(
        {"name": f"{kind}-test", "kind": kind, "question": "en-arith-001", "note": NOTE} | grid | changes
    )


async def recorded(kind: str, **changes: object) -> Recording:
    async def client() -> ScriptedClient:
        return ScriptedClient(answer)

    one = recipe(kind, **changes)
    return await make(one, CHOICE, store=open_store(), open_client=client, command=f"record {one.name}")


def folder_of(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path
