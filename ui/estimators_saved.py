"""The list of saved estimators of one model and wording: open, set as default, delete."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial

import streamlit as st

from tale_core.errors import EstimatorFileError, InputError
from tale_core.estimators import saved
from tale_core.estimators.predictor import KINDS
from tale_core.estimators.saved import SavedEstimator, Use
from ui.text import literal

MOST_PROBLEMS = 5
MOST_LISTED = 30
ADDRESS = "estimator"
_ERROR, _ASKED = "est_error", "est_delete"


def defaults(model: str, template: str) -> dict[Use, str]:
    """The versions that somebody chose as default; a damaged file of defaults is told, and nothing is chosen then."""
    try:
        chosen = {use: saved.default_version(use) for use in (Use(kind, model, template) for kind in KINDS)}
    except EstimatorFileError as e:
        st.warning(literal(str(e), 600), icon=":material/broken_image:")
        return {}
    return {use: version for use, version in chosen.items() if version}


def problems(found: Sequence[str]) -> None:
    """The files that cannot be used, by name; the others work."""
    if not found:
        return
    more = f" And {len(found) - MOST_PROBLEMS:,} more." if len(found) > MOST_PROBLEMS else ""
    words = " ".join(found[:MOST_PROBLEMS])
    st.warning(f"Not every saved estimator can be used. {literal(words, 1500)}{more}", icon=":material/broken_image:")


def draw(mine: Sequence[SavedEstimator], others: int, *, shown: SavedEstimator | None, chosen: dict[Use, str]) -> None:
    """The list, the newest first.

    Args:
        mine: Of the chosen model and wording.
        others: How many there are of other models and wordings.
        shown: The one whose report is drawn.
        chosen: The defaults that somebody chose.
    """
    st.markdown("### Saved estimators", anchors=False)
    if error := st.session_state.pop(_ERROR, ""):
        st.error(literal(error, 800), icon=":material/error:")
    if not mine:
        st.caption("There is none for this model and wording yet.")
    for one in mine[:MOST_LISTED]:
        _line(one, is_shown=shown is not None and one.path == shown.path, used=_used(one, mine, chosen))
    if len(mine) > MOST_LISTED:
        st.caption(f"And {len(mine) - MOST_LISTED:,} older ones.")
    if others:
        st.caption(f"{others:,} more for other models or wordings: choose those above to see them.")


def in_use(mine: Sequence[SavedEstimator], chosen: dict[Use, str]) -> SavedEstimator | None:
    """The one that is used, of the kind that is used first."""
    for kind in KINDS:
        for one in mine:
            if one.use.kind == kind and _used(one, mine, chosen):
                return one
    return None


def _used(one: SavedEstimator, mine: Sequence[SavedEstimator], chosen: dict[Use, str]) -> str:
    """Why it is the one that is used, in a word or two; "" when it is not. The rule of `saved.find`."""
    same = [other for other in mine if other.use == one.use]
    wanted = chosen.get(one.use, "")
    named = next((other for other in same if other.metadata.version == wanted), None)
    if named is not None:
        return "default" if one.path == named.path else ""
    return "used: the newest" if one.path == same[0].path else ""


def key_of(one: SavedEstimator) -> str:
    """A widget's key; a file's name may hold anything."""
    return hashlib.sha256(str(one.path).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _line(one: SavedEstimator, *, is_shown: bool, used: str) -> None:
    meta, key = one.metadata, key_of(one)
    name = f"{meta.kind}:{meta.version}"
    where = "shipped with the program" if one.shipped else "yours"
    facts = (meta.trained_on[:10] or "unknown date", f"{meta.rows:,} searches", meta.candidate, meta.aim, where)
    st.markdown(f"**{literal(name, 80)}** · {literal(' · '.join(facts), 200)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if used:
            st.badge(used, color="blue", icon=":material/check:")
        st.button("Shown" if is_shown else "Show", key=f"est_show_{key}", disabled=is_shown, type="tertiary",
                  on_click=partial(_show, meta.version))  # fmt: skip
        st.button("Set as default", key=f"est_default_{key}", disabled=used == "default", type="tertiary",
                  on_click=partial(_set_default, one))  # fmt: skip
        if not one.shipped:
            st.button("Delete", key=f"est_delete_{key}", type="tertiary", icon=":material/delete:",
                      on_click=partial(_ask, key))  # fmt: skip
    if st.session_state.get(_ASKED) == key and not one.shipped:
        _confirm(one, name, key)


def _confirm(one: SavedEstimator, name: str, key: str) -> None:
    st.markdown(f"Delete {literal(name, 80)} for good? Its searches stay.")
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button("Yes, delete it", key=f"est_really_{key}", type="primary", on_click=partial(_delete, one))
        st.button("Keep it", key=f"est_keep_{key}", on_click=partial(_ask, ""))


def _show(version: str) -> None:
    st.query_params[ADDRESS] = version


def _ask(key: str) -> None:
    st.session_state[_ASKED] = key


def _set_default(one: SavedEstimator) -> None:
    try:
        saved.set_default(one)
    except EstimatorFileError as e:
        st.session_state[_ERROR] = str(e)


def _delete(one: SavedEstimator) -> None:
    _ask("")
    try:
        saved.delete(one)
    except (InputError, EstimatorFileError) as e:
        st.session_state[_ERROR] = str(e)
    if st.query_params.get(ADDRESS) == one.metadata.version:
        del st.query_params[ADDRESS]
