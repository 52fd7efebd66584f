"""The Experiments page while one is run: from the form to the table, stopped, resumed, capped, in difficulties."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.errors import StoreError
from tale_core.experiments.run import view_of
from tale_core.store import ExperimentStore
from tests.pages import experiment_samples as samples
from tests.pages.app_page import endpoint, press_again, sent, started, store, words
from tests.pages.experiment_page import cells, charts, experiment_id, page, run, upload
from tests.support import bad_endpoint
from tests.support.bad_endpoint import BadEndpoint
from ui.experiments import text as experiments_words


def test_an_experiment_is_run_stored_and_found_again_by_its_link(bad: BadEndpoint) -> None:
    at = run(page(use=endpoint(bad.base_url, "obeys")), strategies=("direct", "vanilla", "tale-zero-shot"))
    assert not at.exception and not at.error
    kept = experiment_id(at)
    head = ExperimentStore(store()).head(kept)
    assert (head.kind, head.status) == ("experiment", "done") and bad.count("obeys") == 15
    main = cells(at, 2)
    titles = ["Direct answer", "Vanilla", "TALE, zero-shot", "Fixed budget of 50 tokens"]
    assert main["Strategy"] == titles and set(main["Answers"]) == {"3 of 3"}
    assert main["Output tokens"] == ["9.0", "120.0", "37.0", "45.0"], "its own estimate is 42"
    assert cells(at, 3)["Against vanilla"] == [titles[0], *titles[2:]] and len(charts(at)) == 1
    again = page(experiment=kept)
    assert not again.exception and again.subheader[0].value == at.subheader[0].value
    assert again.number_input(key="exp_limit").value == 3 and again.text_input(key="exp_fixed").value == "50"
    assert again.multiselect(key="exp_strategies").value == ["direct", "vanilla", "tale-zero-shot"]
    assert bad.count("obeys") == 15


def test_an_uploaded_file_is_run_and_named_after_it(bad: BadEndpoint) -> None:
    at = upload(page(use=endpoint(bad.base_url, "ok")), "mine.csv", "question,answer\nSix times seven?,42\nTwo?,2\n")
    run(at, questions=1, strategies=("vanilla",), fixed="")
    view = view_of(store(), experiment_id(at))
    assert not at.exception and (view.plan.dataset, view.finished) == ("mine", 1)
    assert view.plan.questions[0].text == "Six times seven?" and "100.0 %, n = 1" in cells(at, 2)["Right"]


def test_a_second_click_starts_nothing_and_whoever_has_the_link_follows_to_the_end(
    bad: BadEndpoint, gate: threading.Event
) -> None:
    at = page(use=endpoint(bad.base_url, "gated"))
    job = started(at, run, "experiment")
    assert at.button(key="run").disabled
    press_again(at, "run")
    assert experiment_id(at) == job.id and store().count_sessions() == 1
    threading.Timer(0.3, gate.set).start()
    other = page(experiment=job.id)  # Returns when there is nothing left to follow.
    assert not other.exception and other.subheader and not other.button(key="run").disabled
    assert job.wait(20).status == "done" and bad.count("gated") == 9


def test_a_stopped_experiment_goes_on_where_it_ended(bad: BadEndpoint, gate: threading.Event) -> None:
    at = page(use=endpoint(bad.base_url, "gated"))
    job = started(at, run, "experiment")
    assert bad.wait_for(lambda: bad.open_streams == 4)
    job.cancel()
    assert job.wait(20).status == "cancelled"
    at.run()
    assert not at.exception and "This experiment was stopped." in words(at.info)
    gate.set()
    at.button(key="resume").click().run()
    assert not at.exception and experiment_id(at) == job.id and cells(at, 2)["Answers"] == ["3 of 3"] * 3
    assert bad.count("gated") == 13, "the four that were cut off are asked again, and no other"


def test_an_endpoint_that_is_down_is_told_and_what_failed_alone_is_tried_again(
    bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "flaky", bad_endpoint.fail_with(500))
    at = run(page(use=endpoint(bad.base_url, "flaky")), questions=2, strategies=("vanilla",), fixed="")
    text = words(at.main)
    assert not at.exception and at.error and view_of(store(), experiment_id(at)).status == "failed"
    assert "2 failed at the endpoint" in text or "there is nothing to compare" in text
    before = bad.count("flaky")
    monkeypatch.setitem(bad_endpoint.BEHAVIOURS, "flaky", bad_endpoint.behave_well)
    assert at.button(key="resume").label == "Retry only what failed"
    at.button(key="resume").click().run()
    assert not at.exception and not at.error and bad.count("flaky") - before == 2
    assert cells(at, 2)["Answers"] == ["2 of 2"]


def test_only_what_failed_is_offered_again_when_all_else_is_there(bad: BadEndpoint) -> None:
    kept = samples.kept(status="failed", failed=2, error="2 of 36 answers failed.", model="ok", endpoint=bad.base_url)
    at = page(experiment=kept, use=endpoint(bad.base_url, "ok"))
    assert at.button(key="resume").label == "Retry only what failed"
    assert "2 answers failed; the others are kept." in words(at.main)
    at.button(key="resume").click().run()
    assert not at.exception and not at.error and bad.count("ok") == 2
    assert cells(at, 2)["Answers"] == ["12 of 12"] * 3


def test_what_failed_can_be_tried_again_alone_when_other_answers_are_missing_too(bad: BadEndpoint) -> None:
    kept = samples.kept(status="interrupted", answers=20, failed=2, model="ok", endpoint=bad.base_url)
    at = page(experiment=kept, use=endpoint(bad.base_url, "ok"))
    assert at.button(key="resume").label == "Resume"
    assert at.button(key="retry_failed").label == "Retry only what failed"
    assert at.button(key="retry_failed").help == "Asks again for 2 answers, and for nothing else."
    at.button(key="retry_failed").click().run()
    assert not at.exception and not at.error and bad.count("ok") == 2, "no other answer is asked for"
    assert "20 of 36 answers are there." in words(at.main)
    assert not [b for b in at.button if b.key == "retry_failed"], "nothing failed is left"
    at.button(key="resume").click().run()
    assert not at.exception and bad.count("ok") == 18 and cells(at, 2)["Answers"] == ["12 of 12"] * 3


def test_a_cap_ends_it_and_a_higher_one_lets_it_go_on(bad: BadEndpoint) -> None:
    at = run(page(use=endpoint(bad.base_url, "ok"), max_tokens=50), max_tokens=120)
    assert not at.exception and words(at.error)
    first, made = experiment_id(at), bad.count("ok")
    there = len(ExperimentStore(store()).done_units(first))
    assert 0 < there <= made < 9 and at.button(key="resume").label == "Resume"
    at.number_input(key="exp_max_tokens").set_value(100_000).run()
    at.button(key="resume").click().run()
    assert not at.exception and not at.error and experiment_id(at) == first
    # An answer that the cap itself has cut is no answer of the model's: it is asked for again, and is the only one.
    assert bad.count("ok") - made == 9 - there and made - there <= 1, "no answer that is there was asked for twice"


def test_a_resume_that_somebody_else_began_is_followed_instead(bad: BadEndpoint) -> None:
    kept = samples.kept(status="interrupted", answers=5, model="ok", endpoint=bad.base_url)
    at = page(experiment=kept, use=endpoint(bad.base_url, "ok"))
    ExperimentStore(store()).reopen(kept)
    at.button(key="resume").click().run()
    assert not at.exception and bad.count("ok") == 0 and "runs in another program" in words(at.main)
    assert not [b for b in at.button if b.key == "resume"]


def full(*args: Any) -> Any:
    raise StoreError("The disk is full.", "Make room.")


def test_a_resume_that_cannot_begin_says_why(bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    kept = samples.kept(status="interrupted", answers=5, model="ok", endpoint=bad.base_url)
    at = page(experiment=kept, use=endpoint(bad.base_url, "ok"))
    monkeypatch.setattr(ExperimentStore, "reopen", full)
    at.button(key="resume").click().run()
    assert not at.exception and "The disk is full. Make room." in words(at.error) and bad.count("ok") == 0
    assert "5 of 36 answers are there." in words(at.main)


def test_an_experiment_that_cannot_be_stored_asks_nobody_and_says_why(
    bad: BadEndpoint, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ExperimentStore, "create", full)
    at = run(page(use=endpoint(bad.base_url, "ok")))
    assert not at.exception and "The disk is full. Make room." in words(at.error) and bad.count("ok") == 0


def test_while_it_runs_progress_spend_waits_and_the_table_so_far_are_shown() -> None:
    def script(kept: str) -> None:
        from dataclasses import replace

        from tale_core.experiments.run import view_of
        from tale_core.store import open_store
        from ui.experiments.result import LiveExperiment, phase_line

        view = replace(view_of(open_store(), kept), eta_s=90.0, notice="$5 a *call*: waiting 7 s.")
        phase_line(view).draw()
        LiveExperiment().update(view)

    kept = samples.kept(answers=12, status="interrupted")
    at = AppTest.from_function(script, args=(kept,), default_timeout=60).run()
    text = words(at.main)
    assert not at.exception and "12 of 36 answers, about 2 min left" in text
    assert "Spent: 12 calls" in text and "$5 a *call*: waiting 7 s." in text and "*call*" not in sent(at.main)
    assert cells(at, 0)["Answers"] == ["4 of 12"] * 3


def test_progress_says_how_far_it_is_and_how_many_calls_run() -> None:
    view = replace(view_of(store(), samples.kept(answers=12, status="interrupted")), eta_s=36.0, concurrency=2)
    assert experiments_words.progress(view) == "12 of 36 answers, about 36 s left, 2 calls at a time"
    began = replace(view, finished=0, eta_s=None, concurrency=1, failed=3)
    assert experiments_words.progress(began).startswith(
        "0 of 36 answers, time left unknown until the first answer, 1 call"
    )
    assert experiments_words.progress(began).endswith("3 failed")
