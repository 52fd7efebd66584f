"""One answer as an annotator sees it: the question, what the grader read, and the answer with that place marked.

Model output is hostile: it is set as on every page (`ui.common.answer`), but for the one line with the mark, which is
escaped Markdown and stands as it was written.
Who answered is drawn only when it is asked for.
"""

from __future__ import annotations

import streamlit as st

from tale_core.calls.budget_ledger import call_apart
from tale_core.i18n import N_, t, tn
from tale_core.labels import Labeling
from tale_core.labels.highlight import marked
from tale_core.prompts.messages import question_block
from tale_core.store import LabelTarget
from tale_core.strategies import title_of
from tale_core.types import CallRecord
from ui.common.answer import draw_answer, raw_switch
from ui.common.lines import draw_call
from ui.common.outcome_badge import outcome_badge
from ui.common.text import MAX_SHOWN, literal, sanitize

HEIGHT = 340
_LINE = 4_000
"""Characters of the marked line that are drawn as Markdown; a longer line is drawn without its mark."""
METHODS = {
    "last-number": N_("a guess: the last number in the text"),
    "expression": N_("a guess: the last expression in the text"),
    "whole": N_("a guess: the last sentence"),
    "letter": N_("a letter alone on a line"),
    "lines": N_("evaluated by a calculator"),
}


def draw(labeling: Labeling, target: LabelTarget, *, open_: bool) -> None:
    """Draw a target.

    Args:
        labeling: Where other answers to a question are looked up.
        target: The answer, question or disagreement.
        open_: Show who answered, and the grader's outcome.
    """
    left, right = st.columns([2, 3], gap="medium")
    with left:
        _question(target)
        if target.labels:
            _said(target)
        if open_ and target.call is not None:
            _who(target)
    with right:
        if target.call is None:
            _readings(labeling, target)
        else:
            _answer(target)


def _question(target: LabelTarget) -> None:
    st.markdown(t("**Question**"))
    with st.container(key="label_question"):
        st.text(sanitize(question_block(target.question))[:MAX_SHOWN])
    known = target.question.answer
    if known is None:
        st.caption(t("Nobody knows the answer yet. Give it with G, and all stored answers are graded."))
    else:
        by = t("given by people") if target.gold is not None else t("came with the question")
        st.markdown(t("Known answer: **{answer}**", answer=literal(known, 200)) + f" :gray[({by})]")


def _said(target: LabelTarget) -> None:
    words = {"right": t("Right"), "wrong": t("Wrong"), "unsure": t("Unsure")}

    def word(value: str) -> str:
        return t("Sentence {n}", n=value) if target.of_mark else words.get(value, value)

    rows = [f"{literal(s.name or '')}: **{literal(word(s.value), 200)}**" for s in target.labels]
    st.markdown(t("What people said") + "  \n" + "  \n".join(rows))


def _who(target: LabelTarget) -> None:
    call = target.call
    assert call is not None
    facts = {
        t("Strategy"): title_of(target.strategy),
        t("Model"): call.model,
        t("Budget"): t("none") if call.requested_budget is None else f"{call.requested_budget:,}",
        t("Output tokens"): _tokens(call),
        t("Stored answers like it"): f"{target.copies:,}",
    }
    st.table({k: literal(v) for k, v in facts.items()}, border="horizontal", hide_header=True, alt=t("Who answered"))
    if target.outcome is not None:
        with st.container(horizontal=True, vertical_alignment="center", gap="small"):
            st.caption(t("The grader says"), width="content")
            outcome_badge(target.outcome, None, refused=call.refused)


def _tokens(call: CallRecord) -> str:
    if call.completion_tokens is None:
        return t("unknown")
    return t(", ").join([f"{call.completion_tokens:,}", *call_apart(call)])


def _answer(target: LabelTarget) -> None:
    call = target.call
    assert call is not None
    st.markdown(_read(target))
    with st.container(height=HEIGHT, border=True, key="label_answer"):
        draw_call(call, prose=lambda text: _marked(text, sanitize(target.extracted or "")))
    raw_switch(call.text)
    if call.finish_reason == "length":
        st.caption(t("This answer was cut off at max_tokens."))


def _read(target: LabelTarget) -> str:
    if target.extracted is None:
        return t("**Answer** · the grader could read none")
    how = METHODS.get(target.extracted_by or "")
    words = t("**Answer** · the grader reads **{answer}**", answer=literal(target.extracted, 120))
    return words + (f" :gray[({t(how)})]" if how else "")


def _marked(text: str, extracted: str) -> None:
    found = marked(text, extracted)
    line = len(found.left) + len(found.mark) + len(found.right)
    if not found.mark or line > _LINE:
        draw_answer(text)
        return
    with st.container(gap="xxsmall"):
        if found.above.strip():
            draw_answer(found.above.rstrip("\n"))
        parts = (_piece(found.left), f":gray-background[**{_piece(found.mark).strip()}**]", _piece(found.right))
        st.markdown("".join(parts))
        if found.below.strip():
            draw_answer(found.below.strip("\n"))


def _piece(text: str) -> str:
    """Escaped, with the spaces at its ends, which `literal` would drop."""
    inner = literal(text, _LINE * 2)
    if not inner:
        return " " if text else ""
    return f"{' ' if text[0].isspace() else ''}{inner}{' ' if text[-1].isspace() else ''}"


def _readings(labeling: Labeling, target: LabelTarget) -> None:
    """What the stored answers to a question say, folded away: it sways."""
    with st.expander(t("What the stored answers say"), icon=":material/visibility:"):
        rows = labeling.queue.readings(target.question_key)
        st.table(
            {
                t("Read as"): [literal(r.extracted, 200) if r.extracted else t("nothing") for r in rows],
                t("Stored answers"): [tn("{n} answer", "{n} answers", r.answers) for r in rows],
            },
            border="horizontal", alt=t("What the stored answers say"),
        )  # fmt: skip
