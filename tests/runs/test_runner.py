"""An Ask in the background: written as it happens, watched from anywhere, stopped at once."""

import asyncio
import sqlite3
import threading
import time
from pathlib import Path

import pytest

from tale_core.ask.plan import AskPlan
from tale_core.ask.run import AskRun, view_of
from tale_core.errors import InputError, NoSourceError, StoreError
from tale_core.i18n import language, use_language
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.types import Outcome, Question, Sampling
from tests.ask.test_ask import PENS, model
from tests.support.waiting import killed, until

ROOT = Path(__file__).resolve().parents[2]
LONG = "word " * 5000


def test_short_work_speaks_the_language_of_who_waits_for_it(runner):
    async def work():
        await asyncio.sleep(0)
        return language()

    with use_language("zh"):
        assert runner.submit(work()) == "zh"
    assert runner.submit(work()) == "en"


def start(runner, store, client, plan=None, *, open_client=None):
    async def ready():
        return client

    return runner.start(
        lambda changed: AskRun(
            (plan or AskPlan(PENS)).checked(),
            store=store,
            open_client=open_client or ready,
            model="scripted",
            endpoint="scripted",
            on_change=changed,
        )
    )


def test_a_finished_ask_is_stored_as_it_was_shown(runner, store):
    job = start(runner, store, model())
    shown = job.wait(20)
    assert shown.status == "done"
    stored = view_of(store.get_session(job.id))
    assert stored.calls.keys() == shown.calls.keys() == {"estimate", "vanilla", "budgeted"}
    for role, call in shown.calls.items():
        assert stored.calls[role].record == call.record
        assert stored.calls[role].text == call.text
    assert (stored.budget, stored.budget_raw, stored.status) == (20, "Budget: [[20]]", "done")


def test_every_stored_call_says_where_its_numbers_came_from(runner, store):
    job = start(runner, store, model(), AskPlan(PENS, sampling=Sampling(temperature=0.4, seed=7, max_tokens=55)))
    job.wait(20)
    calls = {c.role: c for c in store.get_session(job.id).calls}
    vanilla = calls["vanilla"]
    assert (vanilla.sampling.temperature, vanilla.sampling.seed, vanilla.sampling.max_tokens) == (0.4, 7, 55)
    assert (vanilla.prompt_template, vanilla.prompt_version, vanilla.source) == ("paper", 1, "simulated")
    assert "6 rows of 8" in vanilla.messages[0].content
    assert calls["budgeted"].requested_budget == 20 and calls["estimate"].prompt_template == "paper-estimate"


def test_stopping_closes_both_streams_and_books_what_they_had_written(runner, store):
    client = model(vanilla=LONG, budgeted=LONG, delay_s=0.002)
    job = start(runner, store, client, AskPlan(PENS, estimator="fixed:9", sampling=Sampling(max_tokens=None)))
    until(lambda: [c.pieces > 3 for c in job.view().calls.values()] == [True, True])
    job.cancel()
    view = job.wait(20)
    assert view.status == "cancelled" and client.open_streams == 0 and client.closed
    session = store.get_session(job.id)
    assert session.status == "cancelled"
    for call in session.calls:
        assert call.status == "cancelled" and call.outcome == Outcome.UNGRADED and call.usage_estimated
        assert call.completion_tokens == len(call.text.split()) > 3
        assert call.prompt_tokens > 0


def test_stop_comes_back_with_the_end_written_or_after_its_patience(runner, store):
    job = start(
        runner,
        store,
        model(vanilla=LONG, budgeted=LONG, delay_s=0.002),
        AskPlan(PENS, estimator="fixed:9", sampling=Sampling(max_tokens=None)),
    )
    until(lambda: [c.pieces > 3 for c in job.view().calls.values()] == [True, True])
    job.stop(20)
    assert not job.view().running and store.get_session(job.id).status == "cancelled"
    held = start(
        runner,
        store,
        model(vanilla=LONG, budgeted=LONG, delay_s=0.002),
        AskPlan(PENS, estimator="fixed:9", sampling=Sampling(max_tokens=None)),
    )
    held.cancel = lambda: None  # An end that does not come.
    held.stop(0.05)
    assert held.view().running
    del held.cancel


def test_stopping_while_the_model_is_being_prepared_ends_the_session(runner, store):
    waiting = threading.Event()

    async def never():
        import asyncio

        waiting.set()
        await asyncio.sleep(3600)

    job = start(runner, store, None, open_client=never)
    assert waiting.wait(10)
    job.cancel()
    assert job.wait(20).status == "cancelled"
    assert store.get_session(job.id).status == "cancelled"


def test_stopping_at_once_and_twice_is_harmless(runner, store):
    job = start(runner, store, model(vanilla=LONG, budgeted=LONG))
    job.cancel()
    job.cancel()
    assert job.wait(10).status in ("cancelled", "done")
    job.cancel()


def test_a_model_that_cannot_be_had_fails_the_session_in_words(runner, store):
    async def nothing():
        raise NoSourceError("No weights.", "Use an endpoint.")

    job = start(runner, store, None, open_client=nothing)
    view = job.wait(10)
    assert (view.status, view.error) == ("failed", "No weights. Use an endpoint.")
    assert store.get_session(job.id).error == "No weights. Use an endpoint."


def test_an_unexpected_failure_ends_the_session_without_a_traceback_for_the_viewer(runner, store, caplog):
    async def broken():
        raise RuntimeError("secret detail")

    view = start(runner, store, None, open_client=broken).wait(10)
    assert view.status == "failed" and "RuntimeError" in view.error and "secret detail" not in view.error


def test_watching_sees_the_answers_grow_and_ends_with_the_last_picture(runner, store):
    client = model(vanilla="word " * 60, budgeted="word " * 60, delay_s=0.003)
    job = start(runner, store, client)
    seen = [v.calls["vanilla"].pieces for v in job.watch(interval_s=0) if "vanilla" in v.calls]
    assert seen == sorted(seen) and len(set(seen)) > 5
    assert list(job.watch()) and not job.view().running


def test_whoever_comes_back_finds_the_running_job_and_later_the_stored_session(runner, store):
    client = model(vanilla=LONG, budgeted=LONG, delay_s=0.002)
    job = start(runner, store, client)
    assert runner.get(job.id) is job
    job.cancel()
    job.wait(10)
    until(lambda: runner.get(job.id) is None)
    assert store.get_session(job.id).status == "cancelled"


def test_a_wrong_plan_starts_and_stores_nothing(runner, store):
    with pytest.raises(InputError):
        start(runner, store, model(), AskPlan(Question(text="")))
    assert store.count_sessions() == 0


def test_many_asks_at_once_keep_their_answers_apart(runner, store):
    jobs = []
    for n in range(12):
        client = model(vanilla=f"[[{n}]]", budgeted=f"[[{n}]]", delay_s=0.001)
        jobs.append((n, start(runner, store, client, AskPlan(Question(text=f"What is {n}?", answer=str(n))))))
    for n, job in jobs:
        view = job.wait(30)
        assert view.calls["vanilla"].record.outcome == view.calls["budgeted"].record.outcome == Outcome.CORRECT
        assert store.get_session(job.id).question.text == f"What is {n}?"


class FullDisk:
    """A store whose every write fails."""

    def __getattr__(self, name):
        def fail(*args, **kwargs):
            raise StoreError("The disk is full.")

        return fail


def test_a_store_that_fails_never_stops_the_answers_and_is_reported(runner):
    view = start(runner, FullDisk(), model()).wait(20)
    assert view.status == "done" and view.not_saved == "The disk is full."
    assert view.calls["budgeted"].record.outcome == Outcome.CORRECT


def test_a_database_locked_by_another_process_delays_no_answer(runner, store, tmp_path):
    """The lock is held until both answers are there: had they waited for it, they never would be."""
    database = sqlite3.connect(tmp_path / "data" / "tale.db", check_same_thread=False)
    database.execute("BEGIN IMMEDIATE")
    client = ScriptedClient(["[[48]]"] * 2)
    job = start(runner, store, client, AskPlan(PENS, estimator="fixed:9"))
    time.sleep(0.3)
    database.rollback()
    database.close()
    assert job.wait(20).status == "done"
    assert store.get_session(job.id).status == "done"


def test_a_kill_in_the_middle_loses_only_the_tokens_in_flight(store, tmp_path):
    """kill -9: the session reads interrupted, with the text that was written up to half a second before."""
    session_id = killed(
        """
        import time
        from tale_core.ask.plan import AskPlan
        from tale_core.runs.runner import runner
        from tale_core.store import open_store
        from tests.runs.test_runner import LONG, start
        from tests.ask.test_ask import PENS, model
        from tale_core.types import Sampling
        plan = AskPlan(PENS, estimator="fixed:9", sampling=Sampling(max_tokens=None))
        job = start(runner(), open_store(), model(vanilla=LONG, budgeted=LONG, delay_s=0.005), plan)
        while min((c.pieces for c in job.view().calls.values()), default=0) < 200:
            time.sleep(0.01)
        print(job.id, flush=True)
        time.sleep(60)
        """
    )
    assert session_id.startswith("ask-")
    session = store.get_session(session_id)
    assert session.status == "interrupted"
    assert {c.role for c in session.calls} == {"vanilla", "budgeted"}
    for call in session.calls:
        assert call.status == "interrupted" and call.usage_estimated
        assert call.completion_tokens == len(call.text.split()) > 0


def test_a_wait_that_the_endpoint_asked_for_is_shown_and_can_be_stopped(store):
    from tale_core.models.choice import endpoint_choice
    from tale_core.runs.runner import runner as the_runner
    from tale_core.runs.runner import start_ask
    from tests.support.bad_endpoint import BadEndpoint

    with BadEndpoint() as bad:
        choice = endpoint_choice(model="429-then-ok", base_url=bad.base_url)
        job = start_ask(AskPlan(PENS, estimator="fixed:9"), choice, store=store)
        until(lambda: job.view().notice is not None)
        assert "Trying again in 7 s" in job.view().notice
        job.cancel()
        assert job.wait(20).status == "cancelled"
    the_runner().close()
