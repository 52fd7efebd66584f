"""What a label does to everything that is stored, and what undoing it does."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tale_core.errors import InputError, NotFoundError
from tale_core.experiments.results import results
from tale_core.labels import Desk, catch_up
from tale_core.labels.words import moved_words
from tale_core.store import Change, LabelTarget, QueueFilter, Store, open_store
from tale_core.types import Outcome, Question
from tests.labels import samples

ALL = QueueFilter(which="all", overlap=0)
SHARED = QueueFilter(which="all", overlap=1)
CATS = Question("How many legs have 3 cats?", answer="12", kind="number")
UNKNOWN = replace(CATS, answer=None)


def only(desk: Desk, who: str, wanted: QueueFilter = ALL) -> LabelTarget:
    desk.sync()
    found = desk.next(who, wanted)
    assert found is not None
    return found


def walk(desk: Desk, who: str, wanted: QueueFilter = ALL) -> list[LabelTarget]:
    """Everything in an annotator's queue, judged right one after the other."""
    seen = []
    while (target := desk.next(who, wanted)) is not None:
        seen.append(target)
        desk.judge(who, target, "right")
    return seen


def test_a_verdict_beats_the_grader_and_says_so_and_an_undo_brings_the_grader_back(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = desk.sit_down("Ada")
    moved = desk.judge(ada, only(desk, ada), "right")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    assert (moved.events, moved.answers, moved.right, moved.examples) == (1, 1, 1, 1)
    back = desk.undo(ada)
    assert samples.outcomes(store, session) == [(Outcome.WRONG, None)]
    assert (back.answers, back.right, back.examples) == (1, -1, -1)


def test_unsure_moves_nothing_and_is_done(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = desk.sit_down("Ada")
    assert desk.judge(ada, only(desk, ada), "unsure").answers == 0
    assert samples.outcomes(store, session) == [(Outcome.WRONG, None)]
    assert desk.next(ada, ALL) is None


def test_the_same_words_are_judged_once_wherever_they_stand_but_cut_off_ones_apart(store: Store, desk: Desk) -> None:
    first = samples.asked(store, CATS, "It is [[13]]", "It is [[13]]")
    again = samples.asked(store, replace(CATS, text="How many  legs have 3 cats?\n"), "It is [[13]]")
    cut = samples.asked(store, CATS, "It is [[13]]", finish="length")
    ada = desk.sit_down("Ada")
    desk.sync()
    assert desk.queue.counts(ada, ALL).total == 2
    targets = {t.copies: t for t in (desk.queue.next(ada, ALL), *walk(desk, ada)) if t is not None}
    assert set(targets) == {3, 1}
    desk.undo(ada)
    desk.undo(ada)
    assert desk.judge(ada, targets[3], "right").answers == 3
    assert samples.outcomes(store, first) == [(Outcome.CORRECT, "verdict")] * 2
    assert samples.outcomes(store, again) == [(Outcome.CORRECT, "verdict")]
    assert samples.outcomes(store, cut) == [(Outcome.TRUNCATED, None)]


def test_a_known_answer_regrades_every_stored_answer_and_an_undo_takes_it_back(store: Store, desk: Desk) -> None:
    one = samples.asked(store, UNKNOWN, "So [[12]]", "I think [[13]]")
    two = samples.asked(store, UNKNOWN, "12 legs, so 3 × 4 = 12", "no idea")
    ada = desk.sit_down("Ada")
    target = only(desk, ada)
    moved = desk.give_answer(ada, target, " 12 ")
    assert samples.outcomes(store, one) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]
    assert samples.outcomes(store, two) == [(Outcome.CORRECT, "gold"), (Outcome.UNPARSED, "gold")]
    assert (moved.regraded, moved.answers, moved.right, moved.examples) == (4, 4, 2, 2)
    assert only(desk, ada).question.answer == "12"
    desk.undo(ada)
    assert {o for s in (one, two) for o in samples.outcomes(store, s)} == {(Outcome.UNGRADED, None)}
    assert only(desk, ada).question.answer is None


def test_a_known_answer_that_people_give_beats_the_one_that_came_with_the_question(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[12]]", "So [[13]]")
    ada = desk.sit_down("Ada")
    desk.give_answer(ada, only(desk, ada), "13")
    assert [o for o, _ in samples.outcomes(store, session)] == [Outcome.WRONG, Outcome.CORRECT]
    desk.give_answer(ada, only(desk, ada), "14")
    assert [o for o, _ in samples.outcomes(store, session)] == [Outcome.WRONG, Outcome.WRONG]
    desk.undo(ada)
    assert [o for o, _ in samples.outcomes(store, session)] == [Outcome.WRONG, Outcome.CORRECT]


def test_a_verdict_beats_a_known_answer_too(store: Store, desk: Desk) -> None:
    session = samples.asked(store, UNKNOWN, "So [[13]]")
    ada = desk.sit_down("Ada")
    target = only(desk, ada)
    desk.judge(ada, target, "right")
    desk.give_answer(ada, target, "12")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    desk.undo(ada)
    desk.undo(ada)
    assert samples.outcomes(store, session) == [(Outcome.UNGRADED, None)]


def test_the_accuracy_of_an_experiment_follows_and_is_told(store: Store, desk: Desk) -> None:
    questions = samples.numbered(5, answer="99")
    texts = {"vanilla": [f"word {i}: [[{i}]]" for i in range(5)], "fixed:50": ["[[99]]"] * 5}
    experiment = samples.experiment(store, questions, texts)
    before = {r.strategy: r.right for r in results(store, experiment).rows}
    assert before == {"vanilla": 0, "fixed:50": 5}
    ada = desk.sit_down("Ada")
    desk.sync()
    target = next(t for t in walk_only(desk, ada) if t.strategy == "vanilla")
    moved = desk.judge(ada, target, "right")
    assert {r.strategy: r.right for r in results(store, experiment).rows} == {"vanilla": 1, "fixed:50": 5}
    assert "Accuracy of vanilla in gsm8k: 0 → 20 % (n = 5)." in moved_words(moved)
    assert "1 row added to the fine-tuning data." in moved_words(moved)
    assert [m.strategy for m in moved.accuracies] == ["vanilla"]
    assert sum(u.labelled is not None for u in open_units(store, experiment)) == 1


def walk_only(desk: Desk, who: str) -> list[LabelTarget]:
    """The whole queue, looked at and skipped."""
    seen: dict[str, LabelTarget] = {}
    while (target := desk.next(who, ALL)) is not None and target.key not in seen:
        seen[target.key] = target
        desk.skip(who, target)
    return list(seen.values())


def open_units(store: Store, experiment: str):
    from tale_core.store import ExperimentStore

    return ExperimentStore(store).figures(experiment)


def test_a_verdict_gives_an_experiment_without_known_answers_an_accuracy(store: Store, desk: Desk) -> None:
    experiment = samples.experiment(store, samples.numbered(3), {"vanilla": ["[[4]]", "[[8]]", "[[13]]"]})
    assert results(store, experiment).rows[0].accuracy is None
    ada = desk.sit_down("Ada")
    desk.sync()
    moved = desk.judge(ada, only(desk, ada), "right")
    (row,) = results(store, experiment).rows
    assert (row.right, row.graded) == (1, 1)
    assert "unknown → 100 % (n = 1)" in moved_words(moved)


def test_undo_goes_back_to_the_first_deed_skips_included_and_no_further(store: Store, desk: Desk) -> None:
    sessions = [samples.asked(store, q, "[[5]]") for q in samples.numbered(4, answer="5")]
    ada, first = desk.sit_down("Ada"), None
    desk.sync()
    order = []
    for deed in ("wrong", "skip", "wrong"):
        target = only(desk, ada)
        first = first or target.key
        order.append(target.key)
        desk.skip(ada, target) if deed == "skip" else desk.judge(ada, target, "wrong")
    assert desk.queue.counts(ada, ALL).undoable == 3
    for left in (2, 1, 0):
        assert desk.undo(ada).events == 1
        assert desk.queue.counts(ada, ALL).undoable == left
        assert only(desk, ada).key == order[left]
    assert desk.undo(ada).events == 0
    assert all(samples.outcomes(store, s) == [(Outcome.CORRECT, None)] for s in sessions)


def test_a_second_press_and_a_tab_that_is_behind_change_nothing(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = desk.sit_down("Ada")
    shown = only(desk, ada)
    assert desk.judge(ada, shown, "right").events == 1
    assert desk.judge(ada, shown, "right").events == 0
    assert desk.judge(ada, shown, "wrong").events == 0
    assert desk.skip(ada, shown).events == 0
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    assert desk.queue.counts(ada, ALL).undoable == 1


def test_an_undo_or_a_skip_that_arrives_twice_is_done_once(store: Store, desk: Desk) -> None:
    for q in samples.numbered(2):
        samples.asked(store, q, "[[5]]")
    ada = desk.sit_down("Ada")
    shown = only(desk, ada)
    assert [desk.skip(ada, shown).events for _ in range(2)] == [1, 0]
    desk.judge(ada, only(desk, ada), "right")
    assert only(desk, ada).skipped
    assert [desk.skip(ada, again).events for again in [only(desk, ada)] * 2] == [1, 0]
    last = desk.queue.counts(ada, ALL).last
    assert [desk.undo(ada, event=last).events for _ in range(2)] == [1, 0]
    assert desk.queue.counts(ada, ALL).undoable == 2


def test_a_skipped_answer_comes_again_after_all_others_and_can_be_skipped_round_and_round(
    store: Store, desk: Desk
) -> None:
    for q in samples.numbered(3):
        samples.asked(store, q, "[[5]]")
    ada = desk.sit_down("Ada")
    desk.sync()
    seen = []
    for _ in range(6):
        target = only(desk, ada)
        seen.append(target.key)
        desk.skip(ada, target)
    assert len(set(seen[:3])) == 3 and seen[:3] == seen[3:]


def test_everybody_has_an_order_of_their_own_that_stays(store: Store, desk: Desk) -> None:
    for q in samples.numbered(9):
        samples.asked(store, q, "[[5]]")
    desk.sync()
    orders = {}
    for name in ("Ada", "Ben"):
        who = desk.sit_down(name)
        orders[name] = [t.key for t in walk(desk, who)]
        for _ in range(9):
            desk.undo(who)
        assert [t.key for t in walk(desk, who)] == orders[name]
    assert sorted(orders["Ada"]) == sorted(orders["Ben"]) and orders["Ada"] != orders["Ben"]


def test_a_name_is_one_person_whatever_its_letters(desk: Desk) -> None:
    assert desk.sit_down(" Ada  Lovelace ") == desk.sit_down("ada lovelace")
    assert [s.name for s in desk.queue.standings()] == ["Ada Lovelace"]
    for name in ("", "   ", "x" * 61, "a\u202eb"):
        with pytest.raises(InputError):
            desk.sit_down(name)


def test_people_who_disagree_leave_it_to_the_grader_until_somebody_settles_it(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[12]]")
    ada, ben, eve = (desk.sit_down(n) for n in ("Ada", "Ben", "Eve"))
    desk.judge(ada, only(desk, ada), "wrong")
    assert samples.outcomes(store, session) == [(Outcome.WRONG, "verdict")]
    desk.judge(ben, only(desk, ben), "right")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, None)]
    dispute = desk.next(eve, QueueFilter(kind="settle"))
    assert dispute is not None and {(s.name, s.value) for s in dispute.said} == {("Ada", "wrong"), ("Ben", "right")}
    desk.judge(eve, dispute, "wrong")
    assert samples.outcomes(store, session) == [(Outcome.WRONG, "verdict")]
    assert desk.next(eve, QueueFilter(kind="settle")) is None
    assert desk.next(eve, ALL) is None  # Settled: nobody has to look again.
    desk.undo(eve)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, None)]


def test_what_cannot_be_settled_now_is_passed_over_and_what_was_said_stays(store: Store, desk: Desk) -> None:
    for q in samples.numbered(2, answer="5"):
        samples.asked(store, q, "[[5]]")
    ada, ben = desk.sit_down("Ada"), desk.sit_down("Ben")
    desk.sync()
    for target in walk(desk, ada):
        desk.judge(ben, target, "wrong")
    wanted = QueueFilter(kind="settle")
    first = desk.next(ada, wanted)
    assert first is not None
    desk.skip(ada, first)
    second = desk.next(ada, wanted)
    assert second is not None and second.key != first.key
    assert {(s.name, s.value) for s in second.said} == {("Ada", "right"), ("Ben", "wrong")}
    assert desk.queue.counts(ada, wanted).left == 2


def test_two_known_answers_are_a_disagreement_that_is_settled_by_one(store: Store, desk: Desk) -> None:
    session = samples.asked(store, UNKNOWN, "So [[12]]")
    ada, ben = desk.sit_down("Ada"), desk.sit_down("Ben")
    target = only(desk, ada)
    desk.give_answer(ada, target, "12")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold")]
    desk.give_answer(ben, target, "13")
    assert samples.outcomes(store, session) == [(Outcome.UNGRADED, None)]
    dispute = desk.next(ben, QueueFilter(kind="settle"))
    assert dispute is not None and dispute.key == dispute.question_key and dispute.call is None
    desk.give_answer(ben, dispute, "12")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold")]
    assert desk.next(ben, QueueFilter(kind="settle")) is None


def test_an_undo_takes_back_ones_own_settling_only_while_it_stands(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[12]]")
    ada, ben = desk.sit_down("Ada"), desk.sit_down("Ben")
    target = only(desk, ada)
    desk.judge(ada, target, "wrong")
    desk.judge(ben, target, "right")
    dispute = desk.next(ada, QueueFilter(kind="settle"))
    assert dispute is not None
    desk.judge(ada, dispute, "wrong")
    desk.judge(ben, dispute, "right")
    desk.undo(ada)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    desk.undo(ben)  # What Ada had settled was taken back before: nothing is left of it.
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, None)]


def test_questions_nobody_knows_the_answer_of_have_a_queue_of_their_own(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "[[12]]")
    samples.asked(store, Question("Why?"), "Because.")
    samples.asked(store, Question("What is 2 + 2?"), "[[4]]", "[[5]]")
    ada = desk.sit_down("Ada")
    desk.sync()
    wanted = QueueFilter(kind="questions")
    assert desk.queue.counts(ada, wanted)[:2] == (2, 2)
    first = desk.next(ada, wanted)
    assert first is not None and first.call is None and first.question.answer is None
    desk.judge(ada, first, "unsure")
    second = desk.next(ada, wanted)
    assert second is not None and second.key != first.key
    desk.give_answer(ada, second, "4")
    assert desk.next(ada, wanted) is None
    assert desk.queue.counts(ada, wanted)[:2] == (2, 0)


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
    store: Store, desk: Desk, wanted: QueueFilter, texts: set[str]
) -> None:
    samples.asked(store, CATS, "[[12]]", "[[13]]")
    samples.asked(store, CATS, "it is 12 or so, 12", "no idea")
    samples.asked(store, Question("How many?", answer="2", topic="money"), "[[1]]", model="another")
    ada = desk.sit_down("Ada")
    desk.sync()
    assert {t.call.text for t in walk(desk, ada, wanted) if t.call} == texts


def test_what_failed_was_cut_by_a_search_or_is_being_written_is_no_answer_to_label(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "[[12]]", "[[13]]", outcome=Outcome.ERROR)
    samples.asked(store, CATS, "[[14]]", cut=True)
    samples.asked(store, CATS, "[[15]]", status="running")
    assert desk.sync() == 0


def test_a_deleted_session_leaves_the_queue_and_its_label_waits_for_the_same_answer(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = desk.sit_down("Ada")
    shown = only(desk, ada)
    desk.judge(ada, shown, "right")
    store.delete_session(session)
    assert desk.queue.counts(ada, ALL).total == 0
    with pytest.raises(NotFoundError):
        desk.judge(desk.sit_down("Ben"), shown, "right")
    again = samples.asked(store, CATS, "So [[13]]")
    catch_up(store)
    assert samples.outcomes(store, again) == [(Outcome.CORRECT, "verdict")]


def test_answers_that_come_later_are_graded_against_the_labelled_known_answer(store: Store, desk: Desk) -> None:
    samples.asked(store, UNKNOWN, "So [[12]]")
    ada = desk.sit_down("Ada")
    desk.give_answer(ada, only(desk, ada), "12")
    later = samples.asked(store, UNKNOWN, "Twelve: [[12]]", "[[11]]")
    catch_up(store)
    assert samples.outcomes(store, later) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]


def test_nothing_is_indexed_at_the_end_of_a_session_while_nobody_labels(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "So [[13]]")
    catch_up(store)
    assert desk.queue.counts("ada", ALL).total == 0


def test_a_label_that_cannot_be_written_leaves_nothing_behind(store: Store, desk: Desk) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = desk.sit_down("Ada")
    shown = only(desk, ada)
    good = Change(ada, "verdict", shown.key, shown.question_key, "right")
    for bad in (
        replace(good, target="0" * 40),
        replace(good, value="perhaps"),
        Change(ada, "gold", shown.question_key, shown.question_key, "  "),
        Change(ada, "gold", shown.question_key, shown.question_key, "x" * 2_001),
    ):
        with pytest.raises((InputError, NotFoundError)):
            desk.commit([good, bad])
    assert samples.outcomes(store, session) == [(Outcome.WRONG, None)]
    assert desk.queue.counts(ada, ALL).undoable == 0


def test_shared_work_is_done_once_by_six_people_at_the_same_time_and_none_is_lost(store: Store, desk: Desk) -> None:
    for q in samples.numbered(40):
        samples.asked(store, q, f"{q.text} [[5]]")
    desk.sync()
    done: dict[str, list[str]] = {}
    errors: list[BaseException] = []

    def work(name: str) -> None:
        try:
            mine = Desk(open_store())
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
    assert {t: len(v) for t, v in desk.queue.verdicts().items()} == {who: len(keys) for who, keys in done.items()}


def test_what_somebody_has_in_front_of_them_is_not_offered_to_others_until_the_claim_runs_out(
    store: Store, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    from datetime import timedelta

    from tale_core.store import queries

    samples.asked(store, CATS, "So [[13]]")
    ada, ben = desk.sit_down("Ada"), desk.sit_down("Ben")
    shown = only(desk, ada, SHARED)
    assert desk.next(ben, SHARED) is None
    assert only(desk, ada, SHARED).key == shown.key
    now = queries.now()
    monkeypatch.setattr(queries, "now", lambda: now + timedelta(minutes=6))
    assert only(desk, ben, SHARED).key == shown.key
    # Ada was not there any more, but her verdict is not lost.
    assert desk.judge(ada, shown, "right").events == 1
    assert desk.judge(ben, shown, "right").events == 1


def test_an_unsure_answer_goes_to_somebody_else(store: Store, desk: Desk) -> None:
    samples.asked(store, CATS, "So [[13]]")
    ada, ben, eve = (desk.sit_down(n) for n in ("Ada", "Ben", "Eve"))
    desk.judge(ada, only(desk, ada, SHARED), "unsure")
    desk.judge(ben, only(desk, ben, SHARED), "wrong")
    assert desk.next(eve, SHARED) is None


DEEDS = st.lists(
    st.tuples(st.sampled_from(["ada", "ben"]), st.sampled_from(["right", "wrong", "unsure", "skip", "gold", "undo"])),
    max_size=14,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS)
def test_undoing_everything_leaves_every_outcome_as_the_grader_had_it(
    store: Store, desk: Desk, deeds: list[tuple[str, str]]
) -> None:
    if not store.count_sessions():
        samples.asked(store, CATS, "So [[13]]", "So [[12]]")
        samples.asked(store, UNKNOWN, "So [[7]]", "none")
    desk.sync()
    people = {name: desk.sit_down(name) for name in ("ada", "ben")}
    ids = [s.id for s in store.list_sessions()]
    before = [samples.outcomes(store, i) for i in ids]
    for name, deed in deeds:
        who = people[name]
        target = desk.next(who, ALL)
        if deed == "undo" or target is None:
            desk.undo(who)
        elif deed == "gold":
            desk.give_answer(who, target, "13")
        elif deed == "skip":
            desk.skip(who, target)
        else:
            desk.judge(who, target, deed)  # type: ignore[arg-type]
    for who in people.values():
        while desk.queue.counts(who, ALL).undoable:
            desk.undo(who)
    assert [samples.outcomes(store, i) for i in ids] == before
    assert not desk.queue.any_labels()
