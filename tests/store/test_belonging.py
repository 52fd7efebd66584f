"""Sessions belong to somebody: members see their own and what is shared, owners all, and old rows are the owner's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tale_core.access.who import OWNER, Asker, asking_as
from tale_core.errors import NotFoundError, StoreError
from tale_core.experiments import ExperimentPlan, create_experiment
from tale_core.labels import Labeling
from tale_core.store import (
    Archive,
    CallStore,
    ExperimentStore,
    History,
    Imported,
    QueueFilter,
    SessionFilter,
    Store,
    Trash,
    deeds,
    export_archive,
    import_archive,
    open_store,
    spent,
    stored_answers,
)
from tale_core.types import Question
from tests.labels.samples import asked
from tests.labels.test_moving import judged
from tests.labels.test_studies import CATS, found, searched
from tests.store import samples

ADA, BEN = Asker("member", "Ada"), Asker("member", "Ben")
STUDENT = Asker("student", " abc")


def a_session(store: Store, **fields: object) -> str:
    return store.create_session(samples.session(**fields)).id


def names(store: Store) -> set[str]:
    return {s.id for s in store.list_sessions()}


def test_members_see_their_own_and_what_is_shared_and_an_owner_sees_all(store):
    old = a_session(store)
    with asking_as(ADA):
        mine = a_session(store)
        assert names(store) == {mine} and store.count_sessions() == 1
    with asking_as(BEN):
        assert names(store) == set() and History(store).listing().count == 0 and History(store).models() == []
        for one in (old, mine):
            for read in (store.get_session, store.export_session, store.belongs_to):
                with pytest.raises(NotFoundError):
                    read(one)
    with asking_as(ADA):
        store.share(mine, True)
    with asking_as(BEN):
        assert names(store) == {mine} and store.get_session(mine).id == mine
        assert not store.belongs_to(mine).mine and store.belongs_to(mine) == ("Ada", True, ())
        entries = History(store).listing(SessionFilter(model="scripted")).entries
        assert [(e.summary.id, e.account, e.shared) for e in entries] == [(mine, "Ada", True)]
        assert History(store).models() == ["scripted"]
    assert names(store) == {old, mine} and store.belongs_to(old) == ("", False, ())
    with asking_as(STUDENT):
        assert names(store) == {mine}, "what is shared; a student's pages do not ask"


def test_what_is_shared_is_changed_by_its_owner_alone(store):
    with asking_as(ADA):
        mine = a_session(store, status="done")
        store.share(mine, True)
    with asking_as(BEN):
        with pytest.raises(NotFoundError):
            store.share(mine, False)
        done, refused = Trash(store).delete([mine])
        assert not done and [one.session_id for one in refused] == [mine]
    with asking_as(ADA):
        assert Trash(store).delete([mine])[0]
    with asking_as(BEN):
        assert Trash(store).pending() == [] and Trash(store).finish([mine]) == 0
        with pytest.raises(NotFoundError):
            Trash(store).undo(mine)
    with asking_as(ADA):
        assert len(Trash(store).pending()) == 1
        Trash(store).undo(mine)
        assert store.belongs_to(mine) == ("Ada", True, ()), "it comes back as it was"


def test_what_is_shared_with_one_person_is_seen_by_nobody_else_and_comes_back_from_the_trash(store):
    with asking_as(ADA):
        mine = a_session(store, status="done")
        store.share(mine, True, people=["Ben"])
        store.share(mine, True, people=["Cem", " abc", "a\nb"])
        assert store.belongs_to(mine) == ("Ada", False, ("Ben", "Cem")) and deeds(store)[1].action == "shared with Ben"
    seen = {name: asking_as(Asker("member", name)) for name in ("Ben", "ben", "Be", "Cem", "C%", "abc", "a")}
    for name, one in seen.items():
        with one:
            assert (names(store) == {mine}) is (name in ("Ben", "Cem")), name
    with asking_as(STUDENT):
        assert names(store) == set()
    with asking_as(BEN):
        assert [e.people for e in History(store).listing().entries] == [("Ben", "Cem")]
        with pytest.raises(NotFoundError):
            store.share(mine, True, people=["Dora"])
    with asking_as(ADA):
        Trash(store).delete([mine])
        Trash(store).undo(mine)
    with asking_as(BEN):
        assert store.get_session(mine).id == mine
    store.forget_person("Ben")
    with asking_as(BEN):
        assert names(store) == set(), "whoever is given the name later sees nothing"
    with asking_as(ADA):
        store.share(mine, False)
        assert store.belongs_to(mine) == ("Ada", False, ())


def test_another_persons_experiment_is_neither_read_nor_resumed(store):
    plan = ExperimentPlan(questions=(Question("1 + 1?", answer="2"),), strategies=("direct",))
    experiments = ExperimentStore(store)
    with asking_as(ADA):
        mine = create_experiment(plan.checked(), store, model="scripted", endpoint="embedded").resume_of
    assert mine is not None
    with asking_as(BEN), pytest.raises(NotFoundError):
        experiments.head(mine)
    store.share(mine, True)
    store.finish_session(mine, "interrupted")
    with asking_as(BEN):
        assert experiments.head(mine).id == mine
        with pytest.raises(StoreError, match="another person's"):
            experiments.reopen(mine)
    with asking_as(ADA):
        experiments.reopen(mine)


def test_what_is_derived_from_answers_is_derived_from_those_one_may_see(store):
    question = Question("How many legs have 3 cats?", answer="12")
    with asking_as(ADA):
        asked(store, question, "12 legs [[12]]", "[[12]]")
        assert store.vanilla_tokens(model="scripted") == [40]
        assert store.tries(question.text, model="scripted", endpoint="embedded")
        assert len(stored_answers(store, model="scripted")) == 2
    with asking_as(BEN):
        assert store.vanilla_tokens(model="scripted") == []
        assert store.tries(question.text, model="scripted", endpoint="embedded") == []
        assert stored_answers(store, model="scripted") == []


def test_a_labeller_is_shown_answers_that_they_may_see(store):
    with asking_as(ADA):
        mine = asked(store, Question("How many legs have 3 cats?", answer="12"), "12 legs [[12]]")
    labeling = Labeling(store)
    labeling.sync()
    who, everything = labeling.sit_down("Ben"), QueueFilter(which="all")
    with asking_as(BEN):
        assert labeling.next(who, everything) is None and labeling.queue.counts(who, everything).total == 0
    store.share(mine, True)
    with asking_as(BEN):
        assert labeling.next(who, everything) is not None


def test_what_a_labeller_says_reaches_the_same_answer_in_a_search_that_they_may_not_see(store):
    with asking_as(ADA):
        mine = searched(store, {None: "12", 60: "12", 30: "12"})
        text = store.get_session(mine).calls[-1].text
    with asking_as(BEN):
        asked(store, CATS, text)
        judged(Labeling(store), "wrong", of=text, question=CATS, name="Ben")
    assert found(store, mine).optimal_budget == 60


def test_an_archive_says_not_whose_it_was_and_belongs_to_whoever_brings_it(store, tmp_path):
    with asking_as(ADA):
        mine = a_session(store, status="done")
        store.share(mine, True)
        store.share(mine, True, people=["Ben"])
    export_archive(store, tmp_path / "all.zip")
    with Archive(tmp_path / "all.zip") as archive:
        (group,) = archive.groups()
    assert group.session["account"] == "" and group.session["shared"] is False and group.session["shared_with"] == ""
    samples.gone(store, mine)
    with Archive(tmp_path / "all.zip") as archive, asking_as(replace(OWNER, account="Eve")):
        import_archive(store, archive)
    assert store.belongs_to(mine) == ("Eve", False, ())


def test_the_audit_list_says_who_did_what_and_what_it_cost(store):
    with asking_as(ADA):
        mine = asked(store, Question("How many legs have 3 cats?", answer="12"), "12 legs [[12]]")
        store.share(mine, True)
        Trash(store).delete([mine])
        assert [(d.account, d.action) for d in deeds(store)] == [
            ("Ada", "deleted"),
            ("Ada", "shared"),
            ("Ada", "began"),
        ]
        assert deeds(store)[0].tokens == 60
    with asking_as(BEN):
        assert deeds(store) == []
    assert {d.about for d in deeds(store)} == {mine}


def test_deleting_a_session_makes_nothing_unspent_and_bringing_it_back_spends_nothing(store):
    with asking_as(ADA):
        mine = asked(store, Question("How many legs have 3 cats?", answer="12"), "12 legs [[12]]", cost_usd=0.25)
    assert spent(store, "Ada") == (60, 0.25)
    with asking_as(ADA):
        Trash(store).delete([mine])
    assert spent(store, "Ada") == (60, 0.25)
    with asking_as(ADA):
        Trash(store).undo(mine)
    assert spent(store, "Ada") == (60, 0.25) and spent(store, "Ben") == (0, 0)
    Trash(store).delete([mine])
    assert spent(store, "Ada") == (60, 0.25), "by whom it was deleted makes no difference"


@pytest.mark.sqlite_only("about one file that an earlier version wrote")
def test_what_was_stored_before_there_were_accounts_is_the_owners(tmp_path):
    import gzip

    from tests.store.test_before import BEFORE

    path = tmp_path / "old.db"
    path.write_bytes(gzip.decompress((BEFORE / "tale.db.gz").read_bytes()))
    old = open_store(f"sqlite:///{path}")
    assert len(names(old)) == 5 and {old.belongs_to(one).account for one in names(old)} == {""}
    with asking_as(ADA):
        assert names(old) == set()
    old.close()


def test_another_persons_answer_is_nobody_elses_to_reuse(store):
    with asking_as(ADA):
        asked(store, Question("1 + 1?", answer="2"), "[[2]]", cache_key="the fingerprint")
    found = {"session_id": "another", "unit": None, "step": None, "anywhere": True}
    with asking_as(BEN):
        assert CallStore(store).find("the fingerprint", **found) is None
    with asking_as(ADA):
        assert CallStore(store).find("the fingerprint", **found) is not None


def brought(store: Store, path: Path, **options: Any) -> Imported:
    with Archive(path) as archive:
        return import_archive(store, archive, existing="replace", **options)


def test_a_session_that_an_archive_replaces_stays_whose_it_is_and_is_shared_as_it_was(store, tmp_path):
    with asking_as(ADA):
        mine = a_session(store, status="done")
        store.share(mine, True)
        store.share(mine, True, people=["Ben"])
        old = a_session(store, status="done")
    export_archive(store, tmp_path / "all.zip")
    samples.gone(store, old)
    before = store.belongs_to(mine)
    assert before == ("Ada", True, ("Ben",))
    store.update_session(mine, budget=7)
    assert brought(store, tmp_path / "all.zip") == Imported(new=1, replaced=1)
    assert store.belongs_to(mine) == before and store.get_session(mine).budget is None
    assert store.belongs_to(old) == ("", False, ()), "what is new belongs to whoever brings it"
    with asking_as(ADA):
        assert brought(store, tmp_path / "all.zip") == Imported(replaced=1, skipped=1)
    assert store.belongs_to(mine) == before and store.belongs_to(old) == ("", False, ())


def test_nobody_replaces_another_persons_session_by_an_archive_not_even_in_the_trash(store, tmp_path):
    with asking_as(ADA):
        mine = a_session(store, status="done")
        store.share(mine, True)
    with asking_as(BEN):
        export_archive(store, tmp_path / "all.zip")
        assert brought(store, tmp_path / "all.zip") == Imported(skipped=1)
    with asking_as(ADA):
        Trash(store).delete([mine])
    with asking_as(BEN):
        assert brought(store, tmp_path / "all.zip") == Imported(skipped=1)
    with asking_as(ADA):
        Trash(store).undo(mine)
        assert store.belongs_to(mine) == ("Ada", True, ())


def test_an_archive_holds_what_whoever_makes_it_may_see(store, tmp_path):
    with asking_as(ADA):
        a_session(store, status="done")
    with asking_as(BEN):
        mine = a_session(store, status="done")
        made = export_archive(store, tmp_path / "all.zip")
    assert made.manifest.sessions == 1 and not made.manifest.whole
    with Archive(tmp_path / "all.zip") as archive:
        assert [group.id for group in archive.groups()] == [mine]
