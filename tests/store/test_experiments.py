from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from tale_core.errors import NotFoundError, StoreError
from tale_core.process import current_owner
from tale_core.store import CallStore, ExperimentStore, Store, UnitRecord, new_session_id
from tale_core.store.tables import sessions
from tale_core.types import CallRecord, Outcome, Price, Question
from tests.store import samples

QUESTIONS = (Question("What is 6 times 7?", answer="42"), Question("Which?", answer="B", options=("x", "y")))


@pytest.fixture
def experiments(store: Store) -> ExperimentStore:
    return ExperimentStore(store)


def write(experiments: ExperimentStore, batch: list[Any]) -> list[int]:
    return CallStore(experiments.store).write(batch)


@pytest.fixture
def experiment(experiments: ExperimentStore) -> str:
    record = samples.session(id=new_session_id("experiment"), kind="experiment", plan={"dataset": "ours"})
    experiments.create(record, QUESTIONS)
    return record.id


def call(experiment: str, unit: str = "0/0/vanilla", step: int = 0, **fields: Any) -> CallRecord:
    plain: dict[str, Any] = {"status": "done", "unit": unit, "step": step, "cache_key": "k", "completion_tokens": 5}
    return samples.call(experiment, **{**plain, "prompt_tokens": 10, "outcome": Outcome.CORRECT, **fields})


def unit(experiment: str, name: str = "0/0/vanilla", **fields: Any) -> UnitRecord:
    position, repeat, strategy = name.split("/", 2)
    return UnitRecord(
        experiment, name, int(position), strategy, int(repeat), **{"status": "done", "graded": True, **fields}
    )


def test_questions_come_back_as_they_were_and_go_with_their_experiment(
    experiments: ExperimentStore, experiment: str
) -> None:
    assert experiments.questions(experiment) == QUESTIONS
    write(experiments, [unit(experiment), call(experiment)])
    samples.gone(experiments.store, experiment)
    assert experiments.questions(experiment) == () and experiments.figures(experiment) == []
    with pytest.raises(NotFoundError):
        experiments.head(experiment)


@given(st.lists(samples.questions, min_size=1, max_size=4))
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_question_survives(experiments: ExperimentStore, questions: list[Question]) -> None:
    record = samples.session(id=new_session_id("experiment"), kind="experiment")
    experiments.create(record, questions)
    assert experiments.questions(record.id) == tuple(questions)


def test_a_batch_is_stored_whole_or_not_at_all(experiments: ExperimentStore, experiment: str) -> None:
    write(experiments, [unit(experiment)])
    with pytest.raises(StoreError):
        write(experiments, [call(experiment, "1/0/vanilla"), unit(experiment)])  # That unit is done already.
    assert experiments.store.get_session(experiment).calls == ()
    assert experiments.done_units(experiment) == {"0/0/vanilla"}


def test_a_call_grows_and_ends_once_and_keeps_its_first_end(experiments: ExperimentStore, experiment: str) -> None:
    running = call(experiment, status="running", text="six", completion_tokens=1)
    (call_id,) = write(experiments, [running])
    grown = replace(running, id=call_id, text="six sevens", completion_tokens=2)
    assert write(experiments, [grown, replace(grown, status="done", text="[[42]]")]) == [
        call_id,
        call_id,
    ]
    write(experiments, [replace(grown, text="too late")])
    (stored,) = experiments.store.get_session(experiment).calls
    assert (stored.status, stored.text, stored.unit, stored.step) == (
        "done", "[[42]]", "0/0/vanilla", 0,
    )  # fmt: skip


def test_a_failed_unit_is_replaced_and_a_done_one_never(experiments: ExperimentStore, experiment: str) -> None:
    write(experiments, [unit(experiment, status="failed", error="On fire.")])
    assert experiments.done_units(experiment) == set()
    write(experiments, [unit(experiment)])
    (figures,) = experiments.figures(experiment)
    assert (figures.status, figures.error) == ("done", None)


def test_the_very_step_that_asks_is_found_before_others_and_other_experiments_only_when_asked_for(
    experiments: ExperimentStore, experiment: str
) -> None:
    other = samples.session(id=new_session_id("experiment"), kind="experiment")
    experiments.create(other, QUESTIONS)
    mine, again, theirs = write(
        experiments,
        [call(experiment), call(experiment, "0/0/oracle", source="cached"), call(other.id, cache_key="theirs")],
    )
    write(
        experiments,
        [call(experiment, status="failed", cache_key="k"), call(experiment, cache_key="running", status="running")],
    )

    def find(key: str, asks: str = "0/0/fixed:9", *, anywhere: bool = False) -> tuple[int, bool] | None:
        found = CallStore(experiments.store).find(key, session_id=experiment, unit=asks, step=0, anywhere=anywhere)
        return (found.call.id, found.own) if found else None

    assert find("k") == (mine, False)
    assert find("k", "0/0/vanilla") == (mine, True) and find("k", "0/0/oracle") == (again, True)
    assert find("theirs") is None and find("theirs", anywhere=True) == (theirs, False)
    assert find("running") is None and find("nothing", anywhere=True) is None


def test_figures_sum_all_calls_of_a_unit_and_the_latest_of_a_step_counts(
    experiments: ExperimentStore, experiment: str
) -> None:
    price = Price(1.0, 2.0, "2026-11-24")
    paid: dict[str, Any] = {"price": price, "cost_usd": 0.001, "latency_s": 0.5}
    _, _, answer = write(
        experiments,
        [
            call(experiment, role="estimate", **paid),
            call(experiment, step=1, cut=True, completion_tokens=900, outcome=Outcome.UNGRADED, **paid),
            call(experiment, step=1, completion_tokens=30, **paid),
        ],
    )
    write(experiments, [call(experiment, status="failed", step=1, completion_tokens=77, **paid)])
    write(experiments, [unit(experiment, answer_call_id=answer)])
    (figures,) = experiments.figures(experiment)
    assert (figures.calls, figures.output_tokens, figures.completion_tokens, figures.prompt_tokens) == (2, 30, 35, 20)
    assert figures.cost_usd == pytest.approx(0.002) and figures.latency_s == 1.0
    assert figures.outcome is Outcome.CORRECT
    spent = experiments.spent(experiment)
    assert (spent.calls, spent.completion_tokens, spent.prompt_tokens) == (4, 5 + 900 + 30 + 77, 40)
    assert spent.cost_usd == pytest.approx((40 * 1.0 + 1012 * 2.0) / 1e6)


def test_one_unknown_price_makes_the_cost_unknown_and_reused_calls_cost_nothing(
    experiments: ExperimentStore, experiment: str
) -> None:
    assert experiments.spent(experiment).cost_usd == 0.0
    free = Price(0.0, 0.0, "runs on this machine")
    (answer, _) = write(
        experiments, [call(experiment, price=free, cost_usd=0.0), call(experiment, step=1, source="cached")]
    )
    write(experiments, [unit(experiment, answer_call_id=answer)])
    assert experiments.spent(experiment) == (1, 10, 5, 0.0, 1, False)
    assert experiments.figures(experiment)[0].cost_usd is None  # The reused call's price is unknown.
    write(experiments, [call(experiment, step=2)])
    assert experiments.spent(experiment).cost_usd is None


def test_taking_over_is_refused_while_its_process_lives_and_marks_what_was_cut_off(
    experiments: ExperimentStore, experiment: str
) -> None:
    write(experiments, [call(experiment, status="running")])
    with pytest.raises(StoreError, match="is running"):
        experiments.reopen(experiment)
    gone = "elsewhere:1:1.0"
    with experiments.store.writing() as connection:
        long_ago = datetime(2020, 1, 1, tzinfo=UTC)
        connection.execute(update(sessions).values(owner=gone, heartbeat_at=long_ago))
    experiments.reopen(experiment)
    assert experiments.head(experiment).owner == current_owner()
    (cut,) = experiments.store.get_session(experiment).calls
    assert cut.status == "interrupted"
    for wrong, words in (
        ("experiment-nowhere", "no session"),
        (experiments.store.create_session(samples.session()).id, "no experiment"),
    ):
        with pytest.raises(StoreError, match=words):
            experiments.reopen(wrong)


def test_the_answers_of_two_units_are_read_without_any_other(experiments: ExperimentStore, experiment: str) -> None:
    names = [f"{place}/0/{name}" for place in range(3) for name in ("vanilla", "tale-zero-shot")]
    for name in names:
        estimate = call(experiment, name, text="Budget: [[9]]", prompt_tokens=None)
        answer = call(experiment, name, 1, text=f"answer to {name}", outcome=Outcome.WRONG)
        ids = write(experiments, [estimate, answer] if "tale" in name else [answer])
        write(experiments, [unit(experiment, name, answer_call_id=ids[-1])])
    write(experiments, [unit(experiment, "3/0/vanilla", status="failed", error="x")])
    wanted = ["1/0/vanilla", "1/0/tale-zero-shot", "3/0/vanilla", "9/0/nobody"]
    found = experiments.answers(experiment, wanted)
    assert {name: one.text for name, one in found.items()} == {n: f"answer to {n}" for n in wanted[:2]}
    one, other, failed = experiments.figures(experiment, units=wanted)
    assert one in experiments.figures(experiment) and (one.strategy, one.calls) == ("tale-zero-shot", 2)
    assert (one.prompt_tokens, one.all_in_tokens) == (None, None), "nobody counted the estimate's prompt"
    assert (other.all_in_tokens, failed.status, failed.all_in_tokens) == (15, "failed", 0)
    outcomes = experiments.outcomes(experiment, ["vanilla"])
    assert outcomes == {**{f"{i}/0/vanilla": Outcome.WRONG for i in range(3)}, "3/0/vanilla": None}
