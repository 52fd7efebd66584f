"""One session of the list in words. What a session found may come from anywhere: only numbers are taken from it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tale_core.i18n import N_, t, tn
from tale_core.store import COUNTED, Entry
from tale_core.types import Outcome, SessionKind, Source, Status

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


def found_parts(entry: Entry) -> list[tuple[str, Outcome | None]]:
    """What the session found so far, in a few words each, with the outcome of the answer that they are about."""
    if entry.summary.kind == "ask":
        return _ask(entry)
    words = {"search": _search, "sweep": _sweep, "experiment": _experiment}[entry.summary.kind](entry)
    return [(words, None)] if words else []


def _ask(entry: Entry) -> list[tuple[str, Outcome | None]]:
    s = entry.summary
    found = []
    if s.budgeted_tokens is not None:
        found.append((t("{n:,} tokens under the budget", n=s.budgeted_tokens), s.budgeted_outcome))
    if s.vanilla_tokens is not None:
        found.append((t("{n:,} without a budget", n=s.vanilla_tokens), s.vanilla_outcome))
    return found


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
