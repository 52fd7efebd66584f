"""An experiment as one HTML file that needs nothing else: no script, no font, no picture from anywhere.

In the reader's language. The template escapes every text, and the page's own policy forbids scripts and connections.
"""

from __future__ import annotations

from collections.abc import Sequence

from markupsafe import Markup

from tale_core.calls.budget_ledger import spent_words
from tale_core.drawing.html import Frame, nice, render, tag, words
from tale_core.drawing.places import Name
from tale_core.experiments.columns import COLUMNS, DIFFERENCE_COLUMNS, PAPER_COLUMNS, compared, table
from tale_core.experiments.import_notes import notes
from tale_core.experiments.marks import Mark, front, names, tool_note
from tale_core.experiments.paper import paper_rows_of
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.table import StrategyRow
from tale_core.experiments.text import finding
from tale_core.i18n import joined, language, percent, t, tn
from tale_core.strategies import family, title_of

_PAGE = """\
<!doctype html>
<html lang="{{ language }}"><head><meta charset="utf-8">\
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">\
<meta name="viewport" content="width=device-width">\
<title>{{ found.dataset }}, {{ found.model }}</title><style>
body{font:16px/1.5 system-ui,sans-serif;max-width:68rem;margin:2.5rem auto;padding:0 1rem;color:#10171f;background:#fff}
h1{font-size:clamp(1.25rem,3.5vw,1.6rem);line-height:1.3;text-wrap:pretty}
.about,figcaption,.how{color:#56657a;font-size:.9rem}
table{display:block;overflow-x:auto;border-collapse:collapse;margin:1rem 0 2rem;font-size:.875rem;\
font-variant-numeric:tabular-nums}
th,td{padding:.35rem .7rem;text-align:right;white-space:nowrap;border-bottom:1px solid #e3e8ec}th{font-weight:600}
figure{margin:1.5rem 0;overflow-x:auto}svg{width:100%;min-width:40rem;height:auto}
th:first-child,td:first-child{text-align:left}
caption{text-align:left;font-weight:600;font-size:1rem;padding:.3rem 0;max-width:calc(100vw - 2rem)}
svg text{font:13px system-ui,sans-serif;fill:currentColor}.grid{stroke:#e3e8ec}.axis{stroke:#56657a}
.front{stroke:currentColor;opacity:.35;stroke-width:2;fill:none}svg .whisker{stroke-width:1.6;opacity:.65;fill:none}
.vanilla{fill:#56657a;stroke:#56657a}.budgeted{fill:#0b7d74;stroke:#0b7d74}.tuned{fill:#7a4fbf;stroke:#7a4fbf}
.direct{fill:#10171f;stroke:#10171f}.brief{fill:#0072b2;stroke:#0072b2}svg .name text{stroke:none;fill:inherit}
@media (prefers-color-scheme:dark){body{color:#e6ebf0;background:#11171d}th,td{border-color:#26313c}
.about,figcaption,.how{color:#94a3b8}.grid{stroke:#26313c}.axis{stroke:#94a3b8}
.vanilla{fill:#94a3b8;stroke:#94a3b8}.budgeted{fill:#35c4b4;stroke:#35c4b4}.tuned{fill:#b493ee;stroke:#b493ee}
.direct{fill:#e6ebf0;stroke:#e6ebf0}.brief{fill:#56b4e9;stroke:#56b4e9}}
</style></head><body>
<h1>{{ finding }}</h1>
<p class="about">{{ about }}</p>
{% if chart %}<figure>{{ chart }}<figcaption>{{ caption }}</figcaption></figure>{% endif %}
{% for title, columns in tables %}{% if columns and columns[0][1] %}\
<table><caption>{{ title }}</caption>\
<thead><tr>{% for name, _ in columns %}<th>{{ name }}</th>{% endfor %}</tr></thead><tbody>
{% for _ in columns[0][1] %}{% set place = loop.index0 %}\
<tr>{% for _, cells in columns %}<td>{{ cells[place] }}</td>{% endfor %}</tr>
{% endfor %}</tbody></table>{% endif %}
{% endfor %}<p class="how">{{ how }}</p>
</body></html>
"""


def report_html(found: ExperimentResults) -> str:
    """The report of an experiment, finished or not."""
    tables = [
        (t("Strategies"), table(COLUMNS, "key", found.rows)),
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
    about = t(
        "{dataset}: {questions}, {answers} to each by every strategy, model {model} at {endpoint}; {state}.",
        dataset=found.dataset,
        questions=tn("{n:,} question", "{n:,} questions", found.questions),
        answers=tn("{n:,} answer", "{n:,} answers", found.repeats),
        model=found.model,
        endpoint=found.endpoint,
        state=state,
    )
    # Kept results know nothing of what they cost.
    return joined(about, t("Spent: {spent}.", spent=spent_words(found.spent)) if found.spent.calls else "")


def _chart(rows: Sequence[StrategyRow]) -> tuple[str, Markup]:
    """Right answers over all-in tokens (where nobody knows them, output tokens), a mark a strategy with its intervals.

    Returns:
        What it shows, and the drawing; an empty one where nothing was graded.
    """
    whole = any(row.all_in_tokens for row in rows)
    label = (
        t("Share of right answers over all-in tokens, a point for each strategy with its 95 % interval")
        if whole
        else t("Share of right answers over output tokens, a point for each strategy with its 95 % interval")
    )
    drawn = {
        row.strategy: Mark(
            title_of(row.strategy, brief=True), spent, row.accuracy, row.pareto if whole else row.pareto_output
        )
        for row in rows
        if row.accuracy and (spent := row.all_in_tokens if whole else row.output_tokens)
    }
    if not drawn:
        return label, Markup()
    marks = list(drawn.values())
    most = max(mark.tokens.high for mark in marks) * 1.1 or 1.0
    frame = Frame(0, most, 1, top=14, bottom=58)
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        y = frame.y(share)
        parts += [frame.across(y, "grid" if share else "axis"), words(percent(share), frame.left - 10, y + 5, "end")]
    step = nice(most / 6)
    ticks = [place * step for place in range(int(most // step) + 1)]
    parts += [words(f"{tick:,g}", frame.x(tick), frame.y(0) + 22) for tick in ticks]
    if corners := list(zip(*front(marks, most), strict=True)):
        path = "L".join(f"{frame.x(x):.1f} {frame.y(y):.1f}" for x, y in corners)
        parts.append(tag("path", d=f"M{path}", class_="front"))
    room = frame._replace(left=0, right=0, top=14, bottom=14, width=frame.width - frame.left - frame.right)
    named = names(marks, room._replace(height=frame.height - frame.top - frame.bottom + 28))
    for (strategy, mark), name in zip(drawn.items(), named, strict=True):
        parts.append(tag("g", _drawn(mark, name, frame), class_=family(strategy)))
    title = t("all-in tokens a question") if whole else t("output tokens a question")
    parts.append(words(title, (frame.x(0) + frame.x(most)) / 2, frame.height - 10))
    size = f"0 0 {frame.width} {frame.height}"
    label = ". ".join(filter(None, (label, tool_note(drawn))))
    return label, tag("svg", parts, viewBox=size, role="img", aria_label=label)


def _drawn(mark: Mark, name: Name | None, frame: Frame) -> list[Markup]:
    """A mark with its intervals and its name."""
    x, y = frame.x(mark.tokens.mean), frame.y(mark.right.mean)
    lines = f"M{frame.x(mark.tokens.low):.1f} {y:.1f}H{frame.x(mark.tokens.high):.1f}"
    lines += f"M{x:.1f} {frame.y(mark.right.low):.1f}V{frame.y(mark.right.high):.1f}"
    parts = [tag("circle", cx=x, cy=y, r=5.5)]
    if name is not None:
        place, (dx, dy) = name.place, name.place.shift
        anchor = {"left": "start", "right": "end", "center": "middle"}[place.xanchor]
        said = name.text.split("<br>")
        first = y - dy + (13 - 17 * len(said) if place.yanchor == "bottom" else 13)
        text = [words(line, x + dx, first + 17 * i, anchor) for i, line in enumerate(said)]
        parts.append(tag("g", text, class_="name"))
        lines += f"M{x:.1f} {y:.1f}L{x + dx:.1f} {y - dy:.1f}" if name.far else ""
    return [tag("path", d=lines, class_="whisker"), *parts]
