"""An answer of a search or a sweep beside the vanilla one, as an Ask shows them: opened by a click on the chart."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import streamlit as st

from tale_core.ask.run import AskView
from tale_core.budgets.kinds import level_title
from tale_core.calls.comparison import compare
from tale_core.calls.outcomes import TICKS, outcome_kind
from tale_core.calls.recorder import CallView
from tale_core.elasticity.view import SweepView
from tale_core.i18n import t, tn
from tale_core.search.view import SearchView
from tale_core.types import Level
from ui.ask.result import answers, exactly, prompts
from ui.common.text import literal, sanitize

_SENTENCE = re.compile(r"(?:[^\n.!?。！？]|[.!?](?=[^\s.!?]))*(?:[.!?。！？]+|\n)?\s*")


def chooser(view: SearchView | SweepView) -> str:
    """A box with every answer under a budget; returns its key, which a chart's click sets as well."""
    key = f"opened_{view.session_id}"
    found = under_budgets(view)
    if st.session_state.get(key) not in (None, *range(len(found))):
        st.session_state[key] = None
    st.selectbox(
        t("Open an answer beside the vanilla one"), range(len(found)), index=None, key=key,
        format_func=lambda at: _name(found[at]), placeholder=t("Click on the chart, or choose here"),
    )  # fmt: skip
    return key


def under_budgets(view: SearchView | SweepView) -> list[CallView]:
    """Every answer of a run that has ended, the vanilla ones apart, by budget and repeat."""
    found = [c for c in view.calls if c.record.level is not None and c.record.status == "done"]
    return sorted(found, key=lambda c: (-_number(c.record.level), str(c.record.level), c.record.repeat_index))


def _number(level: Level | None) -> int:
    return level if isinstance(level, int) else 0


def choose_budget(view: SearchView | SweepView, budget: Level | None) -> None:
    """Open the first answer under this budget."""
    places = (at for at, c in enumerate(under_budgets(view)) if c.record.level == budget)
    st.session_state[f"opened_{view.session_id}"] = next(places, None)


def clicked(chart: str) -> dict[str, Any]:
    """The point of a chart that was clicked last, as plotly tells it; {} for none."""
    selection = (st.session_state.get(chart) or {}).get("selection") or {}
    return next(iter(selection.get("points") or ()), {})


def opened(view: SearchView | SweepView) -> None:
    """The chosen answer and the vanilla one side by side, with their figures and prompts."""
    at = st.session_state.get(f"opened_{view.session_id}")
    vanilla = _vanilla(view, at)
    if at is None or vanilla is None:
        return
    pair = _as_ask(view, vanilla, under_budgets(view)[at])
    st.markdown(f"**{literal(compare(pair.calls['vanilla'].record, pair.calls['budgeted'].record, None).sentence)}**")
    answers(pair)
    prompts(pair)


def why_more(view: SweepView) -> None:
    """At a rebound: an answer under the smaller budget beside one under the larger, what it says besides marked."""
    rebound = view.result.rebound if view.result else None
    if rebound is None:
        return
    more, less = (_typical(view, budget) for budget in (rebound.budget, rebound.turning))
    if more is None or less is None:
        return
    with st.expander(t("Why did it cost more?"), icon=":material/help:"):
        st.caption(t("Of each budget the answer in the middle; marked is what the other one does not say."))
        for column, one, other in zip(st.columns(2, gap="medium"), (more, less), (less, more), strict=True):
            with column:
                st.markdown(f"**{literal(_name(one))}**")
                st.markdown(marked(one.text, other.text))


def marked(text: str, other: str) -> str:
    """`text` as Markdown that shows exactly it, with the sentences that are not in `other` on a ground of their own."""
    known = {_plain(sentence) for sentence in _SENTENCE.findall(other)}
    parts = [(s, bool(_plain(s)) and _plain(s) not in known) for s in _SENTENCE.findall(text) if s]
    return "".join(exactly(s, ":blue-background[%s]" if extra else "%s") for s, extra in parts)


def _plain(sentence: str) -> str:
    return " ".join(re.findall(r"\w+", sentence.lower()))


def _typical(view: SweepView, budget: Level) -> CallView | None:
    """Of the answers under a budget the one in the middle by its tokens."""
    found = [c for c in under_budgets(view) if c.record.level == budget]
    return sorted(found, key=lambda c: c.record.completion_tokens or 0)[len(found) // 2] if found else None


def _vanilla(view: SearchView | SweepView, at: int | None) -> CallView | None:
    """The vanilla answer of the same repeat, else the first."""
    found = [c for c in view.calls if c.record.role == "vanilla" and c.record.status == "done"]
    repeat = under_budgets(view)[at].record.repeat_index if at is not None else 0
    return next((c for c in found if c.record.repeat_index == repeat), next(iter(found), None))


def _as_ask(view: SearchView | SweepView, vanilla: CallView, other: CallView) -> AskView:
    budgeted = replace(other, record=replace(other.record, role="budgeted"))
    return AskView(
        session_id=view.session_id,
        status="done",
        phase="ended",
        question=view.question,
        model=view.model,
        endpoint=view.endpoint,
        together=False,
        calls={"vanilla": vanilla, "budgeted": budgeted},
        budget=other.record.requested_budget,
        template=view.plan.template,
    )


def _name(call: CallView) -> str:
    record = call.record
    kind = outcome_kind(record.outcome, refused=record.refused)
    tokens = tn("{n:,} token", "{n:,} tokens", record.completion_tokens or call.pieces)
    answer = t("{tokens}, {outcome}", tokens=tokens, outcome=t(kind.phrase))
    sign = TICKS.get(record.outcome, kind.sign)
    return sanitize(f"{level_title(record.level or 0)} · {sign} {answer}")
