"""The Settings page: which model answers, how it samples, how it is asked. All but kept keys lives in this session."""

from __future__ import annotations

import streamlit as st

from tale_core.access.who import asking
from tale_core.calibration.saved import template_for, usual_template
from tale_core.errors import InputError, ModelError, TaleError
from tale_core.i18n import N_, joined, t
from tale_core.models.choice import ModelChoice, efforts, endpoint_choice, endpoint_of
from tale_core.models.connection import ConnectionReport, check
from tale_core.models.endpoints import endpoints
from tale_core.prompts import messages as prompts
from tale_core.runs import kept_keys
from tale_core.runs.kept_keys import Kept
from tale_core.runs.runner import runner
from tale_core.settings import get_settings
from tale_core.store import KeptKeys
from tale_core.types import Question
from ui.common import state
from ui.common.text import literal, sanitize
from ui.settings import files
from ui.settings import groups as settings_groups
from ui.shell import page

CUSTOM = N_("Another address")


def draw() -> None:
    """Draw the page."""
    page(t("Settings"))
    st.markdown(f"## {t('Settings')}", anchors=False)
    if kept_keys.may_keep():
        st.caption(t("They hold in this browser tab, until you close it. A key that you keep stays, encrypted."))
    else:
        st.caption(t("They hold for you, in this browser tab, until you close it. Keys are never written anywhere."))
    st.markdown(f"### {t('Endpoint')}", anchors=False)
    _endpoint()
    if kept_keys.may_keep():
        _kept_keys()
    settings_groups.draw()
    if asking().sees_all:  # It is read from this machine's disk, and is then there for everybody.
        st.markdown(f"### {t('Model file')}", anchors=False)
        files.draw()
    st.markdown(f"### {t('Sampling')}", anchors=False)
    _sampling()
    st.markdown(f"### {t('Prompt template')}", anchors=False)
    _prompt_template()


def _endpoint() -> None:
    st.write(t("The embedded model needs nothing. To ask another one, name an OpenAI-compatible endpoint."))
    known = endpoints()
    with st.columns(2)[0]:
        title = st.selectbox(
            t("Endpoint"), [*(p.title for p in known), CUSTOM], key="endpoint_preset", persist_state="session",
            format_func=lambda p: t(CUSTOM) if p == CUSTOM else p,
        )  # fmt: skip
    preset = next((p for p in known if p.title == title), None)
    # In a form, because leaving a password by Tab goes to its eye, which Streamlit 1.67 takes for staying in the field:
    # what was typed is only sent from a form.
    with st.form("endpoint_form", enter_to_submit=False, border=False):
        url_at, model_at, key_at = st.columns([3, 2, 2])
        with url_at:
            url = preset.base_url if preset else ""
            base_url = st.text_input(
                t("Address"), value=url, key=f"endpoint_url_{title}", placeholder="https://…/v1",
                persist_state="session",
            )  # fmt: skip
        with model_at:
            names = [m.name for m in preset.models] if preset else []
            model = st.selectbox(
                t("Model"), names, index=0 if names else None, key=f"endpoint_model_{title}", accept_new_options=True,
                placeholder=t("Name of the model, as the endpoint calls it"), persist_state="session",
            )  # fmt: skip
        with key_at:
            env = preset.api_key_env if preset else None
            key = st.text_input(
                t("API key"), type="password", key=f"endpoint_key_{title}", persist_state="session",
                placeholder=t("or set {env}", env=env) if env else t("only if the endpoint asks for one"),
                help=t(
                    "Stays in this session's memory. Without it, the environment and .streamlit/secrets.toml are asked."
                ),
            )  # fmt: skip
        keep = kept_keys.may_keep() and st.checkbox(
            t("Keep the key for my next sign-in"), key="endpoint_keep", persist_state="session",
            help=t("It is stored encrypted, for your account alone, until you forget it. Else it goes with this tab."),
        )  # fmt: skip
        with st.container(horizontal=True):
            test = st.form_submit_button(t("Test connection"), icon=":material/network_check:")
            use = st.form_submit_button(t("Use this endpoint"), type="primary", icon=":material/check:")
    if not (test or use):
        return
    try:
        choice = endpoint_choice(
            model=model or "", preset_name=preset.name if preset else None, base_url=base_url, guarded=state.guarded()
        )
        endpoint = endpoint_of(choice, secrets=state.secrets(), key=key or None)
    except (InputError, ModelError) as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    if use:
        _use(choice, key, keep=keep)
        return
    with st.spinner(t("Asking the endpoint…")):
        _report(runner().submit(check(endpoint)))


def _use(choice: ModelChoice, key: str, *, keep: bool) -> None:
    if key and keep:
        try:
            kept_keys.keep(choice, key, store=state.store())
        except TaleError as e:
            st.error(literal(str(e), 800), icon=":material/error:")
            return
    if key:
        state.session_keys()[choice.key] = key
    state.session_choices()[choice.key] = choice
    state.choose(choice.key)
    st.session_state["endpoint_added"] = choice.title
    st.switch_page("app.py", query_params=state.address() or None)


def _report(report: ConnectionReport) -> None:
    words = joined(f"**{literal(report.headline)}**", literal(report.detail, 1000), literal(report.hint, 1000))
    if report.ok:
        st.success(words, icon=":material/check_circle:")
    else:
        st.error(words, icon=":material/error:")
    if report.models:
        with st.expander(t("Models that the endpoint lists ({n})", n=len(report.models))):
            st.text("\n".join(report.models[:200]))


def _sampling() -> None:
    st.caption(t("Both answers use the same sampling, so that what differs is the budget alone."))
    for name in ("temperature", "seed", "max_tokens", "effort"):
        state.keep(name)
    one, two, three, four = st.columns(4)
    with one:
        st.number_input(
            t("Temperature"), *state.RANGES["temperature"], step=0.1, key="temperature", persist_state="session",
            help=t("0 always takes the likeliest token, so that a run can be repeated."),
        )  # fmt: skip
    with two:
        st.number_input(t("Seed"), *state.RANGES["seed"], step=1, key="seed", persist_state="session")
    with three:
        st.number_input(
            "max_tokens", *state.RANGES["max_tokens"], step=256, key="max_tokens", persist_state="session",
            help=t("The hard cap on an answer. An answer that reaches it is called cut off, never wrong."),
        )  # fmt: skip
    with four:
        _effort()


def _effort() -> None:
    """The levels that the chosen model has; the words are the provider's own."""
    levels = efforts(state.current_choice())
    if st.session_state["effort"] not in levels:
        st.session_state["effort"] = state.NO_EFFORT
    if levels:
        message = t("The provider's own knob, for models that reason in hidden tokens.")
    else:
        message = t("The chosen model has no such knob.")
    st.selectbox(
        t("Reasoning effort"), [state.NO_EFFORT, *levels], key="effort", persist_state="session", disabled=not levels,
        format_func=lambda e: t(state.NO_EFFORT) if e == state.NO_EFFORT else e, help=message,
    )  # fmt: skip


def _prompt_template() -> None:
    state.keep("template")
    choice = state.current_choice()
    usual = prompts.TEMPLATES[usual_template(choice.model, get_settings())]
    titles = {name: one.title for name, one in prompts.TEMPLATES.items()}
    suits = t("What suits the chosen model ({prompt})", prompt=usual.title)
    st.selectbox(
        t("Prompt"), [state.AUTO, *titles], key="template", persist_state="session", label_visibility="collapsed",
        format_func=lambda n: sanitize(titles.get(n, suits)),
    )  # fmt: skip
    template = prompts.TEMPLATES[state.template()]
    st.caption(literal(template.hint, 400))
    if state.pref("template") == state.AUTO:
        _measured(choice.model)
    samples = {
        "English": Question(text="A baker makes 12 rolls and sells 5. How many are left?"),
        "中文": Question(text="面包师做了12个面包，卖出5个，还剩几个？", language="zh"),
    }
    st.caption(t("What the model is sent for a budget of 50 tokens; the vanilla prompt lacks the budget's part alone."))
    for column, (title, question) in zip(st.columns(2), samples.items(), strict=True):
        with column:
            st.caption(title)
            sent = "\n".join(message.content for message in template.messages(question, budget=50))
            st.code(sent, language=None, wrap_lines=True, height=300 if template.worked else "content")


def _measured(model: str) -> None:
    """Why this template suits the model, from the calibration that found it."""
    found = template_for(model, get_settings())
    if found is None:
        st.caption(
            t(
                "Nothing was measured for this model yet, so the paper's prompts are used. On the command line, "
                "“models calibrate” finds the template that a model obeys."
            )
        )
        return
    values = {"date": found.entry.date, "n": found.entry.n, "reason": found.entry.reason}
    if found.found == "yours":
        words = t("Measured on this machine on {date} with {n} questions: {reason}", **values)
    else:
        words = t("Measured for this release on {date} with {n} questions: {reason}", **values)
    st.caption(literal(words, 600))


def _kept_keys() -> None:
    """What is kept, a line each; nothing where nothing is."""
    try:
        if error := st.session_state.pop("kept_error", ""):
            st.error(literal(str(error), 600), icon=":material/error:")
        found = kept_keys.kept(state.store())
    except TaleError as e:
        st.error(literal(str(e), 600), icon=":material/error:")
        return
    if not found:
        return
    st.caption(t("Kept for your next sign-in, encrypted. Nobody but you can use them."))
    for one in found:
        with st.container(horizontal=True, vertical_alignment="center"):
            unreadable = t("A key that cannot be read any more: type it again.")
            st.markdown(
                f":material/key: {literal(one.choice.title, 120) if one.choice else unreadable}", width="content"
            )
            st.button(
                t("Forget"), key=f"forget_{one.name}", icon=":material/delete:", type="tertiary", on_click=_forget,
                args=(one,),
            )  # fmt: skip


def _forget(one: Kept) -> None:
    try:
        KeptKeys(state.store()).forget(one.name)
    except TaleError as e:
        st.session_state["kept_error"] = str(e)
        return
    if one.choice is not None:
        state.session_keys().pop(one.choice.key, None)
