"""One experiment as a picture: finding, chart, tables, files, what was run. The same for running and stored ones.

While an experiment runs, only what lies inside of fixed boxes changes; nothing else moves.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import streamlit as st

from tale_core.calls.budget_ledger import spent_words
from tale_core.charts import experiments as figures
from tale_core.datasets import describe
from tale_core.experiments.export import export_experiment
from tale_core.experiments.paper import PaperRow, paper_rows, paper_rows_of
from tale_core.experiments.results import ExperimentResults
from tale_core.experiments.run import ExperimentView
from tale_core.experiments.text import finding
from tale_core.history.text import sampling_words
from tale_core.i18n import N_, language, listed, t, tn, use_language
from tale_core.prompts import messages as prompts
from tale_core.strategies import title_of
from tale_core.types import Language
from ui.common import state
from ui.common.charts import draw_chart, palette, wide_table
from ui.common.glossary import explain
from ui.common.question_form import cap_words
from ui.common.run_parts import Now, finding_line, how_it_ended, now_line
from ui.common.text import literal
from ui.experiments import text as words
from ui.experiments.upload import imported_note

LIVE_HEIGHT = 260
KINDS = {
    "csv": (N_("Save as CSV"), "text/csv"),
    "jsonl": (N_("JSON Lines"), "application/x-ndjson"),
    "parquet": (N_("Parquet"), "application/vnd.apache.parquet"),
    "html": (N_("Report (HTML)"), "text/html"),
}


def head(view: ExperimentView) -> None:
    """The finding in one sentence, with everything that qualifies it right below."""
    how_it_ended(view, "experiment")
    if view.results is None or not view.results.finished:
        st.caption(t("No answer has ended, so there is nothing to compare."))
        return
    finding_line(finding(view.results), words.qualifications(view))


def phase_line(view: ExperimentView) -> Now:
    """How far it is, what it has spent and how long it may take, in words, with a bar."""
    so_far = t("Reaching the endpoint…") if view.phase == "preparing" else words.progress(view)
    share = (view.finished + view.failed) / view.planned if view.planned else 0.0
    return now_line(view, so_far, share=share, below=literal(t("Spent: {spent}.", spent=spent_words(view.spent)), 300))


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
        wide_table(words.main_table(found), alt=t("What every strategy took so far"), place=self._table.table)


def chart(found: ExperimentResults, of: str = "") -> None:
    """The chart, its title about the strategy `of`, and how to read it; a button at its corner saves a picture."""
    figure = figures.tradeoff(found, colors=palette(), of=of)
    if figure is None:
        if found.finished:
            st.caption(t("No answer could be graded, so there is no accuracy to draw."))
        return
    described = words.alt_text(found, of)
    draw_chart(figure, name=found.experiment_id, key="tradeoff", alt=described)
    st.caption(literal(words.legend(found), 1000))


def tables(found: ExperimentResults) -> None:
    """What one looks for first, the paper's own table beside it if wanted, and all the rest folded away."""
    st.markdown(
        t("**Strategies.** Means of a question; n counts graded answers."),
        help=explain("token", "output tokens", "all-in tokens", "vanilla answer"),
    )
    wide_table(words.key_table(found), alt=t("What every strategy took"))
    _paper(found)
    with st.expander(t("More columns, and the differences tested"), icon=":material/table_chart:"):
        _all_columns(found)


def _all_columns(found: ExperimentResults) -> None:
    """The table in the paper's layout, and what differs from vanilla."""
    wide_table(words.main_table(found), alt=t("What every strategy took, with all columns"))
    if differences := words.difference_table(found):
        st.markdown(t("**Against vanilla,** on the same questions"))
        wide_table(differences, alt=t("What differs from vanilla"))
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
        message = t("The paper did not measure {dataset}. It measured: {known}.", dataset=found.dataset, known=known)
        st.caption(literal(message, 500))
        return
    paper(rows)


def paper(rows: Sequence[PaperRow]) -> None:
    """What the paper prints, and how far it may be compared."""
    wide_table(words.paper_table(rows), alt=t("What the paper prints for this data set"))
    st.caption(
        t(
            "arXiv 2412.18547. Other models on whole test sets, and their output tokens leave out the estimator's "
            "call: a comparison of directions, not of numbers."
        )
    )


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
        said_in: The language of the report; it is not asked for again when the file is fetched.
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
        t("Strategies"): listed(map(title_of, plan.strategies)),
        t("Repeats"): str(plan.repeats),
        t("Prompt template"): template.title if template else plan.template,
        t("Sampling"): sampling_words(plan.sampling),
        t("Started"): f"{view.created_at.astimezone():%Y-%m-%d %H:%M}" if view.created_at else t("unknown"),
        t("Hard cap"): cap_words(plan.limits),
        t("Calls at a time"): t("at most {n:,}", n=plan.concurrency),
        t("Earlier answers"): t("reused") if plan.reuse else t("asked for again"),
        t("Experiment"): view.experiment_id,
    }
    with st.expander(t("What was run"), icon=":material/list_alt:"):
        cells = {name: literal(value, 400) for name, value in rows.items()}
        st.table(cells, border="horizontal", hide_header=True, alt=t("The settings of this experiment"))


def retry_button(view: ExperimentView, *, disabled: bool) -> bool:
    """Whether it was pressed. Drawn only where something failed and other answers are missing as well.

    Where what failed is all that is missing, going on and trying it again are the same, and one button does it.
    """
    if not view.failed or not missing(view):
        return False
    return st.button(
        t("Retry only what failed"), key="retry_failed", icon=":material/replay:", disabled=disabled,
        help=tn(
            "Asks again for {n:,} answer, and for nothing else.", "Asks again for {n:,} answers, and for nothing else.",
            view.failed,
        ),
    )  # fmt: skip


def missing(view: ExperimentView) -> int:
    """Answers that were never asked for, or cut off by a stop."""
    return max(0, view.planned - view.finished - view.failed)
