"""What one browser session remembers: language, chosen model and its keys, sampling, template. Never shared or stored.

Keys live in `st.session_state` of this session only, unless a person of a team has them kept (`runs.kept_keys`); they
are handed to a client when a call is made, nothing else.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from typing import cast

import streamlit as st
from streamlit.runtime.scriptrunner import get_script_run_ctx

from tale_core.access.who import OWNER, asking, asking_as
from tale_core.calibration.saved import usual_template
from tale_core.errors import SettingsError, StoreError
from tale_core.i18n import N_, NAMES, SOURCE, ask_language
from tale_core.lessons import room_trash
from tale_core.models.choice import ModelChoice, available_choices, default_choice, efforts
from tale_core.models.endpoint_url import listens_alone
from tale_core.prompts.messages import TEMPLATES
from tale_core.runs import kept_keys
from tale_core.settings import get_settings
from tale_core.store import Store, Trash, open_store
from tale_core.types import Language, Sampling

AUTO = "auto"
"""As a template: the one that suits the chosen model."""
NO_EFFORT = N_("model default")
"""In the place of a level of effort: nothing is asked for."""
DEFAULTS: dict[str, object] = {
    "temperature": 0.0,
    "seed": 1024,
    "max_tokens": 2048,
    "effort": NO_EFFORT,
    "template": AUTO,
    "together": True,
    "guess_first": False,
}

RANGES: dict[str, tuple[float, float]] = {
    "temperature": (0.0, 2.0), "seed": (0, 2**31 - 1), "max_tokens": (16, 131_072),
}  # fmt: skip
"""What can be set of each."""
LANG = "lang"
"""The part of the address that names the language, so that a shared link speaks it too."""
_LANGUAGE = "language"
_SWITCH = "language_switch"
_DRAWN = "drawn_language"
_thread = threading.local()
"""The language found when this thread's page began, with the run and the address that it is true for: every sentence of
a page asks, and finding it each time took a fifth of a page's time."""


def language() -> Language | None:
    """The language of the page's reader; None outside of a script run.

    The address says it, else what was chosen in this browser session, else the browser's own language.
    """
    ctx = get_script_run_ctx(suppress_warning=True)
    if ctx is None:
        return None
    if (kept := getattr(_thread, "kept", None)) is not None and kept[0] is ctx and kept[1] == ctx.query_string:
        return cast(Language, kept[2])
    return chosen_language() or _known(st.context.locale) or SOURCE


ask_language(language)


def chosen_language() -> Language | None:
    """What the address or the switch says; None while neither does and the browser's language decides."""
    # `get` would raise and catch an error of many words where the address says nothing.
    asked = st.query_params.get_all(LANG)
    return _known(asked[-1] if asked else None) or cast("Language | None", st.session_state.get(_LANGUAGE))


def address(**parts: str) -> dict[str, str]:
    """The query of a link to one of our pages: these parts, and the language if one was chosen."""
    chosen = chosen_language()
    return parts if chosen is None else {**parts, LANG: chosen}


def keep_language() -> None:
    """Remember the address's language for this session, and write the session's into an address that lacks it.

    Kept under a name that no widget owns, as in `choose`.
    """
    if (chosen := chosen_language()) is not None:
        st.session_state[_LANGUAGE] = chosen
        if st.query_params.get(LANG) != chosen:
            st.query_params[LANG] = chosen
    spoken = language()
    if st.session_state.setdefault(_DRAWN, spoken) != spoken:
        st.session_state[_DRAWN] = spoken
        _choose_again()
    if (ctx := get_script_run_ctx()) is not None:
        _thread.kept = ctx, ctx.query_string, spoken


def _choose_again() -> None:
    """Choose what is chosen: a browser knows an option by its words alone, and would go on with those it had."""
    for key, value in dict(st.session_state).items():
        chosen = value if isinstance(value, list) else [value]
        if chosen and all(isinstance(one, str) for one in chosen):
            st.session_state[key] = value


def language_switch(label: str) -> None:
    """One control with each language in its own words."""
    st.session_state[_SWITCH] = language()
    st.radio(
        label, list(NAMES), key=_SWITCH, format_func=NAMES.__getitem__, horizontal=True, label_visibility="collapsed",
        on_change=_switched,
    )  # fmt: skip


def _switched() -> None:
    st.session_state[_LANGUAGE] = st.query_params[LANG] = st.session_state[_SWITCH]


def _known(tag: str | None) -> Language | None:
    """The language of a tag such as `zh-CN`; None when it is none of ours."""
    main = (tag or "").replace("_", "-").split("-")[0].lower()
    return main if main in NAMES else None


def pref(name: str) -> object:
    """A setting of this session, or its default while its widget has not been drawn yet."""
    return st.session_state.get(name, DEFAULTS[name])


def keep(name: str) -> object:
    """Give a widget of this key its default before it is drawn for the first time; returns the value."""
    if name not in st.session_state:
        st.session_state[name] = DEFAULTS[name]
    return st.session_state[name]


def sampling() -> Sampling:
    """The sampling that the settings ask for."""
    # What another model was asked for means nothing to this one.
    effort = next((level for level in efforts(current_choice()) if level == pref("effort")), None)
    return Sampling(
        temperature=float(str(pref("temperature"))),
        seed=int(str(pref("seed"))),
        max_tokens=int(str(pref("max_tokens"))),
        reasoning_effort=effort,
    )


def sample_like(asked: Sampling | None, *, template: str, warm: bool = True) -> None:
    """Set the settings to how something was asked; what they cannot say stays as it is.

    Args:
        asked: Its sampling, if it is known.
        template: Its template.
        warm: Take its temperature as well; a sweep's form has one of its own.
    """
    if template in TEMPLATES:
        st.session_state["template"] = template
    if asked is None:
        return
    st.session_state["effort"] = asked.reasoning_effort or NO_EFFORT
    values = {"temperature": asked.temperature if warm else None, "seed": asked.seed, "max_tokens": asked.max_tokens}
    for name, value in values.items():
        low, high = RANGES[name]
        if value is not None and low <= value <= high:
            st.session_state[name] = value


def template() -> str:
    """The template that the settings ask for; unless one is chosen there, the one that suits the chosen model."""
    chosen = str(pref("template"))
    return usual_template(current_choice().base, get_settings()) if chosen == AUTO else chosen


def secrets() -> Mapping[str, object]:
    """`.streamlit/secrets.toml` as Streamlit read it; empty when there is none."""
    try:
        return st.secrets.to_dict()
    except FileNotFoundError:
        return {}


def guarded() -> bool:
    """Whether the addresses that this reader names are held to public ones; see `Settings.guard_addresses`."""
    how = get_settings().guard_addresses
    alone = asking().sees_all and listens_alone(str(st.get_option("server.address") or ""))
    return how == "always" or (how == "auto" and not alone)


def session_keys() -> dict[str, str]:
    """API keys typed into Settings in this session, or kept from an earlier one, by the choice's key."""
    _bring_kept()
    keys: dict[str, str] = st.session_state.setdefault("session_api_keys", {})
    return keys


def session_choices() -> dict[str, ModelChoice]:
    """Endpoints added in Settings in this session, or kept from an earlier one, by the choice's key."""
    _bring_kept()
    added: dict[str, ModelChoice] = st.session_state.setdefault("session_endpoints", {})
    return added


def _bring_kept() -> None:
    """Once in a session: what this person has kept."""
    if "brought_kept" in st.session_state or not kept_keys.may_keep():
        return
    st.session_state["brought_kept"] = True
    with suppress(SettingsError, StoreError):  # Settings says it.
        for one in kept_keys.kept(store()):
            if one.choice is not None:
                session_keys().setdefault(one.choice.key, one.key)
                session_choices().setdefault(one.choice.key, replace(one.choice, guarded=guarded()))


def model_choices() -> dict[str, ModelChoice]:
    """Every model that can be asked now: embedded, endpoints whose key is known, and those added in this session."""
    return {c.key: c for c in available_choices(secrets())} | session_choices()


def current_choice() -> ModelChoice:
    """The model that is chosen in this session; the configured default until one is."""
    chosen = st.session_state.get("chosen_model")  # Which models there are is looked up on the disk.
    return default_choice() if chosen is None else model_choices().get(str(chosen), default_choice())


def choose(key: str) -> None:
    """Ask this model from now on.

    Kept under a name that no widget owns: what a widget owns goes with the page that draws it.
    """
    st.session_state["chosen_model"] = key


def deletions() -> list[str]:
    """Sessions that were deleted here since another page was open: the page offers to undo these together."""
    mine: list[str] = st.session_state.setdefault("deletions", [])
    return mine


def forget_deletions() -> None:
    """Another page is open now: what was deleted is one among others in the trash."""
    st.session_state.pop("deletions", None)


@st.cache_data(ttl="1h", show_spinner=False)
def empty_trash() -> None:
    """Throw away what has been in the trash for its time; asked by every page, done once an hour."""
    with suppress(StoreError):
        Trash(store()).expire()
        with asking_as(OWNER):  # Its time is over for everybody, whoever has a page open.
            room_trash.expire()


def store() -> Store:
    """The database; opening it again is cheap."""
    return open_store()
