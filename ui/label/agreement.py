"""Who has labelled what, and how far people agree beyond chance."""

from __future__ import annotations

import streamlit as st

from tale_core.i18n import N_, t, tn
from tale_core.labels import Labeling
from tale_core.labels.agreement import Agreement, everyone, pairs, same_marks, strength
from ui.common.text import literal

STRENGTHS = {
    "almost perfect": N_("almost perfect"),
    "substantial": N_("substantial"),
    "moderate": N_("moderate"),
    "fair": N_("fair"),
    "slight": N_("slight"),
    "worse than chance": N_("worse than chance"),
}


def draw(labeling: Labeling) -> None:
    """Draw the finding, the pairs, and everybody's progress."""
    annotators = labeling.queue.annotators()
    if not annotators:
        st.info(t("Nobody has labelled anything yet."), icon=":material/group:")
        return
    names = {one.annotator: one.name for one in annotators}
    verdicts = labeling.queue.verdicts()
    whole = everyone(verdicts, names)
    st.subheader(literal(_finding(whole), 600), anchor=False)
    if not whole.n:
        st.caption(
            t("Under “What is in the queue” say how many people decide each answer: two or more can be compared.")
        )
    else:
        st.caption(
            t(
                "Kappa is the agreement beyond what chance alone would give: 1 is perfect, 0 is chance. Right and "
                "wrong count, unsure does not. Intervals are 95 % bootstrap intervals over the answers."
            )
        )
    found = pairs(verdicts, names)
    if found:
        st.markdown(t("**Two by two** · Cohen’s kappa"))
        st.table(_pairs(found), border="horizontal", alt=t("Agreement of every two annotators"))
    if (marks := same_marks(labeling.queue.marks())) is not None:
        st.markdown(
            t(
                "**Marked sentences** · {same} of {n} answers that several people marked have the same sentence from "
                "all ({low:.0f} to {high:.0f} %).",
                same=marks.same, n=marks.n, low=100 * marks.interval.low, high=100 * marks.interval.high,
            )
        )  # fmt: skip
    st.markdown(t("**Progress**"))
    st.table(
        {
            t("Annotator"): [literal(one.name) for one in annotators],
            t("Right"): [f"{one.right:,}" for one in annotators],
            t("Wrong"): [f"{one.wrong:,}" for one in annotators],
            t("Unsure"): [f"{one.unsure:,}" for one in annotators],
            t("Known answers"): [f"{one.golds:,}" for one in annotators],
            t("Marked sentences"): [f"{one.marks:,}" for one in annotators],
        },
        border="horizontal", alt=t("What every annotator has done"),
    )  # fmt: skip


def _finding(whole: Agreement) -> str:
    if not whole.n:
        return t("No answer has been decided by two people yet.")
    people, answers = len(whole.names), tn("{n} answer", "{n} answers", whole.n)
    if whole.kappa is None:
        return t(
            "{people} people gave the same verdict on all {answers}: that says nothing about chance yet.",
            people=people, answers=answers,
        )  # fmt: skip
    in_words = t(STRENGTHS[strength(whole.kappa.mean)])
    return t(
        "{people} people agree on {share:.0f} % of verdicts on {answers}: {strength} beyond chance (Fleiss’ kappa "
        "{kappa:.2f}, {low:.2f} to {high:.2f}).",
        people=people, share=100 * (whole.same or 0), answers=answers, strength=in_words,
        kappa=whole.kappa.mean, low=whole.kappa.low, high=whole.kappa.high,
    )  # fmt: skip


def _pairs(found: list[Agreement]) -> dict[str, list[str]]:
    return {
        t("Annotators"): [literal(t("{one} and {other}", one=a.names[0], other=a.names[1])) for a in found],
        t("Both decided"): [f"{a.n:,}" for a in found],
        t("Same verdict"): [f"{100 * (a.same or 0):.0f} %" for a in found],
        t("Kappa (95 %)"): [_kappa(a) for a in found],
    }


def _kappa(one: Agreement) -> str:
    if one.kappa is None:
        return t("not defined: all verdicts are the same")
    return t(
        "{kappa:.2f} ({low:.2f} to {high:.2f}), {strength}",
        kappa=one.kappa.mean, low=one.kappa.low, high=one.kappa.high, strength=t(STRENGTHS[strength(one.kappa.mean)]),
    )  # fmt: skip
