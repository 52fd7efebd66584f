"""How a provider's own knob is set: where a level stands in a request's body, and which levels there are.

An endpoint's description (`data/endpoints.toml`) is read into these; nothing here knows a provider.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from tale_core.types import Level, ReasoningEffort

KnobName = Literal["effort", "thinking", "verbosity"]
LEVEL = "{level}"
"""What stands for the level in a part of the body."""
OFF: tuple[Level, ...] = ("none", 0)
"""The levels that ask for no thinking at all."""


@dataclass(frozen=True, slots=True)
class NativeKnob:
    """One knob of one model at one endpoint. A path says with dots where a part stands: "thinking.budget_tokens".

    Attributes:
        knob: The kind of budget that it sets.
        path: Where the level stands in the body.
        levels: Words that are allowed, the one that should cost least first; empty for numbers.
        least: The smallest number that is allowed; 0 and "none" are `off`'s affair.
        most: The largest number; None where none is published.
        beside: Other parts of the body that go with it, by path; a part that is "{level}" carries the level.
        off: Parts of the body, by path, that switch thinking off; they stand in the place of all others. Empty where
            it cannot be switched off, or where "none" or 0 is a level like others.
        instead: What is sent for a word in place of the path, by word, where that is something else.
        same: Words that are taken too and mean another one, by the provider's own table.
        as_of: The day on which this was read.
        source: Where.
    """

    knob: KnobName
    path: str
    levels: tuple[str, ...] = ()
    least: int = 1
    most: int | None = None
    beside: Mapping[str, Any] = field(default_factory=dict, hash=False)
    off: Mapping[str, Any] = field(default_factory=dict, hash=False)
    instead: Mapping[str, Mapping[str, Any]] = field(default_factory=dict, hash=False)
    same: Mapping[str, str] = field(default_factory=dict, hash=False)
    as_of: str = ""
    source: str = ""

    def parts(self, level: Level) -> dict[str, Any]:
        """The parts of a request's body that set this level."""
        if level in OFF and self.off:
            return nested(self.off)
        if level in self.instead:
            return nested(self.instead[str(level)])
        filled = {path: level if part == LEVEL else part for path, part in self.beside.items()}
        return nested({**filled, self.path: level})

    def takes(self, level: Level) -> bool:
        """Whether the endpoint's description allows this level."""
        if isinstance(level, str):
            return level in self.levels or level in self.same or (level in OFF and bool(self.off))
        if level in OFF and self.off:
            return True
        return self.least <= level and (self.most is None or level <= self.most)


def nested(parts: Mapping[str, Any]) -> dict[str, Any]:
    """Parts by path as a body holds them: {"a.b": 1} is {"a": {"b": 1}}."""
    body: dict[str, Any] = {}
    for path, part in parts.items():
        *above, last = path.split(".")
        place = body
        for name in above:
            place = place.setdefault(name, {})
        place[last] = part
    return body


def merged(body: Mapping[str, Any], parts: Mapping[str, Any]) -> dict[str, Any]:
    """A body with further parts; what stands there already stays beside them."""
    both = dict(body)
    for name, part in parts.items():
        old = both.get(name)
        both[name] = merged(old, part) if isinstance(old, Mapping) and isinstance(part, Mapping) else part
    return both


LADDER: tuple[str, ...] = tuple(word for word in get_args(ReasoningEffort) if word != "default")
"""Words of effort that mean something by themselves."""
UNKNOWN: tuple[NativeKnob, ...] = (
    NativeKnob("effort", "reasoning_effort", levels=LADDER),
    # The names of vLLM and of llama.cpp: each of the two reads its own and passes over the other's.
    NativeKnob("thinking", "thinking_token_budget", beside={"thinking_budget_tokens": LEVEL}),
    NativeKnob("verbosity", "verbosity", levels=("low", "medium", "high")),
)
"""What is sent to an endpoint that nobody has described; whether it reacts is for a sweep to find out."""


def native(knobs: Iterable[NativeKnob], name: str) -> NativeKnob | None:
    """The knob of a kind among those described, or what is sent to an endpoint that is not; None for other kinds."""
    return next((one for one in (*knobs, *UNKNOWN) if one.knob == name), None)
