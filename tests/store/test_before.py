"""What an earlier version wrote: its database opened, its archive imported, and every document still says the same.

`tests/fixtures/before` was written by the command line as it was before the packages were moved to their present
places (asked a scripted endpoint: an Ask, one that failed, a search, a sweep, an experiment and a label).
"""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest

from tale_core.elasticity.view import SweepView
from tale_core.experiments import results
from tale_core.experiments.export import experiment_document
from tale_core.runs.documents import search_document, sweep_document
from tale_core.runs.views import view_of
from tale_core.search.view import SearchView
from tale_core.store import Archive, History, Store, import_archive, open_store

BEFORE = Path(__file__).parent.parent / "fixtures" / "before"
DOCUMENTS: dict[str, Any] = json.loads((BEFORE / "docs.json").read_text())


def opened(tmp_path: Path) -> Store:
    path = tmp_path / "tale.db"
    path.write_bytes(gzip.decompress((BEFORE / "tale.db.gz").read_bytes()))
    return open_store(f"sqlite:///{path}")


def imported(tmp_path: Path) -> Store:
    store = open_store()
    with Archive(BEFORE / "before.tale.zip") as archive:
        import_archive(store, archive)
    return store


def same(before: Any, now: Any, where: str = "") -> None:
    """What was there is there and says the same; more may stand beside it."""
    if isinstance(before, dict):
        for key, value in before.items():
            assert key in now, f"{where}.{key}"
            same(value, now[key], f"{where}.{key}")
    elif isinstance(before, list):
        assert len(before) == len(now), where
        for i, (a, b) in enumerate(zip(before, now, strict=True)):
            same(a, b, f"{where}[{i}]")
    elif where.endswith(".break_even"):
        assert now is None, "it was 1 wherever a strategy saved anything: what was paid once is not known"
    else:
        assert before == now, where


@pytest.mark.parametrize("how", [opened, imported])
def test_what_an_earlier_version_wrote_says_the_same_today(how: Any, tmp_path: Path) -> None:
    store = how(tmp_path)
    try:
        search = view_of(store.get_session(DOCUMENTS["search"]["session"]))
        sweep = view_of(store.get_session(DOCUMENTS["sweep"]["session"]))
        assert isinstance(search, SearchView) and isinstance(sweep, SweepView)
        same(DOCUMENTS["search"], search_document(search))
        same(DOCUMENTS["sweep"], sweep_document(sweep))
        same(DOCUMENTS["run"], experiment_document(results(store, DOCUMENTS["run"]["experiment"])))
        ask = store.get_session(DOCUMENTS["ask"])
        assert [(c.role, c.outcome.value) for c in ask.calls][-1] == ("budgeted", "correct")
        listed = History(store).listing(limit=50).entries
        assert len(listed) == 5
        failed = [s for s in store.list_sessions() if s.status == "failed"]
        assert len(failed) == 1
    finally:
        store.close()
