"""What the elasticity chart is made of: a sweep as a curve, the axes that hold several, ticks, colours.

Numbers and strings for plotly, which is not imported.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from tale_core.elasticity.engine import SweepPoint, SweepResult
from tale_core.elasticity.view import SweepView
from tale_core.i18n import t

MOST_OVERLAYS = 4


class Look(NamedTuple):
    """How a sweep laid over another one looks: from the Okabe-Ito set, none of them a colour with another meaning."""

    light: str
    dark: str
    dash: str
    symbol: str


OVERLAYS = (
    Look("#0072b2", "#56b4e9", "longdash", "square"),
    Look("#b4467f", "#e39cc4", "dashdot", "diamond"),
    Look("#6b4a1e", "#d6b072", "longdashdot", "triangle-up"),
    Look("#3d3d8f", "#a9a9f5", "14px,3px,3px,3px,3px,3px", "cross"),
)


@dataclass(frozen=True, slots=True)
class Curve:
    """One sweep as it is drawn.

    Attributes:
        unit: Tokens, or how many tokens make one share: its vanilla answer's.
    """

    name: str
    view: SweepView
    unit: float = 1.0

    @property
    def result(self) -> SweepResult:
        """What it found so far; only sweeps with a finding are drawn."""
        assert self.view.result is not None
        return self.view.result

    def level(self, kind: Literal["vanilla", "direct"]) -> SweepPoint | None:
        """The reference of this kind, once it has an answer."""
        return next((p for p in self.result.points if p.kind == kind and p.tokens_mean is not None), None)

    @property
    def budgets(self) -> list[SweepPoint]:
        """The budgets with an answer, ascending."""
        found = [p for p in self.result.points if p.budget is not None and p.tokens_mean is not None]
        return sorted(found, key=self.asked)

    @property
    def numbers(self) -> bool:
        """Its levels are numbers of tokens."""
        return self.view.plan.kind.NUMBERS

    def asked(self, point: SweepPoint) -> float:
        """Where a level stands on the axis of what was asked for, in tokens; a word asks for what it spends."""
        return max(1.0, point.budget if isinstance(point.budget, int) else point.tokens_mean or 1.0)


class Frame(NamedTuple):
    """What the axes show."""

    x0: float
    x1: float
    last: float
    top: float


def frame_of(main: Curve, others: Sequence[Curve]) -> Frame:
    """Wide enough for every answer that is still to come, so that a growing curve does not move."""
    xs, ys = [], []
    for one in (main, *others):
        vanilla = one.level("vanilla")
        plan = one.view.plan
        grid = plan.grid(vanilla.tokens_mean or 1) if vanilla else plan.budgets
        planned = [max(1, level) for level in grid if isinstance(level, int)]
        drawn = [one.asked(p) for p in one.budgets]
        xs += [budget / one.unit for budget in (drawn if drawn and not one.view.running else [*planned, *drawn])]
        for p in one.result.points:
            ys += [t / one.unit for t in (p.tokens_low, p.tokens_high, p.tokens_mean) if t]
    xs = xs or [1.0, 10.0]
    spread = max(1.15, (max(xs) / min(xs)) ** 0.04)
    # Room above for words: the vanilla line's, and those of the ideal range over them.
    return Frame(min(xs) / spread, max(xs) * spread, max(xs), 1.28 * max([*ys, *xs]))


def ticks(low: float, high: float) -> dict[str, Any]:
    """Ticks of a logarithmic axis at 1, 2, 5, 10, 20, …, thinned over several decades: every one with its number."""
    steps = (1, 2, 5) if math.log10(high / low) <= 2.4 else (1, 3)
    decades = range(math.floor(math.log10(low)), math.ceil(math.log10(high)) + 1)
    values = [step * 10.0**decade for decade in decades for step in steps]
    shown = [v for v in values if low <= v <= high]
    return {"tickvals": shown, "ticktext": [f"{v:,.0f}" if v >= 1 else f"{v:g}" for v in shown]}


def subtitle(view: SweepView) -> str:
    """Whom and what was asked: a saved picture has nothing else to say it."""
    return f"{view.model} · {view.question.text}"


def how_many(main: Curve) -> str:
    """The axis of right answers, with how many answers a mark stands for."""
    counts = {p.graded for p in main.budgets if p.graded}
    if len(counts) > 1:
        return t("Right (n = {low}–{high})", low=min(counts), high=max(counts))
    return t("Right (n = {n})", n=max(counts, default=0))


def align(xanchor: str) -> str:
    """How lines of words are set that hang at this side."""
    return {"left": "left", "right": "right"}.get(xanchor, "center")


def with_alpha(color: str, alpha: float) -> str:
    """A hex colour, see-through."""
    red, green, blue = (int(color[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{alpha})"
