"""The Traffic page: the finding, both figures of every change with their intervals, the worst cases, every model."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict

import streamlit as st

from tale_core.charts.traffic import traffic_chart
from tale_core.drawing.text import unescaped
from tale_core.errors import StoreError
from tale_core.i18n import t, tn
from tale_core.proxy.figures import Finding, findings, worst_first
from tale_core.proxy.kept import kept_models
from tale_core.proxy.plan import ERROR
from tale_core.proxy.report import ModelLine, advice, model_lines, verdict_text, whole_saving
from tale_core.settings import PROGRAM
from tale_core.store import Pair, TrafficStore
from tale_core.strategies import title_of
from tale_core.text import csv_text
from ui.common import state
from ui.common.charts import draw_chart, palette, wide_table
from ui.common.nav import ASK, LABEL, SETUP
from ui.common.text import literal
from ui.shell import page

POLL_S = 5.0
WORST, MODELS = 10, 3
"""Cases that are shown, and models whose kept questions are offered."""


def draw() -> None:
    """Draw the page."""
    page(t("Traffic"))
    st.markdown("## " + t("Traffic"), anchors=False)
    st.fragment(_live, run_every=POLL_S)()
    _how_to_start(begun=_begun())


def _begun() -> bool:
    """Requests have come through; also where that cannot be read, which is told above."""
    try:
        return bool(TrafficStore(state.store()).requests(limit=1))
    except StoreError:
        return True


def _live() -> None:
    """All that changes while requests go through."""
    try:
        traffic = TrafficStore(state.store())
        models, pairs = model_lines(traffic), traffic.pairs()
    except StoreError as e:
        st.error(literal(str(e), 800), icon=":material/database_off:")
        return
    found = findings(pairs)
    if not models and not found:
        st.markdown(t("Nothing has gone through the proxy yet."))
        return
    _finding(found, models)
    if found:
        _changes(found)
    _worst(worst_first(pairs)[:WORST])
    _teach(kept_models(pairs))
    _models(models)
    _file(traffic)


def _finding(found: Sequence[Finding], models: Sequence[ModelLine]) -> None:
    with st.container(key="verdict"):
        if found:
            st.markdown(
                f"### {literal(t('On your traffic: {finding}', finding=found[0].sentence), 400)}", anchors=False
            )
            st.markdown(literal(advice(found[0]), 400))
        else:
            n = sum(one.requests for one in models)
            said = tn("{n:,} request has passed; none was asked both ways yet.",
                      "{n:,} requests have passed; none was asked both ways yet.", n)  # fmt: skip
            st.markdown(f"### {said}", anchors=False)
    if (saved := whole_saving(found, models)) is not None:
        st.caption(
            t("Of all output tokens, with the requests that are left as they are: {share:.0f} %.", share=100 * saved)
        )


def _changes(found: Sequence[Finding]) -> None:
    figure = traffic_chart(found, colors=palette())
    draw_chart(figure, name="tale-traffic", key="traffic_chart", alt=unescaped(figure.layout.meta["title"]))
    st.caption(
        t(
            "Each line is a change to the requests for one model. Left: the share of output tokens that it saves; "
            "right: how often both answers agree. The bars are 95 % intervals."
        )
        + " "
        + t(
            "Save mode decides after every question, by evidence that counts every look: it ever takes a change that "
            "saves nothing, or agrees too seldom, for at most {wrong:.0f} of 100 models.",
            wrong=100 * ERROR,
        )
    )
    wide_table(
        {
            t("Model"): [one.model for one in found],
            t("Change"): [title_of(one.strategy) for one in found],
            t("Asked both ways"): [f"{one.n:,}" for one in found],
            t("Output tokens, plain"): [f"{one.plain_tokens:,}" for one in found],
            t("Changed"): [f"{one.changed_tokens:,}" for one in found],
            t("Answers that did not do"): [f"{one.fallbacks:,}" for one in found],
            t("To be judged by a person"): [f"{one.unread:,}" for one in found],
            t("What to do"): [advice(one) for one in found],
        },
        alt=t("What each change did"),
    )
    if any(one.unread for one in found):
        st.page_link(LABEL[0], label=t("Judge answers"), icon=LABEL[2], query_params=state.address() or None)


def _worst(pairs: Sequence[Pair]) -> None:
    if not pairs:
        return
    st.markdown("#### " + t("The worst cases"), anchors=False)
    wide_table(
        {
            t("When"): [f"{pair.at:%Y-%m-%d %H:%M}" if pair.at else "" for pair in pairs],
            t("Model"): [pair.model for pair in pairs],
            t("Change"): [title_of(pair.strategy) for pair in pairs],
            t("Output tokens, plain"): [f"{pair.plain_tokens:,}" for pair in pairs],
            t("Changed"): [f"{pair.changed_tokens:,}" for pair in pairs],
            t("Answers"): [verdict_text(pair) for pair in pairs],
        },
        alt=t("The worst cases"),
    )
    kept = [pair.session_id for pair in pairs if pair.session_id]
    if kept:
        st.page_link(ASK[0], label=t("Read both answers of the first one whose texts are kept"), icon=ASK[2],
                     query_params={**state.address(), "session": kept[0]})  # fmt: skip


def _teach(kept: Mapping[str, int]) -> None:
    """The way from kept questions to an estimator for this traffic."""
    st.markdown("#### " + t("A budget for each question"), anchors=False)
    st.markdown(
        t(
            "Searches on questions that your programs asked teach an estimator; the change `predicted` then gives each "
            "request the budget that its question needs."
        )
    )
    if not kept:
        st.caption(t("No question is kept yet: start with `--keep-texts DAYS`."))
    for model, n in list(kept.items())[:MODELS]:
        said = tn("Learn from {n:,} kept question for {model}", "Learn from {n:,} kept questions for {model}", n,
                  model=literal(model, 60))  # fmt: skip
        st.page_link(SETUP[0], label=said, icon=SETUP[2], query_params={**state.address(), "questions": "traffic"})


def _models(models: Sequence[ModelLine]) -> None:
    if not models:
        return
    st.markdown("#### " + t("Every model"), anchors=False)
    wide_table(
        {
            t("Model"): [one.model for one in models],
            t("Upstream"): [one.upstream for one in models],
            t("Requests"): [f"{one.requests:,}" for one in models],
            t("Output tokens"): [one.tokens_text for one in models],
            t("Changed requests"): [f"{one.changed:,}" for one in models],
            t("Asked again plainly"): [f"{one.fallbacks:,}" for one in models],
            t("Ended otherwise"): [one.ends_text for one in models],
            t("Left as they are"): [one.reasons_text for one in models],
        },
        alt=t("Every model"),
    )
    st.caption(t("`/v1/responses`, the older completions and embeddings are counted, and not tried with budgets."))


def _file(traffic: TrafficStore) -> None:
    def made() -> bytes:
        rows = [asdict(one) for one in traffic.requests()]
        return csv_text(list(rows[0]) if rows else [], rows).encode()

    st.download_button(t("Every request (CSV)"), made, "tale-traffic.csv", "text/csv", icon=":material/download:")


def _how_to_start(*, begun: bool) -> None:
    with st.expander(t("How requests come here"), icon=":material/settings:", expanded=not begun):
        st.markdown(t("Start the drop-in endpoint and give your program its address in place of the provider's:"))
        st.code(f"{PROGRAM} proxy --upstream https://api.openai.com/v1", language="bash")
        st.markdown(
            t(
                "It observes: nothing changes for your program, and a sample is asked both ways within a cap. With "
                "`--mode save` it uses what surely saves and surely agrees; `--keep-texts DAYS` keeps the sample's "
                "texts so that a person can judge them. No other text is kept."
            )
        )
