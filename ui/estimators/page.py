"""The Estimators page: how much there is to learn from, a training, what it found, and what is saved.

`?estimator=` names the one that is shown, `?training=` a training that runs: a refresh or a shared link finds both.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from shlex import quote

import streamlit as st

from tale_core.errors import StoreError, TrainingError
from tale_core.estimators import saved, trained_kinds
from tale_core.estimators.kinds import trainings
from tale_core.estimators.report import AIMS
from tale_core.estimators.rows import TooFewRowsError, require_rows
from tale_core.estimators.saved import SavedEstimator
from tale_core.i18n import t
from tale_core.models.choice import ModelChoice
from tale_core.prompts import messages as prompts
from tale_core.settings import PROGRAM
from ui.common import question_form, state
from ui.common.nav import ESTIMATORS, SEARCH
from ui.common.text import literal, sanitize
from ui.estimators import result as estimators_result
from ui.estimators import rows as estimators_rows
from ui.estimators import saved as estimators_saved
from ui.estimators import text as words
from ui.estimators.rows import Rows
from ui.estimators.saved import ADDRESS
from ui.estimators.training import Asked, TrainingJob, running_training, start_training
from ui.shell import page

POLL_S = 0.5
"""Seconds between two looks at a running training."""
_JOB, _FAILED, _LOADED, _CHOSEN = "est_job", "est_failed", "est_loaded", "est_chosen"


def draw() -> None:
    """Draw the page."""
    page(t("Estimators"))
    job = _training()
    listing = saved.listing()
    named = _named(listing.estimators)
    title = t("How well can a budget be predicted?")
    st.markdown(f"## {title}", anchors=False)
    model, template = _chosen()
    rows = _rows(model, template)
    found, training = st.container(), st.container()
    if job is not None:  # What happens now goes before what was found earlier.
        found, training = training, found
    estimators_saved.problems(listing.problems)
    defaults = estimators_saved.defaults(model, template)
    mine = [one for one in listing.estimators if one.use[1:] == (model, template)]
    shown = _shown(named, model, template) or estimators_saved.in_use(mine, defaults)
    with found:
        if shown is not None:
            estimators_result.draw(shown)
        elif job is None:
            _welcome()
    with training:
        _train(rows, model, template, job, below=shown is not None)
    estimators_saved.draw(mine, len(listing.estimators) - len(mine), shown=shown, chosen=defaults)
    if rows is not None:
        with st.expander(t("Rows as a file"), icon=":material/table_rows:"):
            estimators_rows.file_box(rows, model=model, template=template)


def _training() -> TrainingJob | None:
    """The training that this page follows; one that has ended leaves its estimator shown, or its error to be told."""
    job = st.session_state.get(_JOB) or running_training(str(st.query_params.get("training", "")))
    if job is None:
        st.query_params.pop("training", None)
        return None
    view = job.view()
    if view.running:
        st.session_state[_JOB] = job
        return job
    st.session_state.pop(_JOB, None)
    st.query_params.pop("training", None)
    if view.found is not None:
        st.query_params[ADDRESS] = view.found.metadata.version
    else:
        st.session_state[_FAILED] = view.error or t("The training was stopped; nothing was saved.")
    return None


def _named(estimators: Sequence[SavedEstimator]) -> SavedEstimator | None:
    """The estimator that the address names; the form then takes its model and prompt template, once."""
    version = str(st.query_params.get(ADDRESS, ""))
    if not version:
        st.session_state.pop(_LOADED, None)
        return None
    one = next((one for one in estimators if one.metadata.version == version), None)
    if one is None:
        st.query_params.pop(ADDRESS, None)
        message = t("There is no estimator of the version {version}. It may have been deleted.", version=version[:40])
        st.warning(literal(message))
        return None
    if st.session_state.get(_LOADED) != version:
        st.session_state[_LOADED] = version
        st.session_state.pop(_CHOSEN, None)
        choices = state.model_choices().values()
        if choice := next((c for c in choices if c.model == one.metadata.model), None):
            if state.current_choice().model != choice.model:
                state.choose(choice.key)
            if one.metadata.template in prompts.TEMPLATES:
                st.session_state["est_template"] = one.metadata.template
                st.session_state["est_template_of"] = choice.model
    return one


def _shown(named: SavedEstimator | None, model: str, template: str) -> SavedEstimator | None:
    """The named one, until somebody chooses another model or prompt template."""
    if named is None:
        return None
    if st.session_state.setdefault(_CHOSEN, (model, template)) != (model, template):
        st.query_params.pop(ADDRESS, None)
        return None
    if named.use[1:] != (model, template):
        message = t(
            "This estimator is for {model} with the template {template}, not for what is chosen.",
            model=named.use.model,
            template=named.use.template,
        )
        st.info(literal(message, 400))
    return named


def _chosen() -> tuple[str, str]:
    """The model and the template."""
    left, right = st.columns(2)
    with left:
        question_form.model_box()
    model = state.current_choice().model
    if st.session_state.get("est_template_of") != model:
        st.session_state["est_template_of"] = model
        st.session_state["est_template"] = state.template()
    elif "est_template" not in st.session_state:
        st.session_state["est_template"] = state.template()
    titles = {name: template.title for name, template in prompts.TEMPLATES.items()}
    with right:
        st.selectbox(
            t("Prompt template"), list(titles), key="est_template", format_func=lambda name: sanitize(titles[name]),
            persist_state="session", help=t("An optimum of one template says nothing about another."),
        )  # fmt: skip
    return model, str(st.session_state["est_template"])


def _rows(model: str, template: str) -> Rows | None:
    try:
        return estimators_rows.read(model, template)
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return None


def _train(rows: Rows | None, model: str, template: str, job: TrainingJob | None, *, below: bool) -> None:
    """How much there is, the button, and what became of it; `below` an estimator it has a heading."""
    if rows is None:
        return
    if below and job is None:
        st.markdown(f"### {t('Learn from your own searches')}", anchors=False)
    intro, button, options = st.container(), st.container(), st.expander(t("What to train"), icon=":material/tune:")
    with options:
        kinds = trainings()
        kind = st.radio(
            t("Predict"), kinds, key="est_kind", format_func=lambda k: t(kinds[k].title), persist_state="session"
        )
        aim = st.radio(
            t("Hand out"), AIMS, key="est_aim", format_func=lambda a: t(words.AIMS[a]), persist_state="session"
        )
    asked = Asked(kind or next(iter(kinds)), aim or "median", model, template, tuple(rows.chosen))
    with intro:
        ready = _enough(asked, rows)
    with button:
        pressed = st.button(
            t("Train"),
            key="train",
            type="primary",
            icon=ESTIMATORS[2],
            disabled=not ready or job is not None,
        )
        if job is not None:
            st.fragment(_follow, run_every=POLL_S)(job)
        elif error := st.session_state.get(_FAILED):
            st.error(literal(error, 1000), icon=":material/error:")
    if pressed:
        st.session_state.pop(_FAILED, None)
        st.session_state[_JOB] = started = start_training(asked)
        st.query_params["training"] = started.id
        st.rerun()


def _enough(asked: Asked, rows: Rows) -> bool:
    """Say how many rows there are, and what is missing; True when there are enough."""
    needs_estimate = trainings()[asked.kind].needs_estimate
    st.markdown(f"**{literal(words.how_many(asked.rows, needs_estimate=needs_estimate))}**")
    if rows.of_file:
        st.caption(t("{n:,} of them are from the uploaded file.", n=rows.of_file))
    try:
        require_rows(asked.rows, model=asked.model, template=asked.template, needs_estimate=needs_estimate)
    except TrainingError as e:
        said = e.hint if isinstance(e, TooFewRowsError) else str(e)  # How many there are stands above.
        st.info(literal(said, 800), icon=":material/hourglass_empty:")
        _what_is_there(asked, rows)
        _how_to_get_more(asked.template)
        return False
    _how_to_get_more(asked.template)
    return True


def _what_is_there(asked: Asked, rows: Rows) -> None:
    if rows.elsewhere:
        message = t("There are searches for {models}.", models=estimators_rows.named(rows.elsewhere))
        st.caption(literal(message, 600))
    if trained_kinds(model=asked.model, template=asked.template):
        st.caption(t("What was learnt from other searches is there already: see above."))
    if trainings()[asked.kind].needs_estimate:
        st.caption(
            t(
                "A model's own estimate is kept whenever it is asked for one: by an Ask with the estimator zero-shot, "
                "or by an experiment with the strategy tale-zero-shot."
            )
        )


def _how_to_get_more(template: str) -> None:
    path, _, icon = SEARCH
    with st.container(horizontal=True, vertical_alignment="center"):
        st.page_link(path, label=t("Search a question"), icon=icon, width="content")
        st.caption(t("or many at once, on the command line:"), width="content")
    st.code(_command(template, state.current_choice()), language=None, wrap_lines=True)


def _command(template: str, choice: ModelChoice) -> str:
    """The search of many questions; names are whatever an endpoint calls itself, so each is one word of a shell."""
    where = f" --base-url {quote(sanitize(choice.base_url))}" if choice.base_url and choice.preset is None else ""
    return f"{PROGRAM} search --dataset FILE --template {template} --model {quote(sanitize(choice.model))}{where}"


def _follow(job: TrainingJob) -> None:
    """Say that it runs, until it has ended; leaving or refreshing the page leaves it alone."""
    view = job.view()
    if not view.running:
        st.rerun()
    if view.status == "waiting":
        st.caption(t(":material/hourglass_top: Waiting for another training to end."))
        return
    since = time.monotonic() - view.began
    st.caption(
        t(
            ":material/hourglass_top: Training on {n:,} searches, {seconds:.0f} s so far. It compares every predictor "
            "on questions that it has not seen, usually within ten seconds, and saves the result itself: you can leave "
            "this page.",
            n=len(view.asked.rows),
            seconds=since,
        )
    )


def _welcome() -> None:
    st.markdown(
        t(
            "Each **search** finds the smallest budget that still works for one question. From enough of them an "
            "**estimator** learns to name a budget for a new question, without asking the model. It is kept only if it "
            "beats one budget for all beyond noise."
        )
    )
