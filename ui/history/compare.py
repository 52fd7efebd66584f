"""Two sessions side by side: what sets them apart, what each found, its facts, and two answers word against word."""

from __future__ import annotations

import streamlit as st

from tale_core.errors import NotFoundError, StoreError
from tale_core.history.compare import FACTS, ROLES, Side, differing, sentence, side
from tale_core.history.text import sampling_words
from tale_core.i18n import t
from tale_core.strategies import title_of
from tale_core.types import CallRecord
from ui.ask.live import counted
from ui.common import state
from ui.common.lines import draw_call
from ui.common.nav import OF_KIND
from ui.common.outcome_badge import outcome_badge
from ui.common.text import fitting, literal
from ui.experiments.answers import marked_lines
from ui.history import filters as history_filters

ANSWER_HEIGHT = 320
TITLE = 54
"""Room for a question, in Latin letters."""


def draw(left_id: str, right_id: str) -> None:
    """Draw both, or say which is not there."""
    st.button(t("All sessions"), key="hist_back", icon=":material/arrow_back:", type="tertiary",
              on_click=history_filters.clear)  # fmt: skip
    st.markdown("## " + t("Two sessions side by side"), anchors=False)
    sides = [_side(session_id) for session_id in (left_id, right_id)]
    left, right = sides
    if left is None or right is None:
        return
    st.subheader(literal(sentence(left, right), 600), anchor=False)
    for column, one in zip(st.columns(2, gap="medium"), (left, right), strict=True):
        with column:
            _head(one)
    _facts(left, right)
    _answers(left, right)


def _side(session_id: str) -> Side | None:
    try:
        return side(state.store(), session_id)
    except NotFoundError:
        words = t("There is no session {name} here. It may have been deleted.", name=session_id[:60])
        st.warning(literal(words, 200), icon=":material/search_off:")
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
    return None


def _head(one: Side) -> None:
    path, _, icon = OF_KIND[one.kind]
    s = one.session
    st.page_link(
        path,
        label=literal(fitting(s.question.text, TITLE)) or t("(no text)"),
        icon=icon,
        query_params=state.address(session=s.id),
    )
    when = f"{s.created_at.astimezone():%Y-%m-%d %H:%M}" if s.created_at else ""
    st.caption(literal(f"{s.model} · {when}", 200))
    st.markdown(literal(one.finding or t("It found nothing yet."), 600))


def _facts(left: Side, right: Side) -> None:
    """One table, what differs first."""
    apart = differing(left, right)
    names = [*apart, *(name for name in FACTS if name not in apart and name in left.facts)]
    rows = [(t(FACTS[name]), left.facts.get(name, "–"), right.facts.get(name, "–"), name in apart) for name in names]
    for strategy in dict.fromkeys([*left.strategies, *right.strategies]):
        rows.append(
            (title_of(strategy), left.strategies.get(strategy, "–"), right.strategies.get(strategy, "–"), False)
        )
    same = t("the same")
    cells = {
        t("What"): [f"**{literal(name, 60)}**" if differs else literal(name, 60) for name, *_, differs in rows],
        t("On the left"): [literal(a, 300) for _, a, _, _ in rows],
        t("On the right"): [literal(b, 300) if differs or a != b else f":gray[{same}]" for _, a, b, differs in rows],
    }
    st.table(cells, border="horizontal", alt=t("Both sessions, fact by fact; what differs comes first"))


def _answers(left: Side, right: Side) -> None:
    """One answer of each, the words that differ marked."""
    if not left.answers or not right.answers:
        if left.kind == "experiment" or right.kind == "experiment":
            st.caption(t("Single answers of an experiment are shown on its own page."))
        return
    st.markdown("### " + t("Two answers"), anchors=False)
    columns = st.columns(2, gap="medium")
    picked = [_pick(column, one, place) for place, (column, one) in enumerate(zip(columns, (left, right), strict=True))]
    marked = marked_lines(picked[0].text, picked[1].text)
    for place, (column, call) in enumerate(zip(columns, picked, strict=True)):
        with column:
            _answer(call, marked[place] if marked else None, place)
    if marked:
        st.caption(t("Marked words stand in one of the two answers alone."))


def _pick(column: st.delta_generator.DeltaGenerator, one: Side, place: int) -> CallRecord:
    names = [f"{i + 1}. {_named(call)}" for i, call in enumerate(one.answers)]
    with column:
        index = st.selectbox(
            t("Answer"), range(len(names)), index=one.best, key=f"hist_answer_{place}_{one.session.id}",
            format_func=names.__getitem__,
        )  # fmt: skip
    return one.answers[index or 0]


def _named(call: CallRecord) -> str:
    words = t(ROLES[call.role])
    if call.requested_budget is not None:
        words = t("{role}, budget {n:,}", role=words, n=call.requested_budget)
    return words


def _answer(call: CallRecord, lines: str | None, place: int) -> None:
    with st.container(horizontal=True, vertical_alignment="center", gap="small"):
        st.markdown(counted(call, call.requested_budget))
        outcome_badge(call.outcome, call.labelled, refused=call.refused)
    about = [sampling_words(call.sampling), *(word for word in call.adjustments if word)]
    st.caption(literal(t("; ").join(about), 400))
    with st.container(height=ANSWER_HEIGHT, border=True, key=f"hist_text_{place}"):
        draw_call(call, prose=None if lines is None else lambda _text: st.markdown(lines))
