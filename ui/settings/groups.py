"""The groups of endpoints on the Settings page: who belongs to one, how each is doing, and a test of all of them."""

from __future__ import annotations

import streamlit as st

from tale_core.i18n import N_, joined, t, tn
from tale_core.models.choice import group_choice
from tale_core.models.groups.check import MemberReport, check_group
from tale_core.models.groups.config import Group, groups
from tale_core.models.groups.state import Health, state_of
from tale_core.runs.runner import runner
from ui.common import state
from ui.common.text import literal, sanitize

_WELL, _ALONE, _UNUSED = N_("answers"), N_("left alone for now"), N_("not asked yet")


def draw() -> None:
    """Draw them; nothing where there are none."""
    found = groups()
    if not found:
        return
    st.markdown(f"### {t('Groups of endpoints')}", anchors=False)
    st.caption(
        t(
            "Several endpoints that answer for one model: what one of them cannot do, another one does. A file on the "
            "server names them."
        )
    )
    for one in found:
        _group(one)


def _group(one: Group) -> None:
    name = one.title or one.name
    health = state_of(one).picture()
    well = sum(h.well for h in health)
    words = tn("{well} of {n} endpoint is asked", "{well} of {n} endpoints are asked", len(health), well=well)
    st.markdown(f"**{literal(name)}** · {words}")
    st.dataframe(
        [
            {
                t("Address"): sanitize(member.base_url),
                t("Weight"): member.weight,
                t("State"): t(_state(h)),
                t("Calls now"): h.calls,
                t("Calls so far"): int(h.served),
            }
            for member, h in zip(one.endpoints, health, strict=True)
        ],
        hide_index=True,
    )
    for member, h in zip(one.endpoints, health, strict=True):
        if not h.well:
            st.caption(literal(f"{member.base_url}: {h.problem}", 600))
    with st.container(horizontal=True):
        test = st.button(t("Test all of them"), key=f"test_group_{one.name}", icon=":material/network_check:")
        use = st.button(t("Use this group"), key=f"use_group_{one.name}", icon=":material/check:")
    if use:
        choice = group_choice(one.name)
        state.choose(choice.key)
        st.session_state["endpoint_added"] = choice.title
        st.switch_page("app.py", query_params=state.address() or None)
    if test:
        with st.spinner(t("Asking the endpoints…")):
            _report(runner().submit(check_group(one, secrets=state.secrets())))


def _state(health: Health) -> str:
    if not health.well:
        return _ALONE
    return _WELL if health.served else _UNUSED


def _report(found: list[MemberReport]) -> None:
    for one in found:
        words = f"**{literal(one.base_url)}** {literal(one.report.headline)}"
        if one.report.ok:
            st.success(words, icon=":material/check_circle:")
        else:
            message = joined(words, literal(one.report.detail, 600), literal(one.report.hint, 600))
            st.error(message, icon=":material/error:")
