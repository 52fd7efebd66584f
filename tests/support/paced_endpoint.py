"""An endpoint whose answers come at planted speeds, token by token, and which notes when it sent each of them.

    with PacedEndpoint({question: Race(vanilla=Lane(40), budgeted=Lane(8))}) as paced:
        ... base_url=paced.base_url, model=PACED ...
        paced.sent(question, "vanilla", time.time())

What a lane waits for is an event of the test's and not a time, so that a slow machine tells the same story.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tests.support.bad_endpoint import Answering, BadEndpoint, Stream

PACED = "paced"
WORD = " word"
LaneName = Literal["estimate", "vanilla", "budgeted"]
LANES: tuple[LaneName, ...] = get_args(LaneName)


@dataclass(frozen=True)
class Lane:
    """One answer.

    Attributes:
        tokens: How many it has, each a piece of its own; the last one is `end`.
        every_s: Seconds between two of them.
        end: What it ends in.
        hold_at: After so many it stands still until its gate is opened (`PacedEndpoint.open`).
        fails: After its last token the connection breaks.
    """

    tokens: int = 20
    every_s: float = 0.03
    end: str = "[[42]]"
    hold_at: int | None = None
    fails: bool = False


@dataclass(frozen=True)
class Race:
    """The answers to one question.

    Attributes:
        one_stream: The endpoint writes one answer at a time, in the order of its fields: the others wait unanswered.
    """

    estimate: Lane = field(default_factory=lambda: Lane(2, end="Budget: [[60]]"))
    vanilla: Lane = field(default_factory=Lane)
    budgeted: Lane = field(default_factory=Lane)
    one_stream: bool = False


class PacedEndpoint(BadEndpoint):
    """The server; it answers the questions of `races` and knows the answer's role by its prompt."""

    def __init__(self, races: Mapping[str, Race]) -> None:
        super().__init__()
        self.behaviours = {PACED: self._behave}
        self.models = [PACED]
        self._races = races
        self._times: dict[tuple[str, LaneName], list[float]] = defaultdict(list)
        self._ended: dict[tuple[str, LaneName], float] = {}
        self._asked: dict[tuple[str, LaneName], float] = {}
        self._gates: dict[tuple[str, LaneName], threading.Event] = defaultdict(threading.Event)

    def open(self, question: str, lane: LaneName) -> None:
        """Let a lane that stands still go on."""
        self._gates[question, lane].set()

    def forget(self, question: str) -> None:
        """As if nobody had asked: what still stands goes on, and what was noted is dropped."""
        for place in [p for p in self._gates if p[0] == question]:
            self._gates.pop(place).set()
        for notes in (self._times, self._ended, self._asked):
            for place in [p for p in notes if p[0] == question]:
                del notes[place]

    def asked_at(self, question: str, lane: LaneName) -> float:
        """When it was asked for, in seconds since 1970."""
        return self._asked[question, lane]

    def ended_at(self, question: str, lane: LaneName) -> float | None:
        """When its end was sent, likewise; None before."""
        return self._ended.get((question, lane))

    def sent(self, question: str, lane: LaneName, until: float) -> int:
        """Tokens sent by then; each is noted before it goes out, so that nobody can have seen more."""
        return sum(sent <= until for sent in self._times[question, lane])

    def _behave(self, handler: Answering, body: dict[str, Any]) -> None:
        prompt = body["messages"][-1]["content"]
        question = next(q for q in self._races if q in prompt)
        race = self._races[question]
        if "estimate the minimum" in prompt:
            name: LaneName = "estimate"
        else:
            name = "budgeted" if "less than" in prompt else "vanilla"
        self._asked[question, name] = time.time()
        before = LANES[: LANES.index(name)] if race.one_stream else ()
        while not all((question, other) in self._ended for other in before) and not self.stopping.is_set():
            handler.wait(0.05)
        with handler.stream() as stream:
            self._write(question, name, getattr(race, name), stream)

    def _write(self, question: str, name: LaneName, lane: Lane, stream: Stream) -> None:
        place = question, name
        times, gate = self._times[place], self._gates[place]
        stream.chunk(role="assistant", content="")
        for n in range(1, lane.tokens + 1):
            times.append(time.time())
            stream.chunk(content=lane.end if n == lane.tokens and not lane.fails else WORD)
            if n == lane.hold_at:
                self._hold(gate, stream.handler)
            elif self.stopping.wait(lane.every_s):
                break
        self._ended[place] = time.time()
        if lane.fails:
            stream.handler.close_connection = True
            return
        stream.chunk(finish="stop")
        stream.usage({"prompt_tokens": 20, "completion_tokens": lane.tokens, "total_tokens": 20 + lane.tokens})
        stream.done()

    def _hold(self, gate: threading.Event, handler: Answering) -> None:
        while not gate.is_set() and not self.stopping.is_set():
            handler.wait(0.05)
