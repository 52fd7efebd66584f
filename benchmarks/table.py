"""The part `table`: the paper's table on the embedded default model, over GSM8K questions that taught it nothing.

The ways of asking that the issue names, the same greedy sampling for all. A run that was stopped goes on where it ended
the next time, from a database that is kept beside the figures; one that has ended is measured anew. Without the public
questions on this machine the part is passed over with a message.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from benchmarks.clock import MeasurementError
from benchmarks.figures import RESAMPLES, SEED, Goal, Interval
from benchmarks.parts import Options, PartResult, Table
from benchmarks.stack import serving
from tale_core.datasets import load
from tale_core.datasets.named import find_set
from tale_core.errors import InputError
from tale_core.estimators import trained
from tale_core.estimators.rows_file import read_rows
from tale_core.experiments import (
    ExperimentDone,
    ExperimentPlan,
    ExperimentResults,
    StrategyRow,
    UnitFinished,
    run_experiment,
)
from tale_core.experiments.export import row_document
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.models.client.openai_compatible import make_embedded_client
from tale_core.settings import REPO_ROOT, get_settings
from tale_core.store import ExperimentStore, Store, UnitFigures, open_store
from tale_core.strategies import BudgetPredictor
from tale_core.tuning.examples import leak_key
from tale_core.types import TUNED, Client, Question, Sampling

MODEL, TEMPLATE = "qwen2.5-coder-1.5b", "words"
STRATEGIES = ("direct", "vanilla", "tale-zero-shot@paper", "tale-calibrated", "tale-regression", "chain-of-draft")
SAMPLING = Sampling(max_tokens=600)
SHORT = 4
"""Questions when nobody says how many: enough to see that all of it works, in a few minutes, and no figure."""
ENOUGH = 60
"""Questions from which the goal is judged."""
SAVED, LOST = 0.6, 5.0
"""The goal: at least this share of vanilla's output tokens saved, at most so many points of accuracy lost."""
SAY_S = 20.0
Figure = Callable[[list[tuple[float, float]]], float]


@dataclass(frozen=True, slots=True)
class Measured:
    """One strategy against vanilla, in pairs of a question.

    Attributes:
        saved: Share of vanilla's output tokens that it saves, with a bootstrap interval over questions.
        lost: Points of accuracy that it loses, likewise.
    """

    strategy: str
    saved: Interval
    lost: Interval

    @property
    def reaches(self) -> bool:
        """Both sides of the goal."""
        return self.saved.value >= SAVED and self.lost.value <= LOST


def run(options: Options) -> PartResult:
    """Measure, or say why not."""
    found = public_questions(options.limit or SHORT)
    if found is None:
        said = "table: passed over, since the public questions are not on this machine (gsm8k_dev.jsonl in "
        said += f"{', '.join(map(str, folders()))}; TALE_DATASETS_DIR names another folder)."
        options.say(said)
        return PartResult("table", (), (), {"skipped": said}, (said,))
    own = shipped_adapters()
    check_untaught(found, own)
    options.keep.mkdir(parents=True, exist_ok=True)
    url = f"sqlite:///{(options.keep / 'table.db').as_posix()}"
    with closing(open_store(url)) as store, serving(MODEL, own) as info:
        names = (*STRATEGIES, *(f"{TUNED}{one.name}" for one in own))
        return asyncio.run(measure(make_embedded_client(info), store, found, options, strategies=names))


async def measure(
    client: Client,
    store: Store,
    questions: Sequence[Question],
    options: Options,
    *,
    strategies: Sequence[str] = STRATEGIES,
    estimators: dict[str, BudgetPredictor] | None = None,
) -> PartResult:
    """Run the experiment, or go on with one of the same plan that was stopped, and make its table."""
    plan = ExperimentPlan(
        questions=tuple(questions),
        strategies=tuple(strategies),
        dataset="gsm8k",
        sampling=SAMPLING,
        template=TEMPLATE,
        concurrency=get_settings().server_slots,
        reuse=False,
        estimators=dict(trained(model=client.model, template=TEMPLATE)) if estimators is None else estimators,
    )
    stopped = await asyncio.to_thread(unfinished, store, plan)
    if stopped is not None:
        options.say(f"table: going on with {stopped}, which was stopped")
        plan = replace(plan, resume_of=stopped)
    results = await _run(plan, client, store, options)
    figures = await asyncio.to_thread(ExperimentStore(store).figures, results.experiment_id)
    return part_result(results, figures, resumed=stopped is not None)


async def _run(plan: ExperimentPlan, client: Client, store: Store, options: Options) -> ExperimentResults:
    done: ExperimentDone | None = None
    made, said = 0, time.monotonic()
    async for event in run_experiment(plan.checked(), client, store):
        if isinstance(event, UnitFinished):
            made += 1
            if time.monotonic() - said >= SAY_S:
                said = time.monotonic()
                options.say(f"table: {made} answers more, of {plan.planned}")
        elif isinstance(event, ExperimentDone):
            done = event
    if done is None or not done.results.complete:
        raise MeasurementError(f"the table is not complete: {done.stop if done else 'no end'}; run it again to go on")
    return done.results


def unfinished(store: Store, plan: ExperimentPlan) -> str | None:
    """The newest experiment of this very plan that was stopped before its end; None when there is none."""
    experiments = ExperimentStore(store)
    for summary in store.list_sessions(limit=20, kind="experiment"):
        if summary.status in ("done", "running"):
            continue
        try:
            replace(plan, resume_of=summary.id).check_same(experiments.head(summary.id).plan)
        except InputError:
            continue
        if experiments.questions(summary.id) == plan.questions:
            return summary.id
    return None


def public_questions(limit: int) -> tuple[Question, ...] | None:
    """The first questions of GSM8K's test set from this machine; None when it is not here (nothing is fetched)."""
    known = find_set("gsm8k")
    assert known is not None
    files = known.parts[0].files
    folder = next((f for f in folders() if any((f / file).is_file() for file in files)), None)
    return None if folder is None else load("gsm8k", folder=folder, limit=limit).questions


def folders() -> list[Path]:
    given = get_settings().datasets_dir
    return [f for f in (given, REPO_ROOT.parent / "shared" / "data", REPO_ROOT / "data") if f is not None]


def shipped_adapters() -> tuple[Adapter, ...]:
    """The model's adapters that come with the program: TALE's third way, a model that is brief by itself."""
    return tuple(one for one in adapters.of_base(MODEL) if one.shipped)


def check_untaught(questions: Sequence[Question], own: Sequence[Adapter] = ()) -> None:
    """Check that none of the questions is among the shipped training rows, or what an adapter learned from.

    Raises:
        MeasurementError: One is: the figures would flatter.
    """
    files = sorted((REPO_ROOT / "data" / "training").glob("*.jsonl"))
    taught = {"estimators": {leak_key(row.question) for path in files for row in read_rows(path)}}
    taught |= {f"adapter {one.name}": set(one.about.data.get("questions", ())) for one in own}
    asked = {leak_key(q) for q in questions}
    for what, learned in taught.items():
        if asked & learned:
            raise MeasurementError(f"a question of the table has trained the shipped {what}")


def part_result(results: ExperimentResults, figures: Sequence[UnitFigures], *, resumed: bool) -> PartResult:
    """The table, its goal line and its notes."""
    n = results.questions
    tale = [against(name, figures) for name in (r.strategy for r in results.rows) if name.startswith(("tale-", TUNED))]
    best = nearest(tale)
    notes = [
        f"{results.model}, the first {n} questions of GSM8K's test set, greedy, max_tokens {SAMPLING.max_tokens}, "
        f"template {TEMPLATE!r} where no other is named. None of them trained or calibrated anything. Means of a "
        "question with 95 % intervals (Wilson for shares, else bootstrap over questions); p of the accuracy by McNemar "
        "and Holm.",
    ]
    if resumed:
        notes.append("It went on with a run that was stopped: seconds are those of the answers, not of this run.")
    if n < ENOUGH:
        notes.append(
            f"{n} questions show that it works and measure nothing: the goal is judged from {ENOUGH} on "
            f"(python -m benchmarks table --limit {ENOUGH})."
        )
    return PartResult(
        name="table",
        tables=(_table(results),),
        goals=_goals(best) if best is not None and n >= ENOUGH else (),
        data={
            "experiment": results.experiment_id,
            "model": results.model,
            "questions": n,
            "rows": [row_document(row) for row in results.rows],
            "tale": [asdict(one) for one in tale],
        },
        notes=tuple(notes),
    )


def nearest(tale: Sequence[Measured]) -> Measured | None:
    """The strategy that the goal is judged by.

    One that reaches both sides, the least losing first; else, of those that save enough, the least losing; else the one
    that saves most.
    """
    enough = [one for one in tale if one.saved.value >= SAVED]
    if enough:
        return min(enough, key=lambda one: (not one.reaches, one.lost.value))
    return max(tale, key=lambda one: one.saved.value, default=None)


def _goals(best: Measured) -> tuple[Goal, ...]:
    return (
        Goal(f"table: share of vanilla's output tokens that {best.strategy} saves", "at least", SAVED, best.saved),
        Goal(f"table: accuracy that {best.strategy} loses", "at most", LOST, best.lost, "points"),
    )


def against(strategy: str, figures: Sequence[UnitFigures]) -> Measured:
    """A strategy against vanilla on the questions that both answered and that can be judged.

    Raises:
        MeasurementError: There is none.
    """
    both = [
        {u.position: u for u in figures if u.strategy == name and u.status == "done" and u.judged is not None}
        for name in (strategy, "vanilla")
    ]
    pairs = [(both[0][place], both[1][place]) for place in sorted(both[0].keys() & both[1].keys())]
    if not pairs:
        raise MeasurementError(f"{strategy} and vanilla share no answer")
    tokens = [(float(a.output_tokens or 0), float(b.output_tokens or 0)) for a, b in pairs]
    right = [(float(bool(a.judged)), float(bool(b.judged))) for a, b in pairs]
    return Measured(
        strategy,
        _paired(tokens, lambda some: 1 - sum(a for a, _ in some) / max(1.0, sum(b for _, b in some))),
        _paired(right, lambda some: 100 * sum(b - a for a, b in some) / len(some)),
    )


def _paired(pairs: list[tuple[float, float]], figure: Figure) -> Interval:
    """A figure of pairs with its 95 % bootstrap interval over the pairs."""
    rng = random.Random(SEED)
    found = sorted(figure(rng.choices(pairs, k=len(pairs))) for _ in range(RESAMPLES))
    tail = round(0.025 * (RESAMPLES - 1))
    return Interval(len(pairs), figure(pairs), found[tail], found[-1 - tail])


def _table(results: ExperimentResults) -> Table:
    columns = ("strategy", "right %", "output tokens", "all-in tokens", "output saved", "points", "p", "seconds")
    title = f"GSM8K on {results.model}, {results.questions} questions"
    return Table(title, columns, tuple(_row(row) for row in results.rows))


def _row(row: StrategyRow) -> tuple[str, ...]:
    difference = row.against_vanilla
    change = difference.accuracy if difference else None
    saved = difference.output_saving if difference else None
    return (
        row.strategy,
        _cell(row.accuracy, 100, f", n = {row.graded}"),
        _cell(row.output_tokens, 1),
        _cell(row.all_in_tokens, 1),
        "" if saved is None else f"{saved * 100:.1f} %",
        "" if change is None else f"{change.mean * 100:+.1f} [{change.low * 100:+.1f}, {change.high * 100:+.1f}]",
        "" if change is None or change.p_holm is None else f"{change.p_holm:.2g}",
        "" if row.latency_s is None else f"{row.latency_s:.1f}",
    )


def _cell(found: tuple[float, float, float] | None, factor: float, more: str = "") -> str:
    if found is None:
        return ""
    mean, low, high = (value * factor for value in found)
    return f"{mean:.1f} [{low:.1f}, {high:.1f}]{more}"
