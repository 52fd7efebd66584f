"""Any two sessions side by side: what each found, what each was, and a sentence on what sets them apart.

An experiment is read through its results, without its thousands of answers; any other session with all of them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from tale_core.ask import run as sessions
from tale_core.calls.budget_ledger import Spent, spent_words
from tale_core.calls.comparison import compare
from tale_core.elasticity.finding import sweep_finding
from tale_core.errors import StoreError
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.run import view_of as experiment_view
from tale_core.experiments.text import accuracy_words
from tale_core.experiments.text import finding as experiment_finding
from tale_core.history.text import KINDS, STATUS, answers_sampling, sampling_words
from tale_core.i18n import N_, joined, t
from tale_core.prompts.messages import TEMPLATES
from tale_core.runs import views as studies
from tale_core.search.text import finding as search_finding
from tale_core.search.view import SearchView
from tale_core.store import ExperimentStore, Store
from tale_core.types import CallRecord, Role, Sampling, SessionKind, SessionRecord

FACTS = {
    "kind": N_("Kind"),
    "question": N_("Question"),
    "answer": N_("Known answer"),
    "model": N_("Model"),
    "endpoint": N_("Endpoint"),
    "template": N_("Prompt template"),
    "sampling": N_("Sampling"),
    "when": N_("When"),
    "estimator": N_("Estimator"),
    "budget": N_("Budget"),
    "status": N_("Status"),
    "vanilla": N_("Tokens without a budget"),
    "budgeted": N_("Tokens under the budget"),
    "spent": N_("Spent"),
}
"""What is known of every kind of session, in this order; a strategy of an experiment adds a line of its own."""
ROLES: Mapping[Role, str] = {
    "estimate": N_("Estimate"), "vanilla": N_("Vanilla"), "budgeted": N_("Budgeted"), "direct": N_("Direct answer"),
    "probe": N_("Probe"), "forced": N_("Forced answer"),
}  # fmt: skip
_SETTINGS = ("question", "model", "template", "sampling", "estimator", "budget")


@dataclass(frozen=True, slots=True)
class Side:
    """One session as one side of a comparison.

    Attributes:
        finding: What it found, in one sentence; "" when nothing can be said.
        facts: By the keys of `FACTS`, in words; what is unknown is left out.
        strategies: Of an experiment, what each strategy took, in words.
        tokens: The figure that it stands for: tokens of the budgeted answer, under the optimum, or without a budget.
        answers: Every answer that has text, in the order they started; none of an experiment.
        best: Place in `answers` of the one that `tokens` is of.
    """

    session: SessionRecord
    finding: str
    facts: Mapping[str, str]
    strategies: Mapping[str, str]
    tokens: float | None
    answers: tuple[CallRecord, ...]
    best: int = 0

    @property
    def kind(self) -> SessionKind:
        """Its kind."""
        return self.session.kind


def side(store: Store, session_id: str) -> Side:
    """Read one side.

    Raises:
        NotFoundError: There is no such session.
        StoreError: It cannot be read.
    """
    if session_id.startswith("experiment-"):
        return _experiment(store, session_id)
    session = store.get_session(session_id)
    if session.kind == "experiment":
        return _experiment(store, session_id)
    answers = tuple(c for c in session.calls if (c.text or c.reasoning_text) and c.role != "estimate")
    vanilla = _last(session.calls, "vanilla")
    try:
        best, said = _best(session)
    except StoreError as e:  # Of another version, or damaged elsewhere: what it was is still known.
        best, said = vanilla, str(e)
    facts = _facts(session, _sampling(session))
    facts |= {"vanilla": _tokens(vanilla)} | ({"budgeted": _tokens(best)} if best is not vanilla else {})
    facts["spent"] = spent_words(Spent.of(session.calls))
    place = next((i for i, c in enumerate(answers) if best is not None and c.id == best.id), 0)
    tokens = best.completion_tokens if best is not None else None
    return Side(session, said, {k: v for k, v in facts.items() if v}, {}, tokens, answers, place)


def _best(session: SessionRecord) -> tuple[CallRecord | None, str]:
    """The call that a session stands for, and what the session found."""
    if session.kind == "ask":
        return _best_ask(session)
    view = studies.view_of(session)
    vanilla = _last(session.calls, "vanilla")
    if isinstance(view, SearchView):
        optimum = view.result.optimal_budget if view.result else None
        calls = [c for c in session.calls if optimum is not None and c.level == optimum]
        return (calls[0] if calls else vanilla), search_finding(view)
    return vanilla, sweep_finding(view)


def _best_ask(session: SessionRecord) -> tuple[CallRecord | None, str]:
    view = sessions.view_of(session)
    vanilla, budgeted, estimate = (view.calls.get(role) for role in ("vanilla", "budgeted", "estimate"))
    said = ""
    if vanilla and budgeted:
        said = compare(vanilla.record, budgeted.record, estimate.record if estimate else None).sentence
    best = budgeted or vanilla
    return (best.record if best else None), said


def _last(calls: tuple[CallRecord, ...], role: Role) -> CallRecord | None:
    return next((c for c in reversed(calls) if c.role == role), None)


def _experiment(store: Store, session_id: str) -> Side:
    head = ExperimentStore(store).head(session_id)
    view = experiment_view(store, session_id)
    facts = _facts(head, sampling_words(view.plan.sampling)) | {"spent": spent_words(view.spent)}
    rows = _strategies(view.results)
    said = experiment_finding(view.results) if view.results else ""
    return Side(head, said, {k: v for k, v in facts.items() if v}, rows, None, ())


def _strategies(found: ExperimentResults | None) -> dict[str, str]:
    rows = found.rows if found else ()
    return {
        row.strategy: t("{tokens} output tokens, {accuracy}", accuracy=accuracy_words(row),
                        tokens="–" if row.output_tokens is None else f"{row.output_tokens.mean:.0f}")
        for row in rows
    }  # fmt: skip


def _facts(session: SessionRecord, sampling: str) -> dict[str, str]:
    template = TEMPLATES.get(session.template)
    return {
        "kind": t(KINDS[session.kind]),
        "question": session.question.text,
        "answer": session.question.answer or "",
        "model": session.model,
        "endpoint": session.endpoint,
        "template": template.title if template else session.template,
        "sampling": sampling,
        "when": f"{session.created_at.astimezone():%Y-%m-%d %H:%M}" if session.created_at else "",
        "estimator": session.estimator,
        "budget": "" if session.budget is None else t("{n:,} tokens", n=session.budget),
        "status": t(STATUS[session.status]),
    }


def _sampling(session: SessionRecord) -> str:
    """How the answers were sampled: by the plan of a search or sweep, whose repeats differ in the seed alone."""
    planned = session.plan.get("sampling")
    if isinstance(planned, dict):
        try:
            return sampling_words(Sampling(**planned))
        except TypeError:  # Of another version: the answers themselves know.
            pass
    return answers_sampling(session.calls)


def _tokens(call: CallRecord | None) -> str:
    if call is None or call.completion_tokens is None:
        return ""
    words = t("{n:,} tokens", n=call.completion_tokens)
    if not call.thinking_tokens or call.visible_tokens is None:
        return words
    values = {"answer": call.visible_tokens, "thinking": call.thinking_tokens}
    return t("{tokens}: {answer:,} of answer, {thinking:,} of thinking", tokens=words, **values)


def differing(left: Side, right: Side) -> list[str]:
    """The keys of the facts in which both differ, in order."""
    return [name for name in FACTS if name != "when" and left.facts.get(name) != right.facts.get(name)]


def sentence(left: Side, right: Side) -> str:
    """What sets them apart, in a sentence or two."""
    apart = [t(FACTS[name]).lower() for name in differing(left, right) if name in _SETTINGS]
    if left.session.id == right.session.id:
        return t("Both sides are the same session.")
    if left.kind != right.kind:
        first = t("Two sessions of different kinds.")
    elif not apart:
        first = t("The same question, asked in the same way.")
    elif "question" in differing(left, right):
        first = t("Two different questions.")
    else:
        first = t("The same question; what differs: {names}.", names=t(", ").join(apart))
    return joined(first, _spend(left, right))


def _spend(left: Side, right: Side) -> str:
    a, b = left.tokens, right.tokens
    if a is None or b is None or not b:
        return ""
    percent = round(abs(1 - a / b) * 100)
    if percent == 0:
        return t("Both answers took {n:,.0f} tokens.", n=a)
    of: dict[str, Any] = {"a": a, "b": b, "percent": percent}
    if a < b:
        return t("The left answer took {a:,.0f} tokens, the right one {b:,.0f}: {percent} % fewer on the left.", **of)
    return t("The left answer took {a:,.0f} tokens, the right one {b:,.0f}: {percent} % more on the left.", **of)
