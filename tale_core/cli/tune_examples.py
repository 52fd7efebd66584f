"""`tune examples` and `tune sample`: what there is to train on, out of stored answers or of new ones."""

from __future__ import annotations

import argparse
import re
import shlex
import sys
from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tale_core.cli import flags
from tale_core.cli.output import ended, say, show
from tale_core.errors import InputError
from tale_core.types import Question

if TYPE_CHECKING:
    from tale_core.datasets import Loaded
    from tale_core.experiments import ExperimentPlan
    from tale_core.experiments.run import ExperimentView
    from tale_core.models.choice import ModelChoice
    from tale_core.store import Store
    from tale_core.tuning.examples import Examples, Selection
    from tale_core.tuning.sampling import Sampled

_PART = re.compile(r"(.+?)(?::(\d+):(\d+))?")


def examples_document(found: Examples, model: str) -> dict[str, Any]:
    """JSON-safe."""
    tokens = [e.target_tokens for e in found.train]
    vanilla = [e.vanilla.tokens for e in found.train if e.vanilla]
    return {
        "model": model,
        "fingerprint": found.fingerprint,
        "writes": found.writes,
        "train": len(found.train),
        "train_questions": len(found.train_keys),
        "held_out": len(found.held_out),
        "marked": found.marked,
        "pairs": sum(e.vanilla is not None for e in found.train),
        "target_tokens_mean": sum(tokens) / len(tokens) if tokens else None,
        "vanilla_tokens_mean": sum(vanilla) / len(vanilla) if vanilla else None,
        "passed_over": found.passed._asdict(),
    }


def examples_words(found: Examples) -> str:
    """What there is to train on, in a sentence or two."""
    tokens = [e.target_tokens for e in found.train]
    mean = f" of {sum(tokens) / len(tokens):.0f} tokens on average" if tokens else ""
    vanilla = [e.vanilla.tokens for e in found.train if e.vanilla]
    against = f" (vanilla: {sum(vanilla) / len(vanilla):.0f})" if vanilla else ""
    passed = found.passed
    lines = " in lines for the calculator" if found.writes == "lines" else ""
    marks = f"; {found.marked} of them up to a marked sentence" if found.marked else ""
    return (
        f"{len(found.train)} examples{lines} of {len(found.train_keys)} questions{mean}{against}{marks}, "
        f"{len(found.held_out)} held out. Passed over: {passed.without_right} questions without a right short answer, "
        f"{passed.not_shorter} where it is no shorter, {passed.outside} outside the lengths, {passed.excluded} kept "
        f"for evaluation."
    )


def register(actions: Any) -> None:
    """Add `examples` and `sample` to the actions of `tune`."""
    examples = actions.add_parser("examples", help="what there is to train on, from stored answers")
    examples.add_argument("--model", metavar="NAME", help="whose answers; default: the configured model")
    examples.add_argument("--parent", metavar="ADAPTER", help="count its answers as the model's: for a dpo after it")
    examples.add_argument("--export", metavar="FILE.jsonl", help="write them")
    add_example_flags(examples)
    examples.set_defaults(command=run_examples)
    _add_sample(actions)


def add_example_flags(parser: argparse.ArgumentParser) -> None:
    """What is trained on: where it comes from, and which of it."""
    parser.add_argument(
        "--from", dest="examples_file", metavar="FILE.jsonl|EXPERIMENT",
        help="examples of a file, or the shortest right answers of one experiment, not of the whole store",
    )  # fmt: skip
    parser.add_argument(
        "--solutions", action="append", default=[], metavar="DATASET[:OFFSET:LIMIT]",
        help="learn a data set's worked solutions (before ####), not the model's own answers",
    )  # fmt: skip
    parser.add_argument("--session", action="append", default=[], metavar="ID", help="only answers of these sessions")
    _add_selection(parser, per_question=1)
    flags.add_store(parser)


def _add_selection(parser: argparse.ArgumentParser, *, per_question: int) -> None:
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="DATASET[:OFFSET:LIMIT]", help="questions kept for evaluation"
    )
    parser.add_argument(
        "--per-question", type=int, default=per_question, metavar="N", help="right answers of one question"
    )
    parser.add_argument("--least-tokens", type=int, default=1, metavar="N", help="pass over shorter answers")
    parser.add_argument("--most-tokens", type=int, metavar="N", help="pass over longer answers")
    parser.add_argument(
        "--held-out", type=float, default=0.15, metavar="SHARE", help="of the questions, not trained on"
    )


def _add_sample(actions: Any) -> None:
    sample = actions.add_parser(
        "sample", help="answer a data set several times; the shortest right answers are examples"
    )
    sample.add_argument("name", help="NAME.jsonl is written, for `tune train … --from NAME.jsonl`")
    sample.add_argument("dataset", nargs="?", help="a name or a file with questions and answers")
    sample.add_argument(
        "--strategy", dest="strategies", default="concise", metavar="NAME",
        help="how it is asked: a brief strategy of `run`; default: concise",
    )  # fmt: skip
    sample.add_argument("--samples", dest="repeats", type=int, default=4, metavar="N", help="answers to each question")
    sample.add_argument("--map", metavar="F=C,…", help="columns of a file, see `run`")
    sample.add_argument("--limit", type=int, metavar="N", help="questions to take; default: all")
    sample.add_argument("--offset", type=int, default=0, metavar="N", help="questions to pass over first")
    sample.add_argument("--concurrency", type=int, metavar="N", help="calls at the same time, at most; default: 4")
    sample.add_argument(
        "--solutions-share", type=float, default=0.0, metavar="SHARE",
        help="worked solutions among the examples at most, of questions never answered right; default: 0",
    )  # fmt: skip
    flags.add_limits(sample)
    sample.add_argument("--fresh", action="store_true", help="pay again for answers that are known from earlier")
    sample.add_argument("--resume", metavar="EXPERIMENT", help="go on with a sampling, or take an ended experiment's")
    _add_selection(sample, per_question=2)
    flags.add_template(sample)
    flags.add_store(sample)
    flags.add_model(sample)
    sample.set_defaults(command=run_sample, temperature=0.8, only_failed=False)


def run_examples(args: argparse.Namespace) -> int:
    """Run `tune examples`: write what there is to train on."""
    from tale_core.settings import get_settings

    model = args.model or get_settings().model
    found = examples_of(args, model)
    if args.export:
        _write(Path(args.export), found)
    return show(args, examples_document(found, model), examples_words(found))


def run_sample(args: argparse.Namespace) -> int:
    """Run `tune sample`: an experiment with repeats, and the examples that its answers give."""
    from tale_core.cli.run import run_plan
    from tale_core.store import open_store
    from tale_core.tuning.sampling import examples_from_sampling

    file, store, selection = _file_to_write(args.name), open_store(args.db), _selection(args)
    solved = _solved(args)
    choice, plan = _sampling(args, store)
    view = run_plan(plan, choice, store)
    if view.results is None:
        return ended(view, resume=view.experiment_id)
    found = examples_from_sampling(
        store, view.experiment_id, selection, exclude=_excluded(args), solved=solved, share=args.solutions_share
    )
    found = replace(found, examples=replace(found.examples, source=_sample_command(args, view)))
    _write(file, found.examples)
    show(args, _sample_document(found, view, file), _sample_words(found, view, file))
    return ended(view, resume=view.experiment_id)


def _sampling(args: argparse.Namespace, store: Store) -> tuple[ModelChoice, ExperimentPlan]:
    """Whom to ask and what: questions that can be graded, without those that are kept for an evaluation."""
    from tale_core.cli.run import new_plan, resumed_plan
    from tale_core.datasets.results import fingerprint
    from tale_core.grading import known_answer
    from tale_core.tuning import sampling
    from tale_core.tuning.examples import leak_key

    if args.resume:
        choice, plan = resumed_plan(argparse.Namespace(**{**vars(args), "dataset": None}), store)
        sampling.brief(plan, share=args.solutions_share)
        return choice, plan
    choice, plan = new_plan(args)
    excluded = _excluded(args)
    asked = tuple(q for q in plan.questions if known_answer(q) is not None and leak_key(q) not in excluded)
    if left := len(plan.questions) - len(asked):
        say(f"tale: {left} questions are left out: kept for evaluation, or without a known answer.", file=sys.stderr)
    if not asked:
        raise InputError(f"No question of {plan.dataset!r} is left to ask.", "Check its answers, and --exclude.")
    plan = replace(plan, questions=asked, fingerprint=fingerprint(asked))
    sampling.check(plan, share=args.solutions_share)
    return choice, plan


def _file_to_write(name: str) -> Path:
    file = Path(name if name.endswith(".jsonl") else f"{name}.jsonl")
    if not file.parent.is_dir() or file.is_dir():
        raise InputError(f"{file} cannot be written: there is no such folder.", "Name a file in one that there is.")
    return file


def _write(file: Path, found: Examples) -> None:
    from tale_core.files import write_whole
    from tale_core.tuning.examples_file import to_jsonl

    try:
        write_whole(file, to_jsonl(found))
    except OSError as e:
        raise InputError(f"{file} cannot be written: {e.strerror}.") from e


def _solved(args: argparse.Namespace) -> Loaded | None:
    """The data set with its worked solutions, when a share of them is wanted."""
    from tale_core.datasets import load
    from tale_core.tuning import sampling, solutions

    sampling.check_share(args.solutions_share)
    if not args.solutions_share:
        return None
    if args.dataset is None:
        raise InputError("--solutions-share was given without a data set.", "Name the one that has the solutions.")
    loaded = load(args.dataset, mapping=flags.columns(args), limit=args.limit, offset=args.offset)
    solutions.require(loaded)
    return loaded


def _sample_command(args: argparse.Namespace, view: ExperimentView) -> str:
    """What makes the same examples again, without addresses and the place of a database."""
    from tale_core.tuning.sampling import selection_flags

    plan = view.plan
    flags_given: dict[str, object] = {
        "--model": view.model, "--strategy": ",".join(plan.strategies), "--samples": plan.repeats,
        "--temperature": plan.sampling.temperature, "--seed": plan.sampling.seed,
        "--max-tokens": plan.sampling.max_tokens, "--template": plan.template, "--offset": args.offset,
        "--limit": len(plan.questions) if args.resume else args.limit, "--solutions-share": args.solutions_share,
    }  # fmt: skip
    parts = [part for name, value in flags_given.items() if value is not None for part in (name, str(value))]
    begin = shlex.join(["tune", "sample", args.name, args.dataset or plan.dataset, *parts])
    return f"{begin} {selection_flags(_selection(args))}{_exclude_flags(args)}"


def _exclude_flags(args: argparse.Namespace) -> str:
    return "".join(f" --exclude {shlex.quote(one)}" for one in args.exclude)


def _sample_document(found: Sampled, view: ExperimentView, file: Path) -> dict[str, Any]:
    return {
        "file": str(file),
        "command": found.examples.source,
        "experiment": view.experiment_id,
        "status": view.status,
        "dataset": view.plan.dataset,
        "strategies": list(view.plan.strategies),
        "samples": view.plan.repeats,
        "answers": view.finished,
        "planned": view.planned,
        "questions": len(view.plan.questions),
        "solved": found.solved,
        "never_solved": found.never_solved,
        "solutions": found.solutions,
        "spent": asdict(view.spent),
        **examples_document(found.examples, view.model),
    }


def _sample_words(found: Sampled, view: ExperimentView, file: Path) -> str:
    from tale_core.calls.budget_ledger import spent_words

    return (
        f"{view.finished} of {view.planned} answers; {found.solved} of {len(view.plan.questions)} questions were "
        f"answered right, {found.never_solved} never; {found.solutions} worked solutions.\n"
        f"{examples_words(found.examples)}\nSpent: {spent_words(view.spent)}.\n"
        f"Written to {file}; train with `tune train NAME --from {file}`."
    )


def examples_of(args: argparse.Namespace, model: str) -> Examples:
    """From a file, from one experiment, from worked solutions, or from the store."""
    from tale_core.models.adapters import registry as adapters
    from tale_core.store import open_store
    from tale_core.tuning.data import examples_from_solutions, examples_from_store

    if args.examples_file and args.solutions:
        raise InputError("--from and --solutions were both given.", "Give one: a file has all its examples in it.")
    if args.examples_file:
        return _examples_from(args, model)
    selection, store, exclude = _selection(args), open_store(args.db), _excluded(args)
    one = adapters.find(args.parent) if args.parent else None
    parent, writes = (one.key, one.about.writes) if one else ("", "words")
    if args.solutions:
        sets = [_part(one) for one in args.solutions]
        return examples_from_solutions(sets, store, model=model, selection=selection, exclude=exclude, parent=parent)
    return examples_from_store(store, model=model, selection=selection, exclude=exclude, parent=parent, writes=writes)


def _examples_from(args: argparse.Namespace, model: str) -> Examples:
    """From the file of this name; there being none, from the experiment."""
    from tale_core.store import ExperimentStore, open_store
    from tale_core.tuning.examples_file import from_jsonl
    from tale_core.tuning.sampling import examples_from_sampling

    path = Path(args.examples_file)
    if not path.name.startswith("experiment-") or path.exists():
        try:
            return from_jsonl(path.read_text(encoding="utf-8"), where=path.name)
        except (OSError, UnicodeDecodeError) as e:
            raise InputError(f"{path} cannot be read: {e}.") from e
    store = open_store(args.db)
    asked = ExperimentStore(store).head(args.examples_file).model
    if asked != model:
        raise InputError(
            f"The answers of {args.examples_file} are those of {asked!r}, not of {model!r}.",
            f"Train --model {asked}, or sample {model}.",
        )
    found = examples_from_sampling(store, args.examples_file, _selection(args), exclude=_excluded(args)).examples
    return replace(found, source=found.source + _exclude_flags(args))


def _selection(args: argparse.Namespace) -> Selection:
    from tale_core.tuning.examples import Selection

    selection = Selection(
        per_question=args.per_question,
        least_tokens=args.least_tokens,
        most_tokens=args.most_tokens,
        held_out=args.held_out,
        sessions=tuple(getattr(args, "session", ())),
    )
    selection.validate()
    return selection


def _excluded(args: argparse.Namespace) -> frozenset[str]:
    """Keys of the questions that are kept for an evaluation."""
    from tale_core.tuning.examples import leak_key

    return frozenset(leak_key(q) for q in _questions(args.exclude))


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
