"""One function per shipped question that works its answer out from the facts in its text.

The function of question `en-arith-001` is called `en_arith_001`. It never looks at the stored answer: it simulates,
counts through every case, solves the equation or asks the calendar. For a choice it returns the value, not the letter.
"""

from __future__ import annotations

from tests.question_checks import (
    algebra,
    arithmetic,
    counting,
    dates,
    geometry,
    logic,
    money,
    number_theory,
    percentages,
    probability,
    rates,
    science,
    units,
    words,
)
from tests.question_checks.tools import Check

TOPICS = (
    arithmetic,
    money,
    rates,
    dates,
    geometry,
    percentages,
    counting,
    probability,
    number_theory,
    algebra,
    logic,
    words,
    units,
    science,
)

CHECKS: dict[str, Check] = {
    name.replace("_", "-"): check
    for topic in TOPICS
    for name, check in vars(topic).items()
    if name.startswith(("en_", "zh_"))
}
