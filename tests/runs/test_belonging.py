"""A run belongs to whoever starts it, on whatever thread it is written, and nobody else finds or stops it."""

from __future__ import annotations

import pytest

from tale_core.access.accounts import Accounts
from tale_core.access.who import Asker, asking_as
from tale_core.ask.plan import AskPlan
from tale_core.errors import InputError
from tale_core.models.choice import ModelChoice
from tale_core.models.endpoints import api_key
from tale_core.runs import runner as jobs
from tale_core.store import deeds, open_store
from tale_core.store.repository import Belonging
from tale_core.types import Question
from tests.support.bad_endpoint import BadEndpoint

ADA, BEN = Asker("member", "Ada"), Asker("member", "Ben")
PLAN = AskPlan(Question("What is 6 times 7?", answer="42"), estimator="fixed:9")


def test_a_run_is_its_starters_and_nobody_else_finds_it_while_it_runs(runner):
    store = open_store()
    with BadEndpoint() as bad:
        choice = ModelChoice("endpoint", "ok", "ok", base_url=bad.base_url)
        with asking_as(ADA):
            job = jobs.start_ask(PLAN, choice, store=store)
            assert runner.get(job.id) in (job, None)
        with asking_as(BEN):
            assert runner.get(job.id) is None
        assert job.wait(20).status == "done"
    assert store.belongs_to(job.id) == Belonging("Ada", shared=False)
    assert [(d.account, d.action, d.about) for d in deeds(store)] == [("Ada", "began", job.id)]
    assert deeds(store)[0].tokens > 0


def test_who_has_spent_their_share_begins_nothing_new(runner):
    store = open_store()
    with BadEndpoint() as bad:
        choice = ModelChoice("endpoint", "ok", "ok", base_url=bad.base_url)
        with asking_as(Asker("member", "Ada", tokens=1)):
            jobs.start_ask(PLAN, choice, store=store).wait(20)
            with pytest.raises(InputError, match="has spent"):
                jobs.start_ask(PLAN, choice, store=store)
        with asking_as(BEN):
            jobs.start_ask(PLAN, choice, store=store).wait(20)
    with asking_as(Asker("member", "Cleo", usd=0.0)), pytest.raises(InputError, match="has spent"):
        jobs.start_ask(PLAN, choice, store=store)


def test_the_servers_own_keys_are_its_owners(monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "the-owners")
    assert api_key("OPENAI_API_KEY") == "the-owners"
    for asker in (ADA, Asker("student"), Asker("stranger")):
        with asking_as(asker):
            assert api_key("OPENAI_API_KEY", secrets={"OPENAI_API_KEY": "x"}) is None
            assert api_key("OPENAI_API_KEY", field="my own") == "my own"


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"name": " ", "role": "member"}, "account"),
        ({"name": "x" * 61, "role": "member"}, "letters"),
        ({"name": "a\u202eb", "role": "member"}, "seen"),
        ({"name": "Ada", "role": "admin"}, "owner, member, student"),
        ({"name": "Ada", "role": "member", "password": "short"}, "10 to"),
        ({"name": "Ada", "role": "member", "usd": float("nan")}, "limit"),
        ({"name": "Ada", "role": "member", "tokens": -1}, "limit"),
    ],
)
def test_an_account_that_cannot_be_is_refused_in_words(tmp_path, given, said):
    accounts = Accounts(tmp_path)
    with pytest.raises(InputError, match=said):
        accounts.put(**{"password": None, **given})
    assert accounts.all() == {} and not accounts.path.exists()
