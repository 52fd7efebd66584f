"""One experiment as a picture: finding, chart, tables, files, what was run. The same for running and stored ones.

While an experiment runs, only what lies inside of fixed boxes changes; nothing else moves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import streamlit as st

from tale_core import prompts
from tale_core.datasets import describe
from tale_core.experiments.document import export_experiment
from tale_core.experiments.job import ExperimentView
from tale_core.experiments.paper import paper_rows, paper_rows_of
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.words import finding
from tale_core.i18n import N_, joined, language, listed, t, use_language
from tale_core.models.choice import EMBEDDED
from tale_core.models.prepare import preparation
from tale_core.spending_words import spent_words
from tale_core.types import Language
from ui import experiments_figures as figures
from ui import experiments_words as words
from ui import state
from ui.experiments_form import sampling_words
from ui.experiments_import import imported_note
from ui.experiments_sheet import cap_words
from ui.text import literal, whole

LIVE_HEIGHT = 260
KINDS = {
    "csv": (N_("Save as CSV"), "text/csv"),
    "jsonl": (N_("JSON Lines"), "application/x-ndjson"),
    "parquet": (N_("Parquet"), "application/vnd.apache.parquet"),
    "html": (N_("Report (HTML)"), "text/html"),
}


def head(view: ExperimentView) -> None:
    """The finding in one sentence, with everything that qualifies it right below."""
    if view.status == "interrupted":
        told = t("This experiment was interrupted: the program ended while it ran. Every finished answer is kept.")
        st.warning(told)
    if view.status == "cancelled":
        st.info(t("This experiment was stopped. Every finished answer is kept."))
    if view.error:
        st.error(literal(view.error, 1000), icon=":material/error:")
    if view.results is None or not view.results.finished:
        st.caption(t("No answer has ended, so there is nothing to compare."))
        return
    st.subheader(literal(finding(view.results), 600), anchor=False)
    if notes := words.qualifications(view):
        st.caption(literal(joined(*notes), 2000))


def phase_line(view: ExperimentView) -> None:
    """How far it is, what it has spent and how long it may take, in words, with a bar."""
    if view.phase == "preparing" and view.endpoint == EMBEDDED:
        status = preparation(view.model).status()
        st.markdown(f"**{literal(status.message)}**")
        st.progress(min(1.0, status.fraction or 0.0))
        return
    if view.phase == "preparing":
        st.markdown(t("**Reaching the endpoint…**"))
    else:
        st.markdown(f"**{literal(words.progress(view))}**")
    st.progress(min(1.0, (view.finished + view.failed) / view.planned) if view.planned else 0.0)
    st.caption(literal(t("Spent: {spent}.", spent=spent_words(view.spent)), 300))
    if view.notice:
        st.caption(f":material/hourglass_top: {literal(view.notice, 400)}")


class LiveExperiment:
    """The places that `update` fills while an experiment runs."""

    def __init__(self) -> None:
        self._table = st.container(height=LIVE_HEIGHT, border=False).empty()
        self._drawn: ExperimentResults | None = None
        self._table.caption(t("The table begins with the first answers."))

    def update(self, view: ExperimentView) -> None:
        """Draw the table anew when there is a new one."""
        found = view.results
        if found is None or found is self._drawn or not found.finished:
            return
        self._drawn = found
        table(words.main_table(found), alt=t("What every strategy took so far"), place=self._table.table)


def chart(found: ExperimentResults) -> None:
    """The chart and how to read it. The button at its corner saves it as a picture, in the browser."""
    figure = figures.tradeoff(found)
    if figure is None:
        if found.finished:
            st.caption(t("No answer could be graded, so there is no accuracy to draw."))
        return
    config = {
        "displayModeBar": True,
        "displaylogo": False,
        "modeBarButtons": [["toImage"]],
        "toImageButtonOptions": {"format": "png", "filename": found.experiment_id, "scale": 3},
    }
    st.plotly_chart(figure, theme=None, config=config, key="tradeoff", alt=words.alt_text(found))
    st.caption(literal(words.legend(found), 1000))


def tables(found: ExperimentResults) -> None:
    """The table in the paper's layout, the paper's own beside it if wanted, and what differs from vanilla."""
    st.markdown(t("**Strategies.** Means of a question; n counts graded answers."))
    table(words.main_table(found), alt=t("What every strategy took"))
    _paper(found)
    if differences := words.difference_table(found):
        st.markdown(t("**Against vanilla,** on the same questions"))
        table(differences, alt=t("What differs from vanilla"))
        st.caption(
            t(
                "Means with 95 % intervals. p: the probability of such a difference if there were none, adjusted for "
                "the number of strategies (Holm); accuracy by McNemar's test, with repeats and for tokens by sign "
                "flips."
            )
        )


def _paper(found: ExperimentResults) -> None:
    if not st.toggle(t("Show the paper's numbers"), key="exp_paper"):
        return
    rows = paper_rows_of(found.dataset)
    if not rows:
        known = listed(dict.fromkeys(row.dataset for row in paper_rows()))
        told = t("The paper did not measure {dataset}. It measured: {known}.", dataset=found.dataset, known=known)
        st.caption(literal(told, 500))
        return
    table(words.paper_table(rows), alt=t("What the paper prints for this data set"))
    st.caption(
        t(
            "arXiv 2412.18547. Other models on whole test sets, and their output tokens leave out the estimator's "
            "call: a comparison of directions, not of numbers."
        )
    )


def table(cells: words.Table, *, alt: str, place: Callable[..., object] = st.table) -> None:
    """A table; its cells do not wrap, so that a narrow screen scrolls it instead of breaking the numbers."""
    place({whole(name): [whole(literal(cell)) for cell in column] for name, column in cells.items()},
          border="horizontal", alt=alt)  # fmt: skip


def files(view: ExperimentView) -> None:
    """What was paid for, and the experiment as files, each made when it is asked for."""
    if view.results is None or view.results.imported is None:
        st.markdown(t("**Spent:** {spent}", spent=literal(spent_words(view.spent), 400)))
    if note := next((info.note for info in describe() if info.name == view.plan.dataset), ""):
        st.caption(literal(note, 400))
    with st.container(horizontal=True, vertical_alignment="center"):
        for kind, (label, mime) in KINDS.items():
            st.download_button(
                t(label), partial(exported, view.experiment_id, kind, said_in=language()),
                file_name=f"{view.experiment_id}.{kind}", mime=mime, on_click="ignore", icon=":material/download:",
                key=f"save_{kind}",
            )  # fmt: skip
        st.caption(t("A row for each answer; the report is one page that needs nothing else."), width="content")


def exported(experiment_id: str, kind: str, *, said_in: Language = "en") -> bytes:
    """A stored experiment as a file's bytes.

    Args:
        experiment_id: Which one.
        kind: A key of KINDS.
        said_in: The language of the report; whoever fetches the file is not asked for it again.
    """
    with tempfile.TemporaryDirectory() as folder, use_language(said_in):
        path = Path(folder) / f"experiment.{kind}"
        export_experiment(state.store(), experiment_id, path)
        return path.read_bytes()


def what_was_run(view: ExperimentView) -> None:
    """The settings, last and folded away."""
    if view.results is not None and view.results.imported is not None:
        imported_note(view, view.results.imported)
        return
    plan = view.plan
    template = prompts.TEMPLATES.get(plan.template)
    rows = {
        t("Data set"): t("{dataset}, {n:,} questions", dataset=plan.dataset, n=len(plan.questions)),
        t("Fingerprint"): plan.fingerprint[:16] or t("unknown"),
        t("Model"): view.model,
        t("Endpoint"): view.endpoint,
        t("Strategies"): listed(plan.strategies),
        t("Repeats"): str(plan.repeats),
        t("Wording"): template.title if template else plan.template,
        t("Sampling"): sampling_words(plan.sampling),
        t("Top p"): t("its default") if plan.sampling.top_p is None else f"{plan.sampling.top_p:g}",
        t("Hard cap"): cap_words(plan),
        t("Calls at a time"): t("at most {n:,}", n=plan.concurrency),
        t("Known answers"): t("reused") if plan.reuse else t("asked for again"),
        t("Experiment"): view.experiment_id,
    }
    with st.expander(t("What was run"), icon=":material/list_alt:"):
        cells = {name: literal(value, 400) for name, value in rows.items()}
        st.table(cells, border="horizontal", hide_header=True, alt=t("The settings of this experiment"))
