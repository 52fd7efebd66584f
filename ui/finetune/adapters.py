"""The adapters: the list, one of them with its data, settings and files, and its comparison with its base."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import streamlit as st

from tale_core.errors import TaleError
from tale_core.i18n import t
from tale_core.models.adapters import exchange as adapter_exchange
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.prompts.messages import plain_messages
from tale_core.types import Question
from ui.common import evidence
from ui.common.text import literal
from ui.finetune import evaluation
from ui.finetune import text as words

ADDRESS = "adapter"
MOST_LISTED = 40
MOST_PROBLEMS = 5
_ERROR, _ASKED = "tune_adapter_error", "tune_adapter_delete"


def draw(listing: adapters.Listing, shown: Adapter | None) -> None:
    """The list and the one that is shown."""
    _problems(listing.problems)
    if shown is not None:
        _one(shown)
    st.markdown(t("### Adapters"), anchors=False)
    if error := st.session_state.pop(_ERROR, ""):
        st.error(literal(error, 800), icon=":material/error:")
    if not listing.adapters:
        st.caption(t("There is none yet."))
    for one in listing.adapters[:MOST_LISTED]:
        _line(one, is_shown=shown is not None and one.key == shown.key)


def named(listing: adapters.Listing, made: str = "") -> Adapter | None:
    """The adapter that the address names, else the one that was just made.

    Args:
        listing: What there is.
        made: Name of the adapter that the shown training has made.
    """
    name = str(st.query_params.get(ADDRESS, "")) or made
    if not name:
        return None
    one = next((a for a in listing.adapters if a.name == name), None)
    if one is None and ADDRESS in st.query_params:
        del st.query_params[ADDRESS]
        st.warning(t("There is no adapter {name}. It may have been deleted.", name=literal(name, 60)))
    return one


def compared(listing: adapters.Listing) -> Adapter | None:
    """The newest adapter that was compared with its base: what the page opens on."""
    return next((a for a in listing.adapters if any(not r.get("pending") for r in a.about.results)), None)


def _problems(found: Sequence[str]) -> None:
    if found:
        problems = literal(" ".join(found[:MOST_PROBLEMS]), 1500)
        st.warning(t("Not every adapter can be used. {problems}", problems=problems), icon=":material/broken_image:")


def _line(one: Adapter, *, is_shown: bool) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        line = f"**:violet[■]** **{literal(one.name, 60)}** · {literal(words.facts(one), 300)}"
        st.markdown(line, width="content")
        st.button(
            t("Shown") if is_shown else t("Show"), key=f"tune_show_{one.name}", disabled=is_shown, type="tertiary",
            on_click=partial(_show, one.name),
        )  # fmt: skip
        if not one.shipped:
            st.button(t("Delete"), key=f"tune_delete_{one.name}", type="tertiary", icon=":material/delete:",
                      on_click=partial(_ask, one.name))  # fmt: skip
    if st.session_state.get(_ASKED) == one.name and not one.shipped:
        st.markdown(t("Delete {name} for good? Answers that it gave stay.", name=literal(one.name, 60)))
        with st.container(horizontal=True):
            st.button(t("Yes, delete it"), key="tune_really", type="primary", on_click=partial(_delete, one))
            st.button(t("Keep it"), key="tune_keep", on_click=partial(_ask, ""))


def _one(one: Adapter) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        st.markdown(f"### :violet[■] {literal(one.name, 60)}", anchors=False, width="content")
        if one.shipped and one.about.results:
            made = evidence.mark(one.about.base, str(one.about.results[-1].get("at", ""))[:10])
            st.badge(literal(made, 120), icon=":material/voicemail:", color="gray")
    evaluation.draw(one)
    with st.expander(t("Use it elsewhere"), icon=":material/download:"):
        _files(one)
    with st.expander(t("What it is made of"), icon=":material/info:"):
        _about(one)


def _files(one: Adapter) -> None:
    st.caption(
        t(
            "Here it answers as the strategy “tuned:{name}” in experiments, as a budget in Ask, and as a model of its "
            "own everywhere.",
            name=one.name,
        )
    )
    with st.container(horizontal=True):
        st.download_button(
            t("For llama.cpp and Ollama (GGUF)"), partial(_gguf, one), file_name=f"{one.name}.gguf",
            key="tune_gguf", on_click="ignore", icon=":material/download:",
        )  # fmt: skip
        if one.peft.is_dir():
            st.download_button(
                t("For transformers and vLLM (PEFT)"), partial(adapter_exchange.peft_archive, one),
                file_name=f"{one.name}.zip", key="tune_peft", on_click="ignore", icon=":material/download:",
            )  # fmt: skip
    st.caption(words.asked_elsewhere(one))
    if one.about.writes == "lines":
        st.code(plain_messages(Question("…"), writes="lines")[0].content.strip(), language=None)
    st.code(f"llama-server -m BASE.gguf --lora {one.name}.gguf", language=None)


def _gguf(one: Adapter) -> bytes:
    return adapters.verified(one).read_bytes()


def _about(one: Adapter) -> None:
    st.caption(literal(words.facts(one), 300))
    document: dict[str, Any] = one.about.model_dump(exclude={"results"})
    for name in ("questions", "held_out_questions"):
        if (listed := document["data"].pop(name, None)) is not None:
            document["data"][f"{name}_count"] = len(listed)
    st.code(json.dumps(document, ensure_ascii=False, indent=2), language="json")


def _show(name: str) -> None:
    st.query_params[ADDRESS] = name


def _ask(name: str) -> None:
    st.session_state[_ASKED] = name


def _delete(one: Adapter) -> None:
    _ask("")
    try:
        adapters.delete(one)
    except TaleError as e:
        st.session_state[_ERROR] = str(e)
    if st.query_params.get(ADDRESS) == one.name:
        del st.query_params[ADDRESS]
