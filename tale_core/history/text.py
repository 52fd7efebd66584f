"""One session in words. What a session found may come from anywhere: only numbers are taken from it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from typing import Any

from tale_core.calls.comparison import role_name
from tale_core.calls.outcomes import OutcomeKind, outcome_kind
from tale_core.i18n import N_, t, tn
from tale_core.models.choice import EMBEDDED
from tale_core.prompts.messages import TEMPLATES
from tale_core.store import COUNTED, Entry
from tale_core.types import CallRecord, Outcome, Sampling, SessionKind, Source, Status

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


def sampling_words(sampling: Sampling) -> str:
    """How answers are sampled, in a few words; what is left to the endpoint says so."""
    warm = t("its default") if sampling.temperature is None else f"{sampling.temperature:g}"
    words = [t("temperature {warm}", warm=warm)]
    if sampling.top_p is not None:
        words.append(t("top p {share:g}", share=sampling.top_p))
    words.append(t("no seed") if sampling.seed is None else t("seed {seed}", seed=sampling.seed))
    if sampling.max_tokens is None:
        words.append(t("no cap on an answer"))
    else:
        words.append(t("at most {n:,} tokens an answer", n=sampling.max_tokens))
    if sampling.reasoning_effort:
        words.append(t("effort {effort}", effort=sampling.reasoning_effort))
    return t(", ").join(words)


def answers_sampling(calls: Iterable[CallRecord]) -> str:
    """How the answers of an Ask were sampled, each by itself where they differ; the estimate's own is not theirs."""
    by_role = {call.role: sampling_words(call.sampling) for call in calls if call.role != "estimate"}
    if len(set(by_role.values())) <= 1:
        return next(iter(by_role.values()), "")
    return t("; ").join(t("{role}: {words}", role=role_name(role), words=words) for role, words in by_role.items())


def provenance(*, model: str, endpoint: str, template: str, sampling: str, created_at: datetime | None) -> str:
    """What a session's numbers are of: model, endpoint, template, sampling and date, in one line."""
    known = TEMPLATES.get(template)
    where = t("on this machine") if endpoint == EMBEDDED else endpoint
    words = [model, where, known.title if known else template, sampling]
    when = f"{created_at.astimezone():%Y-%m-%d %H:%M}" if created_at else ""
    return " · ".join(part for part in (*words, when) if part)


def found_parts(entry: Entry) -> list[tuple[str, OutcomeKind | None]]:
    """What the session found so far, in a few words each, with what became of the answer that they are about."""
    if entry.summary.kind == "ask":
        return _ask(entry)
    words = {"search": _search, "sweep": _sweep, "experiment": _experiment}[entry.summary.kind](entry)
    return [(words, None)] if words else []


def _ask(entry: Entry) -> list[tuple[str, OutcomeKind | None]]:
    s = entry.summary
    found = []
    if s.budgeted_tokens is not None:
        words = t("{n:,} tokens under the budget", n=s.budgeted_tokens)
        found.append((words, _judged(s.budgeted_outcome, refused=s.budgeted_refused)))
    if s.vanilla_tokens is not None:
        words = t("{n:,} without a budget", n=s.vanilla_tokens)
        found.append((words, _judged(s.vanilla_outcome, refused=s.vanilla_refused)))
    return found


def _judged(outcome: Outcome | None, *, refused: bool) -> OutcomeKind | None:
    """What became of an answer; None where that could not be judged."""
    return outcome_kind(outcome, refused=refused) if outcome not in (None, Outcome.UNGRADED) else None


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
