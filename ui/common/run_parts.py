"""The parts that every page of a run draws alike: what happens now, how it ended, what its numbers are of, going on.

It `ui.common.run_page` decides which part is drawn when.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.elasticity.view import SweepView
from tale_core.experiments.run import ExperimentView
from tale_core.history import text as history_words
from tale_core.history.card import HIGH, WIDE, card_of, card_svg
from tale_core.i18n import N_, joined, t
from tale_core.models.choice import EMBEDDED, ModelChoice
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.prepare import preparation
from tale_core.models.weights.local import model_folder
from tale_core.runs.views import resumed
from tale_core.search.view import SearchView
from tale_core.settings import get_settings
from tale_core.types import SessionKind, SessionRecord
from ui.common import state
from ui.common.nav import OF_KIND
from ui.common.question_form import Request
from ui.common.text import finding, literal

RESUMABLE = ("interrupted", "failed", "cancelled")
_card = st.components.v2.component("tale_share", js=Path(__file__).with_name("share.js").read_text(encoding="utf-8"))
RunView = AskView | SearchView | SweepView | ExperimentView


@dataclass(frozen=True, slots=True)
class KindWords:
    """What is said of a run of one kind; with `t`.

    Attributes:
        named: The kind with its article.
        unknown: The address names one that is not there.
        elsewhere: It runs in another program.
        interrupted: The program ended while it ran.
        stopped: Somebody stopped it; empty where the result says so itself.
        not_saved: The store could not take it.
        resumed: A link to the one that it goes on from; empty for a kind that keeps its id or cannot be resumed.
    """

    named: str
    unknown: str
    elsewhere: str
    interrupted: str
    stopped: str = ""
    not_saved: str = ""
    resumed: str = ""


_UNKNOWN = N_("There is no session of this name in the database. It may have been deleted.")
WORDS: dict[SessionKind, KindWords] = {
    "ask": KindWords(
        N_("an Ask session"),
        _UNKNOWN,
        N_("This Ask session runs in another program, on the command line perhaps."),
        N_("This session was interrupted: the program ended while it ran. What had arrived is below."),
        not_saved=N_("This session could not be saved. {reason}"),
    ),
    "search": KindWords(
        N_("a search"),
        _UNKNOWN,
        N_("This search runs in another program, on the command line perhaps."),
        N_("This search was interrupted: the program ended while it ran. Every finished answer is kept."),
        N_("This search was stopped. Every finished answer is kept."),
        N_("This search could not be saved. {reason}"),
        N_("The search that this one resumed"),
    ),
    "sweep": KindWords(
        N_("a sweep"),
        _UNKNOWN,
        N_("This sweep runs in another program, on the command line perhaps."),
        N_("This sweep was interrupted: the program ended while it ran. Every finished answer is kept."),
        N_("This sweep was stopped. Every finished answer is kept."),
        N_("This sweep could not be saved. {reason}"),
        N_("The sweep that this one resumed"),
    ),
    "experiment": KindWords(
        N_("an experiment"),
        N_("There is no experiment of this name in the database. It may have been deleted."),
        N_("This experiment runs in another program, on the command line perhaps."),
        N_("This experiment was interrupted: the program ended while it ran. Every finished answer is kept."),
        N_("This experiment was stopped. Every finished answer is kept."),
    ),
}


@dataclass(frozen=True, slots=True)
class Now:
    """What happens right now, to be drawn anew only when it is another thing.

    Attributes:
        words: In Markdown.
        share: How much of it is done, from 0 to 1, for a bar; None where nobody knows.
        below: What else there is to say, in Markdown.
    """

    words: str
    share: float | None = None
    below: str = ""

    def draw(self) -> None:
        """Here."""
        st.markdown(self.words)
        if self.share is not None:
            st.progress(self.share)
        if self.below:
            st.caption(self.below)


def now_line(view: RunView, words: str, *, share: float | None = None, below: str = "") -> Now:
    """What happens right now; a model of this machine first says how far it is with being fetched and loaded.

    Args:
        view: A running one.
        words: What happens once the model can be asked.
        share: How much of it is done, for a bar; None where nobody knows.
        below: In Markdown.
    """
    if view.phase == "preparing" and view.endpoint == EMBEDDED:
        status = preparation(view.model).status()
        words, share = status.message, (status.fraction if share is None else status.fraction or 0.0)
    notice = f" {literal(view.notice, 400)}" if view.notice else ""
    return Now(f"**{literal(words)}**{notice}", None if share is None else min(1.0, share), below)


def how_it_ended(view: RunView, kind: SessionKind) -> None:
    """What went wrong with a run, if anything did."""
    words, not_saved = WORDS[kind], getattr(view, "not_saved", None)
    if view.status == "interrupted":
        st.warning(t(words.interrupted))
    if view.status == "cancelled" and words.stopped:
        st.info(t(words.stopped))
    if view.error:
        st.error(literal(view.error, 1000), icon=":material/error:")
    if not_saved:
        st.warning(t(words.not_saved, reason=literal(not_saved, 600)))


def finding_line(sentence: str, notes: Sequence[str]) -> None:
    """The finding in one sentence, with everything that qualifies it right below."""
    st.subheader(finding(sentence), anchor=False)
    if notes:
        st.caption(literal(joined(*notes), 2000))


def provenance(view: RunView, *, template: str, sampling: str) -> None:
    """What the numbers of a session that has ended are of: model, endpoint, template, sampling and date."""
    words = history_words.provenance(
        model=view.model, endpoint=view.endpoint, template=template, sampling=sampling, created_at=view.created_at
    )
    if not isinstance(view, ExperimentView):
        _share(view, about=words)
    with st.container(key="provenance"):
        st.caption(literal(words, 600))
        if missing := _not_asked(view):
            st.caption(literal(missing, 600))


def _not_asked(view: RunView) -> str:
    """Why the form does not ask the model of a run that has ended; "" where it can."""
    choice, other = model_of(view), state.current_choice()
    if choice is None:
        where = t("on this machine") if view.endpoint == EMBEDDED else view.endpoint
        values = {"model": view.model, "where": where, "other": other.title}
        return t("{model} ({where}) is not set up here: the form asks {other}. Add it in Settings.", **values)
    if choice.kind != EMBEDDED or other.key == choice.key or _is_here(choice.base):
        return ""
    return t(
        "The weights of {model} are not here: the form asks {other}. Choose it there to fetch them.",
        model=embedded_model(choice.base).title, other=other.title,
    )  # fmt: skip


def ask_likewise(view: object) -> None:
    """Set the form to how a run was asked: its model if it is here, its sampling and its template."""
    if not isinstance(view, AskView | SearchView | SweepView):
        return
    choice = model_of(view)
    if choice is not None and (choice.kind != EMBEDDED or _is_here(choice.base)):
        state.choose(choice.key)
    if isinstance(view, AskView):
        asked = next((call.record.sampling for role, call in view.calls.items() if role != "estimate"), None)
        template = view.template
    else:
        asked, template = view.plan.sampling, view.plan.template
    state.sample_like(asked, template=template, warm=not isinstance(view, SweepView))


def _is_here(name: str) -> bool:
    """The weights of an embedded model lie on this machine: opening a link fetches none."""
    return any(model_folder(embedded_model(name), get_settings()).glob("*.gguf"))


def parent_link(parent_id: str | None, kind: SessionKind) -> None:
    """A link to the session that this one resumed, if it did."""
    if parent_id:
        label = t(WORDS[kind].resumed)
        st.page_link(
            OF_KIND[kind][0], label=label, icon=":material/history:", query_params=state.address(session=parent_id)
        )


def other_kind(session: SessionRecord, here: SessionKind) -> None:
    """Say that the link leads to a session of another kind, and offer the page that shows it."""
    path, title, icon = OF_KIND[session.kind]
    found, expected = t(WORDS[session.kind].named), t(WORDS[here].named)
    st.info(t("This link leads to {found}, not to {expected}.", found=found, expected=expected))
    st.page_link(
        path, label=t("Open it under {page}", page=t(title)), icon=icon, query_params=state.address(session=session.id)
    )


def model_of(view: RunView) -> ModelChoice | None:
    """The model that a run was of, if it can be asked now."""
    choices = state.model_choices().values()
    return next((c for c in choices if (c.model, c.endpoint) == (view.model, view.endpoint)), None)


def resume_caption(view: RunView, choice: ModelChoice | None, words: str) -> None:
    """What a button to go on does; while its model is not at hand, what to do about that."""
    if choice is None and view.endpoint == EMBEDDED:
        words = t("It ran on {model}, on this machine: that model is needed to resume.", model=view.model)
    elif choice is None:
        words = t(
            "It ran on {model} at {endpoint}: add that model in Settings to resume.",
            model=view.model,
            endpoint=view.endpoint,
        )
    st.caption(literal(words, 500), width="content")


def resume_study(view: SearchView | SweepView, *, capped: bool = False) -> Request | None:
    """A button to go on where a search or sweep ended, with the model that it ran on; what to start once it is pressed.

    Args:
        view: One that has ended.
        capped: It ended at a cap, which the resumed session counts anew.
    """
    if view.status not in RESUMABLE and not capped:
        return None
    choice = model_of(view)
    kept = t("Finished answers are not paid for again.")
    if capped:
        kept = t("Finished answers are not paid for again, and the cap counts anew.")
    with st.container(horizontal=True, vertical_alignment="center"):
        pressed = st.button(t("Resume"), key="resume", icon=":material/resume:", disabled=choice is None)
        resume_caption(view, choice, joined(t("It goes on where it ended."), kept))
    return Request(resumed(view), choice) if pressed and choice is not None else None


def _share(view: AskView | SearchView | SweepView, *, about: str) -> None:
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
