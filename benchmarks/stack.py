"""The part `stack`: a whole Ask against the bare client, on the same server, in the same run, one stream and four.

One stream is one Ask whose two answers come one after the other; four streams are two Asks at once whose answers come
together. The bare client sends the same requests in the same way. Each round does both in random order, so that a busy
minute of the machine meets both sides; figures are medians of what the rounds found.
"""

from __future__ import annotations

import asyncio
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from benchmarks.bare import BareClient
from benchmarks.clock import MeasurementError, Timed
from benchmarks.figures import Goal, Interval, Spread, median_interval, spread
from benchmarks.machine import load
from benchmarks.parts import Options, PartResult, Table
from benchmarks.requests import Cases
from benchmarks.whole import WholeStack
from tale_core.models.adapters.registry import Adapter
from tale_core.models.embedded.prepare import forget_all
from tale_core.models.embedded.server import ServerInfo, ensure_server, lease, stop_server
from tale_core.models.endpoints import Endpoint
from tale_core.store import Store, open_store

MIN_RATIO = 0.95
MAX_ADDED_MS = 50.0


@dataclass(frozen=True, slots=True)
class Setup:
    """What is asked at the same time."""

    streams: int
    asks: int
    together: bool


SETUPS = (Setup(streams=1, asks=1, together=False), Setup(streams=4, asks=2, together=True))


@dataclass(frozen=True, slots=True)
class Pair:
    """One round."""

    bare: Timed
    stack: Timed
    stack_first: bool

    def ran_to(self, tokens: int) -> bool:
        """Whether every answer of both sides has this many tokens.

        Raises:
            MeasurementError: The two sides sent prompts of different lengths.
        """
        bare, stack = ([s.prompt_tokens for s in side.streams] for side in (self.bare, self.stack))
        if bare != stack:
            raise MeasurementError(f"the prompts' tokens differ: bare {bare}, stack {stack}")
        return all(s.tokens == tokens for side in (self.bare, self.stack) for s in side.streams)


@dataclass(frozen=True, slots=True)
class Comparison:
    """What the rounds of one model and one setup show; times in milliseconds, speeds in tokens a second.

    Attributes:
        speed: All tokens over the time from submitting to the end of everything.
        streaming: Tokens over the time in which text arrived.
        ratio: Speed of the stack over speed of the bare client, round by round.
        streaming_ratio: The same for `streaming`.
        added_ms: Time to the first text, stack minus bare, round by round.
        seen_ms: Time until a watcher at the page's pace has seen text, stack only.
        cpu_ms: Processor time of this process for each token.
        load: The machine's load before and after.
    """

    model: str
    streams: int
    ttft_ms: dict[str, Spread]
    speed: dict[str, Spread]
    streaming: dict[str, Spread]
    ratio: Interval
    streaming_ratio: Interval
    added_ms: Interval
    seen_ms: Spread
    cpu_ms: dict[str, Spread]
    load: tuple[float, float]

    def goals(self) -> tuple[Goal, Goal]:
        """The project's two goals for this comparison."""
        where = f"{self.model}, {self.streams} stream{'s' if self.streams > 1 else ''}"
        return (
            Goal(f"{where}: tokens/s of the stack over the bare client", "at least", MIN_RATIO, self.ratio),
            Goal(f"{where}: added time to first token", "at most", MAX_ADDED_MS, self.added_ms, "ms"),
        )


def compare(model: str, setup: Setup, pairs: list[Pair], loads: tuple[float, float]) -> Comparison:
    """Figures of the rounds."""
    sides = {"bare": [p.bare for p in pairs], "stack": [p.stack for p in pairs]}
    return Comparison(
        model=model,
        streams=setup.streams,
        ttft_ms={name: spread([t.ttft_s * 1000 for t in side]) for name, side in sides.items()},
        speed={name: spread([t.tokens_per_s for t in side]) for name, side in sides.items()},
        streaming={name: spread([t.streaming_tokens_per_s for t in side]) for name, side in sides.items()},
        ratio=median_interval([p.stack.tokens_per_s / p.bare.tokens_per_s for p in pairs]),
        streaming_ratio=median_interval(
            [p.stack.streaming_tokens_per_s / p.bare.streaming_tokens_per_s for p in pairs]
        ),
        added_ms=median_interval([(p.stack.ttft_s - p.bare.ttft_s) * 1000 for p in pairs]),
        seen_ms=spread([p.stack.seen_s * 1000 for p in pairs]),
        cpu_ms={name: spread([t.cpu_ms_per_token for t in side]) for name, side in sides.items()},
        load=loads,
    )


@contextmanager
def serving(model: str, loaded: Sequence[Adapter] = ()) -> Iterator[ServerInfo]:
    """The model's server, with these adapters loaded, for as long as the block runs."""
    with lease(model):
        try:
            yield [ensure_server(model, adapter=one) for one in loaded or (None,)][-1]
        finally:
            forget_all()
            stop_server(model)


def run(options: Options) -> PartResult:
    """Measure every model and setup."""
    found: list[Comparison] = []
    rounds: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory(prefix="tale-bench-", ignore_cleanup_errors=True) as folder:
        url = f"sqlite:///{(Path(folder) / 'bench.db').as_posix()}"
        with closing(open_store(url)) as store:
            for model in options.models:
                options.say(f"{model}: starting the server")
                with serving(model) as info:
                    for setup in SETUPS:
                        comparison, pairs = _measure(info, store, setup, options)
                        found.append(comparison)
                        rounds += [_row(comparison, pair) for pair in pairs]
    return PartResult(
        name="stack",
        tables=(_times_table(found), _ratio_table(found)),
        goals=tuple(goal for one in found for goal in one.goals()),
        data={"comparisons": [asdict(one) for one in found], "rounds": rounds},
        notes=(
            f"{options.tokens} tokens an answer, greedy, prompts equally long and new to the server's cache. Cells are "
            "median (first to third quartile); ratios and differences are taken round by round and come with a 95 % "
            "bootstrap interval of their median.",
            "tokens/s counts from submitting to the end of everything, the stack's last write to the store included; "
            "“streaming” counts from first to last text. “Page sees text” adds the page's pace of redrawing. "
            "CPU is this process's own, without the server's.",
        ),
    )


def _measure(info: ServerInfo, store: Store, setup: Setup, options: Options) -> tuple[Comparison, list[Pair]]:
    before = load()
    cases = Cases(tokens=options.tokens, seed=options.seed + setup.streams)
    order = random.Random(options.seed)
    endpoint = Endpoint(info.base_url, info.model, SecretStr(info.api_key), "embedded", embedded=True)
    with asyncio.Runner() as loop, closing(WholeStack(info.model, store)) as stack:
        bare = BareClient(endpoint)

        def once() -> Pair:
            return _round(loop, bare, stack, cases, setup, stack_first=order.random() < 0.5)

        options.say(f"{info.model}, {setup.streams} at a time, warming up")
        once()  # Not counted: it imports the SDK.
        pairs: list[Pair] = []
        for _ in range(2 * options.rounds):
            options.say(f"{info.model}, {setup.streams} at a time, {len(pairs) + 1} of {options.rounds}")
            # A model that ended before the cap has done less work than on the other side: asked again, anew.
            if (pair := once()).ran_to(options.tokens):
                pairs.append(pair)
            if len(pairs) == options.rounds:
                break
        else:
            raise MeasurementError(f"too few rounds ran to {options.tokens} tokens")
        loop.run(bare.aclose())
    return compare(info.model, setup, pairs, (before, load())), pairs


def _round(
    loop: asyncio.Runner, bare: BareClient, stack: WholeStack, cases: Cases, setup: Setup, *, stack_first: bool
) -> Pair:
    def with_stack() -> Timed:
        return stack.run([cases.next() for _ in range(setup.asks)], together=setup.together)

    def without() -> Timed:
        return loop.run(bare.run([cases.next() for _ in range(setup.asks)], together=setup.together))

    if stack_first:
        whole = with_stack()
        return Pair(without(), whole, stack_first)
    return Pair(without(), with_stack(), stack_first)


def _row(comparison: Comparison, pair: Pair) -> dict[str, Any]:
    sides = {"bare": asdict(pair.bare), "stack": asdict(pair.stack)}
    return {"model": comparison.model, "streams": comparison.streams, "stack_first": pair.stack_first, **sides}


def _times_table(found: list[Comparison]) -> Table:
    rows = tuple(
        (
            f"{one.model}, {one.streams}, {side}",
            _quartiles(one.ttft_ms[side], 0),
            _quartiles(one.seen_ms, 0) if side == "stack" else "",
            _quartiles(one.speed[side], 1),
            _quartiles(one.streaming[side], 1),
            _quartiles(one.cpu_ms[side], 2),
        )
        for one in found
        for side in ("bare", "stack")
    )
    columns = (
        "model, streams, side",
        "first token, ms",
        "page sees text, ms",
        "tokens/s",
        "while streaming",
        "CPU ms/token",
    )
    return Table("What each side takes", columns, rows)


def _ratio_table(found: list[Comparison]) -> Table:
    rows = tuple(
        (
            f"{one.model}, {one.streams}",
            str(one.ratio.n),
            _interval(one.ratio, 3),
            _interval(one.streaming_ratio, 3),
            _interval(one.added_ms, 1),
            f"{one.load[0]:.1f} to {one.load[1]:.1f}",
        )
        for one in found
    )
    columns = ("model, streams", "rounds", "tokens/s ratio", "ratio streaming", "added to first token, ms", "load")
    return Table("The stack against the bare client", columns, rows)


def _quartiles(s: Spread, digits: int) -> str:
    return f"{s.median:.{digits}f} ({s.low:.{digits}f} to {s.high:.{digits}f})"


def _interval(i: Interval, digits: int) -> str:
    return f"{i.value:.{digits}f} [{i.low:.{digits}f}, {i.high:.{digits}f}]"
