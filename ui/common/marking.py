"""Mark the sentence at which an answer is settled: its sentences to choose from, on Ask and on Label alike."""

from __future__ import annotations

import streamlit as st

from tale_core.access.who import asking
from tale_core.i18n import t
from tale_core.labels.marks import Markable
from ui.common.text import literal

HEIGHT = 260
_SHOWN = 400
"""Letters of one sentence; more are left out."""


def known_name() -> str:
    """Who marks: the account, or who labels in this browser session; "" where nobody has said."""
    return asking().account or str(st.session_state.get("label_annotator") or "")


def sentence_box(answer: Markable, *, suggestion: int | None, before: int | None, key: str) -> int | None:
    """The sentences of an answer to choose from; the number of the chosen one, from 1, or None.

    Args:
        answer: With its sentences.
        suggestion: What the probes suggest; chosen at first, where this person has marked none.
        before: What this person has marked.
        key: Of the box.
    """
    said = t("Choose the sentence after which the answer no longer changes. A right answer up to there becomes an "
             "example for Fine-tune.")  # fmt: skip
    if suggestion is not None and before is None:
        said += " " + t("Chosen at first: sentence {n}, where the model’s own answer stopped changing. Only your mark "
                        "counts.", n=suggestion)  # fmt: skip
    st.caption(literal(said, 600))
    start = before or suggestion
    with st.container(height=HEIGHT, border=True, key=f"{key}_sentences"):
        return st.radio(
            # A box keeps what is chosen in it, also nothing: with a suggestion it is another one.
            t("Sentence"), range(1, len(answer.sentences) + 1), key=f"{key}_{suggestion or 0}",
            label_visibility="collapsed",
            index=None if start is None else start - 1,
            format_func=lambda n: f"**{n}** {literal(answer.sentences[n - 1], _SHOWN)}",
        )  # fmt: skip


def marked_words(answer: Markable, sentence: int) -> str:
    """What this person has marked, in a sentence."""
    return t("You marked sentence {n} of {all}.", n=sentence, all=len(answer.sentences))
