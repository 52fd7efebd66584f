"""The table of an experiment, a row for each strategy in the paper's layout, and what differs from vanilla.

An accuracy is right answers over `graded`, the answers that `tale_core.types.judged` counts: correct, wrong, truncated,
unparsed and refused ones to questions whose answer is known. So a truncated or unparsed answer is not right, but it is
shown apart and never called wrong; `accuracy_decided` is the share among answers that could be read, correct and wrong
alone. Calls that failed at the endpoint are no answers: they count as `failed` and are tried again by a resume. Means
are over questions (repeats of a question are averaged first), and so are all tests: repeats of one question are no
independent measurements. It holds no text of an answer.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from statistics import fmean

from tale_core.grading.lines import evaluated
from tale_core.stats import Interval, break_even, holm, mcnemar_p, mean_interval, pareto, sign_flip_p, wilson
from tale_core.store import UnitFigures
from tale_core.types import Outcome

BASELINE = "vanilla"
Number = Callable[[UnitFigures], float | None]


@dataclass(frozen=True, slots=True)
class Change:
    """A strategy minus vanilla on the same questions: mean, 95 % interval, two-sided p.

    Attributes:
        p_holm: The p adjusted for the number of strategies that are compared.
    """

    mean: float
    low: float
    high: float
    p: float | None
    p_holm: float | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """A strategy against vanilla, in pairs of the same question and repeat.

    Attributes:
        pairs: Questions that both answered.
        accuracy: In shares of 1; p by McNemar's exact test, with repeats by sign flips over questions.
        better: Pairs in which the strategy alone was right; of answers.
        worse: Pairs in which vanilla alone was right.
        output_tokens: Of the answers without estimates and probes, the paper's measure.
        all_in_tokens: Estimates, probes and prompts included.
        output_saving: Share of vanilla's output tokens that is saved; negative when it costs more. None at 0 tokens.
        all_in_saving: Likewise of all tokens.
        break_even: Questions after which what was paid once (training, searches) has come back in all-in tokens; None
            when a question saves nothing, and where nobody said what was paid.
    """

    pairs: int
    accuracy: Change | None
    better: int
    worse: int
    output_tokens: Change | None
    all_in_tokens: Change | None
    output_saving: float | None
    all_in_saving: float | None
    break_even: int | None


@dataclass(frozen=True, slots=True)
class StrategyRow:
    """One strategy.

    Attributes:
        planned: Answers that were asked for.
        n: Answers that are there.
        failed: Answers that the endpoint failed to give.
        graded: Answers that could be judged, see the module.
        accuracy: Right over graded, with a Wilson interval; of repeats the questions alone count as independent.
        accuracy_decided: Right over correct and wrong alone.
        output_tokens: Completion tokens of the answer (of a vote or a cascade: of all its answers), mean with a
            interval over questions.
        visible_tokens: The part of them that is the answer itself, mean; None when it is unknown of an answer.
        thinking_tokens: The part that is thinking, likewise.
        all_in_tokens: Prompt and completion tokens of every call it took, likewise.
        cost_usd: Dollars a question, all calls; None when a price is unknown.
        latency_s: Seconds a question, all calls one after the other; reused calls keep their original time.
        calls: Calls an answer.
        reused: Calls that were known already.
        estimated: Calls whose token counts are ours and not the endpoint's.
        defaults: Answers under a stated default budget, because the estimate could not be used.
        labelled: Answers whose outcome a person decided, or whose known answer a person gave.
        pareto: No other strategy is at least as accurate with as few all-in tokens.
        pareto_output: Likewise with output tokens.
        refused: Answers that a content filter refused; among `outcomes` they are errors.
        lines: There is an answer in lines, which a tool, a calculator, worked out.
    """

    strategy: str
    planned: int
    n: int
    failed: int
    graded: int
    right: int
    accuracy: Interval | None
    accuracy_decided: Interval | None
    output_tokens: Interval | None
    all_in_tokens: Interval | None
    prompt_tokens: float | None
    cost_usd: float | None
    latency_s: float | None
    calls: float | None
    reused: int
    estimated: int
    defaults: int
    outcomes: Mapping[Outcome, int] = field(default_factory=dict)
    labelled: int = 0
    pareto: bool = False
    pareto_output: bool = False
    against_vanilla: Difference | None = None
    visible_tokens: float | None = None
    thinking_tokens: float | None = None
    refused: int = 0
    lines: bool = False


def rows_of(
    figures: Iterable[UnitFigures], names: Sequence[str], *, planned: int, paid_once: Mapping[str, int] | None = None
) -> tuple[StrategyRow, ...]:
    """One row for each strategy.

    Args:
        figures: Ended units of all strategies.
        names: The strategies, in order.
        planned: Answers asked of each.
        paid_once: See `results`.
    """
    by_name: dict[str, list[UnitFigures]] = defaultdict(list)
    for one in figures:
        by_name[one.strategy].append(one)
    rows = [_row(name, by_name[name], planned) for name in names]
    base = by_name[BASELINE] if BASELINE in names else []
    if base:
        once = paid_once or {}
        rows = [
            row
            if row.strategy == BASELINE
            else replace(row, against_vanilla=against(by_name[row.strategy], base, once.get(row.strategy)))
            for row in rows
        ]
        rows = _adjusted(rows)
    return with_pareto(rows)


def all_in(unit: UnitFigures) -> float | None:
    """Prompt and completion tokens of every call; None when a prompt's are unknown."""
    return unit.all_in_tokens


def output(unit: UnitFigures) -> float | None:
    """Completion tokens of the answer."""
    return unit.output_tokens


def judged(unit: UnitFigures) -> float | None:
    """1 for a right answer, 0 for one that is not; None for one that does not count."""
    return None if unit.judged is None else float(unit.judged)


def _decided(unit: UnitFigures) -> float | None:
    return judged(unit) if unit.outcome in (Outcome.CORRECT, Outcome.WRONG) else None


def _row(name: str, units: list[UnitFigures], planned: int) -> StrategyRow:
    done = [u for u in units if u.status == "done"]
    graded = [share for u in done if (share := judged(u)) is not None]
    costs, prompts = [u.cost_usd for u in done], [u.prompt_tokens for u in done]
    counted = Counter(u.outcome for u in done)
    latencies = [u.latency_s for u in done if u.latency_s is not None]
    return StrategyRow(
        strategy=name,
        planned=planned,
        n=len(done),
        failed=len(units) - len(done),
        graded=len(graded),
        right=sum(map(int, graded)),
        accuracy=_share(done, judged),
        accuracy_decided=_share(done, _decided),
        output_tokens=mean_interval(tuple(_by_question(done, output).values())),
        all_in_tokens=mean_interval(tuple(_by_question(done, all_in).values())),
        prompt_tokens=fmean(p for p in prompts if p is not None) if prompts and None not in prompts else None,
        cost_usd=fmean(c for c in costs if c is not None) if costs and None not in costs else None,
        latency_s=fmean(latencies) if latencies else None,
        calls=fmean(u.calls for u in done) if done else None,
        reused=sum(u.reused for u in done),
        estimated=sum(u.estimated for u in done),
        defaults=sum(u.problem is not None for u in done),
        outcomes={outcome: counted.get(outcome, 0) for outcome in Outcome},
        labelled=sum(u.labelled is not None for u in done),
        visible_tokens=_apart(done, lambda u: u.visible_tokens),
        thinking_tokens=_apart(done, lambda u: u.thinking_tokens),
        refused=sum(u.refused for u in done),
        lines=any(evaluated(u.template) for u in done),
    )


def _apart(units: list[UnitFigures], number: Number) -> float | None:
    """Mean of a part of the output over questions; None when it is unknown of one answer: parts add up."""
    counted = [u for u in units if u.output_tokens is not None]
    if not counted or any(number(u) is None for u in counted):
        return None
    return fmean(_by_question(counted, number).values())


def _share(units: list[UnitFigures], number: Number) -> Interval | None:
    """Mean share over answers, with a Wilson interval that takes questions, not repeats, for independent."""
    values = [v for u in units if (v := number(u)) is not None]
    clusters = len(_by_question(units, number))
    return wilson(fmean(values) * clusters, clusters) if values else None


def _by_question(units: Iterable[UnitFigures], number: Number) -> dict[int, float]:
    """The mean over the repeats of each question; questions without a number are left out."""
    found: dict[int, list[float]] = defaultdict(list)
    for unit in units:
        if (value := number(unit)) is not None:
            found[unit.position].append(value)
    return {position: fmean(values) for position, values in found.items()}


def against(units: list[UnitFigures], base: list[UnitFigures], paid_once: int | None = None) -> Difference:
    """One strategy minus another, in pairs of the same question and repeat; p-values not adjusted."""
    vanilla = {(u.position, u.repeat_index): u for u in base if u.status == "done"}
    pairs = [
        (u, vanilla[u.position, u.repeat_index])
        for u in units
        if u.status == "done" and (u.position, u.repeat_index) in vanilla
    ]
    both = [(a, b) for u, v in pairs if (a := judged(u)) is not None and (b := judged(v)) is not None]
    better, worse = sum(a > b for a, b in both), sum(a < b for a, b in both)
    accuracy = _change(pairs, judged)
    if accuracy is not None and all(repeat == 0 for _, repeat in vanilla):
        accuracy = replace(accuracy, p=mcnemar_p(better, worse))
    every = _change(pairs, all_in)
    return Difference(
        pairs=len({u.position for u, _ in pairs}),
        accuracy=accuracy,
        better=better,
        worse=worse,
        output_tokens=_change(pairs, output),
        all_in_tokens=every,
        output_saving=_saving(pairs, output),
        all_in_saving=_saving(pairs, all_in),
        break_even=break_even(paid_once, -every.mean) if every and paid_once is not None else None,
    )


def _change(pairs: list[tuple[UnitFigures, UnitFigures]], number: Number) -> Change | None:
    found: dict[int, list[float]] = defaultdict(list)
    for mine, theirs in pairs:
        a, b = number(mine), number(theirs)
        if a is not None and b is not None:
            found[mine.position].append(a - b)
    differences = [fmean(values) for values in found.values()]
    interval = mean_interval(tuple(differences))
    return Change(*interval, p=sign_flip_p(differences)) if interval else None


def _saving(pairs: list[tuple[UnitFigures, UnitFigures]], number: Number) -> float | None:
    known = [(a, b) for u, v in pairs if (a := number(u)) is not None and (b := number(v)) is not None]
    paid = sum(b for _, b in known)
    return 1 - sum(a for a, _ in known) / paid if paid else None


def _adjusted(rows: list[StrategyRow]) -> list[StrategyRow]:
    """The rows with p-values adjusted for the number of strategies, each measure by itself."""
    found = {r.strategy: r.against_vanilla for r in rows if r.against_vanilla is not None}
    accuracy = _holm({name: d.accuracy for name, d in found.items()})
    outputs = _holm({name: d.output_tokens for name, d in found.items()})
    everything = _holm({name: d.all_in_tokens for name, d in found.items()})
    adjusted = {
        name: replace(d, accuracy=accuracy[name], output_tokens=outputs[name], all_in_tokens=everything[name])
        for name, d in found.items()
    }
    return [replace(row, against_vanilla=adjusted.get(row.strategy)) for row in rows]


def _holm(changes: dict[str, Change | None]) -> dict[str, Change | None]:
    ps = holm({name: c.p for name, c in changes.items() if c is not None and c.p is not None})
    return {name: replace(c, p_holm=ps.get(name)) if c is not None else None for name, c in changes.items()}


def with_pareto(rows: Sequence[StrategyRow]) -> tuple[StrategyRow, ...]:
    """The rows, those marked that no other one beats."""
    everything = {r.strategy: (r.accuracy.mean, r.all_in_tokens.mean) for r in rows if r.accuracy and r.all_in_tokens}
    answers = {r.strategy: (r.accuracy.mean, r.output_tokens.mean) for r in rows if r.accuracy and r.output_tokens}
    best, best_output = pareto(everything), pareto(answers)
    return tuple(replace(r, pareto=r.strategy in best, pareto_output=r.strategy in best_output) for r in rows)
