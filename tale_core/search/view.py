"""A search as the person watching it sees it."""

from __future__ import annotations

from dataclasses import dataclass

from tale_core.calls.run import StudyView
from tale_core.search.engine import SearchPlan, SearchResult, SearchStep


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchView(StudyView):
    """A picture of one search, running or stored."""

    plan: SearchPlan
    steps: tuple[SearchStep, ...] = ()
    result: SearchResult | None = None
