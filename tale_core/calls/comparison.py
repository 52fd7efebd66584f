"""What a pair of answers shows: savings in answer tokens (the paper's measure) and all-in, and the finding in words.

All-in counts every token that was paid for: prompts, and the estimator's call on the budgeted side. Pure arithmetic on
call records.
"""

from __future__ import annotations

from dataclasses import dataclass

from tale_core.budgets.forcing import FORCED
from tale_core.calls.outcomes import outcome_kind
from tale_core.grading.lines import TEMPLATE as LINES
from tale_core.i18n import N_, t
from tale_core.types import TUNED, CallRecord, Outcome, Role

_ROLES: dict[Role, str] = {
    "estimate": N_("estimate"),
    "vanilla": N_("vanilla"),
    "budgeted": N_("budgeted"),
    "direct": N_("direct"),
    "probe": N_("probe"),
    "forced": N_("forced"),
}


EXPECTED_TOKENS = 300
"""Expected of a vanilla answer while none of its model is stored: about what the paper measured on GSM8K."""
_ROUND = (1, 1.5, 2, 2.5, 3, 4, 5, 6, 8, 10)


def race_axis(expected: int | None) -> int:
    """Tokens at the right end of both lanes while answers grow: the expected vanilla length, rounded up.

    It is known before the first token and never changes, so that a lane is as long at the end as it was meanwhile.

    Args:
        expected: Tokens that a vanilla answer is expected to take; None takes the stated default.
    """
    tokens = max(expected or EXPECTED_TOKENS, 20)
    power: int = 10 ** (len(str(tokens)) - 1)
    return next(round(step * power) for step in _ROUND if step * power >= tokens)


def role_name(role: Role) -> str:
    """What an answer of this role is called inside a sentence, before the word "answer"."""
    return t(_ROLES[role])


def answer_name(call: CallRecord) -> str:
    """What an answer is called inside a sentence: where no budget made it brief, after what did."""
    return t(_brevity(call).name) if call.role == "budgeted" else role_name(call.role)


@dataclass(frozen=True, slots=True)
class _Brevity:
    """What makes the second answer of an Ask brief: its name, and the words for an outcome that it broke or mended."""

    name: str
    broke: str
    mended: str


_BUDGET = _Brevity(
    _ROLES["budgeted"],
    N_("The budget broke it: {tokens}, now {outcome}"),
    N_("The budget mended it: {tokens}, {before} before, now {outcome}"),
)
_FINE_TUNING = _Brevity(
    N_("fine-tuned"),
    N_("Fine-tuning broke it: {tokens}, now {outcome}"),
    N_("Fine-tuning mended it: {tokens}, {before} before, now {outcome}"),
)
_BY_LINES = _Brevity(
    N_("lines"),
    N_("Lines broke it: {tokens}, now {outcome}"),
    N_("Lines mended it: {tokens}, {before} before, now {outcome}"),
)


def _brevity(call: CallRecord) -> _Brevity:
    if call.prompt_template.startswith(TUNED):
        return _FINE_TUNING
    return _BY_LINES if call.prompt_template == LINES and call.requested_budget is None else _BUDGET


@dataclass(frozen=True, slots=True)
class Comparison:
    """Vanilla against budgeted, for one question.

    Attributes:
        output_saving: 1 - budgeted / vanilla completion tokens; negative when the budget cost more. None when unknown.
        visible_saving: The same of the visible answers alone; None unless one of them had thinking beside it.
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
    visible_saving: float | None = None


def all_in_tokens(call: CallRecord | None) -> int | None:
    """Prompt plus completion tokens of a call; None when unknown, 0 for no call."""
    if call is None:
        return 0
    if call.prompt_tokens is None or call.completion_tokens is None:
        return None
    return call.prompt_tokens + call.completion_tokens


def tokens_per_second(call: CallRecord) -> float | None:
    """Generation speed after the first token; None when it cannot be told, as of one that was stopped."""
    if (
        call.status != "done"
        or call.latency_s is None
        or call.ttft_s is None
        or not call.completion_tokens
        or call.completion_tokens < 2
    ):
        return None
    seconds = call.latency_s - call.ttft_s
    return (call.completion_tokens - 1) / seconds if seconds > 0 else None


def speed_words(speed: float | None) -> str:
    """A speed in tokens a second; "" where it is unknown or would read as nothing."""
    if speed is None or speed < 0.05:
        return ""
    return t("{n:.0f} tokens/s", n=speed) if speed >= 9.95 else t("{n:.1f} tokens/s", n=speed)


def compare(vanilla: CallRecord, budgeted: CallRecord, estimate: CallRecord | None) -> Comparison:
    """Compare two ended calls."""
    v_all, b_all = all_in_tokens(vanilla), all_in_tokens(budgeted)
    e_all, calls = all_in_tokens(estimate), (vanilla, budgeted, estimate)
    b_total = None if b_all is None or e_all is None else b_all + e_all
    usable = vanilla.status == budgeted.status == "done"
    output = _saving(vanilla.completion_tokens, budgeted.completion_tokens) if usable else None
    all_in = _saving(v_all, b_total) if usable else None
    visible = None
    if usable and (vanilla.thinking_tokens or budgeted.thinking_tokens):
        visible = _saving(vanilla.visible_tokens, budgeted.visible_tokens)
    lower_bound = _cut(vanilla) and not _cut(budgeted)
    return Comparison(
        output_saving=output,
        all_in_saving=all_in,
        vanilla_all_in=v_all,
        budgeted_all_in=b_total,
        estimated=any(c.usage_estimated and c.completion_tokens is not None for c in calls if c is not None),
        lower_bound=lower_bound,
        sentence=_sentence(vanilla, budgeted, output, visible, all_in, lower_bound=lower_bound),
        visible_saving=visible,
    )


def _cut(call: CallRecord) -> bool:
    """Whether the answer would have gone on: max_tokens ended it, or somebody had it forced out."""
    return call.finish_reason == "length" or FORCED in call.adjustments


def _saving(before: int | None, after: int | None) -> float | None:
    return 1 - after / before if before and after is not None else None


def _sentence(
    vanilla: CallRecord,
    budgeted: CallRecord,
    output: float | None,
    visible: float | None,
    all_in: float | None,
    *,
    lower_bound: bool,
) -> str:
    if output is None:
        return _unfinished(vanilla, budgeted)
    counts = {"b": budgeted.completion_tokens, "v": vanilla.completion_tokens}
    if output == 0 and not lower_bound:
        counted = tokens = t("{b:,} tokens both times", **counts)
    else:
        counted = t("{b:,} instead of {v:,} tokens", **counts)
        if lower_bound:
            counted = t("{b:,} instead of {v:,} tokens or more", **counts)
        tokens = t("{tokens}, {change}", tokens=counted, change=saved_words(output, at_least=lower_bound))
    if visible is not None:
        alone = change_words(visible, t("in the answer without its thinking"))
        counted, tokens = (t("{change} ({alone})", change=words, alone=alone) for words in (counted, tokens))
    found = _outcome_first(vanilla, budgeted, counted, tokens)
    if all_in is None:
        return t("{finding}.", finding=found)
    return t(
        "{finding}; {all_in}.", finding=found, all_in=change_words(all_in, t("tokens all-in"), at_least=lower_bound)
    )


def _outcome_first(vanilla: CallRecord, budgeted: CallRecord, counted: str, tokens: str) -> str:
    """What the budget did to the outcome, then what it did to the tokens.

    Args:
        vanilla: Done.
        budgeted: Done.
        counted: The tokens of both, in words.
        tokens: The same with the saving.
    """
    if vanilla.outcome == budgeted.outcome == Outcome.UNGRADED:
        return tokens
    first, second = (t(outcome_kind(c.outcome, refused=c.refused).phrase) for c in (vanilla, budgeted))
    if first == second:
        return t("Both {outcome}: {tokens}", outcome=first, tokens=tokens)
    by, name = _brevity(budgeted), answer_name(budgeted)
    match vanilla.judged, budgeted.judged:
        case True, False:
            return t(by.broke, tokens=counted, outcome=second)
        case False, True:
            return t(by.mended, tokens=counted, before=first, outcome=second)
    return t("Vanilla {vanilla}, {name} {outcome}: {tokens}", vanilla=first, name=name, outcome=second, tokens=tokens)


def saved_words(saving: float, *, at_least: bool = False) -> str:
    """A saving of tokens that were just named: "65 % fewer"."""
    percent = round(abs(saving) * 100)
    if percent == 0:
        return t("about as many")
    if saving <= -1:
        return t("{times:.1f} times as many", times=1 - saving)
    if saving < 0:
        return t("{percent} % more", percent=percent)
    return t("at least {percent} % fewer", percent=percent) if at_least else t("{percent} % fewer", percent=percent)


def change_words(saving: float, noun: str, *, at_least: bool = False) -> str:
    """A saving as words: "68 % fewer output tokens", "12 % more tokens all-in", "as many output tokens".

    Args:
        saving: 1 - after / before.
        noun: What is counted, in the reader's language.
        at_least: A saving is a lower bound.
    """
    percent = round(abs(saving) * 100)
    if percent == 0:
        return t("as many {noun}", noun=noun)
    if saving <= -1 and percent >= 100:
        return t("{times:.1f} times as many {noun}", times=1 - saving, noun=noun)
    if saving < 0:
        return t("{percent} % more {noun}", percent=percent, noun=noun)
    if at_least:
        return t("at least {percent} % fewer {noun}", percent=percent, noun=noun)
    return t("{percent} % fewer {noun}", percent=percent, noun=noun)


_BOTH_UNFINISHED: dict[str, str] = {
    "failed": N_("Both answers failed: there is nothing to compare."),
    "cancelled": N_("Both answers were stopped: there is nothing to compare."),
    "interrupted": N_("Both answers were interrupted: there is nothing to compare."),
    "running": N_("Both answers are running: there is nothing to compare."),
}
_ONE_UNFINISHED: dict[str, str] = {
    "failed": N_("The {role} answer failed: there is nothing to compare."),
    "cancelled": N_("The {role} answer was stopped: there is nothing to compare."),
    "interrupted": N_("The {role} answer was interrupted: there is nothing to compare."),
    "running": N_("The {role} answer is running: there is nothing to compare."),
}


def _unfinished(vanilla: CallRecord, budgeted: CallRecord) -> str:
    if vanilla.status == budgeted.status and vanilla.status in _BOTH_UNFINISHED:
        return t(_BOTH_UNFINISHED[vanilla.status])
    bad = vanilla if vanilla.status != "done" else budgeted
    if bad.status == "done":
        return t("The endpoint reported no token counts: there is nothing to compare.")
    return t(_ONE_UNFINISHED[bad.status], role=answer_name(bad))


def guess_score(guess: int, actual: int) -> int:
    """Points from 0 to 100 for a guessed token count: the smaller of the two as a share of the larger.

    A guess of half and a guess of double score the same 50, so that neither side is the safe one.
    """
    if guess <= 0 or actual <= 0:
        return 100 if guess == actual else 0
    return round(100 * min(guess, actual) / max(guess, actual))
