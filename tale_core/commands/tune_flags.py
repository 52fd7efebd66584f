"""The flags of `tune`. Knows argparse alone: the work is imported when it is asked for."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from typing import Any

from tale_core.prompts import TEMPLATES


def add(commands: Any, parser_class: Any, model_flags: Callable[[argparse.ArgumentParser], None]) -> None:
    """Add `tune` with all its actions.

    Args:
        commands: Where commands are added.
        parser_class: Words its errors.
        model_flags: Adds the flags that all answering commands share.
    """
    tune = commands.add_parser("tune", help="fine-tune a model to be brief by itself; its adapters")
    actions = tune.add_subparsers(required=True, metavar="ACTION", parser_class=parser_class)
    examples = actions.add_parser("examples", help="what there is to train on, from stored answers")
    examples.add_argument("--model", metavar="NAME", help="whose answers; default: the configured model")
    examples.add_argument("--parent", metavar="ADAPTER", help="count its answers as the model's: for a dpo after it")
    examples.add_argument("--export", metavar="FILE.jsonl", help="write them")
    _add_example_flags(examples)
    examples.set_defaults(command=_tune("run_examples"))
    _add_tune_train(actions)
    _add_tune_evaluate(actions, model_flags)
    for name, words in (("list", "the adapters"), ("show", "all about an adapter, as JSON"), ("delete", "delete one")):
        one = actions.add_parser(name, help=words)
        if name != "list":
            one.add_argument("name")
        one.add_argument("--json", action="store_true")
        one.set_defaults(command=_tune(f"run_{name}"))
    runs = actions.add_parser("runs", help="trainings: list them, stop or delete one")
    runs.add_argument("--stop", metavar="RUN", help="stop it after the step that runs")
    runs.add_argument("--delete", metavar="RUN", help="delete its folder; its adapter stays")
    runs.add_argument("--json", action="store_true")
    runs.set_defaults(command=_tune("run_runs"))
    export = actions.add_parser("export", help="a copy for llama.cpp and Ollama, or for transformers and vLLM")
    export.add_argument("name")
    export.add_argument("target", help="a folder, or the new file's or folder's name")
    export.add_argument("--form", default="gguf", choices=["gguf", "peft"])
    export.add_argument("--json", action="store_true")
    export.set_defaults(command=_tune("run_export"))
    taking = actions.add_parser("import", help="take in a GGUF adapter of an embedded model")
    taking.add_argument("file")
    taking.add_argument("name")
    taking.add_argument("--model", metavar="NAME", help="the model it belongs to; default: the configured one")
    taking.add_argument("--json", action="store_true")
    taking.set_defaults(command=_tune("run_import"))


def _add_example_flags(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--from", dest="examples_file", metavar="FILE.jsonl", help="examples of a file, not the store")
    parser.add_argument(
        "--solutions", action="append", default=[], metavar="DATASET[:OFFSET:LIMIT]",
        help="learn a data set's worked solutions (before ####), not the model's own answers",
    )  # fmt: skip
    parser.add_argument("--session", action="append", default=[], metavar="ID", help="only answers of these sessions")
    parser.add_argument(
        "--exclude", action="append", default=[], metavar="DATASET[:OFFSET:LIMIT]", help="questions kept for evaluation"
    )
    parser.add_argument("--per-question", type=int, default=1, metavar="N", help="right answers of one question")
    parser.add_argument("--least-tokens", type=int, default=1, metavar="N", help="pass over shorter answers")
    parser.add_argument("--most-tokens", type=int, metavar="N", help="pass over longer answers")
    parser.add_argument(
        "--held-out", type=float, default=0.15, metavar="SHARE", help="of the questions, not trained on"
    )
    parser.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def _add_tune_train(actions: Any) -> None:
    train = actions.add_parser("train", help="train an adapter; an interrupt keeps a checkpoint")
    train.add_argument("name", nargs="?", help="of the adapter that comes out")
    train.add_argument("--method", default="sft", choices=["sft", "dpo"], help="imitate, or prefer")
    train.add_argument("--model", metavar="NAME", help="an embedded model; default: the configured one")
    train.add_argument("--base-folder", metavar="DIR", help="a Hugging Face model folder instead")
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
    _add_example_flags(train)
    train.set_defaults(command=_tune("run_train"))


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


def _add_tune_evaluate(actions: Any, model_flags: Callable[[argparse.ArgumentParser], None]) -> None:
    evaluate = actions.add_parser("evaluate", help="adapters against their base, on questions not trained on")
    evaluate.add_argument("names", metavar="NAME,NAME", help="adapters of one model")
    evaluate.add_argument("dataset", help="a name or a file with questions and answers")
    evaluate.add_argument("--against", default="", metavar="A,B,…", help="further strategies, see `run`")
    evaluate.add_argument("--limit", type=int, metavar="N", help="questions to take; default: all")
    evaluate.add_argument("--offset", type=int, default=0, metavar="N", help="questions to pass over first")
    evaluate.add_argument("--concurrency", type=int, default=4, metavar="N", help="calls at the same time, at most")
    evaluate.add_argument("--template", default="paper", choices=list(TEMPLATES), help="wording of the other prompts")
    evaluate.add_argument("--db", metavar="URL", help="database (SQLAlchemy URL); default: SQLite in the data folder")
    evaluate.add_argument("--json", action="store_true", help="print one JSON document")
    model_flags(evaluate)
    evaluate.set_defaults(command=_tune("run_evaluate"))


def _tune(function: str) -> Callable[[argparse.Namespace], int]:
    def run(args: argparse.Namespace) -> int:
        from tale_core.commands import tune

        command: Callable[[argparse.Namespace], int] = getattr(tune, function)
        return command(args)

    return run
