"""What a label does to everything that is stored, and what undoing it does."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tale_core.errors import InputError, NotFoundError
from tale_core.experiments.results import results
from tale_core.labels import Labeling, catch_up
from tale_core.labels.text import moved_words
from tale_core.store import Change, LabelTarget, QueueFilter, Store
from tale_core.types import Outcome, Question
from tests.labels import samples
from tests.store.samples import gone

ALL = QueueFilter(which="all", overlap=0)
CATS = Question("How many legs have 3 cats?", answer="12", kind="number")
UNKNOWN = replace(CATS, answer=None)


def only(labeling: Labeling, who: str, wanted: QueueFilter = ALL) -> LabelTarget:
    labeling.sync()
    found = labeling.next(who, wanted)
    assert found is not None
    return found


def walk(labeling: Labeling, who: str, wanted: QueueFilter = ALL) -> list[LabelTarget]:
    """Everything in an annotator's queue, judged right one after the other."""
    seen = []
    while (target := labeling.next(who, wanted)) is not None:
        seen.append(target)
        labeling.judge(who, target, "right")
    return seen


def test_a_verdict_beats_the_grader_and_says_so_and_an_undo_brings_the_grader_back(
    store: Store, labeling: Labeling
) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = labeling.sit_down("Ada")
    moved = labeling.judge(ada, only(labeling, ada), "right")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    assert (moved.events, moved.answers, moved.right, moved.examples) == (1, 1, 1, 1)
    back = labeling.undo(ada)
    assert samples.outcomes(store, session) == [(Outcome.WRONG, None)]
    assert (back.answers, back.right, back.examples) == (1, -1, -1)


def test_one_key_judges_all_answers_that_are_read_alike_and_one_undo_takes_them_back(
    store: Store, labeling: Labeling
) -> None:
    session = samples.asked(store, CATS, "So [[13]]", "That makes [[13]]")
    other = samples.asked(store, CATS, "I say [[14]]")
    elsewhere = samples.asked(store, replace(CATS, text="How many legs have 4 cats?"), "So it is [[13]]")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    target = next(t for t in labeling.queue.ahead(ada, ALL, limit=9) if t.extracted == "13" and t.question == CATS)
    assert len(labeling.queue.alike(ada, target)) == 2
    assert labeling.judge_alike(ada, target, "right").answers == 2
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")] * 2
    assert samples.outcomes(store, other) == samples.outcomes(store, elsewhere) == [(Outcome.WRONG, None)]
    labeling.undo(ada)
    assert samples.outcomes(store, session) == [(Outcome.WRONG, None)] * 2


def test_unsure_moves_nothing_and_is_done(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = labeling.sit_down("Ada")
    assert labeling.judge(ada, only(labeling, ada), "unsure").answers == 0
    assert samples.outcomes(store, session) == [(Outcome.WRONG, None)]
    assert labeling.next(ada, ALL) is None


def test_the_same_words_are_judged_once_wherever_they_stand_but_cut_off_ones_apart(
    store: Store, labeling: Labeling
) -> None:
    first = samples.asked(store, CATS, "It is [[13]]", "It is [[13]]")
    again = samples.asked(store, replace(CATS, text="How many  legs have 3 cats?\n"), "It is [[13]]")
    cut = samples.asked(store, CATS, "It is [[13]]", finish="length")
    ada = labeling.sit_down("Ada")
    labeling.sync()
    assert labeling.queue.counts(ada, ALL).total == 2
    targets = {t.copies: t for t in (labeling.queue.next(ada, ALL), *walk(labeling, ada)) if t is not None}
    assert set(targets) == {3, 1}
    labeling.undo(ada)
    labeling.undo(ada)
    assert labeling.judge(ada, targets[3], "right").answers == 3
    assert samples.outcomes(store, first) == [(Outcome.CORRECT, "verdict")] * 2
    assert samples.outcomes(store, again) == [(Outcome.CORRECT, "verdict")]
    assert samples.outcomes(store, cut) == [(Outcome.TRUNCATED, None)]


def test_a_known_answer_regrades_every_stored_answer_and_an_undo_takes_it_back(
    store: Store, labeling: Labeling
) -> None:
    one = samples.asked(store, UNKNOWN, "So [[12]]", "I think [[13]]")
    two = samples.asked(store, UNKNOWN, "12 legs, so 3 × 4 = 12", "no idea")
    ada = labeling.sit_down("Ada")
    target = only(labeling, ada)
    moved = labeling.give_answer(ada, target, " 12 ")
    assert samples.outcomes(store, one) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]
    assert samples.outcomes(store, two) == [(Outcome.CORRECT, "gold"), (Outcome.UNPARSED, "gold")]
    assert (moved.regraded, moved.answers, moved.right, moved.examples) == (4, 4, 2, 2)
    assert only(labeling, ada).question.answer == "12"
    labeling.undo(ada)
    assert {o for s in (one, two) for o in samples.outcomes(store, s)} == {(Outcome.UNGRADED, None)}
    assert only(labeling, ada).question.answer is None


def test_a_known_answer_that_people_give_beats_the_one_that_came_with_the_question(
    store: Store, labeling: Labeling
) -> None:
    session = samples.asked(store, CATS, "So [[12]]", "So [[13]]")
    ada = labeling.sit_down("Ada")
    labeling.give_answer(ada, only(labeling, ada), "13")
    assert [o for o, _ in samples.outcomes(store, session)] == [Outcome.WRONG, Outcome.CORRECT]
    labeling.give_answer(ada, only(labeling, ada), "14")
    assert [o for o, _ in samples.outcomes(store, session)] == [Outcome.WRONG, Outcome.WRONG]
    labeling.undo(ada)
    assert [o for o, _ in samples.outcomes(store, session)] == [Outcome.WRONG, Outcome.CORRECT]


def test_a_verdict_beats_a_known_answer_too(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, UNKNOWN, "So [[13]]")
    ada = labeling.sit_down("Ada")
    target = only(labeling, ada)
    labeling.judge(ada, target, "right")
    labeling.give_answer(ada, target, "12")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    labeling.undo(ada)
    labeling.undo(ada)
    assert samples.outcomes(store, session) == [(Outcome.UNGRADED, None)]


def test_the_accuracy_of_an_experiment_follows_and_is_told(store: Store, labeling: Labeling) -> None:
    questions = samples.numbered(5, answer="99")
    texts = {"vanilla": [f"word {i}: [[{i}]]" for i in range(5)], "fixed:50": ["[[99]]"] * 5}
    experiment = samples.experiment(store, questions, texts)
    before = {r.strategy: r.right for r in results(store, experiment).rows}
    assert before == {"vanilla": 0, "fixed:50": 5}
    ada = labeling.sit_down("Ada")
    labeling.sync()
    target = next(t for t in walk_only(labeling, ada) if t.strategy == "vanilla")
    moved = labeling.judge(ada, target, "right")
    assert {r.strategy: r.right for r in results(store, experiment).rows} == {"vanilla": 1, "fixed:50": 5}
    assert "Accuracy of vanilla in gsm8k: 0 → 20 % (n = 5)." in moved_words(moved)
    assert "1 right, whole answer more to learn from." in moved_words(moved)
    assert [m.strategy for m in moved.accuracies] == ["vanilla"]
    assert sum(u.labelled is not None for u in open_units(store, experiment)) == 1


def walk_only(labeling: Labeling, who: str) -> list[LabelTarget]:
    """The whole queue, looked at and skipped."""
    seen: dict[str, LabelTarget] = {}
    while (target := labeling.next(who, ALL)) is not None and target.key not in seen:
        seen[target.key] = target
        labeling.skip(who, target)
    return list(seen.values())


def open_units(store: Store, experiment: str):
    from tale_core.store import ExperimentStore

    return ExperimentStore(store).figures(experiment)


def test_a_verdict_gives_an_experiment_without_known_answers_an_accuracy(store: Store, labeling: Labeling) -> None:
    experiment = samples.experiment(store, samples.numbered(3), {"vanilla": ["[[4]]", "[[8]]", "[[13]]"]})
    assert results(store, experiment).rows[0].accuracy is None
    ada = labeling.sit_down("Ada")
    labeling.sync()
    moved = labeling.judge(ada, only(labeling, ada), "right")
    (row,) = results(store, experiment).rows
    assert (row.right, row.graded) == (1, 1)
    assert "unknown → 100 % (n = 1)" in moved_words(moved)


def test_undo_goes_back_to_the_first_deed_skips_included_and_no_further(store: Store, labeling: Labeling) -> None:
    sessions = [samples.asked(store, q, "[[5]]") for q in samples.numbered(4, answer="5")]
    ada, first = labeling.sit_down("Ada"), None
    labeling.sync()
    order = []
    for deed in ("wrong", "skip", "wrong"):
        target = only(labeling, ada)
        first = first or target.key
        order.append(target.key)
        labeling.skip(ada, target) if deed == "skip" else labeling.judge(ada, target, "wrong")
    assert labeling.queue.counts(ada, ALL).undoable == 3
    for left in (2, 1, 0):
        assert labeling.undo(ada).events == 1
        assert labeling.queue.counts(ada, ALL).undoable == left
        assert only(labeling, ada).key == order[left]
    assert labeling.undo(ada).events == 0
    assert all(samples.outcomes(store, s) == [(Outcome.CORRECT, None)] for s in sessions)


def test_a_second_press_and_a_tab_that_is_behind_change_nothing(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = labeling.sit_down("Ada")
    shown = only(labeling, ada)
    assert labeling.judge(ada, shown, "right").events == 1
    assert labeling.judge(ada, shown, "right").events == 0
    assert labeling.judge(ada, shown, "wrong").events == 0
    assert labeling.skip(ada, shown).events == 0
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    assert labeling.queue.counts(ada, ALL).undoable == 1


def test_an_undo_or_a_skip_that_arrives_twice_is_done_once(store: Store, labeling: Labeling) -> None:
    for q in samples.numbered(2):
        samples.asked(store, q, "[[5]]")
    ada = labeling.sit_down("Ada")
    shown = only(labeling, ada)
    assert [labeling.skip(ada, shown).events for _ in range(2)] == [1, 0]
    labeling.judge(ada, only(labeling, ada), "right")
    assert only(labeling, ada).skipped
    assert [labeling.skip(ada, again).events for again in [only(labeling, ada)] * 2] == [1, 0]
    last = labeling.queue.counts(ada, ALL).last
    assert [labeling.undo(ada, event=last).events for _ in range(2)] == [1, 0]
    assert labeling.queue.counts(ada, ALL).undoable == 2


def test_a_name_is_one_person_whatever_its_letters(labeling: Labeling) -> None:
    assert labeling.sit_down(" Ada  Lovelace ") == labeling.sit_down("ada lovelace")
    assert [s.name for s in labeling.queue.annotators()] == ["Ada Lovelace"]
    for name in ("", "   ", "x" * 61, "a\u202eb"):
        with pytest.raises(InputError):
            labeling.sit_down(name)


def test_people_who_disagree_leave_it_to_the_grader_until_somebody_settles_it(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, CATS, "So [[12]]")
    ada, ben, eve = (labeling.sit_down(n) for n in ("Ada", "Ben", "Eve"))
    labeling.judge(ada, only(labeling, ada), "wrong")
    assert samples.outcomes(store, session) == [(Outcome.WRONG, "verdict")]
    labeling.judge(ben, only(labeling, ben), "right")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, None)]
    dispute = labeling.next(eve, QueueFilter(kind="settle"))
    assert dispute is not None and {(s.name, s.value) for s in dispute.labels} == {("Ada", "wrong"), ("Ben", "right")}
    labeling.judge(eve, dispute, "wrong")
    assert samples.outcomes(store, session) == [(Outcome.WRONG, "verdict")]
    assert labeling.next(eve, QueueFilter(kind="settle")) is None
    assert labeling.next(eve, ALL) is None  # Settled: nobody has to look again.
    labeling.undo(eve)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, None)]


def test_what_cannot_be_settled_now_is_passed_over_and_what_was_said_stays(store: Store, labeling: Labeling) -> None:
    for q in samples.numbered(2, answer="5"):
        samples.asked(store, q, "[[5]]")
    ada, ben = labeling.sit_down("Ada"), labeling.sit_down("Ben")
    labeling.sync()
    for target in walk(labeling, ada):
        labeling.judge(ben, target, "wrong")
    wanted = QueueFilter(kind="settle")
    first = labeling.next(ada, wanted)
    assert first is not None
    labeling.skip(ada, first)
    second = labeling.next(ada, wanted)
    assert second is not None and second.key != first.key
    assert {(s.name, s.value) for s in second.labels} == {("Ada", "right"), ("Ben", "wrong")}
    assert labeling.queue.counts(ada, wanted).left == 2


def test_two_known_answers_are_a_disagreement_that_is_settled_by_one(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, UNKNOWN, "So [[12]]")
    ada, ben = labeling.sit_down("Ada"), labeling.sit_down("Ben")
    target = only(labeling, ada)
    labeling.give_answer(ada, target, "12")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold")]
    labeling.give_answer(ben, target, "13")
    assert samples.outcomes(store, session) == [(Outcome.UNGRADED, None)]
    dispute = labeling.next(ben, QueueFilter(kind="settle"))
    assert dispute is not None and dispute.key == dispute.question_key and dispute.call is None
    labeling.give_answer(ben, dispute, "12")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold")]
    assert labeling.next(ben, QueueFilter(kind="settle")) is None


def test_an_undo_takes_back_ones_own_settling_only_while_it_stands(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, CATS, "So [[12]]")
    ada, ben = labeling.sit_down("Ada"), labeling.sit_down("Ben")
    target = only(labeling, ada)
    labeling.judge(ada, target, "wrong")
    labeling.judge(ben, target, "right")
    dispute = labeling.next(ada, QueueFilter(kind="settle"))
    assert dispute is not None
    labeling.judge(ada, dispute, "wrong")
    labeling.judge(ben, dispute, "right")
    labeling.undo(ada)
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    labeling.undo(ben)  # What Ada had settled was taken back before: nothing is left of it.
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, None)]


def test_a_deleted_session_leaves_the_queue_and_its_label_waits_for_the_same_answer(
    store: Store, labeling: Labeling
) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = labeling.sit_down("Ada")
    shown = only(labeling, ada)
    labeling.judge(ada, shown, "right")
    gone(store, session)
    assert labeling.queue.counts(ada, ALL).total == 0
    with pytest.raises(NotFoundError):
        labeling.judge(labeling.sit_down("Ben"), shown, "right")
    again = samples.asked(store, CATS, "So [[13]]")
    catch_up(store)
    assert samples.outcomes(store, again) == [(Outcome.CORRECT, "verdict")]


def test_answers_that_come_later_are_graded_against_the_labelled_known_answer(store: Store, labeling: Labeling) -> None:
    samples.asked(store, UNKNOWN, "So [[12]]")
    ada = labeling.sit_down("Ada")
    labeling.give_answer(ada, only(labeling, ada), "12")
    later = samples.asked(store, UNKNOWN, "Twelve: [[12]]", "[[11]]")
    catch_up(store)
    assert samples.outcomes(store, later) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]


def test_nothing_is_indexed_at_the_end_of_a_session_while_nobody_labels(store: Store, labeling: Labeling) -> None:
    samples.asked(store, CATS, "So [[13]]")
    catch_up(store)
    assert labeling.queue.counts("ada", ALL).total == 0


def test_a_label_that_cannot_be_written_leaves_nothing_behind(store: Store, labeling: Labeling) -> None:
    session = samples.asked(store, CATS, "So [[13]]")
    ada = labeling.sit_down("Ada")
    shown = only(labeling, ada)
    good = Change(ada, "verdict", shown.key, shown.question_key, "right")
    for bad in (
        replace(good, target="0" * 40),
        replace(good, value="perhaps"),
        Change(ada, "gold", shown.question_key, shown.question_key, "  "),
        Change(ada, "gold", shown.question_key, shown.question_key, "x" * 2_001),
    ):
        with pytest.raises((InputError, NotFoundError)):
            labeling.commit([good, bad])
    assert samples.outcomes(store, session) == [(Outcome.WRONG, None)]
    assert labeling.queue.counts(ada, ALL).undoable == 0


DEEDS = st.lists(
    st.tuples(st.sampled_from(["ada", "ben"]), st.sampled_from(["right", "wrong", "unsure", "skip", "gold", "undo"])),
    max_size=14,
)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(deeds=DEEDS)
def test_undoing_everything_leaves_every_outcome_as_the_grader_had_it(
    store: Store, labeling: Labeling, deeds: list[tuple[str, str]]
) -> None:
    if not store.count_sessions():
        samples.asked(store, CATS, "So [[13]]", "So [[12]]")
        samples.asked(store, UNKNOWN, "So [[7]]", "none")
    labeling.sync()
    people = {name: labeling.sit_down(name) for name in ("ada", "ben")}
    ids = [s.id for s in store.list_sessions()]
    before = [samples.outcomes(store, i) for i in ids]
    for name, deed in deeds:
        who = people[name]
        target = labeling.next(who, ALL)
        if deed == "undo" or target is None:
            labeling.undo(who)
        elif deed == "gold":
            labeling.give_answer(who, target, "13")
        elif deed == "skip":
            labeling.skip(who, target)
        else:
            labeling.judge(who, target, deed)  # type: ignore[arg-type]
    for who in people.values():
        while labeling.queue.counts(who, ALL).undoable:
            labeling.undo(who)
    assert [samples.outcomes(store, i) for i in ids] == before
    assert not labeling.queue.any_labels()
