"""The queue: in which order answers are shown, what is filtered, and how several people share the work."""

from __future__ import annotations

import threading
from collections import Counter

import pytest

from tale_core.access.who import Asker, asking_as
from tale_core.errors import NotFoundError
from tale_core.labels import Labeling
from tale_core.store import QueueFilter, Store, exported_labels, open_store
from tale_core.store.labels.keys import question_key
from tale_core.types import Outcome, Question
from tests.labels import samples
from tests.labels.test_labels import CATS, only, walk

SHARED = QueueFilter(which="all", overlap=1)


def test_a_skipped_answer_comes_again_after_all_others_and_can_be_skipped_round_and_round(
    store: Store, labeling: Labeling
) -> None:
    for q in samples.numbered(3):
        samples.asked(store, q, "[[5]]")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    seen = []
    for _ in range(6):
        target = only(labeling, ada)
        seen.append(target.key)
        labeling.skip(ada, target)
    assert len(set(seen[:3])) == 3 and seen[:3] == seen[3:]


def test_everybody_has_an_order_of_their_own_that_stays(store: Store, labeling: Labeling) -> None:
    for q in samples.numbered(9):
        samples.asked(store, q, "[[5]]")
    labeling.sync()
    orders = {}
    for name in ("Ada", "Ben"):
        who = labeling.sit_down(name)
        orders[name] = [t.key for t in walk(labeling, who)]
        for _ in range(9):
            labeling.undo(who)
        assert [t.key for t in walk(labeling, who)] == orders[name]
    assert sorted(orders["Ada"]) == sorted(orders["Ben"]) and orders["Ada"] != orders["Ben"]


def test_questions_nobody_knows_the_answer_of_have_a_queue_of_their_own(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "[[12]]")
    samples.asked(store, Question("Why?"), "Because.")
    samples.asked(store, Question("What is 2 + 2?"), "[[4]]", "[[5]]")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    wanted = QueueFilter(kind="questions")
    assert labeling.queue.counts(ada, wanted)[:2] == (2, 2)
    first = labeling.next(ada, wanted)
    assert first is not None and first.call is None and first.question.answer is None
    labeling.judge(ada, first, "unsure")
    second = labeling.next(ada, wanted)
    assert second is not None and second.key != first.key
    labeling.give_answer(ada, second, "4")
    assert labeling.next(ada, wanted) is None
    assert labeling.queue.counts(ada, wanted)[:2] == (2, 0)


@pytest.mark.parametrize(
    ("wanted", "texts"),
    [
        (QueueFilter(which="doubtful"), {"it is 12 or so, 12", "no idea"}),
        (QueueFilter(which="all"), {"[[12]]", "[[13]]", "it is 12 or so, 12", "no idea", "[[1]]"}),
        (QueueFilter(which="disagree"), {"[[12]]", "[[13]]", "it is 12 or so, 12", "no idea"}),
        (QueueFilter(which="all", outcomes=("wrong",)), {"[[13]]", "[[1]]"}),
        (QueueFilter(which="all", models=("another",)), {"[[1]]"}),
        (QueueFilter(which="all", topics=("money",)), {"[[1]]"}),
    ],
)
def test_filters_go_by_doubt_disagreement_outcome_model_and_topic(
    store: Store, labeling: Labeling, wanted: QueueFilter, texts: set[str]
) -> None:
    samples.asked(store, CATS, "[[12]]", "[[13]]")
    samples.asked(store, CATS, "it is 12 or so, 12", "no idea")
    samples.asked(store, Question("How many?", answer="2", topic="money"), "[[1]]", model="another")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    assert {t.call.text for t in walk(labeling, ada, wanted) if t.call} == texts


def test_what_failed_was_cut_by_a_search_or_is_being_written_is_no_answer_to_label(
    store: Store, labeling: Labeling
) -> None:
    samples.asked(store, CATS, "[[12]]", "[[13]]", outcome=Outcome.ERROR)
    samples.asked(store, CATS, "[[14]]", cut=True)
    samples.asked(store, CATS, "[[15]]", status="running")
    assert labeling.sync() == 0


def test_shared_work_is_done_once_by_six_people_at_the_same_time_and_none_is_lost(
    store: Store, labeling: Labeling
) -> None:
    for q in samples.numbered(40):
        samples.asked(store, q, f"{q.text} [[5]]")
    labeling.sync()
    done: dict[str, list[str]] = {}
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            mine = Labeling(open_store())
            who = mine.sit_down(name)
            # Two tabs of one person: the same list is filled by two threads.
            for target in iter(lambda: mine.next(who, SHARED), None):
                if mine.judge(who, target, "right").events:
                    done.setdefault(who, []).append(target.key)
        except BaseException as e:
            errors.append(e)

    threads = [threading.Thread(target=work, args=(name,)) for name in ("Ada", "Ada", "Ben", "Eve", "Ben", "Zoe")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    counted = Counter(key for keys in done.values() for key in keys)
    assert len(counted) == 40 and set(counted.values()) == {1}
    assert {t: len(v) for t, v in labeling.queue.verdicts().items()} == {who: len(keys) for who, keys in done.items()}


def test_what_somebody_has_in_front_of_them_is_not_offered_to_others_until_the_claim_runs_out(
    store: Store, labeling: Labeling, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from tale_core.store import queries

    samples.asked(store, CATS, "So [[13]]")
    ada, ben = labeling.sit_down("Ada"), labeling.sit_down("Ben")
    shown = only(labeling, ada, SHARED)
    assert labeling.next(ben, SHARED) is None
    assert only(labeling, ada, SHARED).key == shown.key
    now = queries.now()
    monkeypatch.setattr(queries, "now", lambda: now + timedelta(minutes=6))
    assert only(labeling, ben, SHARED).key == shown.key
    # Ada was not there any more, but her verdict is not lost.
    assert labeling.judge(ada, shown, "right").events == 1
    assert labeling.judge(ben, shown, "right").events == 1


def test_an_unsure_answer_goes_to_somebody_else(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "So [[13]]")
    ada, ben, eve = (labeling.sit_down(n) for n in ("Ada", "Ben", "Eve"))
    labeling.judge(ada, only(labeling, ada, SHARED), "unsure")
    labeling.judge(ben, only(labeling, ben, SHARED), "wrong")
    assert labeling.next(eve, SHARED) is None


ADA, BEN = Asker("member", "Ada"), Asker("member", "Ben")


def test_nobody_is_shown_or_labels_what_stands_in_sessions_that_they_may_not_see(
    store: Store, labeling: Labeling
) -> None:
    private = Question("What is the secret?", answer="7", topic="private")
    with asking_as(ADA):
        samples.asked(store, CATS, "[[13]]", "[[14]]", model="hers")
        samples.asked(store, private, "[[7]]", "[[8]]", model="hers")
    with asking_as(BEN):
        samples.asked(store, CATS, "[[12]]", model="his")
    labeling.sync()
    ada, ben, cem = (labeling.sit_down(name) for name in ("Ada", "Ben", "Cem"))
    with asking_as(ADA):
        hers = {t.call.text: t for t in walk(labeling, ada, QueueFilter(which="all")) if t.call}
        labeling.judge(cem, hers["[[13]]"], "wrong")
        assert hers.keys() == {"[[13]]", "[[14]]", "[[7]]", "[[8]]"}
    labeling.judge(ben, hers["[[13]]"], "right")  # An owner; what two people say of her answer is not his to settle.
    with asking_as(BEN):
        assert [t.call.text for t in walk(labeling, ben, QueueFilter(which="all")) if t.call] == ["[[12]]"]
        assert labeling.queue.choices() == {"models": ["his"], "outcomes": ["correct"], "topics": []}
        assert [one.extracted for one in labeling.queue.readings(hers["[[13]]"].question_key)] == ["12"]
        assert labeling.next(ben, QueueFilter(which="disagree")) is None
        assert labeling.next(ben, QueueFilter(kind="settle")) is None
        assert labeling.queue.counts(ben, QueueFilter(kind="settle")).total == 0
        assert labeling.queue.by_text([question_key(private.text)]) == {}
        assert labeling.queue.stored_keys([hers["[[7]]"].key]) == {}
        assert [one.answer for one in exported_labels(store)] == ["[[12]]"]
        for refused in (
            lambda: labeling.judge(ben, hers["[[7]]"], "wrong"),
            lambda: labeling.give_answer(ben, hers["[[7]]"], "9"),
        ):
            with pytest.raises(NotFoundError):
                refused()
    assert len(list(exported_labels(store))) == 7, "an owner's file has all of them"


def test_the_same_words_of_somebody_else_are_not_the_copy_that_is_shown(store: Store, labeling: Labeling) -> None:
    with asking_as(ADA):
        samples.asked(store, CATS, "[[12]]", model="hers", reasoning_text="Her own thought.")
    with asking_as(BEN):
        samples.asked(store, CATS, "[[12]]", model="his")
        labeling.sync()
        target = only(labeling, labeling.sit_down("Ben"))
        assert target.call is not None
        assert (target.call.model, target.call.reasoning_text, target.copies) == ("his", "", 1)
