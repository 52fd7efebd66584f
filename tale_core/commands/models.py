"""`models list`, `models pull`, `models check`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict
from typing import Any

from tale_core.cli import FAILED, OK, emit
from tale_core.commands.progress import fetch_bar, open_with_progress
from tale_core.models.catalog import embedded_model, embedded_models
from tale_core.models.choice import EMBEDDED, choice_from_flags, endpoint_of
from tale_core.models.endpoints import endpoints
from tale_core.models.groups import Group, group, groups
from tale_core.models.weights import ensure_weights, find_local
from tale_core.settings import get_settings
from tale_core.types import Completion, Message, Request, Sampling


def run_list(args: argparse.Namespace) -> int:
    """List embedded models, with whether their weights are here, and endpoint presets with their prices."""
    default = get_settings().model
    embedded = [_embedded_row(m.name, default) for m in embedded_models()]
    presets = [
        {
            "name": p.name,
            "title": p.title,
            "base_url": p.base_url,
            "api_key_env": p.api_key_env,
            "models": [{"name": m.name, "price": asdict(m.price) if m.price else None} for m in p.models],
        }
        for p in endpoints()
    ]
    if args.json:
        emit({"embedded": embedded, "endpoints": presets, "groups": [_group_row(one) for one in groups()]})
        return OK
    for row in embedded:
        here = row["path"] or "not fetched (models pull)"
        mark = " (default)" if row["default"] else ""
        print(f"{row['name']}{mark}: {row['title']}, {row['bytes'] / 1e6:,.0f} MB, {row['licence']}\n    {here}")
    for p in endpoints():
        key = f", key in {p.api_key_env}" if p.api_key_env else ""
        print(f"{p.name}: {p.title}, {p.base_url}{key}")
        for m in p.models:
            price = (
                f"${m.price.input_per_mtok:g} in, ${m.price.output_per_mtok:g} out per million tokens, as of "
                + (m.price.as_of)
                if m.price
                else "price unknown"
            )
            print(f"    {m.name}: {price}")
    for one in groups():
        print(f"{one.name}: {one.title or 'a group'}, {len(one.endpoints)} endpoints")
        for member in one.endpoints:
            print(f"    {member.base_url}, weight {member.weight:g}")
    return OK


def _group_row(one: Group) -> dict[str, Any]:
    members = [{**m.model_dump(exclude={"model"}), "model": one.model_at(m)} for m in one.endpoints]
    return {"name": one.name, "title": one.title or one.name, "price": asdict(one.price) if one.price else None,
            "endpoints": members}  # fmt: skip


def _embedded_row(name: str, default: str) -> dict[str, Any]:
    model = embedded_model(name)
    path = find_local(model)
    return {
        "name": model.name,
        "title": model.title,
        "bytes": model.size,
        "sha256": model.sha256,
        "licence": model.licence,
        "default": model.name == default,
        "path": str(path) if path else None,
    }


def run_pull(args: argparse.Namespace) -> int:
    """Fetch an embedded model's weights, with progress on standard error."""
    model = embedded_model(args.name or get_settings().model)
    with fetch_bar() as progress:
        path = ensure_weights(model, progress=progress)
    if args.json:
        emit({"name": model.name, "path": str(path), "bytes": model.size, "sha256": model.sha256})
    else:
        print(path)
    return OK


def run_check(args: argparse.Namespace) -> int:
    """Ask a model for one answer and say whether it came."""
    choice = choice_from_flags(model=args.model, base_url=args.base_url, api_key_env=args.api_key_env)
    if choice.kind == "group":
        return _check_group(choice.model, args)
    if choice.kind == EMBEDDED:
        document = asyncio.run(_check_embedded(args))
    else:
        from tale_core.models.connection import check

        document = asdict(asyncio.run(check(endpoint_of(choice))))
    if args.json:
        emit(document)
    else:
        words = f"{document['headline']} {document['detail']} {document['hint']}".strip()
        print(words, file=sys.stdout if document["ok"] else sys.stderr)
    return OK if document["ok"] else FAILED


def _check_group(name: str, args: argparse.Namespace) -> int:
    from tale_core.models.group_check import check_group

    found = asyncio.run(check_group(group(name)))
    good = all(one.report.ok for one in found)
    if args.json:
        reports = [{"base_url": one.base_url, **asdict(one.report)} for one in found]
        emit({"ok": good, "group": name, "endpoints": reports})
        return OK if good else FAILED
    for one in found:
        report = one.report
        words = f"{one.base_url}: {report.headline} {report.detail} {report.hint}".strip()
        print(words, file=sys.stdout if report.ok else sys.stderr)
    return OK if good else FAILED


async def _check_embedded(args: argparse.Namespace) -> dict[str, Any]:
    choice = choice_from_flags(model=args.model, base_url=None, api_key_env=None)
    client = await open_with_progress(choice)
    request = Request((Message("user", "What is 2 + 2?"),), Sampling(max_tokens=16))
    try:
        async for item in client.stream(request):
            if isinstance(item, Completion):
                return {
                    "ok": True,
                    "headline": f"{choice.title} answers.",
                    "detail": f"{item.usage.completion_tokens} tokens in {item.latency_s:.1f} s.",
                    "hint": "",
                    "latency_s": item.latency_s,
                    "models": [choice.model],
                }
    finally:
        await client.aclose()
    raise AssertionError("a client's stream ends with a Completion")
