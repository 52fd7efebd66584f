"""Thirty users of one store at once: no error, nothing lost. A short version of the benchmark's minute."""

from __future__ import annotations

from typing import Any

from benchmarks import history_users
from benchmarks.history_data import fill
from benchmarks.history_users import Seen, User, check, run_users
from tale_core.errors import StoreError
from tale_core.store import Store
from tests.store.samples import gone


def test_thirty_users_at_once_meet_no_error_and_lose_no_row(store: Store) -> None:
    fill(store, 50, seed=1)
    seen = run_users(store, users=30, seconds=5, think_s=0.5)
    assert seen.errors == [] and seen.lost == []
    assert set(seen.seconds) == {"ask", "read", "browse", "search", "delete"} and seen.actions >= 30


def test_what_is_lost_or_failed_would_be_noticed(store: Store, monkeypatch: Any) -> None:
    seen = Seen()
    user = User(store, 1, seen, think_s=0.0)
    for _ in range(3):
        user.ask()
    check(store, [user], seen, 0)
    assert seen.lost == []
    first, second, _ = user.book
    gone(store, first)
    user.book[second] = ("other", "texts", "here")
    check(store, [user], seen, 0)
    assert len(seen.lost) == 4 and f"{first} is gone" in seen.lost
    monkeypatch.setattr(history_users.User, "ask", lambda self: (_ for _ in ()).throw(StoreError("locked")))
    assert run_users(store, users=2, seconds=0.3, think_s=0.01).errors
