"""Training rows: what stored searches teach an estimator.

A row is a search that found an optimum. Searches that failed, were stopped, or whose vanilla answer was not right are
never rows: their best number is no optimum.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol

from tale_core.errors import TrainingError
from tale_core.estimators.base import MAX_BUDGET, parse_budget
from tale_core.files import rows_sha256
from tale_core.i18n import N_, joined, t, tn
from tale_core.prompts import messages as prompts
from tale_core.types import Question, SessionRecord

MIN_ROWS = 20
"""Searches below which nothing is trained: five folds of four questions, and 9 residuals for a 90 % interval."""
MAX_ROWS = 10_000
"""Searches above which nothing is trained: every pair of questions is compared, in memory."""
MAX_EARLIER = 100
"""Earlier searches of one question that are kept."""

_NEVER = datetime.min.replace(tzinfo=UTC)


class TooFewRowsError(TrainingError):
    """There are not enough finished searches to learn from; the message says how many there are and what to use."""


@dataclass(frozen=True, slots=True)
class TrainingRow:
    """One question whose optimal budget was searched.

    Attributes:
        optimal_budget: Tokens to ask for.
        optimal_tokens: Actual completion tokens under that budget.
        vanilla_tokens: Actual completion tokens without a budget.
        zero_shot: The model's own estimate in tokens; None when it was never asked, or named none.
        mode: How it was searched ("tale", "paper", "reference"); "" when unknown.
        session_id: The search; "" for rows of a file.
        earlier: Optima that earlier searches of the same question found, the oldest first: how far searches differ.
    """

    question: Question
    optimal_budget: int
    optimal_tokens: float
    vanilla_tokens: float
    model: str
    template: str
    zero_shot: int | None = None
    mode: str = ""
    session_id: str = ""
    earlier: tuple[int, ...] = ()


class Source(Protocol):
    """What rows are read from: `Store` is one."""

    def finished_searches(self, *, model: str | None = None, template: str | None = None) -> list[SessionRecord]:
        """Searches that ended well, without their calls, oldest first."""
        ...

    def own_estimates(self, *, model: str) -> list[tuple[str, str]]:
        """Prompt and answer of every finished call that asked this model for a budget, oldest first."""
        ...


class _Key(NamedTuple):
    text: str
    options: tuple[str, ...]
    model: str


def _key(session: SessionRecord) -> _Key:
    return _Key(session.question.text.strip(), session.question.options, session.model)


def rows_from_store(source: Source, *, model: str | None = None, template: str | None = None) -> list[TrainingRow]:
    """The rows of everything stored; no answer's text is read but those of estimates.

    The model's own estimate counts wherever it was asked for it with today's prompt: in an Ask or in an experiment.
    """
    rows = rows_from_sessions(source.finished_searches(model=model, template=template))
    named = {name: _named(source.own_estimates(model=name)) for name in {row.model for row in rows}}
    return [
        row if row.zero_shot else replace(row, zero_shot=named[row.model].get(estimate_prompt(row.question)))
        for row in rows
    ]


def estimate_prompt(question: Question) -> str:
    """What a model is asked when it is to name a budget for this question: finds earlier answers to it."""
    return prompts.estimate_messages(question)[-1].content


def _named(estimates: Iterable[tuple[str, str]]) -> Mapping[str, int]:
    return {prompt: budget for prompt, text in estimates if (budget := parse_budget(text).budget)}


def rows_from_sessions(sessions: Iterable[SessionRecord]) -> list[TrainingRow]:
    """The rows of stored sessions, in the order of their questions' texts.

    Of several searches of one question with one model and template the newest counts, and the others' optima stand
    beside it. Asks of the same question in which the model named a budget give its own estimate.
    """
    zero_shot: dict[_Key, int] = {}
    newest: dict[tuple[_Key, str], TrainingRow] = {}
    for session in sorted(sessions, key=lambda s: (s.created_at or _NEVER, s.id)):
        if (asked := _own_estimate(session)) is not None:
            zero_shot[_key(session)] = asked
        elif (row := _row(session)) is not None:
            before = newest.get((_key(session), session.template))
            earlier = (*before.earlier, before.optimal_budget) if before else ()
            newest[_key(session), session.template] = replace(row, earlier=earlier[-MAX_EARLIER:])
    rows = [replace(row, zero_shot=zero_shot.get(key)) for (key, _), row in newest.items()]
    return sorted(rows, key=lambda r: (r.model, r.template, r.question.text, r.question.options))


def stopped_early(done: Mapping[str, Any]) -> bool:
    """Whether a limit ended a search: the best budget that it had found by then is no optimum."""
    return str(done.get("stop_reason")).startswith("limit-")


def _own_estimate(session: SessionRecord) -> int | None:
    """What the model itself said; not what an estimator made of it or fell back to."""
    return parse_budget(session.budget_raw).budget if session.kind == "ask" and session.budget_raw else None


def _row(session: SessionRecord) -> TrainingRow | None:
    done: Any = (session.result or {}).get("done")
    if session.kind != "search" or session.status != "done" or not isinstance(done, dict):
        return None
    budget, tokens, vanilla = (_positive(done.get(n)) for n in ("optimal_budget", "optimal_tokens", "vanilla_tokens"))
    if not (budget and tokens and vanilla) or round(budget) > MAX_BUDGET:
        return None
    if stopped_early(done) or done.get("knob", "asked") != "asked":
        return None  # Another kind of budget tells nothing about what to ask for.
    mode = session.plan.get("mode")
    return TrainingRow(
        session.question,
        round(budget),
        tokens,
        vanilla,
        session.model,
        session.template,
        mode=mode if isinstance(mode, str) else "",
        session_id=session.id,
    )


def _positive(value: Any) -> float | None:
    """The number, or None when it is not one from 1 up: an imported session may hold anything."""
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        return None
    return float(value) if value >= 1 else None


def select_rows(rows: Iterable[TrainingRow], *, model: str, template: str) -> list[TrainingRow]:
    """The rows of one model and one template, each question once (the last): an optimum says nothing of others.

    A question that stands twice would be in a training and a test fold at once.
    """
    chosen = [row for row in rows if row.model == model and row.template == template]
    return list({(row.question.text.strip(), row.question.options): row for row in chosen}.values())


_SEARCHED = N_("finished searches")
_ESTIMATED = N_("finished searches with its own estimate of the same question")


def require_rows(
    rows: Sequence[TrainingRow], *, model: str, template: str, needs_estimate: bool = False
) -> Sequence[TrainingRow]:
    """Those of the rows that can be learnt from, if they are enough.

    Args:
        rows: What is there.
        model: Named in the message, as is `template`.
        template: The template.
        needs_estimate: Only questions that the model has named a budget for count.

    Raises:
        TooFewRowsError: Fewer than MIN_ROWS, with what to use meanwhile.
        TrainingError: More than MAX_ROWS.
    """
    if needs_estimate:
        rows = [row for row in rows if row.zero_shot is not None]
    what = t(_ESTIMATED if needs_estimate else _SEARCHED)
    if len(rows) > MAX_ROWS:
        raise TrainingError(
            t("{n:,} {what} are more than can be trained on.", n=len(rows), what=what),
            t("At most {most:,} can be.", most=MAX_ROWS),
        )
    if len(rows) >= MIN_ROWS:
        return rows
    message = t("{model} has {n} {what} with the template {template!r}; at least {least} are needed.", model=model,
             n=len(rows), what=what, template=template, least=MIN_ROWS)  # fmt: skip
    more = t("Search more questions that the model answers right.")
    raise TooFewRowsError(message, joined(more, _meanwhile(rows)))


def _meanwhile(rows: Sequence[TrainingRow]) -> str:
    if not rows:
        return t("Until then use the estimator zero-shot.")
    return tn(
        "Until then use the estimator zero-shot, or fixed:{budget} (the middle optimum of the {n} there is).",
        "Until then use the estimator zero-shot, or fixed:{budget} (the middle optimum of the {n} there are).",
        len(rows),
        budget=middle_budget(rows),
    )


def middle_budget(rows: Sequence[TrainingRow]) -> int:
    """The middle of the optimal budgets: what to use when nothing better is known."""
    return sorted(row.optimal_budget for row in rows)[len(rows) // 2]


def available(rows: Iterable[TrainingRow]) -> Counter[tuple[str, str]]:
    """How many rows each model and prompt template has."""
    return Counter((row.model, row.template) for row in rows)


def fingerprint(rows: Iterable[TrainingRow]) -> str:
    """Which data it was: sha256 over every value that training reads, whatever the order of the rows."""
    return rows_sha256(map(_facts, rows))


def _facts(row: TrainingRow) -> list[Any]:
    q = row.question
    asked = [q.text, list(q.options), q.kind, q.language, q.topic]
    found = [row.optimal_budget, row.optimal_tokens, row.vanilla_tokens, row.zero_shot]
    return [*asked, *found, row.model, row.template, *row.earlier]
