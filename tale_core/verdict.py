"""What a pair of answers shows: savings in answer tokens (the paper's measure) and all-in, and the finding in words.

All-in counts every token that was paid for: prompts, and the estimator's call on the budgeted side. Pure arithmetic on
call records; knows no store and no page.
"""

from __future__ import annotations

from dataclasses import dataclass

from tale_core.types import CallRecord, Outcome

_OUTCOME_WORDS = {
    Outcome.CORRECT: "right",
    Outcome.WRONG: "wrong",
    Outcome.TRUNCATED: "cut off",
    Outcome.UNPARSED: "without a readable answer",
    Outcome.ERROR: "failed",
    Outcome.UNGRADED: "not graded",
}


@dataclass(frozen=True, slots=True)
class Comparison:
    """Vanilla against budgeted, for one question.

    Attributes:
        output_saving: 1 - budgeted / vanilla completion tokens; negative when the budget cost more. None when unknown.
        all_in_saving: The same with prompts and the estimator's call counted.
        vanilla_all_in: Tokens paid for the vanilla answer, its prompt included.
        budgeted_all_in: Tokens paid for the budgeted answer, its prompt and the estimator's call included.
        estimated: True when a count is ours and not the endpoint's.
        lower_bound: True when vanilla was cut: the real saving is at least this.
        sentence: The finding, complete and without jargon.
    """

    output_saving: float | None
    all_in_saving: float | None
    vanilla_all_in: int | None
    budgeted_all_in: int | None
    estimated: bool
    lower_bound: bool
    sentence: str


def all_in_tokens(call: CallRecord | None) -> int | None:
    """Prompt plus completion tokens of a call; None when unknown, 0 for no call."""
    if call is None:
        return 0
    if call.prompt_tokens is None or call.completion_tokens is None:
        return None
    return call.prompt_tokens + call.completion_tokens


def tokens_per_second(call: CallRecord) -> float | None:
    """Generation speed after the first token; None when it cannot be told."""
    if call.latency_s is None or call.ttft_s is None or not call.completion_tokens or call.completion_tokens < 2:
        return None
    seconds = call.latency_s - call.ttft_s
    return (call.completion_tokens - 1) / seconds if seconds > 0 else None


def compare(vanilla: CallRecord, budgeted: CallRecord, estimate: CallRecord | None) -> Comparison:
    """Compare two ended calls."""
    v_all, b_all = all_in_tokens(vanilla), all_in_tokens(budgeted)
    e_all = all_in_tokens(estimate)
    b_total = None if b_all is None or e_all is None else b_all + e_all
    usable = vanilla.status == budgeted.status == "done"
    output = _saving(vanilla.completion_tokens, budgeted.completion_tokens) if usable else None
    all_in = _saving(v_all, b_total) if usable else None
    lower_bound = vanilla.finish_reason == "length" and budgeted.finish_reason != "length"
    return Comparison(
        output_saving=output,
        all_in_saving=all_in,
        vanilla_all_in=v_all,
        budgeted_all_in=b_total,
        estimated=vanilla.usage_estimated or budgeted.usage_estimated or bool(estimate and estimate.usage_estimated),
        lower_bound=lower_bound,
        sentence=_sentence(vanilla, budgeted, output, all_in, lower_bound=lower_bound),
    )


def _saving(before: int | None, after: int | None) -> float | None:
    return 1 - after / before if before and after is not None else None


def _sentence(
    vanilla: CallRecord, budgeted: CallRecord, output: float | None, all_in: float | None, *, lower_bound: bool
) -> str:
    if output is None:
        return _unfinished(vanilla, budgeted)
    tokens = ("At least " if lower_bound and output > 0 else "") + change_words(output, "output tokens")
    both = _outcomes(vanilla.outcome, budgeted.outcome)
    counted = "" if all_in is None else f"; {change_words(all_in, 'tokens all-in')}"
    sentence = f"{tokens}, {both}{counted}." if both else f"{tokens}{counted}."
    return sentence[0].upper() + sentence[1:]


def change_words(saving: float, noun: str) -> str:
    """A saving as words: "68 % fewer output tokens", "12 % more tokens all-in", "as many output tokens"."""
    percent = round(abs(saving) * 100)
    if percent == 0:
        return f"as many {noun}"
    if saving <= -1 and percent >= 100:
        return f"{1 - saving:.1f} times as many {noun}"
    return f"{percent} % {'fewer' if saving > 0 else 'more'} {noun}"


def _outcomes(vanilla: Outcome, budgeted: Outcome) -> str:
    if vanilla == budgeted == Outcome.UNGRADED:
        return ""
    if vanilla == budgeted:
        return f"both {_OUTCOME_WORDS[vanilla]}"
    return f"vanilla {_OUTCOME_WORDS[vanilla]}, budgeted {_OUTCOME_WORDS[budgeted]}"


def _unfinished(vanilla: CallRecord, budgeted: CallRecord) -> str:
    words = {"failed": "failed", "cancelled": "was stopped", "interrupted": "was interrupted", "running": "is running"}
    if vanilla.status == budgeted.status and vanilla.status in words:
        plural = {"was stopped": "were stopped", "was interrupted": "were interrupted", "is running": "are running"}
        word = words[vanilla.status]
        return f"Both answers {plural.get(word, word)}: there is nothing to compare."
    bad = vanilla if vanilla.status != "done" else budgeted
    if bad.status == "done":
        return "The endpoint reported no token counts: there is nothing to compare."
    return f"The {bad.role} answer {words[bad.status]}: there is nothing to compare."


def guess_score(guess: int, actual: int) -> int:
    """Points from 0 to 100 for a guessed token count: the smaller of the two as a share of the larger.

    A guess of half and a guess of double score the same 50, so that neither side is the safe one.
    """
    if guess <= 0 or actual <= 0:
        return 100 if guess == actual else 0
    return round(100 * min(guess, actual) / max(guess, actual))
