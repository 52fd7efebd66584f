"""The lesson's charts as inline SVG for the exported file: an elasticity curve, a search, token bars.

Colours are classes of the file's style sheet; every text is escaped. Knows findings; knows no page.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import NamedTuple

from tale_core.elasticity import SweepPoint, SweepResult
from tale_core.i18n import t
from tale_core.search import SearchStep
from tale_core.types import Outcome

WIDTH, HEIGHT = 960, 460
_LEFT, _RIGHT, _TOP, _BOTTOM = 74, 26, 34, 62


class _Frame(NamedTuple):
    """Where numbers lie in the picture; x may be logarithmic."""

    x0: float
    x1: float
    y1: float
    log: bool = False

    def x(self, value: float) -> float:
        low, high, at = (math.log(v) for v in (self.x0, self.x1, value)) if self.log else (self.x0, self.x1, value)
        return _LEFT + (at - low) / ((high - low) or 1) * (WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        return HEIGHT - _BOTTOM - min(value, self.y1) / self.y1 * (HEIGHT - _TOP - _BOTTOM)


def _tag(name: str, inside: str = "", **attributes: object) -> str:
    told = "".join(f' {key.rstrip("_").replace("_", "-")}="{escape(_plain(v))}"' for key, v in attributes.items())
    return f"<{name}{told}>{inside}</{name}>"


def _plain(value: object) -> str:
    return f"{value:.1f}" if isinstance(value, float) else str(value)


def _text(words: str, x: float, y: float, anchor: str = "middle", **more: object) -> str:
    return _tag("text", escape(words), x=x, y=y, text_anchor=anchor, **more)


def _picture(parts: Iterable[str], described: str) -> str:
    inside = _tag("title", escape(described)) + "".join(parts)
    return _tag("svg", inside, viewBox=f"0 0 {WIDTH} {HEIGHT}", role="img", xmlns="http://www.w3.org/2000/svg")


def _axes(frame: _Frame, xs: Sequence[float], names: Sequence[str], x_title: str, y_title: str) -> list[str]:
    step = _nice(frame.y1 / 6)
    parts = []
    for i in range(int(frame.y1 // step) + 1):
        y = frame.y(i * step)
        parts.append(_tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="grid"))
        parts.append(_text(f"{i * step:,.0f}", _LEFT - 10, y + 5, "end"))
    for x, name in zip(xs, names, strict=True):
        parts.append(_text(name, frame.x(x), HEIGHT - _BOTTOM + 24))
    floor = frame.y(0)
    parts.append(_tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=floor, y2=floor, class_="axis"))
    parts.append(_text(x_title, (_LEFT + WIDTH - _RIGHT) / 2, HEIGHT - 12))
    parts.append(_text(y_title, _LEFT - 60, 18, "start"))
    return parts


def _nice(least: float) -> float:
    decade = 10.0 ** math.floor(math.log10(max(least, 1e-9)))
    return next(nice * decade for nice in (1, 2, 5, 10) if nice * decade >= least * 0.999)


def curve(result: SweepResult, described: str) -> str:
    """What was asked for (dashed) against what was spent (solid, with its 95 % interval)."""
    points = sorted((p for p in result.points if p.budget and p.tokens_mean is not None), key=lambda p: p.budget or 0)
    if not points:
        return ""
    budgets = [float(p.budget or 1) for p in points]
    vanilla = next((p for p in result.points if p.kind == "vanilla" and p.tokens_mean), None)
    highest = max(p.tokens_high or p.tokens_mean or 0 for p in [*points, *([vanilla] if vanilla else [])])
    frame = _Frame(budgets[0] / 1.15, budgets[-1] * 1.15, 1.12 * max(highest, *budgets), log=True)
    parts = _axes(frame, budgets, [f"{b:,.0f}" for b in budgets], t("Budget asked for, tokens"), t("Spent, tokens"))
    spread = [frame.x0 * (frame.x1 / frame.x0) ** (i / 60) for i in range(61)]
    asked = " ".join(f"{frame.x(b):.1f},{frame.y(b):.1f}" for b in spread)
    parts.append(_tag("polyline", points=asked, class_="asked"))
    if vanilla is not None and vanilla.tokens_mean is not None:
        y = frame.y(vanilla.tokens_mean)
        parts.append(_tag("line", x1=_LEFT, x2=WIDTH - _RIGHT, y1=y, y2=y, class_="v"))
        told = t("without a budget: {n}", n=f"{vanilla.tokens_mean:,.0f}")
        parts.append(_text(told, WIDTH - _RIGHT, y - 8, "end"))
    means = [(frame.x(b), frame.y(p.tokens_mean or 0)) for b, p in zip(budgets, points, strict=True)]
    parts.append(_tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in means), class_="b"))
    for (x, y), p in zip(means, points, strict=True):
        parts += _measured(x, y, p, frame)
    return _picture(parts, described)


def _measured(x: float, y: float, p: SweepPoint, frame: _Frame) -> list[str]:
    low, high = p.tokens_low or p.tokens_mean or 0, p.tokens_high or p.tokens_mean or 0
    bar = _tag("line", x1=x, x2=x, y1=frame.y(low), y2=frame.y(high), class_="b")
    return [bar, _tag("circle", cx=x, cy=y, r=6, class_="bf"), _text(f"{p.tokens_mean:,.0f}", x + 10, y - 10, "start")]


def search(steps: Sequence[SearchStep], described: str) -> str:
    """One column an answer: what was still possible (band), the budget asked for (dashed), what was spent (mark)."""
    top = 1.15 * min(max(max(s.tokens, s.budget or 0) for s in steps), 1.6 * max(1.0, steps[0].tokens))
    frame = _Frame(-0.6, max(len(steps), 6) - 0.4, top)
    columns = [float(s.index) for s in steps]
    names = [str(s.index) for s in steps]
    parts = _axes(frame, columns, names, t("Probe (0 = no budget)"), t("Tokens of the answer"))
    for before, step in zip([None, *steps], steps, strict=False):
        parts.append(_tag("g", "".join(_probe(step, before, frame)), data_step=step.index))
    return _picture(parts, described)


def _probe(step: SearchStep, before: SearchStep | None, frame: _Frame) -> list[str]:
    x, y, half = frame.x(step.index), frame.y(step.tokens), (frame.x(1) - frame.x(0)) * 0.42
    parts = []
    if before is not None and before.high > before.low:
        top = frame.y(before.high)
        parts.append(_tag("rect", x=x - half, y=top, width=2 * half, height=frame.y(before.low) - top, class_="band"))
    if step.budget is not None:
        asked = frame.y(step.budget)
        parts.append(_tag("line", x1=x - half, x2=x + half, y1=asked, y2=asked, class_="asked"))
    if step.best_budget is not None and step.best_budget == step.budget:
        parts.append(_tag("circle", cx=x, cy=y, r=13, class_="ring"))
    return [*parts, _sign(step, x, y), _text(f"{'≥ ' if step.cut else ''}{step.tokens:,.0f}", x, y - 18)]


def _sign(step: SearchStep, x: float, y: float) -> str:
    kind = step.outcome.value
    if step.outcome is Outcome.CORRECT:
        return _tag("circle", cx=x, cy=y, r=7, class_=kind)
    if step.outcome is Outcome.WRONG:
        arms = f"M{x - 7:.1f} {y - 4:.1f}l3-3 4 4 4-4 3 3-4 4 4 4-3 3-4-4-4 4-3-3 4-4z"
        return _tag("path", d=arms, class_=kind)
    return _tag("rect", x=x - 6, y=y - 6, width=12, height=12, class_=kind)


def bars(rows: Sequence[tuple[str, int, str, int | None]], described: str) -> str:
    """Token counts as bars on one scale.

    Args:
        rows: What it is, its tokens, its class ("vf" or "bf"), and the budget asked for, drawn dashed.
        described: For those who do not see it.
    """
    high = 1.15 * max(max(n, budget or 0) for _, n, _, budget in rows)
    parts = []
    for i, (name, tokens, kind, budget) in enumerate(rows):
        top, length = 34 + i * 84, tokens / high * (WIDTH - 40)
        parts.append(_text(f"{name}: {tokens:,}", 4, top - 10, "start"))
        parts.append(_tag("rect", x=4, y=top, width=WIDTH - 8, height=30, class_="ff"))
        parts.append(_tag("rect", x=4, y=top, width=length, height=30, class_=kind))
        if budget is not None:
            x = 4 + budget / high * (WIDTH - 40)
            parts.append(_tag("line", x1=x, x2=x, y1=top - 6, y2=top + 36, class_="asked"))
    inside = _tag("title", escape(described)) + "".join(parts)
    box = f"0 0 {WIDTH} {len(rows) * 84}"
    return _tag("svg", inside, viewBox=box, role="img", xmlns="http://www.w3.org/2000/svg")
