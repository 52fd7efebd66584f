"""The Search page: the smallest budget that keeps the answer right, watched while it is found."""

from __future__ import annotations

from functools import partial

import streamlit as st

from tale_core.history.text import sampling_words
from tale_core.i18n import t
from tale_core.lessons.recorded import in_language
from tale_core.runs.runner import start_search
from tale_core.runs.views import view_of
from tale_core.search.view import SearchView
from ui.common import evidence
from ui.common.run_page import RunPage, session_as
from ui.common.run_parts import parent_link, provenance, resume_study
from ui.search import form, result


def _picture(view: SearchView) -> None:
    result.replay(view)
    result.spent_and_files(view)
    provenance(view, template=view.plan.template, sampling=sampling_words(view.plan.sampling))
    parent_link(view.parent_id, "search")


def _example(view: SearchView) -> None:
    result.head(view)
    result.replay(view)


def _welcome() -> None:
    st.markdown(
        t(
            "Give a question whose answer you know. It is answered once **without a budget**; then smaller and smaller "
            "budgets are tried until none is left that is worth trying. You watch every try: what was asked for, what "
            "the model really spent, and whether it was still right."
        )
    )
    evidence.recorded(SearchView, partial(in_language, "search"), load=form.load, draw=_example)


PAGE = RunPage(
    kind="search",
    view_type=SearchView,
    start=start_search,
    read=session_as("search", view_of),
    load=form.load,
    form=form.form,
    phase_line=result.phase_line,
    live=result.LiveSearch,
    head=result.head,
    resume=resume_study,
    picture=_picture,
    welcome=_welcome,
)
draw = PAGE.draw
