"""The list of saved estimators of one model and prompt template: open, set as default, delete."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import partial
from typing import Literal

import streamlit as st

from tale_core.errors import EstimatorFileError, InputError
from tale_core.estimators import saved
from tale_core.estimators.kinds import trainings
from tale_core.estimators.report import Aim
from tale_core.estimators.saved import SavedEstimator, Use
from tale_core.estimators.text import title
from tale_core.i18n import N_, joined, t
from ui.common.text import literal

MOST_PROBLEMS = 5
MOST_LISTED = 30
ADDRESS = "estimator"
_ERROR, _ASKED = "est_error", "est_delete"
Why = Literal["default", "newest"]
_USED: dict[Why, str] = {"default": N_("default"), "newest": N_("used: the newest")}
_AIMS: dict[Aim, str] = {"median": N_("median"), "upper": N_("upper")}


def defaults(model: str, template: str) -> dict[Use, str]:
    """The versions that somebody chose as default; a damaged file of defaults is told, and nothing is chosen then."""
    try:
        chosen = {use: saved.default_version(use) for use in (Use(kind, model, template) for kind in trainings())}
    except EstimatorFileError as e:
        st.warning(literal(str(e), 600), icon=":material/broken_image:")
        return {}
    return {use: version for use, version in chosen.items() if version}


def problems(found: Sequence[str]) -> None:
    """The files that cannot be used, by name; the others work."""
    if not found:
        return
    words = [t("Not every saved estimator can be used."), literal(joined(*found[:MOST_PROBLEMS]), 1500)]
    if len(found) > MOST_PROBLEMS:
        words.append(t("And {n:,} more.", n=len(found) - MOST_PROBLEMS))
    st.warning(joined(*words), icon=":material/broken_image:")


def draw(mine: Sequence[SavedEstimator], others: int, *, shown: SavedEstimator | None, chosen: dict[Use, str]) -> None:
    """The list, the newest first.

    Args:
        mine: Of the chosen model and prompt template.
        others: How many there are of other models and prompt templates.
        shown: The one whose report is drawn.
        chosen: The defaults that somebody chose.
    """
    st.markdown(t("### Saved estimators"), anchors=False)
    if error := st.session_state.pop(_ERROR, ""):
        st.error(literal(error, 800), icon=":material/error:")
    if not mine:
        st.caption(t("There is none for this model and prompt template yet."))
    for one in mine[:MOST_LISTED]:
        _line(one, is_shown=shown is not None and one.path == shown.path, used=_used(one, mine, chosen))
    if len(mine) > MOST_LISTED:
        st.caption(t("And {n:,} older ones.", n=len(mine) - MOST_LISTED))
    if others:
        st.caption(t("{n:,} more for other models or prompt templates: choose those above to see them.", n=others))


def in_use(mine: Sequence[SavedEstimator], chosen: dict[Use, str]) -> SavedEstimator | None:
    """The one that is used, of the kind that is used first."""
    use = next((one.use for kind in trainings() for one in mine if one.use.kind == kind), None)
    return saved.in_use(mine, use, chosen.get(use, "")) if use else None


def _used(one: SavedEstimator, mine: Sequence[SavedEstimator], chosen: dict[Use, str]) -> Why | None:
    """Why it is the one that is used; None when it is not."""
    wanted = chosen.get(one.use, "")
    if saved.in_use(mine, one.use, wanted) is not one:
        return None
    return "default" if one.metadata.version == wanted else "newest"


def key_of(one: SavedEstimator) -> str:
    """A widget's key; a file's name may hold anything."""
    return hashlib.sha256(str(one.path).encode("utf-8", "surrogateescape")).hexdigest()[:12]


def _line(one: SavedEstimator, *, is_shown: bool, used: Why | None) -> None:
    meta, key = one.metadata, key_of(one)
    name = f"{meta.kind}:{meta.version}"
    where = t("shipped with the program") if one.shipped else t("yours")
    searches = t("{n:,} searches", n=meta.rows)
    facts = (
        meta.trained_on[:10] or t("unknown date"),
        searches,
        title(meta.candidate, meta.candidate),
        t(_AIMS[meta.aim]),
        where,
    )
    st.markdown(f"**{literal(name, 80)}** · {literal(' · '.join(facts), 200)}")
    with st.container(horizontal=True, vertical_alignment="center"):
        if used:
            st.badge(t(_USED[used]), color="blue", icon=":material/check:")
        st.button(t("Shown") if is_shown else t("Show"), key=f"est_show_{key}", disabled=is_shown, type="tertiary",
                  on_click=partial(_show, meta.version))  # fmt: skip
        st.button(t("Set as default"), key=f"est_default_{key}", disabled=used == "default", type="tertiary",
                  on_click=partial(_set_default, one))  # fmt: skip
        if not one.shipped:
            st.button(t("Delete"), key=f"est_delete_{key}", type="tertiary", icon=":material/delete:",
                      on_click=partial(_ask, key))  # fmt: skip
    if st.session_state.get(_ASKED) == key and not one.shipped:
        _confirm(one, name, key)


def _confirm(one: SavedEstimator, name: str, key: str) -> None:
    st.markdown(t("Delete {name} for good? Its searches stay.", name=literal(name, 80)))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(t("Yes, delete it"), key=f"est_really_{key}", type="primary", on_click=partial(_delete, one))
        st.button(t("Keep it"), key=f"est_keep_{key}", on_click=partial(_ask, ""))


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
