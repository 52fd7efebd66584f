"""A model's file on the Settings page: a GGUF file of one's own, chosen, checked and asked like any other model."""

from __future__ import annotations

import streamlit as st

from tale_core.errors import InputError
from tale_core.i18n import N_, t
from tale_core.models.choice import EMBEDDED, embedded_choice
from tale_core.models.embedded import own
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.model import EmbeddedModel, Thinking
from tale_core.models.endpoint_url import is_loopback_host
from tale_core.text import megabytes
from ui.common import state
from ui.common.text import literal, sanitize

_THINKING: dict[Thinking, str] = {
    "": N_("it does not think"),
    "always": N_("it always thinks"),
    "enable_thinking": N_("thinking can be turned off (enable_thinking)"),
    "thinking": N_("thinking can be turned on (thinking)"),
    "reasoning_effort": N_("thinking has levels (reasoning_effort)"),
}


def draw() -> None:
    """Draw the choice of a file, and what is known of the one that is chosen."""
    alone = _alone()
    st.caption(
        t(
            "Any GGUF file that llama.cpp loads, on the machine that runs this program. It is read once, for its hash, "
            "and used where it lies."
        )
    )
    found = [str(path) for path in own.nearby()]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        path = st.selectbox(
            t("File"), found, index=None, key="model_file", accept_new_options=alone, persist_state="session",
            placeholder=t("Path of a GGUF file") if alone else t("Choose a file"), format_func=sanitize,
        )  # fmt: skip
        use = st.button(t("Use this file"), icon=":material/check:", disabled=not (path or alone))
    if use:
        _use(path or "")
    choice = state.current_choice()
    if choice.kind == EMBEDDED and (model := embedded_model(choice.base)).path:
        st.caption(_about(model))


def _use(path: str) -> None:
    try:
        with st.spinner(t("Reading the file…")):
            choice = embedded_choice(own.take(path.strip()).name)
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    state.choose(choice.key)
    st.session_state["endpoint_added"] = choice.title
    st.switch_page("app.py", query_params=state.address() or None)


def _about(model: EmbeddedModel) -> str:
    values = {"size": megabytes(model.size), "context": model.context_length, "licence": sanitize(model.licence)}
    size = t("{size}, {context:,} tokens of context, licence: {licence}", **values)
    known = [size, t(_THINKING[model.thinking]), *([literal(t(model.note))] if model.note else [])]
    return f"{literal(model.name)}: {' · '.join(known)}"


def _alone() -> bool:
    """Whether the pages are served to this machine alone: a path that somebody types tells what files there are."""
    here = is_loopback_host(str(st.get_option("server.address") or ""))
    return here and st.get_option("browser.serverPort") == st.get_option("server.port")
