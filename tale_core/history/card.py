"""A result as a picture to hand on: the question, its answers' tokens as bars, the finding, and what it is of.

One SVG file that needs nothing else. Every text in it is escaped.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from markupsafe import Markup

from tale_core.ask.run import AskView
from tale_core.budgets.kinds import level_title
from tale_core.calls.comparison import compare
from tale_core.calls.outcomes import TICKS, outcome_kind
from tale_core.calls.settling import sentence_ends
from tale_core.charts.theme import FONT, LIGHT
from tale_core.drawing.html import picture, tag, words
from tale_core.drawing.text import width, wrapped
from tale_core.elasticity.finding import sweep_finding
from tale_core.elasticity.plan import SweepPoint
from tale_core.elasticity.view import SweepView
from tale_core.i18n import N_, t, tn
from tale_core.search.text import finding as search_finding
from tale_core.search.view import SearchView
from tale_core.types import LINES, TUNED, CallRecord, Level, Outcome, Source

WIDE, HIGH = 1200, 630
"""Of the picture: what chats and slides show whole."""
MOST_BARS = 8
_LEFT, _RIGHT, _BARS_START, _BARS_END = 64, WIDE - 40, 250, 900
_GAP = 14
"""Pixels between a bar and its words."""
_LETTER = 0.6
"""Width of a bold letter, in its size."""
SOURCES: dict[Source, str] = {
    "cached": N_("cached"), "recorded": N_("recorded"), "simulated": N_("simulated"),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Bar:
    """One answer, or the mean of several.

    Attributes:
        name: Such as "Budget 25".
        budget: Where the dashed mark stands; None without one.
        outcome: None where it has none, or several.
        color: Of the bar (hex).
    """

    name: str
    tokens: float
    budget: int | None
    outcome: Outcome | None
    color: str = LIGHT.budgeted


@dataclass(frozen=True, slots=True)
class Card:
    """What the picture says.

    Attributes:
        about: Model, endpoint, sampling, date: one line.
        link: That opens the result; "" where nobody knows the address.
    """

    question: str
    finding: str
    bars: tuple[Bar, ...]
    about: str
    link: str = ""


def card_of(view: AskView | SearchView | SweepView, *, about: str, link: str = "") -> Card | None:
    """The card of a result; None where there is nothing to compare yet."""
    bars: Sequence[Bar]
    calls: Sequence[CallRecord]
    if isinstance(view, AskView):
        calls = [c.record for role, c in view.calls.items() if role != "estimate"]
        if len(calls) < 2 or any(c.completion_tokens is None for c in calls):
            return None
        estimate = view.calls.get("estimate")
        found = compare(
            view.calls["vanilla"].record, view.calls["budgeted"].record, estimate.record if estimate else None
        )
        sentence, bars = found.sentence, _ask(view)
    elif isinstance(view, SearchView):
        calls = [c.record for c in view.calls]
        sentence = search_finding(view)
        bars = [_bar(s.budget, s.tokens, s.outcome) for s in view.steps]
    else:
        if view.result is None:
            return None
        calls = [c.record for c in view.calls]
        sentence = sweep_finding(view)
        points = sorted((p for p in view.result.points if p.kind != "direct"), key=_largest_first)
        bars = [_bar(p.budget, p.tokens_mean, None) for p in points if p.tokens_mean is not None]
    if not bars:
        return None
    kinds = [t(SOURCES[source]) for source in dict.fromkeys(c.source for c in calls) if source in SOURCES]
    return Card(view.question.text, sentence, _some(bars), " · ".join([about, *kinds]), link)


def _some(bars: Sequence[Bar]) -> tuple[Bar, ...]:
    """All of them, or as many as a card holds, the first and the last among them."""
    if len(bars) <= MOST_BARS:
        return tuple(bars)
    return tuple(bars[round(i * (len(bars) - 1) / (MOST_BARS - 1))] for i in range(MOST_BARS))


def _ask(view: AskView) -> list[Bar]:
    vanilla, other = view.calls["vanilla"].record, view.calls["budgeted"].record
    color, name = LIGHT.budgeted, t("Budget {budget:,}", budget=view.budget or 0)
    if view.estimator.startswith(TUNED):
        color, name = LIGHT.tuned, t("Fine-tuned answer")
    elif view.estimator == LINES:
        name = t("Lines")
    return [
        _bar(None, vanilla.completion_tokens or 0, vanilla.outcome),
        Bar(name, other.completion_tokens or 0, view.budget, other.outcome, color),
    ]


def _bar(level: Level | None, tokens: float, outcome: Outcome | None) -> Bar:
    if level is None:
        return Bar(t("Vanilla"), tokens, None, outcome, LIGHT.vanilla)
    return Bar(level_title(level), tokens, level if isinstance(level, int) else None, outcome)


def _largest_first(point: SweepPoint) -> float:
    """Vanilla, then the larger number; words by what they cost."""
    if point.budget is None:
        return float("-inf")
    return -point.budget if isinstance(point.budget, int) else -(point.tokens_mean or 0.0)


def card_svg(card: Card) -> str:
    """The picture as a file."""
    question = _fitted(card.question, 70, 3)
    finding = _fitted(_said_whole(card.finding, 56, 3), 56, 3)
    about, link = _fitted(card.about, 116, 2), f"TALE · {card.link}" if card.link else "TALE"
    top = 76 + 36 * len(question) + 22
    parts = [
        tag("rect", width=WIDE, height=HIGH, fill=LIGHT.page),
        tag("rect", width=14, height=HIGH, fill=LIGHT.budgeted),
        _block(question, 76, size=27, step=36, color=LIGHT.text),
        _block(finding, top, size=33, step=43, color=LIGHT.text, weight=700),
        *_bars(card.bars, top + 43 * len(finding), HIGH - 118),
        _block(about, HIGH - 44 - 24 * len(about), size=18, step=24, color=LIGHT.vanilla),
        _block([_cut(link, 116)], HIGH - 34, size=18, step=0, color=LIGHT.budgeted),
    ]
    drawn = picture([tag("g", parts, font_family=FONT)], card.finding, width=WIDE, height=HIGH)
    return str(drawn).replace("<svg ", f'<svg width="{WIDE}" height="{HIGH}" ', 1)


def _fitted(text: str, letters: int, lines: int) -> list[str]:
    """At most so many lines; what is left out is told by an ellipsis."""
    found = wrapped(text, letters)
    return found if len(found) <= lines else [*found[: lines - 1], _cut(" ".join(found[lines - 1 :]), letters)]


def _said_whole(text: str, letters: int, lines: int) -> str:
    """As many of its sentences, the first at least, as so many lines hold: none of them ends in the middle."""
    ends = [*sentence_ends(text), len(text)]
    fitting = [end for end in ends if len(wrapped(text[:end], letters)) <= lines]
    return text[: max(fitting, default=ends[0])].rstrip()


def _cut(text: str, letters: int) -> str:
    while width(text) > letters:
        text = text[: -max(2, width(text) - letters)].rstrip() + "…" if len(text) > 2 else ""
    return text


def _block(lines: Sequence[str], y: float, *, size: int, step: int, color: str, weight: int = 400) -> Markup:
    shown = [words(line, _LEFT, y + i * step, "start") for i, line in enumerate(lines)]
    return tag("g", shown, font_size=size, fill=color, font_weight=weight)


def _bars(bars: Sequence[Bar], top: float, bottom: float) -> list[Markup]:
    """One under the other, in the room between `top` and `bottom`."""
    step = min(64.0, (bottom - top) / len(bars))
    thick = step * 0.64
    size = min(24, round(thick))
    # A pixel a token, as many as leave room for the words behind each bar.
    longest = [(max(b.tokens, b.budget or 0), _RIGHT - _LETTER * size * width(_said(b)) - _GAP) for b in bars]
    scale = min((min(_BARS_END, end) - _BARS_START) / (tokens or 1) for tokens, end in longest)
    return [part for i, bar in enumerate(bars) for part in _drawn(bar, top + i * step, thick, size, scale)]


def _drawn(bar: Bar, y: float, thick: float, size: int, scale: float) -> list[Markup]:
    end, below = _BARS_START + scale * bar.tokens, y + thick / 2 + size * 0.36
    parts = [
        tag("g", [words(bar.name, _LEFT, below, "start")], font_size=size, fill=LIGHT.text),
        tag("rect", x=float(_BARS_START), y=y, width=max(2.0, end - _BARS_START), height=thick, fill=bar.color),
    ]
    if bar.budget is not None:
        x = _BARS_START + scale * bar.budget
        parts.append(
            tag("line", x1=x, x2=x, y1=y - 4, y2=y + thick + 4, stroke=LIGHT.text, stroke_width=2.5,
                stroke_dasharray="6 4")
        )  # fmt: skip
        end = max(end, x)
    said = words(_said(bar), end + _GAP, below, "start")
    return [*parts, tag("g", [said], font_size=size, font_weight=600, fill=_color(bar))]


def _color(bar: Bar) -> str:
    return LIGHT.text if bar.outcome in (None, Outcome.UNGRADED) else LIGHT.outcomes[bar.outcome]


def _said(bar: Bar) -> str:
    tokens = tn("{n:,} token", "{n:,} tokens", round(bar.tokens))
    if bar.outcome in (None, Outcome.UNGRADED):
        return tokens
    kind = outcome_kind(bar.outcome)
    words = t("{tokens}, {outcome}", tokens=tokens, outcome=t(kind.phrase))
    return f"{TICKS.get(bar.outcome, kind.sign)} {words}"
