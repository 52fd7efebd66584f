"""The kinds of budget: one small class each. A kind says what is sent for a level, and how levels are read and ordered.

A new one is a class here, its place in `KINDS`, and the Chinese of its title and hints.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import ClassVar, Literal, cast, get_args

from tale_core.budgets.forcing import RESERVE, Close
from tale_core.budgets.native import OFF, NativeKnob
from tale_core.errors import InputError
from tale_core.i18n import N_, t
from tale_core.text import SEPARATORS
from tale_core.types import CallRecord, Level, ReasoningEffort, Sampling

Sent = Literal["prompt", "parameter", "continuation"]
MOST = 1_000_000
"""The largest number of tokens that any kind is asked for."""


@dataclass(frozen=True, slots=True)
class Kind:
    """A way to set a budget.

    Attributes:
        NAME: Of `--knob`, of strategies, and in documents.
        TITLE: For people, a few words.
        HINT: For people, what is sent, in a sentence.
        COSTS: For people, what setting it costs.
        SENT: By which way it reaches the model.
        NUMBERS: Levels are numbers of tokens, ordered as numbers are; else words, ordered by the tokens measured.
        REFUSED: What a call says (`CallRecord.adjustments`) whose endpoint refuses the parameter.
        LEAST: The smallest number.
    """

    NAME: ClassVar[str]
    TITLE: ClassVar[str]
    HINT: ClassVar[str]
    COSTS: ClassVar[str] = N_("Nothing: it is a parameter of the request.")
    SENT: ClassVar[Sent] = "parameter"
    NUMBERS: ClassVar[bool] = True
    REFUSED: ClassVar[str] = ""
    LEAST: ClassVar[int] = 1

    def in_prompt(self, level: Level) -> int | None:
        """Tokens that the prompt's sentence asks for; None for kinds that leave the prompt as it is."""
        return None

    def in_sampling(self, sampling: Sampling, level: Level) -> Sampling:
        """The sampling that carries the level; a kind that stands in the prompt leaves it as it is."""
        return replace(sampling, knob=f"{self.NAME}:{level}")

    def close(self, level: Level) -> Close | None:
        """When generation is stopped and the answer forced out; None for kinds that let it end by itself."""
        return None

    def least_cap(self, level: Level) -> int | None:
        """Tokens that a cap sent along has to leave, or the budget would not be this one; None where any will do."""
        stops = self.close(level)
        return None if stops is None else (stops.at or stops.every or 0) + RESERVE

    def read(self, text: str, native: NativeKnob | None = None) -> Level:
        """The level that a person wrote.

        Args:
            text: A number of tokens, or a word.
            native: The endpoint's description of its knob; None where there is none, or it does not matter.

        Raises:
            InputError: It is no level of this kind, or the endpoint does not have it.
        """
        text = text.strip()
        if not (text.isascii() and text.isdigit() and len(text) < 9):
            raise InputError(t("{given!r} is not a whole number of tokens.", given=text[:30]), self.allowed(native))
        return self.checked(int(text), native)

    def checked(self, level: Level, native: NativeKnob | None = None) -> Level:
        """The level, if it can be asked for; see `read`."""
        low, high = self.span(native)
        off = level in OFF and native is not None and native.takes(level)
        if not isinstance(level, int) or not (low <= level <= high or off):
            raise InputError(t("A budget of {budget} tokens was given.", budget=level), self.allowed(native))
        return level

    def span(self, native: NativeKnob | None = None) -> tuple[int, int]:
        """The smallest and the largest number that can be asked for."""
        if native is None:
            return self.LEAST, MOST
        return max(1, native.least), MOST if native.most is None else native.most

    def allowed(self, native: NativeKnob | None = None) -> str:
        """Which levels there are, in a sentence."""
        low, high = self.span(native)
        return t("Give whole numbers from {low:,} to {high:,}.", low=low, high=high)

    def held(self, call: CallRecord) -> int | None:
        """The tokens of an answer that the level is held against; None where they are unknown."""
        return call.completion_tokens

    def dropped(self, call: CallRecord) -> bool:
        """Whether the endpoint refused the parameter, so that the call was made without it."""
        return bool(self.REFUSED) and self.REFUSED in call.adjustments


@dataclass(frozen=True, slots=True)
class Asked(Kind):
    """TALE's own: a sentence in the prompt."""

    NAME = "asked"
    TITLE = N_("Asked for in the prompt")
    HINT = N_("A sentence in the prompt asks for the budget; the model may keep to it or not.")
    COSTS = N_("A few prompt tokens for the sentence.")
    SENT = "prompt"

    def in_prompt(self, level: Level) -> int | None:
        """The budget itself."""
        return int(level)

    def in_sampling(self, sampling: Sampling, level: Level) -> Sampling:
        """As it is."""
        return sampling

    def held(self, call: CallRecord) -> int | None:
        """The visible answer, where the thinking is told apart."""
        return call.tokens_for_budget


@dataclass(frozen=True, slots=True)
class Effort(Kind):
    """The provider's levels of effort."""

    NAME = "effort"
    TITLE = N_("Reasoning effort")
    HINT = N_("The provider's own setting for how much a model reasons, in words; the prompt is the vanilla one.")
    NUMBERS = False
    REFUSED = N_("reasoning_effort was not accepted and is left to the endpoint")
    LEVELS: ClassVar[tuple[str, ...]] = get_args(ReasoningEffort)

    def in_sampling(self, sampling: Sampling, level: Level) -> Sampling:
        """With this effort."""
        return replace(sampling, reasoning_effort=cast(ReasoningEffort, level))

    def read(self, text: str, native: NativeKnob | None = None) -> Level:
        """See `Kind.read`."""
        return self.checked(text.strip(), native)

    def checked(self, level: Level, native: NativeKnob | None = None) -> Level:
        """See `Kind.checked`."""
        if isinstance(level, str) and level in self.levels(native):
            return level
        raise InputError(t("{name!r} is no level of {kind}.", name=str(level)[:60], kind=t(self.TITLE).lower()),
                         self.allowed(native))  # fmt: skip

    def levels(self, native: NativeKnob | None = None) -> tuple[str, ...]:
        """The words that can be asked for, the one that should cost least first."""
        return native.levels if native is not None else self.LEVELS

    def listed(self, text: str, native: NativeKnob | None = None) -> tuple[str, ...]:
        """The levels of a list as people type it ("low, high"), the one that should cost least first; all without one.

        A level that the endpoint's description does not have may be named all the same: the endpoint says whether it
        knows it.

        Raises:
            InputError: A word is no level, or the endpoint has none.
        """
        named = [part for part in SEPARATORS.split(text.strip()) if part]
        known = tuple(dict.fromkeys((*self.levels(native), *self.LEVELS)))
        for word in named:
            if word not in known:
                self.checked(word)
        found = tuple(level for level in known if level in (named or self.levels(native)))
        if not found:
            raise InputError(t("The model is known to have no {kind}.", kind=t(self.TITLE).lower()),
                             t("Choose another kind of budget."))  # fmt: skip
        return found

    def allowed(self, native: NativeKnob | None = None) -> str:
        """See `Kind.allowed`."""
        return t("Choose from: {names}.", names=", ".join(self.levels(native)))

    def held(self, call: CallRecord) -> int | None:
        """Nothing: a word is no number."""
        return None


@dataclass(frozen=True, slots=True)
class Verbosity(Effort):
    """A relative of effort: how much a model says, not how much it thinks."""

    NAME = "verbosity"
    TITLE = N_("Verbosity")
    HINT = N_("The provider's own setting for how much a model says, in words; the prompt is the vanilla one.")
    REFUSED = N_("verbosity was not accepted and is left to the endpoint")
    LEVELS = ("low", "medium", "high")

    def in_sampling(self, sampling: Sampling, level: Level) -> Sampling:
        """With this verbosity."""
        return replace(sampling, knob=f"{self.NAME}:{level}")


@dataclass(frozen=True, slots=True)
class Thinking(Kind):
    """The provider's number: at most so many tokens of thinking."""

    NAME = "thinking"
    TITLE = N_("Thinking tokens")
    HINT = N_("The provider's own limit on tokens of thinking; the prompt is the vanilla one.")
    LEAST = 0
    REFUSED = N_("the limit on thinking was not accepted and is left to the endpoint")

    def held(self, call: CallRecord) -> int | None:
        """The thinking alone."""
        return call.thinking_tokens

    def least_cap(self, level: Level) -> int | None:
        """More than the thinking: providers refuse a cap that is not above it. Any will do without thinking."""
        return int(level) + 1 if level else None


@dataclass(frozen=True, slots=True)
class Enforced(Kind):
    """Generation is stopped at the budget, and the answer is forced out of what is there."""

    NAME = "enforced"
    TITLE = N_("Enforced: stopped, then answered")
    HINT = N_("Generation is stopped at the budget and the final answer is forced out; the prompt is the vanilla one.")
    COSTS = N_("A second request, which reads the prompt and what was written once more.")
    SENT = "continuation"

    def close(self, level: Level) -> Close | None:
        """After so many tokens."""
        return Close(at=int(level))


@dataclass(frozen=True, slots=True)
class EarlyExit(Kind):
    """No budget: the level is how often the model is asked what it would answer now."""

    NAME = "early-exit"
    TITLE = N_("Early exit")
    HINT = N_("The model is asked again and again what it would answer now, and stopped once that stays the same.")
    COSTS = N_("A request for each time that it is asked, and one for each part of the answer.")
    SENT = "continuation"

    def close(self, level: Level) -> Close | None:
        """Once it is settled."""
        return Close(every=int(level))


KINDS: tuple[Kind, ...] = (Asked(), Effort(), Thinking(), Enforced(), Verbosity())
"""Every kind, in the order in which people are shown them."""
NAMES = tuple(kind.NAME for kind in KINDS)
ASKED = KINDS[0]
EARLY_EXIT = EarlyExit()
"""Carried by a sampling as a budget is, and none of them."""


def kind(name: str) -> Kind:
    """The kind of this name.

    Raises:
        InputError: There is none; the message lists what there is.
    """
    for one in KINDS:
        if name == one.NAME:
            return one
    raise InputError(
        t("There is no kind of budget {name!r}.", name=name[:60]), t("Choose from: {names}.", names=", ".join(NAMES))
    )


def word_kind(name: str) -> Effort | None:
    """The kind of this name, if its levels are words.

    Raises:
        InputError: See `kind`.
    """
    found = kind(name)
    return found if isinstance(found, Effort) else None


def set_in(sampling: Sampling) -> tuple[Kind, Level] | None:
    """The budget that a sampling carries beside the prompt and the effort: its kind and level."""
    if sampling.knob is None:
        return None
    name, _, level = sampling.knob.partition(":")
    found = EARLY_EXIT if name == EARLY_EXIT.NAME else kind(name)
    return found, int(level) if found.NUMBERS else level


def kind_of(call: CallRecord) -> Kind:
    """The kind of budget that an answer was given under; asked for, where none is carried beside the prompt."""
    carried = set_in(call.sampling)
    return carried[0] if carried else ASKED


def level_title(level: Level) -> str:
    """A level as a heading: a number is a budget, a word a level."""
    return t("Level {level}", level=level) if isinstance(level, str) else t("Budget {budget:,}", budget=level)


def close_of(sampling: Sampling) -> Close | None:
    """When an answer of this sampling is stopped and forced out; None for never."""
    carried = set_in(sampling)
    return carried[0].close(carried[1]) if carried else None


def least_cap(sampling: Sampling) -> int | None:
    """See `Kind.least_cap`."""
    carried = set_in(sampling)
    return carried[0].least_cap(carried[1]) if carried else None


def bounded(sampling: Sampling) -> tuple[Close | None, int | None]:
    """When an answer is forced out, and the cap on all of its requests.

    The cap of a plan is one on what the model writes by itself: what is forced out comes on top. A level above it is
    never reached, so that the cap ends such an answer as it ends any other.
    """
    close, cap = close_of(sampling), sampling.max_tokens
    if close is None or cap is None or not close.stops:
        return close, cap
    if (close.at or close.every or 0) > cap:
        return None, cap
    return close, max(cap, least_cap(sampling) or 0)
