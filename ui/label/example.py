"""What the Label page shows before anybody labels: a recorded answer as an annotator sees it, and what the keys do."""

from __future__ import annotations

import streamlit as st

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.labels import Labeling
from tale_core.lessons.recorded import in_language
from tale_core.store import LabelTarget
from ui.common import evidence
from ui.common.text import literal
from ui.label import answer


def draw(labeling: Labeling) -> None:
    """The recorded vanilla answer of the first example."""
    try:
        recording = in_language("ask")
    except InputError as e:
        st.error(literal(str(e), 800), icon=":material/error:")
        return
    session = recording.session
    call = next(call for call in session.calls if call.role == "vanilla")
    target = LabelTarget(
        key=str(call.id), kind="answers", question_key=session.id, question=session.question, gold=None, call=call,
        strategy="vanilla", extracted=call.extracted, extracted_by=call.extracted_by, outcome=call.outcome, copies=1,
    )  # fmt: skip
    with st.container(key="evidence"):
        evidence.heading(evidence.mark(recording.made.model, recording.made.on.isoformat()))
        st.caption(t("What you will see of each answer, one at a time: Y says that it is right, N that it is wrong."))
        answer.draw(labeling, target, open_=False)
