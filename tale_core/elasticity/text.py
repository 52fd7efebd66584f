"""The words about a sweep: headline, notes, progress, how to read the chart, the table's cells.

Reads pictures of sweeps; imports neither plotly nor Streamlit.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime

from tale_core.budgets.kinds import ASKED
from tale_core.calls.budget_ledger import apart_columns
from tale_core.calls.comparison import role_name
from tale_core.calls.outcomes import outcome_counts
from tale_core.elasticity.engine import SweepPoint
from tale_core.elasticity.finding import RESPONSE
from tale_core.elasticity.knob import dead_zone, knob_finding, slopes
from tale_core.elasticity.view import SweepView
from tale_core.i18n import joined, number, percent, t, tn
from tale_core.text import duration, sanitize, seconds_left
from tale_core.types import Level

Named = tuple[str, SweepView]
"""A sweep laid over another one, with its name for people."""


def vanilla_tokens(view: SweepView) -> float | None:
    """Mean tokens of a sweep's vanilla answers; None while there is none."""
    points = view.result.points if view.result else ()
    return next((p.tokens_mean for p in points if p.kind == "vanilla" and p.tokens_mean), None)


def headline(view: SweepView) -> str:
    """The finding as a chart's title: short, and drawn into the saved picture."""
    result = view.result
    known = [p for p in result.points if p.budget is not None and p.tokens_mean is not None] if result else []
    if result is None or not known:
        return t("What is asked for, and what is spent")
    if not view.plan.kind.NUMBERS:
        return _level_headline(known, view)
    means = {p.budget: p.tokens_mean or 0.0 for p in known if isinstance(p.budget, int)}
    low, high = min(means.values()), max(means.values())
    if is_flat(view):
        return t("About {n:,.0f} tokens, whatever is asked for", n=sum(means.values()) / len(means))
    if (rebound := result.rebound) is not None:
        if rebound.significant:
            return t("Asked for less than {turning} tokens, it costs more again", turning=rebound.turning)
        return t("Asked for less than {turning} tokens, it may cost more again", turning=rebound.turning)
    if len(means) > 1 and means[min(means)] == low:
        return t("Asked for less, it writes less: from {high:,.0f} down to {low:,.0f} tokens", high=high, low=low)
    return t("Between {low:,.0f} and {high:,.0f} tokens were spent", low=low, high=high)


def _level_headline(points: Sequence[SweepPoint], view: SweepView) -> str:
    """Of levels that are words: the cheapest and the dearest, or that there is no difference."""
    knob = knob_finding(view.plan, view.result) if view.result else None
    if knob is not None and knob.real is False:
        return t(
            "About {n:,.0f} tokens, whatever is asked for", n=sum(p.tokens_mean or 0 for p in points) / len(points)
        )
    by_cost = sorted(points, key=lambda p: p.tokens_mean or 0)
    least, most = by_cost[0], by_cost[-1]
    return t(
        "From {low:,.0f} tokens at {least} to {high:,.0f} at {most}",
        low=least.tokens_mean, least=least.budget, high=most.tokens_mean, most=most.budget,
    )  # fmt: skip


def is_flat(view: SweepView) -> bool:
    """No response to the size of the budget: the measure of `tale_core.elasticity.finding`."""
    points = view.result.points if view.result else ()
    means = [p.tokens_mean for p in points if p.budget is not None and p.tokens_mean is not None]
    return len(means) > 1 and min(means) >= (1 - RESPONSE) * max(means)


def alt_text(view: SweepView, overlays: Sequence[str] = ()) -> str:
    """The chart for people who do not see it."""
    result = view.result
    points = [p for p in result.points if p.budget is not None and p.tokens_mean is not None] if result else []
    words = [t("Chart of tokens spent against tokens asked for. {headline}.", headline=headline(view))]
    if vanilla := vanilla_tokens(view):
        words.append(t("Vanilla: {n:,.0f} tokens.", n=vanilla))
    words += [t("Asked for {budget}: {tokens:,.0f} spent.", budget=p.budget, tokens=p.tokens_mean) for p in points[:20]]
    if overlays:
        words.append(t("Laid over it: {names}.", names=t("; ").join(sanitize(name) for name in overlays)))
    return joined(*words)


def mean_tokens(p: SweepPoint) -> str:
    """What was really spent, with its interval where there is one."""
    if p.tokens_mean is None:
        return "–"
    if p.tokens_low is None or p.tokens_high is None or p.tokens_low == p.tokens_high:
        return f"{p.tokens_mean:,.0f}"
    return f"{p.tokens_mean:,.0f} [{p.tokens_low:,.0f}–{p.tokens_high:,.0f}]"


def right_share(p: SweepPoint) -> str:
    """How many answers were right, with interval and n."""
    if p.accuracy is None:
        return t("not graded")
    return f"{percent(p.accuracy)} [{percent(p.accuracy_low or 0)}–{percent(p.accuracy_high or 0)}], n = {p.graded}"


def qualifications(view: SweepView) -> list[str]:
    """What a careful reader must know about the finding, each a sentence."""
    result = view.result
    if result is None:
        return []
    temperature = _temperature(view.plan.sampling.temperature)
    notes = [t("{model}, temperature {temperature}.", model=view.model, temperature=temperature)]
    notes += _about_knob(view)
    if not view.running and view.finished < view.planned:
        notes.append(t("{n} of {all} answers are there.", n=view.finished, all=view.planned))
    if view.plan.repeats == 1:
        notes.append(t("One answer under each budget: there is no interval, and chance cannot be judged."))
    notes += _not_live({str(source): n for source, n in result.sources.items()})
    if view.spent.estimated:
        notes.append(t("Some token counts are estimates: the endpoint did not report them."))
    return notes


def _about_knob(view: SweepView) -> list[str]:
    """Whether the knob is real, where the finding does not say so, and where the budget changes nothing."""
    result, kind = view.result, view.plan.kind
    if result is None or view.running:
        return []
    notes = []
    if kind is not ASKED:
        notes.append(t("Kind of budget: {kind}. {hint}", kind=t(kind.TITLE), hint=t(kind.HINT)))
    knob = knob_finding(view.plan, result)
    if kind is not ASKED and knob is not None:
        notes.append(t("Is this knob real? {sentence}", sentence=knob.sentence) if kind.NUMBERS else "")
        notes.append(knob.more)
    if (zone := dead_zone(result)) is not None and not is_flat(view):
        low, high = (level_words(level) for level in zone)
        notes.append(t("Dead zone: from {low} to {high} the budget changes nothing.", low=low, high=high))
    return [note for note in notes if note]


def _not_live(sources: dict[str, int]) -> list[str]:
    notes = []
    if n := sources.get("cached"):
        one = "{n} answer was known from earlier and not paid for again."
        notes.append(tn(one, "{n} answers were known from earlier and not paid for again.", n))
    if n := sources.get("recorded"):
        one = "{n} answer was recorded, not generated now."
        notes.append(tn(one, "{n} answers were recorded, not generated now.", n))
    if n := sources.get("simulated"):
        one = "{n} answer was simulated: no model was asked."
        notes.append(tn(one, "{n} answers were simulated: no model was asked.", n))
    return notes


def _temperature(value: float | None) -> str:
    return t("of the endpoint") if value is None else f"{value:g}"


def progress(view: SweepView, *, now: datetime) -> str:
    """How many answers are there, and the time left at the pace so far."""
    if view.phase == "preparing":
        return t("Reaching the endpoint…")
    if not view.planned:
        return t("Asking without a budget first…")
    values = {"n": view.finished, "all": view.planned}
    if view.finished >= view.planned:
        return t("{n} of {all} answers", **values)
    if left := _time_left(view, now):
        return t("{n} of {all} answers, about {left} left", **values, left=duration(left))
    return t("{n} of {all} answers, time left unknown until the first answer", **values)


def _time_left(view: SweepView, now: datetime) -> float | None:
    made = [c.record for c in view.calls if c.record.source != "cached"]
    began = [r.created_at for r in made if r.created_at is not None]
    return seconds_left(
        finished=view.finished,
        planned=view.planned,
        timed=sum(r.status != "running" for r in made),
        elapsed_s=(now - min(began)).total_seconds() if began else 0.0,
    )


def legend(view: SweepView, overlays: Sequence[Named] = (), *, shares: bool) -> str:
    """How to read the chart, in words."""
    result = view.result
    named = any(not one.plan.kind.NUMBERS for one in (view, *(other for _, other in overlays)))
    if named and not overlays:
        return t(
            "A bar for each level, in the order of what it costs: solid the answer, lighter its thinking, with the "
            "95 % interval of both together. The line across: the answer without a level. Below: how many were right."
        )
    words = [
        t(
            "Solid teal: what was really spent, the mean of the answers under each budget, with its 95 % interval as a "
            "band. Dashed: what was asked for; above it the budget was overspent. Solid slate: the answer without a "
            "budget. Dotted: the answer without any explanation."
        )
    ]
    if result and any(p.thinking_tokens_mean for p in result.points):
        words.append(
            t("Thin teal with open marks: the answer without its thinking, which is what a budget is held against.")
        )
    if result and result.ideal_range:
        words.append(t("Shaded: the ideal range, budgets that cost least while the answer stayed right."))
    if any(p.accuracy is not None for p in (result.points if result else ())):
        below = t(
            "Below: the share of right answers with its 95 % interval (Wilson); answers that were cut off or could "
            "not be read count as not right there, and are named in the table."
        )
        words.append(below)
    if named:
        words.append(t("A level that is a word asks for no number: it is drawn where it spent, on the dashed line."))
    if shares:
        words.append(t("The questions differ, so everything is a share of each one's own answer without a budget."))
    return joined(*words)


def numbers(view: SweepView, overlays: Sequence[Named]) -> list[str]:
    """How many answers stand behind a mark of each curve, where there are several curves."""
    if not overlays:
        return []
    named = ((t("this sweep"), view), *overlays)
    counts = (t("{name}: {n}", name=sanitize(name), n=one.plan.repeats) for name, one in named)
    return [t("Answers under each budget: {counts}.", counts=t("; ").join(counts))]


def rows(view: SweepView) -> dict[str, list[str]]:
    """The levels as a table's columns."""
    points = view.result.points if view.result else ()
    return {
        t("Budget"): [_level(p) for p in points],
        t("Answers"): [str(p.repeats) for p in points],
        t("Tokens, mean [95 %]"): [mean_tokens(p) for p in points],
        **apart_columns((p.visible_tokens_mean, p.thinking_tokens_mean) for p in points),
        **_elasticity(view),
        t("Within budget"): ["–" if p.within is None else percent(p.within) for p in points],
        t("Right [95 %]"): [right_share(p) for p in points],
        t("Outcomes"): [_outcomes(p) for p in points],
    }


def _elasticity(view: SweepView) -> dict[str, list[str]]:
    """The column of elasticities, each from a budget to the next smaller one; none for words."""
    found = {slope.high: slope.elasticity for slope in slopes(view.result)} if view.result else {}
    if not found or view.result is None:
        return {}
    shown_at = [found.get(p.budget) if isinstance(p.budget, int) else None for p in view.result.points]
    return {t("Elasticity"): ["–" if e is None else number(e, ".2f") for e in shown_at]}


def _level(p: SweepPoint) -> str:
    if p.budget is not None:
        return level_words(p.budget)
    return role_name("direct") if p.kind == "direct" else role_name("vanilla")


def level_words(level: Level) -> str:
    """A level as people write it."""
    return f"{level:,}" if isinstance(level, int) else level


def _outcomes(p: SweepPoint) -> str:
    counts = outcome_counts(p.outcomes, refused=p.refused)
    return t(", ").join(t("{n} {outcome}", n=n, outcome=kind.word) for kind, n in counts if n > 0)


def question_begin(text: str) -> str:
    """The beginning of a question, in a line."""
    line = " ".join(sanitize(text).split())
    return line if len(line) <= 40 else f"{line[:39].rstrip()}…"


def beside_it(view: SweepView, others: Sequence[SweepView]) -> list[Named]:
    """Sweeps laid over this one, each named by its kind of budget, model, template and question where they differ.

    A legend has little room: what all of them share is told above the chart.
    """
    every = (view, *others)
    tell: list[Callable[[SweepView], str]] = [
        lambda one: t(one.plan.kind.TITLE),
        lambda one: sanitize(one.model),
        lambda one: sanitize(one.plan.template),
        lambda one: question_begin(one.question.text),
    ]
    apart = [part for part in tell if len({part(one) for one in every}) > 1]

    def name(one: SweepView) -> str:
        when = t("{when:%d %b %H:%M}", when=one.created_at) if one.created_at else ""
        return " · ".join(filter(None, [*(part(one) for part in apart), when]))

    return [(name(one), one) for one in others]


def comparable(view: SweepView, overlays: Sequence[Named]) -> tuple[bool, list[Named], list[str]]:
    """Whether to draw shares, what can be drawn, and in words what cannot and why."""
    shares = any(_asked(other) != _asked(view) for _, other in overlays)
    drawn, words = [], []
    if shares and vanilla_tokens(view) is None:
        return False, [], [t("Nothing can be laid over it: this sweep has no vanilla answer to compare by.")]
    for name, other in overlays:
        if other.result is None or not any(p.budget is not None for p in other.result.points):
            words.append(t("Left out, since no budget was answered: {name}.", name=name))
        elif shares and vanilla_tokens(other) is None:
            words.append(t("Left out, since it has no vanilla answer to compare by: {name}.", name=name))
        else:
            drawn.append((name, other))
    return shares, drawn, words


def _asked(view: SweepView) -> tuple[str, tuple[str, ...]]:
    return view.question.text.strip(), view.question.options
