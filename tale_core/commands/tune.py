"""`tune`: training examples, trainings and adapters on the terminal; progress on standard error."""

from __future__ import annotations

import argparse
import re
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from tale_core.cli import FAILED, INTERRUPTED, OK, emit
from tale_core.commands.tune_words import (
    adapter_document,
    estimate_words,
    examples_document,
    examples_words,
    run_document,
)
from tale_core.datasets.results import fingerprint
from tale_core.errors import InputError
from tale_core.models import adapter_exchange, adapters
from tale_core.models.weights_progress import megabytes
from tale_core.presheet import duration
from tale_core.settings import get_settings
from tale_core.tuning.data import examples_from_solutions, examples_from_store
from tale_core.tuning.examples import Examples, Selection, leak_key
from tale_core.tuning.examples_file import from_jsonl, to_jsonl
from tale_core.tuning.plan import PROJECTIONS, TunePlan, paper_settings
from tale_core.types import Question

if TYPE_CHECKING:
    from tale_core.datasets import Loaded
    from tale_core.tuning.run_state import RunState
    from tale_core.tuning.runs import TuneRun

_PART = re.compile(r"(.+?)(?::(\d+):(\d+))?")


def run_examples(args: argparse.Namespace) -> int:
    """Run `tune examples`: write what there is to train on."""
    model = args.model or get_settings().model
    found = _examples(args, model)
    if args.export:
        try:
            Path(args.export).write_text(to_jsonl(found), encoding="utf-8")
        except OSError as e:
            raise InputError(f"{args.export} cannot be written: {e.strerror}.") from e
    document = examples_document(found, model)
    if args.json:
        emit(document)
    else:
        print(examples_words(found))
    return OK


def run_train(args: argparse.Namespace) -> int:
    """Run `tune train`."""
    from tale_core.tuning import job, runs
    from tale_core.tuning.install import require

    require()
    if args.resume:
        run = job.resume(runs.find(args.resume), processes=args.processes)
    else:
        if not args.name:
            raise InputError("The adapter has no name.", "Give one: tune train NAME.")
        plan = _plan(args)
        plan.validate()
        examples = _examples(args, plan.base)
        print(f"tale: {examples_words(examples)}", file=sys.stderr)
        run = job.start(plan, examples, measure_only=args.estimate, processes=args.processes)
    state = _follow(run)
    return _ended(run, state, args)


def run_runs(args: argparse.Namespace) -> int:
    """Run `tune runs`: list trainings, stop or delete one."""
    from tale_core.tuning import job, runs

    if args.stop:
        job.stop(runs.find(args.stop))
    if args.delete:
        runs.delete(runs.find(args.delete))
    found = [run_document(run) for run in runs.listing()]
    if args.json:
        emit({"trainings": found})
        return OK
    for one in found:
        print(f"{one['run']}  {one['name']}  {one['method']}  {one['status']}  {one['step']}/{one['steps']} steps")
    return OK


def run_list(args: argparse.Namespace) -> int:
    """Run `tune list`."""
    found = adapters.listing()
    if args.json:
        emit({"adapters": [adapter_document(a) for a in found.adapters], "problems": list(found.problems)})
        return OK
    for a in found.adapters:
        where = "shipped" if a.shipped else a.about.created[:10]
        print(f"{a.name}  {a.about.base or a.about.base_folder}  {a.about.method}  {where}  {megabytes(a.about.size)}")
    for words in found.problems:
        print(f"tale: {words}", file=sys.stderr)
    return OK


def run_show(args: argparse.Namespace) -> int:
    """Run `tune show`."""
    emit(adapter_document(adapters.find(args.name)))
    return OK


def run_evaluate(args: argparse.Namespace) -> int:
    """Run `tune evaluate`: adapters against their base on questions that they were not trained on."""
    from tale_core.commands.ask import sampling_from_flags
    from tale_core.commands.run import end, run_plan, trained_for
    from tale_core.datasets import load
    from tale_core.experiments import ExperimentPlan
    from tale_core.models.choice import choice_from_flags
    from tale_core.store import open_store
    from tale_core.tuning.evaluation import record, strategies_for, unseen

    chosen = [adapters.find(name) for name in args.names.split(",") if name.strip()]
    if len({a.about.base for a in chosen}) != 1 or not chosen[0].about.base:
        raise InputError("The adapters are not of one embedded model.", "Evaluate those of one model at a time.")
    loaded = load(args.dataset, limit=args.limit, offset=args.offset)
    questions, seen = unseen(loaded.questions, chosen)
    if seen:
        print(f"tale: {seen} questions are left out: they were trained on.", file=sys.stderr)
    choice = choice_from_flags(model=chosen[0].about.base, base_url=None, api_key_env=None)
    names = strategies_for([a.name for a in chosen], [s.strip() for s in args.against.split(",") if s.strip()])
    plan = ExperimentPlan(
        questions=questions,
        dataset=loaded.name,
        fingerprint=fingerprint(questions),
        strategies=names,
        sampling=sampling_from_flags(args),
        template=args.template,
        concurrency=args.concurrency,
        estimators=trained_for(names, choice.model, args.template),
    )
    view = run_plan(plan, choice, open_store(args.db))
    if view.results is not None:
        for one in chosen:
            record(one, view.results)
    return end(view, args)


def run_export(args: argparse.Namespace) -> int:
    """Run `tune export`: a copy of the adapter, as GGUF or as a PEFT folder."""
    one = adapters.find(args.name)
    target = adapter_exchange.export(one, Path(args.target), args.form)
    if args.json:
        emit({"adapter": one.name, "form": args.form, "file": str(target)})
    else:
        print(target)
    return OK


def run_import(args: argparse.Namespace) -> int:
    """Run `tune import`: take a GGUF adapter of the embedded model into the registry."""
    from tale_core.models.catalog import embedded_model
    from tale_core.models.weights import ensure_weights

    model = embedded_model(args.model or get_settings().model)
    one = adapter_exchange.import_gguf(Path(args.file), name=args.name, base=model.name, weights=ensure_weights(model))
    if args.json:
        emit(adapter_document(one))
    else:
        print(f"imported {one.name} for {one.about.base}")
    return OK


def run_delete(args: argparse.Namespace) -> int:
    """Run `tune delete`."""
    one = adapters.find(args.name)
    adapters.delete(one)
    if args.json:
        emit({"deleted": one.name})
    else:
        print(f"deleted {one.name}")
    return OK


def _plan(args: argparse.Namespace) -> TunePlan:
    given = {
        name: getattr(args, name)
        for name in ("epochs", "batch", "micro_batch", "learning_rate", "weight_decay", "rank", "alpha", "dropout",
                     "max_length", "beta", "sft_weight", "seed", "threads")
        if getattr(args, name) is not None
    }  # fmt: skip
    if args.targets is not None:
        given["targets"] = PROJECTIONS if args.targets == "all" else tuple(args.targets.split(","))
    if args.against is not None:
        given["against"] = tuple(args.against.split(","))
    if args.last:
        given["best"] = False
    settings = paper_settings(args.method)
    if "batch" in given and "micro_batch" not in given:
        given["micro_batch"] = 1
    settings = replace(settings, **given)
    base = args.base_folder or args.model or get_settings().model
    return TunePlan(
        name=args.name, base=base, method=args.method, parent=args.parent or "", note=args.note or "", settings=settings
    )


def _examples(args: argparse.Namespace, model: str) -> Examples:
    """From a file, from worked solutions, or from the store."""
    if args.examples_file and args.solutions:
        raise InputError("--from and --solutions were both given.", "Give one: a file has all its examples in it.")
    if args.examples_file:
        path = Path(args.examples_file)
        try:
            return from_jsonl(path.read_text(encoding="utf-8"), where=path.name)
        except (OSError, UnicodeDecodeError) as e:
            raise InputError(f"{path} cannot be read: {e}.") from e
    from tale_core.store import open_store

    selection = Selection(
        per_question=args.per_question,
        least_tokens=args.least_tokens,
        most_tokens=args.most_tokens,
        held_out=args.held_out,
        sessions=tuple(args.session),
    )
    store, exclude = open_store(args.db), frozenset(leak_key(q) for q in _questions(args.exclude))
    parent = adapters.find(args.parent).key if args.parent else ""
    if args.solutions:
        sets = [_part(one) for one in args.solutions]
        return examples_from_solutions(sets, store, model=model, selection=selection, exclude=exclude, parent=parent)
    return examples_from_store(store, model=model, selection=selection, exclude=exclude, parent=parent)


def _part(part: str) -> Loaded:
    """The questions of "DATASET" or "DATASET:OFFSET:LIMIT"."""
    from tale_core.datasets import load

    match = _PART.fullmatch(part)
    if match is None:
        raise InputError("A data set has no name.", "Give DATASET or DATASET:OFFSET:LIMIT.")
    name, offset, limit = match.groups()
    return load(name, offset=int(offset or 0), limit=int(limit) if limit else None)


def _questions(parts: Sequence[str]) -> list[Question]:
    return [q for part in parts for q in _part(part).questions]


def _follow(run: TuneRun) -> RunState:
    """Show how far it is, to its end; an interrupt stops the training and keeps its checkpoint."""
    from rich.console import Console
    from rich.progress import BarColumn, Progress, TextColumn

    from tale_core.tuning import job

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30))
    console = Console(stderr=True, highlight=False)
    print(f"training {run.id}", file=sys.stderr)
    told = False
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task("Starting…", total=None)
        while True:
            try:
                for state in job.follow(run):
                    if state.estimate and not told:
                        told = True
                        bar.console.print(estimate_words(state.estimate), markup=False)
                    bar.update(task, description=_line(state), completed=state.step, total=state.steps or None)
                return run.state()
            except KeyboardInterrupt:
                if run.stop_file.exists():
                    job.end(run)
                    continue
                job.stop(run)
                bar.console.print("Stopping after this step, with a checkpoint. Once more to stop at once.")


def _line(state: RunState) -> str:
    if state.phase != "training":
        return state.message or state.phase
    loss = "" if state.loss is None else f", loss {state.loss:.3f}"
    left = "" if state.eta_s is None else f", {duration(state.eta_s)} left"
    return f"step {state.step} of {state.steps}{loss}{left}"


def _ended(run: TuneRun, state: RunState, args: argparse.Namespace) -> int:
    if args.json:
        emit(run_document(run))
    elif state.adapter:
        print(f"saved the adapter {state.adapter}; ask it with --strategies vanilla,tuned:{state.adapter}")
    elif state.estimate:
        print(estimate_words(state.estimate))
    if state.status == "done":
        return OK
    print(f"tale: {state.error or 'stopped.'} Go on with `tune train --resume {run.id}`.", file=sys.stderr)
    return INTERRUPTED if state.status == "cancelled" else FAILED
