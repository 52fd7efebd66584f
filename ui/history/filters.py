"""The search box and the filters of the History page. The address is the only memory of what is asked for.

Every widget shows what the address says; changing one writes the address and begins at the newest again. So a reload, a
shared link and the browser's back button show the same list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import date
from functools import partial
from typing import Any

import streamlit as st

from tale_core.calls.outcomes import OUTCOMES
from tale_core.history.filters import LONGEST_TEXT, ONE_OF, Filters, filters_from
from tale_core.history.text import KINDS, SOURCES, STATUS
from tale_core.i18n import t
from ui.common import state
from ui.common.text import sanitize

ANY = ""
_KEY = "hist_{}"
_PLACES = ("after", "before")


def asked() -> Filters:
    """What the address asks for."""
    return filters_from({name: str(value) for name, value in st.query_params.items()})


def draw(models: Sequence[str]) -> Filters:
    """Draw them; what is asked for."""
    now = asked()
    with st.container(horizontal=True, vertical_alignment="bottom"):
        _keep("text", now.text)
        st.text_input(
            t("Search"), key="hist_text", on_change=_changed, max_chars=LONGEST_TEXT, icon=":material/search:",
            placeholder=t("Words in questions, answers or the model's name"), width="stretch",
            help=t("All words must be there, as parts of longer words too. Words in quotes stand together."),
        )  # fmt: skip
        more = now.many - bool(now.text) - bool(now.kind)
        label = t("Filters ({n})", n=more) if more else t("Filters")
        with st.popover(label, icon=":material/filter_list:"):
            _more(now, models)
    _keep("kind", now.kind)
    st.radio(
        t("Kind"), [ANY, *ONE_OF["kind"]], key="hist_kind", on_change=_changed, label_visibility="collapsed",
        format_func=partial(_named, KINDS, t("All kinds")), horizontal=True,
    )  # fmt: skip
    return now


def _more(now: Filters, models: Sequence[str]) -> None:
    known = [ANY, *models, *([now.model] if now.model not in ("", *models) else [])]
    _keep("model", now.model)
    st.selectbox(t("Model"), known, key="hist_model", on_change=_changed, format_func=partial(_model, t("All models")))
    words: dict[str, tuple[str, Mapping[Any, str], str]] = {
        "status": (t("Status"), STATUS, t("Any status")),
        "outcome": (t("An answer that was"), {o: kind.label for o, kind in OUTCOMES.items()}, t("Anything")),
        "source": (t("Source"), SOURCES, t("Any source")),
    }
    for name, (label, named, every) in words.items():
        _keep(name, getattr(now, name))
        st.selectbox(
            label, [ANY, *ONE_OF[name]], key=_KEY.format(name), on_change=_changed,
            format_func=partial(_named, named, every),
        )  # fmt: skip
    left, right = st.columns(2)
    _keep("first", now.first)
    _keep("last", now.last)
    bounds: dict[str, Any] = {"min_value": date(1971, 1, 1), "max_value": date(9000, 12, 31), "value": None}
    left.date_input(t("From"), key="hist_first", on_change=_changed, **bounds)
    right.date_input(t("To"), key="hist_last", on_change=_changed, **bounds)
    st.button(t("Clear filters"), key="hist_clear", on_click=clear, disabled=not now.many, type="tertiary")


def _named(words: Mapping[Any, str], every: str, value: str) -> str:
    return t(words[value]) if value else every


def _model(every: str, name: str) -> str:
    return sanitize(name) if name else every


def _keep(name: str, value: Any) -> None:
    """Have a widget show what the address says."""
    key = _KEY.format(name)
    if key not in st.session_state or st.session_state[key] != value:
        st.session_state[key] = value


def _changed() -> None:
    """Write what the widgets say into the address."""
    now = asked()
    said = {
        name: st.session_state.get(_KEY.format(name), getattr(now, name))
        for name in ("text", "kind", "model", "status", "outcome", "source", "first", "last")
    }
    days: dict[str, Any] = {name: said.pop(name) or None for name in ("first", "last")}
    words: dict[str, Any] = {name: str(value or "") for name, value in said.items()}
    goto(Filters(**words, **days))


def goto(filters: Filters, **place: str) -> None:
    """Have the address ask for this, at a place in the list."""
    places = {name: words for name, words in place.items() if name in _PLACES}
    st.query_params.from_dict(state.address(**filters.address(), **places))


def clear() -> None:
    """Ask for nothing: every session is shown."""
    goto(Filters())
