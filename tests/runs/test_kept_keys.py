"""Keys that people keep: theirs alone, sealed in the database, and worth nothing without the secret beside it."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import insert, select

from tale_core.access.accounts import Accounts
from tale_core.access.keys import FILE
from tale_core.access.who import Asker, asking_as
from tale_core.cli.main import main
from tale_core.models.choice import ModelChoice, endpoint_choice
from tale_core.runs.kept_keys import keep, kept, may_keep
from tale_core.settings import get_settings
from tale_core.store import Store, open_store
from tale_core.store.tables import kept_keys

ADA, BEN, KEY = Asker("member", "Ada"), Asker("member", "Ben"), "sk-kept-0123456789abcdefghij"


@pytest.fixture
def store(monkeypatch: pytest.MonkeyPatch) -> Store:
    monkeypatch.setenv("TALE_ACCESS", "team")
    get_settings.cache_clear()
    return open_store()


@pytest.fixture
def choice() -> ModelChoice:
    return endpoint_choice(model="m-secret", base_url="http://127.0.0.1:9/v1")


def test_a_kept_key_is_its_persons_alone_and_sealed_in_the_database(store: Store, choice: ModelChoice) -> None:
    with asking_as(ADA):
        keep(choice, "an older one", store=store)
        keep(choice, KEY, store=store)
        (one,) = kept(store)
        assert (one.choice, one.key) == (choice, KEY) and may_keep()
    for other in (BEN, Asker()):
        with asking_as(other):
            assert kept(store) == [], "an owner's neither"
    with asking_as(Asker("student", " abc")):
        assert not may_keep()
    store.close()
    held = b"".join(path.read_bytes() for path in get_settings().data_dir.glob("tale.db*"))
    assert b"gAAAA" in held and not any(word in held for word in (KEY.encode(), b"m-secret", b"an older one"))


def test_a_stolen_row_and_another_secret_open_nothing(store: Store, choice: ModelChoice) -> None:
    with asking_as(ADA):
        keep(choice, KEY, store=store)
    with store.writing() as connection:
        row = connection.execute(select(kept_keys)).mappings().one()
        connection.execute(insert(kept_keys).values(**{**row, "account": "Ben"}))
    with asking_as(BEN):
        assert [(one.choice, one.key) for one in kept(store)] == [(None, "")]
    Path(get_settings().data_dir / FILE).unlink()
    with asking_as(ADA):
        assert [(one.choice, one.key) for one in kept(store)] == [(None, "")]


def test_a_removed_accounts_keys_go_with_it(store: Store, choice: ModelChoice) -> None:
    Accounts(get_settings().data_dir).put("Ada", "member", "correct horse battery")
    with asking_as(ADA):
        keep(choice, KEY, store=store)
        assert main(["accounts", "remove", "Ada"]) == 0
        assert kept(store) == []
