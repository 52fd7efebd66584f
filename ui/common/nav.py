"""The pages: each one's file, name and icon, in the order of the sidebar, and which page shows a kind of session."""

from __future__ import annotations

from tale_core.access.who import Role
from tale_core.i18n import N_
from tale_core.types import SessionKind

ASK = ("app.py", N_("Ask"), ":material/forum:")
SEARCH = ("pages/Search.py", N_("Search"), ":material/search:")
ELASTICITY = ("pages/Elasticity.py", N_("Elasticity"), ":material/show_chart:")
EXPERIMENTS = ("pages/Experiments.py", N_("Experiments"), ":material/science:")
ESTIMATORS = ("pages/Estimators.py", N_("Estimators"), ":material/model_training:")
SETUP = ("pages/Setup.py", N_("Set up"), ":material/rocket_launch:")
FINE_TUNE = ("pages/Fine-tune.py", N_("Fine-tune"), ":material/exercise:")
LABEL = ("pages/Label.py", N_("Label"), ":material/checklist:")
HISTORY = ("pages/History.py", N_("History"), ":material/history:")
SETTINGS = ("pages/Settings.py", N_("Settings"), ":material/tune:")
LESSON = ("pages/Class.py", N_("Class"), ":material/school:")
TRAFFIC = ("pages/Traffic.py", N_("Traffic"), ":material/swap_calls:")
PAGES = (ASK, SEARCH, ELASTICITY, EXPERIMENTS, ESTIMATORS, SETUP, FINE_TUNE, LABEL, TRAFFIC, LESSON, HISTORY, SETTINGS)

FOR_OWNERS = (ESTIMATORS, SETUP, FINE_TUNE, TRAFFIC)
"""Pages that change what everybody uses, take the machine for long, or show what the owner's programs ask."""


def pages(role: Role) -> tuple[tuple[str, str, str], ...]:
    """The pages that somebody of this role may open."""
    if role == "owner":
        return PAGES
    return (LESSON,) if role == "student" else tuple(one for one in PAGES if one not in FOR_OWNERS)


OF_KIND: dict[SessionKind, tuple[str, str, str]] = {
    "ask": ASK, "search": SEARCH, "sweep": ELASTICITY, "experiment": EXPERIMENTS,
}  # fmt: skip
"""Path, name (said with `t`) and icon of the page that shows a session of each kind."""
