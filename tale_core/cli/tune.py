"""`tune`: trainings and adapters on the terminal; progress on standard error. For examples see `tune_examples`."""

from __future__ import annotations

import argparse
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags, tune_examples
from tale_core.cli.output import FAILED, INTERRUPTED, OK, console_of, emit, say, show
from tale_core.cli.tune_examples import add_example_flags, examples_of, examples_words
from tale_core.errors import InputError
from tale_core.text import duration

if TYPE_CHECKING:
    from tale_core.models.adapters.registry import Adapter
    from tale_core.tuning.plan import TunePlan
    from tale_core.tuning.run_state import Estimate, RunState
    from tale_core.tuning.runs import TuneRun

_TRAINING_FLAGS: tuple[tuple[str, type, str], ...] = (
    ("epochs", int, "passes over the examples"),
    ("batch", int, "examples a step"),
    ("micro_batch", int, "examples at the same time: decides the memory"),
    ("learning_rate", float, "at its highest"),
    ("weight_decay", float, "of the adapter's numbers"),
    ("rank", int, "LoRA's r"),
    ("alpha", int, "LoRA's scale is alpha / r"),
    ("dropout", float, "of LoRA"),
    ("max_length", int, "tokens; longer examples are left out"),
    ("beta", float, "dpo: how firmly it holds to where it began"),
    ("sft_weight", float, "dpo: weight of the plain loss on the chosen answer"),
    ("seed", int, "of order and start"),
    ("threads", int, "CPU threads"),
)


def estimate_words(estimate: Estimate) -> str:
    """What a training will take, in a sentence."""
    from tale_core.text import megabytes

    return (
        f"{estimate.steps} steps of about {duration(estimate.seconds_per_step)}, {duration(estimate.seconds)} in all, "
        f"with {megabytes(estimate.memory)} of memory ({estimate.precision} on {estimate.device}; "
        f"{estimate.measured} passes timed)."
    )


def run_document(run: TuneRun) -> dict[str, Any]:
    """JSON-safe."""
    state = run.state()
    document = asdict(state)
    for name in ("owner", "message"):
        document.pop(name)
    named = {"run": run.id, "name": run.plan.name, "base": run.plan.base, "method": run.plan.method}
    return named | document | {"settings": asdict(run.plan.settings), "losses": [asdict(one) for one in run.losses()]}


def adapter_document(a: Adapter) -> dict[str, Any]:
    """JSON-safe: the description, with where it is."""
    document = a.about.model_dump()
    for name in ("questions", "held_out_questions"):
        if (listed := document["data"].pop(name, None)) is not None:
            document["data"][f"{name}_count"] = len(listed)
    return document | {"key": a.key, "shipped": a.shipped, "folder": str(a.folder), "peft": a.peft.is_dir()}


def register(commands: Any) -> None:
    """Add `tune` with its actions."""
    tune = commands.add_parser("tune", help="fine-tune a model to be brief by itself; its adapters")
    actions = tune.add_subparsers(required=True, metavar="ACTION")
    tune_examples.register(actions)
    _add_train(actions)
    _add_evaluate(actions)
    for run, words in (
        (run_list, "the adapters"),
        (run_show, "all about an adapter, as JSON"),
        (run_delete, "delete one"),
    ):
        one = actions.add_parser(run.__name__.removeprefix("run_"), help=words)
        if run is not run_list:
            one.add_argument("name")
        flags.add_json(one)
        one.set_defaults(command=run)
    runs = actions.add_parser("runs", help="trainings: list them, stop or delete one")
    runs.add_argument("--stop", metavar="RUN", help="stop it after the step that runs")
    runs.add_argument("--delete", metavar="RUN", help="delete its folder; its adapter stays")
    flags.add_json(runs)
    runs.set_defaults(command=run_runs)
    export = actions.add_parser("export", help="a copy for llama.cpp and Ollama, or for transformers and vLLM")
    export.add_argument("name")
    export.add_argument("target", help="a folder, or the new file's or folder's name")
    export.add_argument("--form", default="gguf", choices=["gguf", "peft"])
    flags.add_json(export)
    export.set_defaults(command=run_export)
    taking = actions.add_parser("import", help="take in a GGUF adapter of an embedded model")
    taking.add_argument("file")
    taking.add_argument("name")
    taking.add_argument("--model", metavar="NAME", help="the model it belongs to; default: the configured one")
    flags.add_json(taking)
    taking.set_defaults(command=run_import)


def _add_train(actions: Any) -> None:
    train = actions.add_parser("train", help="train an adapter; an interrupt keeps a checkpoint")
    train.add_argument("name", nargs="?", help="of the adapter that comes out")
    train.add_argument("--method", default="sft", choices=["sft", "dpo"], help="imitate, or prefer")
    train.add_argument("--model", metavar="NAME", help="an embedded model; default: the configured one")
    train.add_argument("--base-folder", type=str, metavar="DIR", help="a Hugging Face model folder instead")
    train.add_argument("--parent", metavar="ADAPTER", help="go on from an adapter (dpo after sft)")
    train.add_argument("--note", metavar="TEXT", help="kept with the adapter")
    train.add_argument("--estimate", action="store_true", help="only say what it would take; --resume then trains")
    train.add_argument("--resume", metavar="RUN", help="go on with a training")
    train.add_argument("--processes", type=int, default=1, metavar="N", help="one for each GPU, through accelerate")
    for name, kind, words in _TRAINING_FLAGS:
        train.add_argument(f"--{name.replace('_', '-')}", type=kind, metavar="N", help=words)
    train.add_argument("--targets", metavar="A,B,…", help="projections LoRA changes, or all; default: q_proj,v_proj")
    train.add_argument("--against", metavar="A,B", help="what dpo rejects: vanilla, wrong; default: vanilla")
    train.add_argument("--last", action="store_true", help="keep the last epoch, not the best on held-out examples")
    add_example_flags(train)
    train.set_defaults(command=run_train)


def _add_evaluate(actions: Any) -> None:
    evaluate = actions.add_parser("evaluate", help="adapters against their base, on questions not trained on")
    evaluate.add_argument("names", metavar="NAME,NAME", help="adapters of one model")
    evaluate.add_argument("dataset", help="a name or a file with questions and answers")
    evaluate.add_argument("--against", default="", metavar="A,B,…", help="further strategies, see `run`")
    evaluate.add_argument("--limit", type=int, metavar="N", help="questions to take; default: all")
    evaluate.add_argument("--offset", type=int, default=0, metavar="N", help="questions to pass over first")
    evaluate.add_argument("--concurrency", type=int, default=4, metavar="N", help="calls at the same time, at most")
    flags.add_template(evaluate, "template of the other prompts")
    flags.add_store(evaluate)
    flags.add_model(evaluate)
    evaluate.set_defaults(command=run_evaluate)


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
        examples = examples_of(args, plan.base)
        say(f"tale: {examples_words(examples)}", file=sys.stderr)
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
    lines = (f"{r['run']}  {r['name']}  {r['method']}  {r['status']}  {r['step']}/{r['steps']} steps" for r in found)
    return show(args, {"trainings": found}, "\n".join(lines))


def run_list(args: argparse.Namespace) -> int:
    """Run `tune list`."""
    from tale_core.models.adapters import registry as adapters
    from tale_core.text import megabytes

    found = adapters.listing()
    if args.json:
        emit({"adapters": [adapter_document(a) for a in found.adapters], "problems": list(found.problems)})
        return OK
    for a in found.adapters:
        where = "shipped" if a.shipped else a.about.created[:10]
        about = a.about
        say(
            f"{a.name}  {about.base or about.base_folder}  {about.method}, writes {about.writes}  {where}  "
            f"{megabytes(about.size)}"
        )
    for words in found.problems:
        say(f"tale: {words}", file=sys.stderr)
    return OK


def run_show(args: argparse.Namespace) -> int:
    """Run `tune show`."""
    from tale_core.models.adapters import registry as adapters

    emit(adapter_document(adapters.find(args.name)))
    return OK


def run_evaluate(args: argparse.Namespace) -> int:
    """Run `tune evaluate`: adapters against their base on questions that they were not trained on."""
    from tale_core.cli.run import end, run_plan
    from tale_core.datasets import load
    from tale_core.datasets.results import fingerprint
    from tale_core.experiments import ExperimentPlan
    from tale_core.models.adapters import registry as adapters
    from tale_core.models.choice import choice_from_flags
    from tale_core.store import open_store
    from tale_core.strategies import trained_for
    from tale_core.tuning.evaluation import record, strategies_for, unseen

    chosen = [adapters.find(name) for name in args.names.split(",") if name.strip()]
    if len({a.about.base for a in chosen}) != 1 or not chosen[0].about.base:
        raise InputError("The adapters are not of one embedded model.", "Evaluate those of one model at a time.")
    loaded = load(args.dataset, limit=args.limit, offset=args.offset)
    questions, seen = unseen(loaded.questions, chosen)
    if seen:
        say(f"tale: {seen} questions are left out: they were trained on.", file=sys.stderr)
    choice = choice_from_flags(model=chosen[0].about.base, base_url=None, api_key_env=None)
    names = strategies_for([a.name for a in chosen], [s.strip() for s in args.against.split(",") if s.strip()])
    plan = ExperimentPlan(
        questions=questions,
        dataset=loaded.name,
        fingerprint=fingerprint(questions),
        strategies=names,
        sampling=flags.sampling(args),
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
    from tale_core.models.adapters import exchange as adapter_exchange
    from tale_core.models.adapters import registry as adapters
    from tale_core.tuning.export import peft_of

    one = adapters.find(args.name)
    target = adapter_exchange.export(one, Path(args.target), args.form, make_peft=peft_of)
    return show(args, {"adapter": one.name, "form": args.form, "file": str(target)}, target)


def run_import(args: argparse.Namespace) -> int:
    """Run `tune import`: take a GGUF adapter of the embedded model into the registry."""
    from tale_core.models.adapters import exchange as adapter_exchange
    from tale_core.models.embedded.catalog import embedded_model
    from tale_core.models.weights.fetch import ensure_weights
    from tale_core.settings import get_settings

    model = embedded_model(args.model or get_settings().model)
    one = adapter_exchange.import_gguf(Path(args.file), name=args.name, base=model.name, weights=ensure_weights(model))
    return show(args, adapter_document(one), f"imported {one.name} for {one.about.base}")


def run_delete(args: argparse.Namespace) -> int:
    """Run `tune delete`."""
    from tale_core.models.adapters import registry as adapters

    one = adapters.find(args.name)
    adapters.delete(one)
    return show(args, {"deleted": one.name}, f"deleted {one.name}")


def _plan(args: argparse.Namespace) -> TunePlan:
    from tale_core.settings import get_settings
    from tale_core.tuning.plan import PROJECTIONS, TunePlan, paper_settings

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


def _follow(run: TuneRun) -> RunState:
    """Show how far it is, to its end; an interrupt stops the training and keeps its checkpoint."""
    from rich.progress import BarColumn, Progress, TextColumn

    from tale_core.tuning import job

    columns = (TextColumn("{task.description}", markup=False), BarColumn(bar_width=30))
    console = console_of(stderr=True, highlight=False)
    say(f"training {run.id}", file=sys.stderr)
    printed = False
    with Progress(*columns, console=console, transient=not console.is_terminal) as bar:
        task = bar.add_task("Starting…", total=None)
        while True:
            try:
                for state in job.follow(run):
                    if state.estimate and not printed:
                        printed = True
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
        say(f"saved the adapter {state.adapter}; ask it with --strategies vanilla,tuned:{state.adapter}")
    elif state.estimate:
        say(estimate_words(state.estimate))
    if state.status == "done":
        return OK
    say(f"tale: {state.error or 'stopped.'} Go on with `tune train --resume {run.id}`.", file=sys.stderr)
    return INTERRUPTED if state.status == "cancelled" else FAILED
