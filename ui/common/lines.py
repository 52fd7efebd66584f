"""Answers as people see them: as text, or in lines of assignments with what each comes to.

The words are a model's: all of them are escaped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import streamlit as st

from tale_core.grading.lines import Line, evaluated, work_out
from tale_core.i18n import t
from tale_core.types import CallRecord
from ui.common.answer import draw_answer
from ui.common.text import MAX_SHOWN, answer_text, literal

READ = 10
"""Letters of a decimal that people still read."""


def draw_call(call: CallRecord, *, prose: Callable[[str], object] | None = None) -> bool:
    """Draw what a call wrote: reasoning folded away, lines with their values, or text; whether it had to be clipped.

    Args:
        call: The call.
        prose: Draws an answer that is not in lines; None sets it (`ui.common.answer`).
    """
    if call.reasoning_text:
        with st.expander(t("Reasoning that the endpoint showed apart")):
            st.text(answer_text(call.reasoning_text)[0])
    shown, clipped = answer_text(call.text)
    if not draw_lines(call):
        prose(shown) if prose else draw_answer(call.text)
    if clipped:
        st.caption(t("Only the first {n:,} of {all:,} characters are shown.", n=len(shown), all=len(call.text)))
    return clipped


def draw_lines(call: CallRecord, text: str | None = None, *, place: Any = None) -> bool:
    """Draw an answer in lines with their values; False, and nothing drawn, for an answer in prose.

    Args:
        call: Whose template says what the answer is; while it runs, the last line has no value yet.
        text: What the call has written so far; None for what it holds.
        place: Where; None for here.
    """
    if not evaluated(call.prompt_template):
        return False
    shown, _ = answer_text(call.text if text is None else text)
    worked = work_out(shown, whole=call.status != "running")
    if not worked.lines:
        return False
    cells = {
        t("Line"): [literal(line.text, MAX_SHOWN) for line in worked.lines],
        t("Value, by a calculator"): [_value(line) for line in worked.lines],
    }
    (place or st).table(cells, border="horizontal", alt=t("The lines of the answer with their values"))
    return True


def lines_answer(call: CallRecord) -> str | None:
    """What was read of an answer in lines, or why nothing was, in words; None for an answer in prose."""
    if not evaluated(call.prompt_template):
        return None
    worked = work_out(call.text)
    if worked.answer is not None:
        return t("{answer} (evaluated by a calculator)", answer=_readable(worked.answer)[:80])
    return t("nothing: {reason}", reason=worked.problem or "")


def _value(line: Line) -> str:
    if line.value is not None:
        return f"**{literal(_readable(line.value), 120)}**"
    return f":gray[{literal(line.problem)}]" if line.problem else ""


def _readable(value: str) -> str:
    """A long decimal with the digits that anybody reads."""
    if "." not in value or len(value) <= READ or not value.lstrip("-").replace(".", "").isdecimal():
        return value
    return f"≈ {float(value):.7g}" if abs(float(value)) < 1e7 else f"≈ {float(value):,.1f}"
