"""The charts of the lesson's file as inline SVG: an elasticity curve, a search, token bars.

Colours are classes of the file's style sheet.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tale_core.elasticity.engine import SweepPoint, SweepResult
from tale_core.html import WIDTH, Frame, picture, tag, words
from tale_core.i18n import t
from tale_core.search.engine import SearchStep
from tale_core.types import Outcome


def curve(result: SweepResult, described: str) -> Markup:
    """What was asked for (dashed) against what was spent (solid, with its 95 % interval)."""
    known = [(float(p.budget), p) for p in result.points if isinstance(p.budget, int) and p.tokens_mean is not None]
    if not known:
        return Markup("")
    known.sort(key=lambda pair: pair[0])
    budgets, points = [budget for budget, _ in known], [p for _, p in known]
    vanilla = next((p for p in result.points if p.kind == "vanilla" and p.tokens_mean), None)
    highest = max(p.tokens_high or p.tokens_mean or 0 for p in [*points, *([vanilla] if vanilla else [])])
    frame = Frame(budgets[0] / 1.15, budgets[-1] * 1.15, 1.12 * max(highest, *budgets), log=True)
    parts = frame.axes(budgets, [f"{b:,.0f}" for b in budgets], t("Budget asked for, tokens"), t("Spent, tokens"))
    spread = [frame.x0 * (frame.x1 / frame.x0) ** (i / 60) for i in range(61)]
    asked = " ".join(f"{frame.x(b):.1f},{frame.y(b):.1f}" for b in spread)
    parts.append(tag("polyline", points=asked, class_="asked"))
    if vanilla is not None and vanilla.tokens_mean is not None:
        y = frame.y(vanilla.tokens_mean)
        parts.append(frame.across(y, "v"))
        message = t("without a budget: {n}", n=f"{vanilla.tokens_mean:,.0f}")
        parts.append(words(message, frame.width - frame.right, y - 8, "end"))
    means = [(frame.x(b), frame.y(p.tokens_mean or 0)) for b, p in zip(budgets, points, strict=True)]
    parts.append(tag("polyline", points=" ".join(f"{x:.1f},{y:.1f}" for x, y in means), class_="b"))
    for (x, y), p in zip(means, points, strict=True):
        parts += _measured(x, y, p, frame)
    return picture(parts, described)


def _measured(x: float, y: float, p: SweepPoint, frame: Frame) -> list[Markup]:
    low, high = p.tokens_low or p.tokens_mean or 0, p.tokens_high or p.tokens_mean or 0
    bar = tag("line", x1=x, x2=x, y1=frame.y(low), y2=frame.y(high), class_="b")
    return [bar, tag("circle", cx=x, cy=y, r=6, class_="bf"), words(f"{p.tokens_mean:,.0f}", x + 10, y - 10, "start")]


def search(steps: Sequence[SearchStep], described: str) -> Markup:
    """One column an answer: what was still possible (band), the budget asked for (dashed), what was spent (mark)."""
    top = 1.15 * min(
        max(max(s.tokens, s.budget if isinstance(s.budget, int) else 0) for s in steps), 1.6 * max(1.0, steps[0].tokens)
    )
    frame = Frame(-0.6, max(len(steps), 6) - 0.4, top)
    columns = [float(s.index) for s in steps]
    names = [str(s.index) for s in steps]
    parts = frame.axes(columns, names, t("Probe (0 = no budget)"), t("Tokens of the answer"))
    for before, step in zip([None, *steps], steps, strict=False):
        parts.append(tag("g", _probe(step, before, frame), data_step=step.index))
    return picture(parts, described)


def _probe(step: SearchStep, before: SearchStep | None, frame: Frame) -> list[Markup]:
    x, y, half = frame.x(step.index), frame.y(step.tokens), (frame.x(1) - frame.x(0)) * 0.42
    parts = []
    if before is not None and before.high > before.low:
        top = frame.y(before.high)
        parts.append(tag("rect", x=x - half, y=top, width=2 * half, height=frame.y(before.low) - top, class_="band"))
    if isinstance(step.budget, int):
        asked = frame.y(step.budget)
        parts.append(tag("line", x1=x - half, x2=x + half, y1=asked, y2=asked, class_="asked"))
    if step.best_budget is not None and step.best_budget == step.budget:
        parts.append(tag("circle", cx=x, cy=y, r=13, class_="ring"))
    return [*parts, _sign(step, x, y), words(f"{'≥ ' if step.cut else ''}{step.tokens:,.0f}", x, y - 18)]


def _sign(step: SearchStep, x: float, y: float) -> Markup:
    kind = step.outcome.value
    if step.outcome is Outcome.CORRECT:
        return tag("circle", cx=x, cy=y, r=7, class_=kind)
    if step.outcome is Outcome.WRONG:
        arms = f"M{x - 7:.1f} {y - 4:.1f}l3-3 4 4 4-4 3 3-4 4 4 4-3 3-4-4-4 4-3-3 4-4z"
        return tag("path", d=arms, class_=kind)
    return tag("rect", x=x - 6, y=y - 6, width=12, height=12, class_=kind)


def bars(rows: Sequence[tuple[str, int, str, int | None]], described: str) -> Markup:
    """Token counts as bars on one scale.

    Args:
        rows: What it is, its tokens, its class ("vf" or "bf"), and the budget asked for, drawn dashed.
        described: For those who do not see it.
    """
    high = 1.15 * max(max(n, budget or 0) for _, n, _, budget in rows)
    parts = []
    for i, (name, tokens, kind, budget) in enumerate(rows):
        top, length = 34 + i * 84, tokens / high * (WIDTH - 40)
        parts.append(words(f"{name}: {tokens:,}", 4, top - 10, "start"))
        parts.append(tag("rect", x=4, y=top, width=WIDTH - 8, height=30, class_="ff"))
        parts.append(tag("rect", x=4, y=top, width=length, height=30, class_=kind))
        if budget is not None:
            x = 4 + budget / high * (WIDTH - 40)
            parts.append(tag("line", x1=x, x2=x, y1=top - 6, y2=top + 36, class_="asked"))
    return picture(parts, described, height=len(rows) * 84)
