"""Make TALE work for this model: what it costs, how far it is, what it found, and one button that does the rest.

A setup is found again by its model: a refresh, another tab or a later visit shows the one that runs.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import streamlit as st

from tale_core.calls.budget_ledger import Limits, money, spent_words
from tale_core.errors import StoreError, TaleError
from tale_core.estimators.rows import MIN_ROWS
from tale_core.i18n import t
from tale_core.models.choice import ModelChoice, open_client
from tale_core.proxy.kept import kept_models, questions_to_search
from tale_core.runs.runner import Job, runner
from tale_core.runs.setup import Cost, Readiness, SetupPlan, SetupRun, SetupView, cost, readiness, setup_id
from tale_core.store import TrafficStore
from tale_core.types import Price, Question
from ui.common import question_form, state, url_params
from ui.common.text import as_numbers, literal
from ui.shell import page

POLL_S = 0.5
_ENDED = "setup_ended"


def draw() -> None:
    """Draw the page."""
    page(t("Set up"))
    st.markdown(f"## {t('Make TALE work for this model')}", anchors=False)
    st.markdown(
        t(
            "Three steps, each paid for once: the **template** that the model obeys, **searches** for the best budget "
            "of single questions, and an **estimator** that learns from them to name a budget for a new question."
        )
    )
    question_form.model_box()
    choice = state.current_choice()
    try:
        at = readiness(state.store(), choice)
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return
    job = runner().get(setup_id(choice))
    if job is not None:
        st.fragment(_follow, run_every=POLL_S)(job)
        return
    if (ended := st.session_state.pop(_ENDED, None)) is not None and ended.setup_id == setup_id(choice):
        _told(ended)
    _form(choice, at)


def _form(choice: ModelChoice, at: Readiness) -> None:
    mine = _of_traffic(choice)
    searches = _searches(mine)
    price = question_form.price_of(choice)
    plan = SetupPlan(searches=searches, sampling=state.sampling())
    plan = plan if mine is None else replace(plan, questions=mine)
    expected = cost(plan, at, price=price, vanilla=state.store().vanilla_tokens(model=choice.model))
    _steps(at, searches)
    if at.complete(plan):
        st.success(t("Everything is there: Ask and Experiments use it by themselves."), icon=":material/check:")
        if mine is not None:
            st.markdown(t("Choose more searches than there are to learn from your traffic as well."))
        return
    if mine is not None and len(mine) < MIN_ROWS:
        st.warning(
            t("The answers to {n} kept questions are known, and searches need {least}: keep more, or judge answers on "
              "the page Label.", n=len(mine), least=MIN_ROWS), icon=":material/hourglass_empty:",
        )  # fmt: skip
        return
    st.markdown(f"**{_cost_words(expected)}**")
    cap = int(
        st.number_input(
            t("Stop at so many tokens"), 1_000, 1_000_000_000, max(1_000, 2 * expected.tokens), step=10_000,
            key=f"setup_cap_{choice.key}_{searches}", width=260,
            help=t("A cap on prompt and answer tokens of this run. A later run goes on where this one stopped."),
        )
    )  # fmt: skip
    if st.button(t("Set up"), key="setup", type="primary", icon=":material/play_arrow:"):
        _start(replace(plan, limits=Limits(max_tokens=cap)), choice, price)


def _of_traffic(choice: ModelChoice) -> tuple[Question, ...] | None:
    """The kept questions of the model's traffic whose answer is known, where they are to be searched; else None."""
    traffic = TrafficStore(state.store())
    if choice.model not in kept_models(traffic.pairs(model=choice.model)):
        return None
    named = {"ours": t("Questions of our own"), "traffic": t("Questions of your traffic")}
    url_params.take("questions", list(named), "ours")
    st.radio(
        t("Questions to search"), list(named), key="questions", format_func=lambda one: named[one], horizontal=True
    )
    return questions_to_search(traffic, choice.model) if url_params.put("questions", "ours") == "traffic" else None


def _searches(mine: tuple[Question, ...] | None) -> int:
    ours = t("Questions of our own, the easiest first. More searches cost more and predict better.")
    theirs = t("Kept questions whose answer is known, since a person called it right or both answers gave it.")
    return int(
        st.slider(
            t("Searches to learn from"), 20, 100, 30, key="setup_searches", persist_state="session",
            help=ours if mine is None else theirs,
        )
    )  # fmt: skip


def _start(plan: SetupPlan, choice: ModelChoice, price: Price | None) -> None:
    secrets, key, store = state.secrets(), state.session_keys().get(choice.key), state.store()

    def made(changed: Callable[[], None]) -> SetupRun:
        run = SetupRun(
            plan, store=store, choice=choice, price=price, on_change=changed,
            open_client=lambda: open_client(choice, secrets=secrets, key=key, notice=run.notice),
        )  # fmt: skip
        return run

    try:
        runner().start(made)
    except TaleError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    st.rerun()


def _follow(job: Job[SetupView]) -> None:
    """How far it is, until it has ended; leaving the page stops nothing."""
    view = job.view()
    if not view.running:
        st.session_state[_ENDED] = view
        st.rerun()
    _steps(view.readiness, view.searches)
    far = {"done": view.done, "planned": view.planned}
    now = {
        "template": t("Comparing templates: {done} of {planned} answers", **far) if view.planned else None,
        "searches": t("Searching: {done} of {planned} budgets found", **far),
        "estimator": t("Learning to name a budget…"),
    }.get(view.phase) or t("Reaching the model…")
    st.progress(min(1.0, view.done / view.planned) if view.planned else 0.0, text=literal(view.notice or now, 300))
    st.caption(t("Paid so far: {spent}.", spent=spent_words(view.spent)))
    st.button(t("Stop"), key="stop", icon=":material/stop_circle:", on_click=job.stop)


def _told(view: SetupView) -> None:
    words = t("Paid: {spent}.", spent=spent_words(view.spent))
    if view.status == "done":
        st.success(words, icon=":material/check:")
    elif view.error:
        st.warning(literal(f"{view.error} {words}", 1000), icon=":material/warning:")
    else:
        st.info(literal(t("Stopped. It goes on from here. {spent}", spent=words), 600), icon=":material/pause:")


def _steps(at: Readiness, searches: int) -> None:
    """How far it is: a line for each step, then what was found."""
    shipped = at.estimator is not None and at.estimator.shipped
    done = (
        (t("Template"), at.template is not None, ""),
        (
            t("Searches"),
            shipped or len(at.rows) >= searches,
            t("shipped with the program") if shipped else t("{n} of {wanted}", n=len(at.rows), wanted=searches),
        ),
        (t("Estimator"), at.estimator is not None, ""),
    )
    for words, there, more in done:
        icon = ":green[:material/check_circle:]" if there else ":gray[:material/radio_button_unchecked:]"
        st.markdown(" ".join(part for part in (icon, words, more) if part))
    for words in at.sentences() if at.template is not None else ():
        st.markdown(literal(as_numbers(words), 800))


def _cost_words(expected: Cost) -> str:
    return t(
        "What is left takes about {calls} calls and {tokens} tokens, {money}.",
        calls=f"{expected.calls:,}", tokens=f"{expected.tokens:,}", money=literal(money(expected.cost_usd)),
    )  # fmt: skip
