"""`models list`, `models pull`, `models check`, `models build`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from tale_core.cli import calibrate, flags, setup
from tale_core.cli.output import FAILED, OK, emit, say, show
from tale_core.cli.progress import fetch_bar, open_with_progress, words_bar
from tale_core.types import Completion, Message, Request, Sampling

if TYPE_CHECKING:
    from tale_core.budgets.native import NativeKnob
    from tale_core.models.choice import ModelChoice
    from tale_core.models.groups.config import Group


def register(commands: Any) -> None:
    """Add `models` with its actions."""
    models = commands.add_parser("models", help="list models, fetch weights, check a model or an endpoint")
    actions = models.add_subparsers(required=True, metavar="ACTION")
    listing = actions.add_parser("list", help="embedded models and endpoint presets")
    flags.add_json(listing)
    listing.set_defaults(command=run_list)
    pull = actions.add_parser("pull", help="fetch an embedded model's weights")
    pull.add_argument(
        "name", nargs="?", help="a model, or a GGUF file to check and name; default: the configured model"
    )
    flags.add_json(pull)
    pull.set_defaults(command=run_pull)
    check = actions.add_parser("check", help="test that a model answers")
    flags.add_endpoint(check, "default: the configured model")
    flags.add_json(check)
    check.set_defaults(command=run_check)
    build = actions.add_parser("build", help="compile the embedded server for this processor; used from then on")
    build.add_argument("--remove", action="store_true", help="go back to the shipped server")
    flags.add_json(build)
    build.set_defaults(command=run_build)
    calibrate.register(actions)
    setup.register(actions)


def run_list(args: argparse.Namespace) -> int:
    """List embedded models, with whether their weights are here, and endpoint presets with their prices."""
    from tale_core.models.embedded.catalog import embedded_models
    from tale_core.models.endpoints import endpoints
    from tale_core.models.groups.config import groups
    from tale_core.settings import get_settings

    default = get_settings().model
    embedded = [_embedded_row(m.name, default) for m in embedded_models()]
    presets = [
        {
            "name": p.name,
            "title": p.title,
            "base_url": p.base_url,
            "api_key_env": p.api_key_env,
            "auth": p.auth,
            "knobs": [_knob_row(one) for one in p.knobs],
            "usage": p.usage,
            "read_on": p.read_on,
            "sources": p.sources,
            "models": [
                {
                    "name": m.name,
                    "price": asdict(m.price) if m.price else None,
                    "knobs": [_knob_row(one) for one in p.knobs_of(m.name)],
                }
                for m in p.models
            ],
        }
        for p in endpoints()
    ]
    if args.json:
        emit({"embedded": embedded, "endpoints": presets, "groups": [_group_row(one) for one in groups()]})
        return OK
    for row in embedded:
        here = row["path"] or "not fetched (models pull)"
        mark = " (default)" if row["default"] else ""
        thinks = f", thinks (switch: {row['thinking']})" if row["thinking"] else ""
        size = f"{row['bytes'] / 1e6:,.0f} MB"
        say(f"{row['name']}{mark}: {row['title']}, {size}, {row['licence']}{thinks}\n    {here}")
    for p in endpoints():
        key = f", key in {p.api_key_env}" if p.api_key_env else ""
        say(f"{p.name}: {p.title}, {p.base_url}{key}")
        for m in p.models:
            price = (
                f"${m.price.input_per_mtok:g} in, ${m.price.output_per_mtok:g} out per million tokens, as of "
                + (m.price.as_of)
                if m.price
                else "price unknown"
            )
            say(f"    {m.name}: {price}")
    for one in groups():
        say(f"{one.name}: {one.title or 'a group'}, {len(one.endpoints)} endpoints")
        for member in one.endpoints:
            say(f"    {member.base_url}, weight {member.weight:g}")
    return OK


def _group_row(one: Group) -> dict[str, Any]:
    members = [{**m.model_dump(exclude={"model"}), "model": one.model_at(m)} for m in one.endpoints]
    return {"name": one.name, "title": one.title or one.name, "price": asdict(one.price) if one.price else None,
            "endpoints": members}  # fmt: skip


def _knob_row(knob: NativeKnob) -> dict[str, Any]:
    return {"knob": knob.knob, "path": knob.path, "levels": knob.levels, "least": knob.least, "most": knob.most,
            "off": bool(knob.off)}  # fmt: skip


def _embedded_row(name: str, default: str) -> dict[str, Any]:
    from tale_core.models.embedded.catalog import embedded_model
    from tale_core.models.weights.fetch import find_local

    model = embedded_model(name)
    path = find_local(model)
    return {
        "name": model.name,
        "title": model.title,
        "bytes": model.size,
        "sha256": model.sha256,
        "licence": model.licence,
        "context_length": model.context_length,
        "thinking": model.thinking or None,
        "default": model.name == default,
        "path": str(path) if path else None,
    }


def run_pull(args: argparse.Namespace) -> int:
    """Fetch an embedded model's weights, with progress on standard error."""
    from tale_core.models.embedded.catalog import embedded_model
    from tale_core.models.weights.fetch import ensure_weights
    from tale_core.settings import get_settings

    model = embedded_model(args.name or get_settings().model)
    with fetch_bar() as progress:
        path = ensure_weights(model, progress=progress)
    return show(args, {"name": model.name, "path": str(path), "bytes": model.size, "sha256": model.sha256}, path)


def run_build(args: argparse.Namespace) -> int:
    """Compile the embedded server for this machine's processor, or throw such a build away.

    Raises:
        NativeBuildError: A tool is missing, it could not be compiled, or the shipped server is as good.
    """
    from tale_core.models.embedded import native
    from tale_core.models.embedded.catalog import embedded_model
    from tale_core.models.embedded.run_folder import threads
    from tale_core.models.weights.fetch import ensure_weights
    from tale_core.settings import get_settings

    settings = get_settings()
    if args.remove:
        removed = native.remove(settings)
        return show(args, {"removed": removed}, "removed" if removed else "there was none")
    with fetch_bar() as progress:
        weights = ensure_weights(embedded_model(settings.model), progress=progress)
    with words_bar() as move:
        built = native.build(settings, weights, threads(settings), move)
    (before, after), (read_before, read_after) = built.tokens_per_s, built.prompt_tokens_per_s
    words = (
        f"built in {built.seconds:.0f} s, used from its next start on: {after:g} instead of {before:g} tokens a "
        f"second, {read_after:g} instead of {read_before:g} read; probabilities differ by at most "
        f"{built.largest_difference:g} at {built.places} places"
    )
    return show(args, asdict(built), words)


def run_check(args: argparse.Namespace) -> int:
    """Ask a model for one answer and say whether it came."""
    from tale_core.models.choice import EMBEDDED, endpoint_of

    choice = flags.model_choice(args)
    if choice.kind == "group":
        return _check_group(choice.model, args)
    if choice.kind == EMBEDDED:
        document = asyncio.run(_check_embedded(choice))
    else:
        from tale_core.models.connection import check

        document = asdict(asyncio.run(check(endpoint_of(choice))))
    if args.json:
        emit(document)
    else:
        words = f"{document['headline']} {document['detail']} {document['hint']}".strip()
        say(words, file=sys.stdout if document["ok"] else sys.stderr)
    return OK if document["ok"] else FAILED


def _check_group(name: str, args: argparse.Namespace) -> int:
    from tale_core.models.groups.check import check_group
    from tale_core.models.groups.config import group

    found = asyncio.run(check_group(group(name)))
    good = all(one.report.ok for one in found)
    if args.json:
        reports = [{"base_url": one.base_url, **asdict(one.report)} for one in found]
        emit({"ok": good, "group": name, "endpoints": reports})
        return OK if good else FAILED
    for one in found:
        report = one.report
        words = f"{one.base_url}: {report.headline} {report.detail} {report.hint}".strip()
        say(words, file=sys.stdout if report.ok else sys.stderr)
    return OK if good else FAILED


async def _check_embedded(choice: ModelChoice) -> dict[str, Any]:
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
