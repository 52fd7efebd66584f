"""An experiment as one HTML file that needs nothing else: no script, no font, no picture from anywhere.

In the reader's language. The template escapes every text, and the page's own policy forbids scripts and connections.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tale_core.calls.budget_ledger import spent_words
from tale_core.experiments.columns import COLUMNS, DIFFERENCE_COLUMNS, PAPER_COLUMNS, compared, table
from tale_core.experiments.import_notes import notes
from tale_core.experiments.paper import paper_rows_of
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.table import StrategyRow
from tale_core.experiments.text import finding, percent
from tale_core.html import Frame, render, tag, words
from tale_core.i18n import joined, language, t
from tale_core.strategies import title_of

_PAGE = """\
<!doctype html>
<html lang="{{ language }}"><head><meta charset="utf-8">\
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">\
<meta name="viewport" content="width=device-width">\
<title>{{ found.dataset }}, {{ found.model }}</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem;color:#1f2933;background:#fff}
table{display:block;overflow-x:auto;border-collapse:collapse;margin:1rem 0 2rem;font-variant-numeric:tabular-nums}
th,td{padding:.3rem .8rem;text-align:right;white-space:nowrap;border-bottom:1px solid #d9dfe5}
figure{margin:1rem 0}svg{max-width:100%;height:auto}
th:first-child,td:first-child{text-align:left}caption{text-align:left;font-weight:600;padding:.3rem 0}
svg text{font:13px system-ui,sans-serif;fill:currentColor}
@media (prefers-color-scheme:dark){body{color:#e4e9ee;background:#14181c}th,td{border-color:#39424b}}
</style></head><body>
<h1>{{ finding }}</h1>
<p>{{ about }}</p>
{% if chart %}<figure>{{ chart }}<figcaption>{{ caption }}</figcaption></figure>{% endif %}
{% for title, columns in tables %}{% if columns and columns[0][1] %}\
<table><caption>{{ title }}</caption>\
<thead><tr>{% for name, _ in columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for _ in columns[0][1] %}{% set place = loop.index0 %}\
<tr>{% for _, cells in columns %}<td>{{ cells[place] }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endif %}
{% endfor %}<p>{{ how }}</p>
</body></html>
"""


def report_html(found: ExperimentResults) -> str:
    """The report of an experiment, finished or not."""
    tables = [
        (t("Strategies; means of a question, 95 % intervals"), table(COLUMNS, "report", found.rows)),
        (t("What became of the answers"), table(COLUMNS, "report outcomes", found.rows)),
        (
            t("Against vanilla, in pairs of the same question; p adjusted by Holm"),
            table(DIFFERENCE_COLUMNS, "report", compared(found.rows)),
        ),
    ]
    if paper := paper_rows_of(found.dataset):
        title = t("The paper's numbers (arXiv 2412.18547; other models, whole test sets)")
        tables.append((title, table(PAPER_COLUMNS, "report", paper)))
    how = t(
        "Accuracy is right answers over correct, wrong, truncated, unparsed and refused ones. All-in tokens count "
        "prompts, estimates and probes; an unknown price is unknown, never 0. Experiment {id}.",
        id=found.experiment_id,
    )
    label, chart = _chart(found.rows)
    return render(
        _PAGE, found=found, language=language(), finding=finding(found), about=_about(found), tables=tables, how=how,
        chart=chart, caption=t("{facts}.", facts=label),
    )  # fmt: skip


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


def _chart(rows: Sequence[StrategyRow]) -> tuple[str, Markup]:
    """Accuracy over all-in tokens (where nobody knows them, output tokens), a point a strategy with its interval.

    Returns:
        What it shows, and the drawing; an empty one where nothing was graded.
    """
    whole = any(row.all_in_tokens for row in rows)
    points = [
        (row.strategy, row.accuracy, spent)
        for row in rows
        if row.accuracy and (spent := row.all_in_tokens if whole else row.output_tokens)
    ]
    label = (
        t("Share of right answers over all-in tokens, a point for each strategy with its 95 % interval")
        if whole
        else t("Share of right answers over output tokens, a point for each strategy with its 95 % interval")
    )
    if not points:
        return label, Markup()
    most = max(spent.high for _, _, spent in points) * 1.15 or 1.0
    frame = Frame(0, most, 1, width=680, height=320, left=60, right=20, top=12, bottom=44)
    corner = f"M60 {frame.y(1):.1f}V{frame.y(0):.1f}H660"
    parts = [tag("path", d=corner, fill="none", stroke="currentColor")]
    parts += [words(percent(share, 0), 52, frame.y(share) + 4, "end") for share in (0.0, 0.5, 1.0)]
    parts += [words(f"{tokens:.0f}", frame.x(tokens), frame.y(0) + 18) for tokens in (most / 2, most)]
    for name, right, spent in points:
        x, y, colour = frame.x(spent.mean), frame.y(right.mean), "#5b6b7b" if name == "vanilla" else "#0f8b8d"
        spread = f"M{x:.1f} {frame.y(right.low):.1f}V{frame.y(right.high):.1f}"
        parts.append(tag("path", d=spread, stroke=colour, opacity=".5"))
        parts.append(tag("circle", cx=x, cy=y, r=5, fill=colour))
        parts.append(words(title_of(name), x + 8, y + 4, "start"))
    parts.append(words(t("all-in tokens a question") if whole else t("output tokens a question"), 340, 314))
    return label, tag("svg", parts, viewBox="0 0 680 320", width=680, role="img", aria_label=label)
