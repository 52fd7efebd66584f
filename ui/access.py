"""Asks the gate who is asking: its middleware stands before Streamlit, and every page asks `asking` whose it is.

Where no gate stands (a test that draws one page, a page file run by itself) there is nobody but the owner, unless the
program was told that others come.
"""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from functools import cache

import streamlit as st
from markupsafe import Markup
from starlette.middleware import Middleware
from streamlit import config
from streamlit.runtime.scriptrunner import get_script_run_ctx

from tale_core.access import opening as said
from tale_core.access.gate import SIGN_IN, SIGN_OUT, Gate
from tale_core.access.policy import Policy, policy_for
from tale_core.access.who import Asker, ask_who
from tale_core.errors import TaleError
from tale_core.i18n import t
from tale_core.settings import get_settings
from ui.common.text import literal

SIGN_IN_KEY = "sign-in"
"""The place in the page of somebody who is not let in yet, which has no sidebar."""
_standing: list[Policy] = []


def middleware() -> list[Middleware]:
    """What stands in front of Streamlit's server."""
    return [Middleware(Gate, policy=policy)]


@asynccontextmanager
async def opening(app: object) -> AsyncIterator[None]:
    """At the server's start: says how the owner and a class come in, where that takes a link."""
    with suppress(TaleError):  # Every page says it.
        address, port, scheme = _listens()
        bases = said.bases(address, port, scheme=scheme)
        links = said.told_at_start(policy(), bases, class_base(), picture=sys.stderr.isatty())
        if links and not config.get_option("logger.hideWelcomeMessage"):
            print(links, file=sys.stderr, flush=True)
    yield


@cache
def policy() -> Policy:
    """This server's."""
    elsewhere = st.secrets.load_if_toml_exists() and "auth" in st.secrets
    _standing[:] = [policy_for(_listens()[0], get_settings(), elsewhere=elsewhere)]
    return _standing[0]


def class_base() -> str | None:
    """Where students reach this server; None where there is no class, or nobody but this machine reaches it."""
    if get_settings().access != "class":
        return None
    address, port, scheme = _listens()
    return said.class_base(address, port, told=get_settings().class_url, scheme=scheme)


def _listens() -> tuple[str | None, int, str]:
    scheme = "https" if config.get_option("server.sslCertFile") else "http"
    return config.get_option("server.address"), int(config.get_option("browser.serverPort")), scheme


def asker() -> Asker | None:
    """Who has the page open that is being drawn; None where there is nobody but the owner."""
    if get_script_run_ctx(suppress_warning=True) is None:
        return None
    if not _standing:
        return None if get_settings().access == "alone" else Asker("stranger")
    (made,) = _standing
    found = made.asker(st.context.cookies, st.context.ip_address)
    if found.role == "stranger" and made.elsewhere and st.user.is_logged_in:
        # An address that the service has not verified is whatever somebody typed there.
        verified = st.user.get("email_verified") in (True, "true")
        return (made.named(str(st.user.get("email", "")), found) if verified else None) or found
    return found


def sign_in() -> None:
    """The page of somebody who is not let in yet, where another service signs people in."""
    st.set_page_config(page_title=f"{t('Sign in')} · TALE", layout="centered", initial_sidebar_state="collapsed")
    with st.container(horizontal=True, horizontal_alignment="center"), st.container(width=400, key=SIGN_IN_KEY):
        st.title("TALE", anchor=False)
        st.caption(t("See, measure and shrink what a model spends on reasoning."))
        if st.user.get("is_logged_in"):
            name = literal(str(st.user.get("email", "?")), 200)
            st.warning(t("You are signed in as {name}, and have no account here.", name=name))
            st.caption(t("Accounts are made by the owner of this server."))
            st.button(t("Sign out"), on_click=st.logout, width="stretch")
            return
        st.button(t("Sign in"), type="primary", on_click=st.login, width="stretch")
        _link(t("With a name and password"), SIGN_IN, align="center")


def who_is_here(account: str) -> None:
    """Whose page this is, and how to leave it to somebody else."""
    with st.container(horizontal=True, vertical_alignment="center", horizontal_alignment="distribute"):
        st.caption(f":material/person: {literal(account, 60)}")
        if st.user.get("is_logged_in"):
            st.button(t("Sign out"), key="sign_out", type="tertiary", on_click=st.logout)
        else:
            _link(t("Sign out"), SIGN_OUT, align="right")


def _link(label: str, path: str, *, align: str) -> None:
    """In this tab: Streamlit's own links open another one, and this one would stay signed in."""
    style = f"text-align: {align}; font-size: 0.875rem"
    link = Markup('<div style="{}"><a href="{}" style="color: inherit">{}</a></div>').format(style, path, label)
    st.html(str(link), width="stretch" if align == "center" else "content")


ask_who(asker)
