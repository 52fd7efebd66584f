"""Handing a result on: its card as a picture, and the link that opens it."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import urlencode, urlsplit

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.elasticity.view import SweepView
from tale_core.history.card import HIGH, WIDE, card_of, card_svg
from tale_core.i18n import t
from tale_core.search.view import SearchView
from ui.common import state

_card = st.components.v2.component("tale_share", js=Path(__file__).with_name("share.js").read_text(encoding="utf-8"))


def share(view: AskView | SearchView | SweepView, *, about: str) -> None:
    """The card of an ended run, folded away; nothing where there is nothing to hand on.

    Args:
        view: Of it.
        about: What its numbers are of: model, endpoint, template, sampling and date, in one line.
    """
    card = card_of(view, about=about, link=_link(view.session_id))
    if card is None or getattr(view, "not_saved", None):
        return
    with st.container(key="card"), st.expander(t("Share"), icon=":material/share:"):
        words = {"png": t("Save as PNG"), "svg": t("Save as SVG"), "link": t("Copy link")}
        data = {
            "svg": card_svg(card), "alt": card.finding, "link": card.link, "words": words, "name": view.session_id,
            "width": WIDE, "height": HIGH,
        }  # fmt: skip
        _card(data=data, key=f"card_{view.session_id}")
        st.caption(t("Whoever can open this address sees the result, and the form is set to how it was asked."))


def _link(session_id: str) -> str:
    """The whole address of this page with this session; "" where the browser told none."""
    url = urlsplit(st.context.url or "")
    return (
        f"{url.scheme}://{url.netloc}{url.path or '/'}?{urlencode(state.address(session=session_id))}"
        if url.netloc
        else ""
    )
