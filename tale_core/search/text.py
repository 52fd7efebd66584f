"""A search in words: what it found, why it stopped, what happens now, and what each budget told.

Pure text for the page and the command line; holds numbers and our own words only, never a model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tale_core.calls.outcomes import OUTCOMES
from tale_core.i18n import N_, joined, t, tn
from tale_core.types import Level, Outcome, ProbePhase

if TYPE_CHECKING:
    from tale_core.search.engine import SearchResult, SearchStep, StopReason
    from tale_core.search.view import SearchView

PHASES: dict[ProbePhase, str] = {
    "vanilla": N_("Vanilla"),
    "bisect": N_("Closing in"),
    "greedy": N_("Going lower"),
    "sweep": N_("Sweep"),
}
_MORE_EXACT: dict[Outcome, str] = {
    Outcome.TRUNCATED: N_("Cut at max_tokens"),
    Outcome.ERROR: N_("Refused or failed"),
}
"""What a search calls outcomes that it has two kinds of: it cuts answers itself, and keeps no refusals apart."""
CUT = N_("Cut off: could not win")
NOT_SEARCHED: dict[StopReason, str] = {
    "vanilla-wrong": N_("The model got it wrong even without a budget, so there is nothing to search."),
    "vanilla-truncated": N_(
        "The answer without a budget was cut off at max_tokens, so there is nothing to compare with."
    ),
    "vanilla-unparsed": N_("No final answer could be read even without a budget, so there is nothing to search."),
    "vanilla-refused": N_(
        "The answer without a budget was refused or could not be judged: there is nothing to search."
    ),
}
_STOPPED: dict[StopReason, str] = {
    "converged": N_("The search ended because no untried budget is left that could be smaller and cheaper."),
    "small-gain": N_("The search ended because another try would have cost more than it was likely to save."),
    "no-response": N_(
        "The search ended because the model does not react to a budget: asked to be shorter, it was not."
    ),
    "knob-refused": N_("The search ended because the endpoint refuses the parameter, so that nothing was set."),
    "first-failure": N_("The search ended at the first budget that failed, as the reference code does."),
    "nothing-below": N_("The search ended because every smaller budget is ruled out."),
    "vanilla-wrong": N_("A budget is only looked for where the model is right without one."),
    "vanilla-truncated": N_("Raise max_tokens in Settings, so that the answer without a budget can end by itself."),
    "vanilla-unparsed": N_("Another prompt template (Settings) may help the model to state its answer."),
    "vanilla-refused": N_("Another model, or the question in other words, may get an answer."),
    "limit-calls": N_("The search stopped at its cap on calls."),
    "limit-tokens": N_("The search stopped at its cap on tokens."),
    "limit-cost": N_("The search stopped at its cap on cost."),
}


def number(tokens: float) -> str:
    """Tokens as people write them: whole where they are whole, else with one decimal."""
    return f"{tokens:,.0f}" if float(tokens).is_integer() else f"{tokens:,.1f}"


def outcome_label(outcome: Outcome) -> str:
    """What a search calls an outcome."""
    return t(_MORE_EXACT.get(outcome) or OUTCOMES[outcome].label)


def outcome_words(step: SearchStep) -> str:
    """The outcome of a step in a few words; an answer that we cut is told apart from every other."""
    return t(CUT) if step.cut else outcome_label(step.outcome)


def finding(view: SearchView) -> str:
    """What the search found, in one sentence."""
    result = view.result
    if result is None:
        return _unfinished(view)
    if result.stop_reason in NOT_SEARCHED:
        return t(NOT_SEARCHED[result.stop_reason])
    if result.optimal_budget is None or result.optimal_tokens is None or result.vanilla_tokens is None:
        return _nothing(result)
    several = view.plan.samples > 1
    return _enough(result.optimal_budget, result.optimal_tokens, result.vanilla_tokens, several=several)


def _enough(budget: Level, tokens: float, vanilla: float, *, several: bool) -> str:
    percent = round((1 - tokens / vanilla) * 100) if vanilla else 0
    less = t("{percent} % fewer", percent=percent) if percent > 0 else t("hardly fewer")
    values = {"budget": budget, "tokens": number(tokens), "vanilla": number(vanilla), "less": less}
    if isinstance(budget, str):
        return t("{budget} is enough: {tokens} tokens instead of {vanilla}, {less}, still right.", **values)
    if several:
        return t(
            "A budget of {budget:,} is enough: {tokens} tokens on average instead of {vanilla}, {less}, still right.",
            **values,
        )
    return t("A budget of {budget:,} is enough: {tokens} tokens instead of {vanilla}, {less}, still right.", **values)


def _nothing(result: SearchResult) -> str:
    if result.vanilla_tokens is None:
        return t("The search stopped before the answer without a budget was there.")
    if result.stop_reason == "knob-refused":
        return t("The endpoint refuses the parameter: nothing was set.")
    if result.stop_reason.startswith("limit-"):
        return t("No budget below the vanilla answer had worked when the search stopped.")
    return t("No budget below the vanilla answer worked.")


def _unfinished(view: SearchView) -> str:
    head = "" if view.running else t("The search did not finish.")
    if not view.steps:
        return joined(head, t("Nothing was found yet."))
    last, vanilla = view.steps[-1], view.steps[0]
    if last.best_budget is None:
        return joined(head, t("No budget below the vanilla answer has worked so far."))
    found = _lower(_enough_at(last, vanilla, several=view.plan.samples > 1))
    return joined(head, t("So far: {found}", found=found))


def _enough_at(last: SearchStep, vanilla: SearchStep, *, several: bool) -> str:
    return _enough(last.best_budget or 0, last.best_tokens, vanilla.tokens, several=several)


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def chart_title(view: SearchView, index: int | None = None) -> str:
    """What the chart shows up to step `index` (the last when None), short enough for a phone."""
    if not view.steps:
        return t("No answer yet")
    at = len(view.steps) - 1 if index is None else index
    last, vanilla = view.steps[at], view.steps[0]
    if at == 0:
        outcome = outcome_words(vanilla).lower()
        return t("Vanilla: {tokens} tokens, {outcome}", tokens=number(vanilla.tokens), outcome=outcome)
    before = number(vanilla.tokens)
    if last.best_budget is None:
        return tn(
            "After {n} try: nothing beat {vanilla} tokens", "After {n} tries: nothing beat {vanilla} tokens", at,
            vanilla=before,
        )  # fmt: skip
    return tn(
        "After {n} try: from {vanilla} tokens down to {best}", "After {n} tries: from {vanilla} tokens down to {best}",
        at, vanilla=before, best=number(last.best_tokens),
    )  # fmt: skip


def stop_words(reason: StopReason, *, possible_gain: float = 0.0) -> str:
    """Why a search ended, and what a further one could still save at most."""
    words = t(_STOPPED[reason])
    if reason in NOT_SEARCHED or round(possible_gain) < 1:
        return words
    more = tn(
        "A further search could save at most {n:,} token more an answer.",
        "A further search could save at most {n:,} tokens more an answer.",
        round(possible_gain),
    )
    return joined(words, more)


def phase_caption(view: SearchView, index: int | None = None) -> str:
    """What happens right now, or, with `index`, what happened at that step (0 is the answer without a budget)."""
    if index is not None:
        step = view.steps[index]
        return _trying(view.steps[:index], step.phase, (step.budget,) if step.budget is not None else ())
    if not view.running:
        return t("Finished.") if view.status == "done" else t("Stopped.")
    if view.phase == "preparing":
        return t("Getting the model ready…")
    live = [c.record for c in view.calls if c.record.status == "running"]
    if not live:
        return t("Choosing what to try next…") if view.steps else t("Starting…")
    budgets = tuple(dict.fromkeys(c.level for c in live if c.level is not None))
    return _trying(view.steps, live[-1].phase or "bisect", budgets)


def _trying(before: tuple[SearchStep, ...], phase: ProbePhase, budgets: tuple[Level, ...]) -> str:
    if phase == "vanilla" or not budgets or not before:
        return t("First without a budget: what does it cost, and is it right?")
    last = before[-1]
    names = t(" and ").join(b if isinstance(b, str) else f"{b:,}" for b in budgets)
    if isinstance(budgets[0], str):
        return t("Trying {levels}. It must stay right and cost less than {best} tokens.", levels=names,
                 best=number(last.best_tokens))  # fmt: skip
    if phase == "greedy":
        return t(
            "Going lower: trying {budgets}. It must stay right and cost less than {best} tokens.",
            budgets=names, best=number(last.best_tokens),
        )  # fmt: skip
    if last.low + 2 == last.high:
        return t("Closing in: only the budget {budget:,} is still open; trying it.", budget=last.low + 1)
    values = {"low": last.low + 1, "high": last.high - 1, "budgets": names}
    if len(budgets) == 1 and budgets[0] == (last.low + last.high) // 2:
        return t("Closing in: budgets from {low:,} to {high:,} are still open; trying the middle, {budgets}.", **values)
    return t("Closing in: budgets from {low:,} to {high:,} are still open; trying {budgets}.", **values)


def step_words(step: SearchStep) -> str:
    """What one budget told, in a sentence or two."""
    words = _vanilla_words(step) if step.budget is None else _probe_words(step)
    right = t("{right} of {n} answers were right.", right=step.right, n=step.samples) if step.samples > 1 else ""
    return joined(words, right, t("Known from earlier, not paid for again.") if step.reused else "")


def _vanilla_words(step: SearchStep) -> str:
    tokens = number(step.tokens)
    return {
        Outcome.CORRECT: t("Right without a budget, at {tokens} tokens. A budget has to beat that.", tokens=tokens),
        Outcome.WRONG: t("Wrong even without a budget."),
        Outcome.TRUNCATED: t("Reached max_tokens at {tokens} tokens: neither right nor wrong.", tokens=tokens),
        Outcome.UNPARSED: t("No final answer could be read from it: neither right nor wrong."),
    }.get(step.outcome, t("It could not be judged."))


def _probe_words(step: SearchStep) -> str:
    tokens, best, left = number(step.tokens), number(step.best_tokens), _left(step)
    if step.cut:
        why = t(
            "Stopped at {tokens} tokens, because it could no longer cost less than the best answer. "
            "Whether it would have been right is unknown.",
            tokens=tokens,
        )
        return joined(why, left)
    if step.outcome is Outcome.CORRECT:
        return joined(_right_words(step, tokens, best), left)
    if step.outcome is Outcome.ERROR:
        return t("The answer was refused or broke off, so this budget told nothing.")
    more = t("It also cost more than the best, {best} tokens (token elasticity).", best=best) if step.elastic else ""
    why = {
        Outcome.WRONG: t("Wrong: this budget is too small."),
        Outcome.TRUNCATED: t("Reached max_tokens: neither right nor wrong, so it does not count as working."),
        Outcome.UNPARSED: t("No final answer could be read, so it does not count as working."),
    }.get(step.outcome, t("It could not be judged, so it does not count as working."))
    return joined(why, more, left)


def _right_words(step: SearchStep, tokens: str, best: str) -> str:
    if step.best_budget == step.budget:
        return t("Right with {tokens} tokens: the best so far.", tokens=tokens)
    if step.elastic:
        return t(
            "Right, but asking for less made it cost more: {tokens} tokens, while the best has {best} "
            "(token elasticity).",
            tokens=tokens, best=best,
        )  # fmt: skip
    return t("Right, but its {tokens} tokens do not beat {best}.", tokens=tokens, best=best)


def _left(step: SearchStep) -> str:
    if isinstance(step.budget, str):  # Its bounds are places among words.
        return ""
    low, high = step.low + 1, step.high - 1
    if low > high:
        return t("Nothing is left to try.")
    return (
        t("Left to try: {low:,}.", low=low)
        if low == high
        else t("Left to try: {low:,} to {high:,}.", low=low, high=high)
    )


def qualifications(view: SearchView) -> list[str]:
    """What a careful reader must know about the finding, each a sentence."""
    notes: list[str] = []
    if view.result is not None:
        notes.append(stop_words(view.result.stop_reason, possible_gain=view.result.possible_gain))
        if view.result.elastic is not None:
            low, high = view.result.elastic
            if low == high:
                where = t("a budget of {low:,}", low=low)
            else:
                where = t("budgets from {low:,} to {high:,}", low=low, high=high)
            notes.append(
                t("Token elasticity: {where} made the model spend at least as much as a larger one.", where=where)
            )
    if cut := sum(s.cut for s in view.steps):
        early = tn(
            "{n} answer was stopped early because it could no longer win: unknown, not wrong.",
            "{n} answers were stopped early because they could no longer win: unknown, not wrong.",
            cut,
        )
        notes.append(early)
    if view.spent.reused:
        known = tn(
            "{n} answer was known from an earlier session and reused.",
            "{n} answers were known from an earlier session and reused.",
            view.spent.reused,
        )
        notes.append(known)
    if view.spent.estimated:
        notes.append(t("Some token counts are estimates: the endpoint did not report them."))
    sources = {c.record.source for c in view.calls}
    if "recorded" in sources:
        notes.append(t("Some answers are recorded: no model wrote them now."))
    if "simulated" in sources:
        notes.append(t("Some answers are simulated: no model wrote them now."))
    if view.plan.samples == 1 and any(s.budget is not None for s in view.steps):
        notes.append(t("Each budget was tried once: a single answer can be luck."))
    return notes
