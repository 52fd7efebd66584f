"""An experiment as one HTML file that needs nothing else: no script, no font, no picture from anywhere.

In the language of whoever asks for it. Every text is escaped, and the page's own policy forbids scripts and
connections. Knows results and sentences.
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from tale_core.experiments.imported import notes
from tale_core.experiments.paper import PaperRow, paper_rows_of
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.rows import Change, StrategyRow
from tale_core.experiments.words import finding
from tale_core.i18n import N_, joined, language, t
from tale_core.spending_words import money, spent_words
from tale_core.types import Outcome

_STYLE = """
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1f2933;background:#fff}
table{display:block;overflow-x:auto;border-collapse:collapse;margin:1rem 0 2rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .8rem;text-align:right;white-space:nowrap;border-bottom:1px solid #d9dfe5}
figure{margin:1rem 0}svg{max-width:100%;height:auto}
th:first-child,td:first-child{text-align:left}caption{text-align:left;font-weight:600;padding:.3rem 0}
svg text{font:13px system-ui,sans-serif;fill:currentColor}
@media (prefers-color-scheme:dark){body{color:#e4e9ee;background:#14181c}th,td{border-color:#39424b}}
"""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 680, 320, 60, 44
_OUTCOMES: dict[Outcome, str] = {
    Outcome.CORRECT: N_("correct"),
    Outcome.WRONG: N_("wrong"),
    Outcome.TRUNCATED: N_("truncated"),
    Outcome.UNPARSED: N_("unparsed"),
    Outcome.ERROR: N_("error"),
    Outcome.UNGRADED: N_("ungraded"),
}


def report_html(found: ExperimentResults) -> str:
    """The report of an experiment, finished or not."""
    parts = [
        f"<h1>{escape(finding(found))}</h1>",
        f"<p>{escape(_about(found))}</p>",
        _picture(found.rows),
        _table(t("Strategies; means of a question, 95 % intervals"), *_main(found.rows)),
        _table(t("What became of the answers"), *_outcomes(found.rows)),
        _table(t("Against vanilla, in pairs of the same question; p adjusted by Holm"), *_differences(found.rows)),
    ]
    if paper := paper_rows_of(found.dataset):
        title = t("The paper's numbers (arXiv 2412.18547; other models, whole test sets)")
        parts.append(_table(title, *_printed(paper)))
    how = t(
        "Accuracy is right answers over correct, wrong, truncated, unparsed and refused ones. All-in tokens count "
        "prompts, estimates and probes; an unknown price is unknown, never 0. Experiment {id}.",
        id=found.experiment_id,
    )
    parts.append(f"<p>{escape(how)}</p>")
    policy = "default-src 'none'; style-src 'unsafe-inline'"
    return (
        f'<!doctype html>\n<html lang="{language()}"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{escape(found.dataset)}, {escape(found.model)}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _about(found: ExperimentResults) -> str:
    if found.imported is not None:
        head = t(
            "{dataset}: {questions} questions, model {model}.",
            dataset=found.dataset,
            questions=found.questions,
            model=found.model,
        )
        return joined(head, *notes(found.imported))
    state = t("complete")
    if not found.complete:
        state = t("not complete: {n} of {planned} answers", n=found.finished, planned=found.planned)
    return t(
        "{dataset}: {questions} questions, {repeats} repeats each, model {model} at {endpoint}; {state}. "
        "Spent: {spent}.",
        dataset=found.dataset,
        questions=found.questions,
        repeats=found.repeats,
        model=found.model,
        endpoint=found.endpoint,
        state=state,
        spent=spent_words(found.spent),
    )


def _printed(paper: Sequence[PaperRow]) -> tuple[Sequence[str], list[Sequence[str]]]:
    columns = (t("model"), t("strategy"), t("accuracy"), t("output tokens"), t("cost"), t("printed in"))
    return columns, [
        (r.model, r.strategy, f"{r.accuracy:.1%}", f"{r.output_tokens:.1f}", money(r.cost_usd),
         t("table {n}", n=r.table))
        for r in paper
    ]  # fmt: skip


def _table(title: str, columns: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    if not rows:
        return ""
    head = "".join(f"<th>{escape(name)}</th>" for name in columns)
    body = "\n".join("<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows)
    return f"<table><caption>{escape(title)}</caption><thead><tr>{head}</tr></thead><tbody>\n{body}\n</tbody></table>"


def _main(rows: Sequence[StrategyRow]) -> tuple[Sequence[str], list[Sequence[str]]]:
    columns: tuple[str, ...] = (t("strategy"), t("answers"), t("graded"), t("accuracy"), "95 %")
    columns += (t("output tokens"), "95 %", t("all-in tokens"), "95 %", t("cost"), t("seconds"), t("Pareto"))
    return columns, [
        (
            row.strategy,
            t("{n:,} of {planned:,}", n=row.n, planned=row.planned),
            str(row.graded),
            *_cells(row.accuracy, ".1%"),
            *_cells(row.output_tokens, ".1f"),
            *_cells(row.all_in_tokens, ".1f"),
            money(row.cost_usd),
            t("unknown") if row.latency_s is None else f"{row.latency_s:.2f}",
            t("yes") if row.pareto else "",
        )
        for row in rows
    ]


def _cells(interval: tuple[float, float, float] | None, form: str) -> tuple[str, str]:
    if interval is None:
        return t("unknown"), ""
    mean, low, high = (f"{value:{form}}" for value in interval)
    return mean, t("{low} to {high}", low=low, high=high)


def _outcomes(rows: Sequence[StrategyRow]) -> tuple[Sequence[str], list[Sequence[str]]]:
    columns = (t("strategy"), *(t(_OUTCOMES[outcome]) for outcome in Outcome), t("failed calls"), t("default budgets"))
    return columns, [
        (row.strategy, *(str(row.outcomes.get(o, 0)) for o in Outcome), str(row.failed), str(row.defaults))
        for row in rows
    ]


def _differences(rows: Sequence[StrategyRow]) -> tuple[Sequence[str], list[Sequence[str]]]:
    columns: tuple[str, ...] = (t("strategy"), t("pairs"), t("accuracy"), "p", t("output tokens"), "p")
    columns += (t("all-in tokens"), "p", t("all-in saving"))
    compared = [(row.strategy, row.against_vanilla) for row in rows if row.against_vanilla is not None]
    return columns, [
        (
            name,
            str(d.pairs),
            *_change(d.accuracy, "+.1%"),
            *_change(d.output_tokens, "+.1f"),
            *_change(d.all_in_tokens, "+.1f"),
            t("unknown") if d.all_in_saving is None else f"{d.all_in_saving:.1%}",
        )
        for name, d in compared
    ]


def _change(change: Change | None, form: str) -> tuple[str, str]:
    if change is None:
        return t("unknown"), ""
    p = "" if change.p_holm is None else f"{change.p_holm:.2g}"
    mean, low, high = (f"{value:{form}}" for value in (change.mean, change.low, change.high))
    return t("{mean} ({low} to {high})", mean=mean, low=low, high=high), p


def _picture(rows: Sequence[StrategyRow]) -> str:
    """Accuracy over all-in tokens (where nobody knows them, output tokens), a point a strategy with its interval."""
    measure = "all-in" if any(row.all_in_tokens for row in rows) else "output"
    spent_of = {row.strategy: row.all_in_tokens if measure == "all-in" else row.output_tokens for row in rows}
    known = [(row, row.accuracy, spent) for row in rows if row.accuracy and (spent := spent_of[row.strategy])]
    if not known:
        return ""
    most = max(tokens.high for _, _, tokens in known) * 1.15 or 1.0

    def x(tokens: float) -> float:
        return _LEFT + tokens / most * (_WIDTH - _LEFT - 20)

    def y(share: float) -> float:
        return 12 + (1 - share) * (_HEIGHT - _BOTTOM - 12)

    shapes = [f'<path d="M{_LEFT} {y(1):.1f}V{y(0):.1f}H{_WIDTH - 20}" fill="none" stroke="currentColor"/>']
    for share in (0.0, 0.5, 1.0):
        shapes.append(f'<text x="{_LEFT - 8}" y="{y(share) + 4:.1f}" text-anchor="end">{share:.0%}</text>')
    for tokens in (most / 2, most):
        shapes.append(f'<text x="{x(tokens):.1f}" y="{y(0) + 18:.1f}" text-anchor="middle">{tokens:.0f}</text>')
    for row, right, spent in known:
        at, colour = x(spent.mean), "#5b6b7b" if row.strategy == "vanilla" else "#0f8b8d"
        shapes.append(f'<path d="M{at:.1f} {y(right.low):.1f}V{y(right.high):.1f}" stroke="{colour}" opacity=".5"/>')
        shapes.append(f'<circle cx="{at:.1f}" cy="{y(right.mean):.1f}" r="5" fill="{colour}"/>')
        shapes.append(f'<text x="{at + 8:.1f}" y="{y(right.mean) + 4:.1f}">{escape(row.strategy)}</text>')
    axis = t("all-in tokens a question") if measure == "all-in" else t("output tokens a question")
    shapes.append(f'<text x="{_WIDTH / 2}" y="{_HEIGHT - 6}" text-anchor="middle">{escape(axis)}</text>')
    label = (
        t("Share of right answers over all-in tokens, a point for each strategy with its 95 % interval")
        if measure == "all-in"
        else t("Share of right answers over output tokens, a point for each strategy with its 95 % interval")
    )
    box = f'viewBox="0 0 {_WIDTH} {_HEIGHT}" width="{_WIDTH}"'
    svg = f'<svg {box} role="img" aria-label="{escape(label)}">{"".join(shapes)}</svg>'
    return f"<figure>{svg}<figcaption>{escape(t('{facts}.', facts=label))}</figcaption></figure>"
