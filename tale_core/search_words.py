"""A search in words: what it found, why it stopped, what happens now, and what each budget told.

Pure wording for the page and the command line; holds numbers and our own words only, never a model's.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from tale_core.types import Outcome, ProbePhase

if TYPE_CHECKING:
    from tale_core.probing import Spent
    from tale_core.search import SearchResult, SearchStep, StopReason
    from tale_core.studies import SearchView

PHASES: dict[ProbePhase, str] = {
    "vanilla": "No budget",
    "bisect": "Closing in",
    "greedy": "Going lower",
    "sweep": "Sweep",
}
OUTCOMES: dict[Outcome, str] = {
    Outcome.CORRECT: "Right",
    Outcome.WRONG: "Wrong",
    Outcome.TRUNCATED: "Cut at max_tokens",
    Outcome.UNPARSED: "No readable answer",
    Outcome.ERROR: "Failed",
    Outcome.UNGRADED: "Not graded",
}
CUT = "Cut off: could not win"
NOT_SEARCHED: dict[StopReason, str] = {
    "vanilla-wrong": "The model got it wrong even without a budget, so there is nothing to search.",
    "vanilla-truncated": "The answer without a budget was cut off at max_tokens, so there is nothing to compare with.",
    "vanilla-unparsed": "No final answer could be read even without a budget, so there is nothing to search.",
    "vanilla-refused": "The answer without a budget was refused or could not be judged: there is nothing to search.",
}
_STOPPED: dict[StopReason, str] = {
    "converged": "The search ended because no untried budget is left that could be smaller and cheaper.",
    "small-gain": "The search ended because another try would have cost more than it was likely to save.",
    "no-response": "The search ended because the model does not react to a budget: asked to be shorter, it was not.",
    "first-failure": "The search ended at the first budget that failed, as the reference code does.",
    "nothing-below": "The search ended because every smaller budget is ruled out.",
    "vanilla-wrong": "A budget is only looked for where the model is right without one.",
    "vanilla-truncated": "Raise max_tokens in Settings, so that the answer without a budget can end by itself.",
    "vanilla-unparsed": "Another wording of the prompt (Settings) may help the model to state its answer.",
    "vanilla-refused": "Another model, or the question in other words, may get an answer.",
    "limit-calls": "The search stopped at its limit on calls.",
    "limit-tokens": "The search stopped at its limit on tokens.",
    "limit-cost": "The search stopped at its limit on money.",
}


def number(tokens: float) -> str:
    """Tokens as people write them: whole where they are whole, else with one decimal."""
    return f"{tokens:,.0f}" if float(tokens).is_integer() else f"{tokens:,.1f}"


def outcome_words(step: SearchStep) -> str:
    """The outcome of a step in a few words; an answer that we cut is told apart from every other."""
    return CUT if step.cut else OUTCOMES[step.outcome]


def finding(view: SearchView) -> str:
    """What the search found, in one sentence."""
    result = view.result
    if result is None:
        return _unfinished(view)
    if result.stop_reason in NOT_SEARCHED:
        return NOT_SEARCHED[result.stop_reason]
    if result.optimal_budget is None or result.optimal_tokens is None or result.vanilla_tokens is None:
        return _nothing(result)
    several = view.plan.samples > 1
    return _enough(result.optimal_budget, result.optimal_tokens, result.vanilla_tokens, several=several)


def _enough(budget: int, tokens: float, vanilla: float, *, several: bool) -> str:
    percent = round((1 - tokens / vanilla) * 100) if vanilla else 0
    less = f"{percent} % fewer" if percent > 0 else "hardly fewer"
    mean = " on average" if several else ""
    return (
        f"A budget of {budget:,} is enough: {number(tokens)} tokens{mean} instead of {number(vanilla)}, {less}, "
        "still right."
    )


def _nothing(result: SearchResult) -> str:
    if result.vanilla_tokens is None:
        return "The search stopped before the answer without a budget was there."
    if result.stop_reason.startswith("limit-"):
        return "No budget below the vanilla answer had worked when the search stopped."
    return "No budget below the vanilla answer worked."


def _unfinished(view: SearchView) -> str:
    head = "" if view.running else "The search did not finish. "
    if not view.steps:
        return f"{head}Nothing was found yet.".strip()
    last, vanilla = view.steps[-1], view.steps[0]
    if last.best_budget is None:
        return f"{head}No budget below the vanilla answer has worked so far."
    return f"{head}So far: {_lower(_enough_at(last, vanilla, several=view.plan.samples > 1))}"


def _enough_at(last: SearchStep, vanilla: SearchStep, *, several: bool) -> str:
    return _enough(last.best_budget or 0, last.best_tokens, vanilla.tokens, several=several)


def _lower(sentence: str) -> str:
    return sentence[0].lower() + sentence[1:]


def chart_title(view: SearchView, index: int | None = None) -> str:
    """What the chart shows up to step `index` (the last when None), short enough for a phone."""
    if not view.steps:
        return "No answer yet"
    at = len(view.steps) - 1 if index is None else index
    last, vanilla = view.steps[at], view.steps[0]
    if at == 0:
        return f"Without a budget: {number(vanilla.tokens)} tokens, {outcome_words(vanilla).lower()}"
    if last.best_budget is None:
        return f"{_tries(at)}: nothing beat {number(vanilla.tokens)} tokens"
    return f"{_tries(at)}: from {number(vanilla.tokens)} tokens down to {number(last.best_tokens)}"


def _tries(count: int) -> str:
    return "After 1 try" if count == 1 else f"After {count} tries"


def stop_words(reason: StopReason, *, possible_gain: float = 0.0) -> str:
    """Why a search ended, and what a further one could still save at most."""
    words = _STOPPED[reason]
    if reason in NOT_SEARCHED or round(possible_gain) < 1:
        return words
    tokens = round(possible_gain)
    return f"{words} A further search could save at most {tokens:,} token{'s' if tokens != 1 else ''} more an answer."


def phase_caption(view: SearchView, index: int | None = None) -> str:
    """What happens right now, or, with `index`, what happened at that step (0 is the answer without a budget)."""
    if index is not None:
        step = view.steps[index]
        return _trying(view.steps[:index], step.phase, (step.budget,) if step.budget is not None else ())
    if not view.running:
        return "Finished." if view.status == "done" else "Stopped."
    if view.phase == "preparing":
        return "Getting the model ready…"
    live = [c.record for c in view.calls if c.record.status == "running"]
    if not live:
        return "Choosing what to try next…" if view.steps else "Starting…"
    budgets = tuple(dict.fromkeys(c.requested_budget for c in live if c.requested_budget is not None))
    return _trying(view.steps, live[-1].phase or "bisect", budgets)


def _trying(before: tuple[SearchStep, ...], phase: ProbePhase, budgets: tuple[int, ...]) -> str:
    if phase == "vanilla" or not budgets or not before:
        return "First without a budget: what does it cost, and is it right?"
    last = before[-1]
    names = " and ".join(f"{b:,}" for b in budgets)
    if phase == "greedy":
        return f"Going lower: trying {names}. It must stay right and cost less than {number(last.best_tokens)} tokens."
    middle = len(budgets) == 1 and budgets[0] == (last.low + last.high) // 2
    how = f"trying the middle, {names}" if middle else f"trying {names}"
    if last.low + 2 == last.high:
        return f"Closing in: only the budget {last.low + 1:,} is still open; trying it."
    return f"Closing in: budgets from {last.low + 1:,} to {last.high - 1:,} are still open; {how}."


def step_words(step: SearchStep) -> str:
    """What one budget told, in a sentence or two."""
    words = _vanilla_words(step) if step.budget is None else _probe_words(step)
    if step.samples > 1:
        words += f" {step.right} of {step.samples} answers were right."
    return f"{words} Known from earlier, not paid for again." if step.reused else words


def _vanilla_words(step: SearchStep) -> str:
    tokens = number(step.tokens)
    return {
        Outcome.CORRECT: f"Right without a budget, at {tokens} tokens. A budget has to beat that.",
        Outcome.WRONG: "Wrong even without a budget.",
        Outcome.TRUNCATED: f"Reached max_tokens at {tokens} tokens: neither right nor wrong.",
        Outcome.UNPARSED: "No final answer could be read from it: neither right nor wrong.",
    }.get(step.outcome, "It could not be judged.")


def _probe_words(step: SearchStep) -> str:
    tokens, best, left = number(step.tokens), number(step.best_tokens), _left(step)
    if step.cut:
        return (
            f"Stopped at {tokens} tokens, because it could no longer cost less than the best answer. "
            f"Whether it would have been right is unknown. {left}"
        )
    if step.outcome is Outcome.CORRECT:
        if step.best_budget == step.budget:
            return f"Right with {tokens} tokens: the best so far. {left}"
        if step.elastic:
            return (
                f"Right, but asking for less made it cost more: {tokens} tokens, while the best has {best} "
                f"(token elasticity). {left}"
            )
        return f"Right, but its {tokens} tokens do not beat {best}. {left}"
    if step.outcome is Outcome.ERROR:
        return "The call failed, so this budget told nothing."
    more = f" It also cost more than the best, {best} tokens (token elasticity)." if step.elastic else ""
    why = {
        Outcome.WRONG: "Wrong: this budget is too small.",
        Outcome.TRUNCATED: "Reached max_tokens: neither right nor wrong, so it does not count as working.",
        Outcome.UNPARSED: "No final answer could be read, so it does not count as working.",
    }.get(step.outcome, "It could not be judged, so it does not count as working.")
    return f"{why}{more} {left}"


def _left(step: SearchStep) -> str:
    low, high = step.low + 1, step.high - 1
    if low > high:
        return "Nothing is left to try."
    return f"Left to try: {low:,}." if low == high else f"Left to try: {low:,} to {high:,}."


def spent_words(spent: Spent) -> str:
    """What a search has paid for so far; an unknown price is unknown, never 0."""
    if not spent.calls and not spent.reused:
        return "nothing yet"
    about = "about " if spent.estimated else ""
    calls = f"{spent.calls} call{'s' if spent.calls != 1 else ''}"
    tokens = f"{about}{spent.completion_tokens:,} answer tokens and {about}{spent.prompt_tokens:,} prompt tokens"
    reused = f"; {spent.reused} answer{'s' if spent.reused != 1 else ''} reused, not paid for" if spent.reused else ""
    if not spent.calls:
        return f"nothing{reused}"
    return f"{calls}, {tokens}, {money(spent.cost_usd)}{reused}"


def money(usd: float | None) -> str:
    """Dollars in words; an unknown price is unknown, never 0."""
    if usd is None:
        return "unknown price"
    if usd == 0:
        return "$0 (runs on this machine)"
    return f"${usd:.6f}".rstrip("0") if usd < 0.01 else f"${usd:.4f}"


def qualifications(view: SearchView) -> list[str]:
    """What a careful reader must know about the finding, each a sentence."""
    notes: list[str] = []
    if view.result is not None:
        notes.append(stop_words(view.result.stop_reason, possible_gain=view.result.possible_gain))
        if view.result.elastic is not None:
            low, high = view.result.elastic
            where = f"a budget of {low:,}" if low == high else f"budgets from {low:,} to {high:,}"
            notes.append(f"Token elasticity: {where} made the model spend at least as much as a larger one.")
    if cut := sum(s.cut for s in view.steps):
        notes.append(f"{_answers(cut)} stopped early because {_they(cut)} could no longer win: unknown, not wrong.")
    if view.spent.reused:
        notes.append(f"{_answers(view.spent.reused)} known from an earlier session and reused.")
    if view.spent.estimated:
        notes.append("Some token counts are estimates: the endpoint did not report them.")
    sources = {c.record.source for c in view.calls}
    notes += [f"Some answers are {s}: no model wrote them now." for s in ("recorded", "simulated") if s in sources]
    if view.plan.samples == 1 and any(s.budget is not None for s in view.steps):
        notes.append("Each budget was tried once: a single answer can be luck.")
    return notes


def _answers(count: int) -> str:
    return "1 answer was" if count == 1 else f"{count} answers were"


def _they(count: int) -> str:
    return "it" if count == 1 else "they"
