"""Strategies that ask more than once where short answers leave a doubt: a cascade and votes."""

from __future__ import annotations

from bisect import bisect_left
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from tale_core.budgets.forcing import same_answer
from tale_core.calls.record import Step
from tale_core.errors import InputError
from tale_core.estimators.base import FALLBACK_BUDGET
from tale_core.grading.lines import TEMPLATE as ASSIGNMENTS
from tale_core.grading.lines import evaluated
from tale_core.i18n import N_, t
from tale_core.prompts import messages as prompts
from tale_core.strategies.base import Attempt, BudgetPredictor, Offer, QuestionCaller, Strategy, concise_step, run_step
from tale_core.types import CallRecord, Outcome, Question

SURE = 0.9
"""Confidence from which a brief answer counts, while nothing is known of the model."""
ENOUGH_ROWS = 30
"""Labelled answers from which a threshold is learnt; five of them right and five wrong."""
MOST_VOTES = 15
"""Answers that are asked for before a vote."""
VOTE_TEMPERATURE = 0.7
"""At which the samples of a vote are drawn, where the run's own is lower: equal answers would vote for nothing."""


@dataclass(frozen=True, slots=True)
class Cascade(Strategy):
    """The brief answer where the model was sure of it, else the vanilla one.

    How sure is sure enough is learnt from labelled answers to other questions that an earlier run of it has stored;
    while there are too few of them a stated default counts, and is told with each answer.
    """

    PATTERN = "cascade"
    TITLE = N_("Cascade: brief, then vanilla if unsure")
    HINT = N_(
        "A brief answer first; where the model's own log-probabilities say that it is unsure, the vanilla answer "
        "counts. The threshold comes from labelled answers to other questions, of earlier runs. Every call is paid for."
    )
    FAMILY = "brief"
    calls = (1, 2)
    assumed_tokens = FALLBACK_BUDGET

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """One call, or two where it is unsure."""
        step = concise_step(question, caller)
        brief = await caller.call(replace(step, request=replace(step.request, logprobs=True)))
        threshold, why = sure_enough(await caller.sure_and_right(step.template))
        if brief.confidence is None:
            why = t("the endpoint gives no log-probabilities, so that every answer counts as unsure")
        elif brief.confidence >= threshold and _said(brief) is not None:
            return Attempt(brief, problem=why)
        return Attempt(await caller.call(run_step("vanilla", question, caller)), (brief,), problem=why)


@dataclass(frozen=True, slots=True)
class Vote(Strategy):
    """Several short answers; the one that more than half of them have, else a vanilla answer.

    The first one is the plan's own, the others are sampled. Nobody is asked once the vote is decided.
    """

    PATTERN = "vote:K"
    TITLE = N_("Short answers, vote of {samples}")
    HINT = N_(
        "Several answers that are asked to be brief; where no answer has more than half of the votes, the vanilla one "
        "counts. Nobody is asked any more once the vote is decided. Every call is paid for."
    )
    FILLS = "samples"
    FAMILY = "brief"
    assumed_tokens = FALLBACK_BUDGET

    @classmethod
    def offered(cls, offer: Offer) -> Sequence[str]:
        """The smallest vote that can be won two to one."""
        return (f"{cls.head()}:3",)

    @classmethod
    def make(cls, name: str, at: str, estimators: Mapping[str, BudgetPredictor]) -> Strategy:
        """See `Strategy.make`."""
        samples = name.partition(":")[2]
        if samples.isdecimal() and samples.isascii() and len(samples) < 3 and 2 <= int(samples) <= MOST_VOTES:
            return cls(str(int(samples)))
        raise InputError(
            t("{name!r} names no number of votes.", name=name[:60]),
            t("Give a whole number from 2 to {most}: {example}.", most=MOST_VOTES, example=f"{cls.head()}:3"),
        )

    @property
    def calls(self) -> tuple[int, int]:  # type: ignore[override]
        """As many as decide the vote, to all of them and a vanilla answer."""
        return int(self.argument) // 2 + 1, int(self.argument) + 1

    def first(self, question: Question, caller: QuestionCaller) -> Step:
        """The short answer of which the others are samples."""
        return concise_step(question, caller)

    async def ask(self, question: Question, caller: QuestionCaller) -> Attempt:
        """See the class."""
        return await vote(self.first(question, caller), int(self.argument), question, caller)


@dataclass(frozen=True, slots=True)
class LinesVote(Vote):
    """Several answers in lines; the value that more than half of them have, else a vanilla answer."""

    PATTERN = "lines-vote:K"
    TITLE = N_("Lines, vote of {samples}")
    HINT = N_(
        "Several answers in lines, which a calculator, a tool, works out; where no value has more than half of the "
        "votes, the vanilla answer counts. Every call is paid for."
    )
    TEMPLATE = ASSIGNMENTS
    worded = False
    assumed_tokens = 60

    def first(self, question: Question, caller: QuestionCaller) -> Step:
        """That of `Lines`."""
        return run_step("budgeted", question, caller, template=self.TEMPLATE)


async def vote(first: Step, samples: int, question: Question, caller: QuestionCaller) -> Attempt:
    """The answer that more than half of the samples have, else a vanilla one; nobody is asked once it is decided.

    Args:
        first: The first sample's step; the others are drawn like it.
        samples: How many at the most.
        question: What is asked without an adapter and a budget where they disagree.
        caller: Sends.
    """
    made: list[CallRecord] = []
    votes: Counter[str] = Counter()
    for i in range(samples):
        made.append(await caller.call(_sample(first, i)))
        votes.update([value] if (value := _value(made[-1], tuple(votes))) is not None else [])
        value, most = max(votes.items(), key=lambda item: item[1], default=("", 0))
        if most > samples // 2:
            won = next(call for call in made if _value(call, (value,)) == value)
            return Attempt(won, tuple(call for call in made if call is not won))
        if most + samples - i - 1 <= samples // 2:
            break
    template = prompts.DEFAULT_TEMPLATE if evaluated(caller.template) else caller.template
    answer = await caller.call(run_step("vanilla", question, caller, template=template))
    return Attempt(answer, tuple(made))


def sure_enough(rows: Sequence[tuple[float, bool]]) -> tuple[float, str | None]:
    """The confidence that best tells right answers from wrong ones, and why it is a stated default, if it is one.

    The highest share of right ones kept minus share of wrong ones kept (Youden's J).
    """
    right, wrong = sorted(c for c, ok in rows if ok), sorted(c for c, ok in rows if not ok)
    if len(rows) < ENOUGH_ROWS or min(len(right), len(wrong)) < 5:
        return SURE, t(
            "the threshold {threshold} is a stated default: {n} labelled answers to other questions are stored, and "
            "{enough} are needed, five of them right and five wrong",
            threshold=SURE, n=len(rows), enough=ENOUGH_ROWS,
        )  # fmt: skip

    def kept(values: Sequence[float], threshold: float) -> float:
        return (len(values) - bisect_left(values, threshold)) / len(values)

    return max((c for c, _ in rows), key=lambda at: (kept(right, at) - kept(wrong, at), -at)), None


def threshold_document(rows: Sequence[tuple[float, bool]]) -> dict[str, object]:
    """Where the threshold of a cascade came from, as it is stored with the run."""
    threshold, why = sure_enough(rows)
    right = sum(ok for _, ok in rows)
    return {"confidence": threshold, "rows": len(rows), "right": right, "default": why is not None}


def _said(call: CallRecord) -> str | None:
    """What an answer says; None where it says nothing, was cut off or refused: what can be read then is no answer."""
    return None if call.outcome in (Outcome.TRUNCATED, Outcome.ERROR) else call.extracted


def _value(call: CallRecord, known: Sequence[str]) -> str | None:
    """What an answer says, in the words of the first that said the same; None where it says nothing."""
    said = _said(call)
    return next((one for one in known if said is not None and same_answer(one, said)), said)


def _sample(first: Step, place: int) -> Step:
    """The first sample is the plan's own answer; the others are drawn, each with a seed far from those of repeats."""
    if not place:
        return first
    sampling = first.request.sampling
    warm = None if sampling.temperature is None else max(VOTE_TEMPERATURE, sampling.temperature)
    seed = None if sampling.seed is None else sampling.seed + 1000 * place
    request = replace(first.request, sampling=replace(sampling, temperature=warm, seed=seed))
    return replace(first, request=request, sample=place)
