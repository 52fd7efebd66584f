"""One session of the list in words. What a session found may come from anywhere: only numbers are taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tale_core.i18n import N_, t, tn
from tale_core.store import COUNTED, Entry
from tale_core.types import SessionKind, Source, Status

KINDS: Mapping[SessionKind, str] = {
    "ask": N_("Ask"), "search": N_("Search"), "sweep": N_("Elasticity"), "experiment": N_("Experiment"),
}  # fmt: skip
STATUS: Mapping[Status, str] = {
    "running": N_("Running"),
    "done": N_("Done"),
    "failed": N_("Failed"),
    "cancelled": N_("Stopped"),
    "interrupted": N_("Interrupted"),
}
SOURCES: Mapping[Source, str] = {
    "live": N_("Live"), "cached": N_("Cached"), "recorded": N_("Recorded"), "simulated": N_("Simulated"),
}  # fmt: skip


def found_words(entry: Entry) -> str:
    """What the session found so far, in a few words; "" when it found nothing yet."""
    return {"ask": _ask, "search": _search, "sweep": _sweep, "experiment": _experiment}[entry.summary.kind](entry)


def _ask(entry: Entry) -> str:
    vanilla, budgeted = entry.summary.vanilla_tokens, entry.summary.budgeted_tokens
    if vanilla is not None and budgeted is not None:
        return t("{budgeted:,} tokens under the budget, {vanilla:,} without", budgeted=budgeted, vanilla=vanilla)
    if vanilla is not None:
        return t("{n:,} tokens without a budget", n=vanilla)
    return t("{n:,} tokens under the budget", n=budgeted) if budgeted is not None else ""


def _search(entry: Entry) -> str:
    done = (entry.result or {}).get("done")
    if not isinstance(done, dict):
        return ""
    budget, tokens, vanilla = (_number(done.get(f"{name}")) for name in _SEARCHED)
    if budget is None or tokens is None or vanilla is None:
        return t("no smaller budget works")
    return t(
        "budget {budget:,.0f} is enough: {tokens:,.0f} tokens instead of {vanilla:,.0f}",
        budget=budget,
        tokens=tokens,
        vanilla=vanilla,
    )


_SEARCHED = ("optimal_budget", "optimal_tokens", "vanilla_tokens")


def _sweep(entry: Entry) -> str:
    finished, planned = (_number((entry.result or {}).get(name)) for name in ("finished", "planned"))
    if finished is None or planned is None:
        return ""
    return t("{finished:,.0f} of {planned:,.0f} answers", finished=finished, planned=planned)


def _experiment(entry: Entry) -> str:
    asked = tn("{n:,} question", "{n:,} questions", entry.asked)
    return t("{questions}, {n:,} answers", questions=asked, n=entry.answered)


def _number(value: Any) -> float | None:
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def count_words(count: int, *, filtered: bool) -> str:
    """How many sessions a list holds."""
    if not filtered:
        return tn("{n:,} session", "{n:,} sessions", count)
    if count > COUNTED:
        return t("More than {n:,} sessions fit", n=COUNTED)
    return tn("{n:,} session fits", "{n:,} sessions fit", count)
