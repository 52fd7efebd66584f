"""The Estimators page: rows and their lack, a training from rows to default, every state of a saved estimator."""

from __future__ import annotations

import json
import math
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as some
from streamlit.testing.v1 import AppTest
from threadpoolctl import threadpool_limits

from tale_core.errors import InputError
from tale_core.estimators import saved
from tale_core.estimators.report import Predicted, TopicResidual, TrainingReport
from tale_core.estimators.rows_file import rows_to_jsonl
from tale_core.estimators.saved import SavedEstimator, Use
from tale_core.runs.runner import runner
from tests.estimators.simulated import MODEL, TEMPLATE, rows
from tests.pages import estimator_samples as samples
from tests.pages.app_page import endpoint, opened, sent, words
from ui.common.text import as_numbers
from ui.estimators import charts as estimators_figures
from ui.estimators import rows as estimators_rows
from ui.estimators import saved as estimators_saved
from ui.estimators import text as estimators_words
from ui.estimators import training as estimators_training
from ui.estimators.training import Asked, start_training

PAGE = "pages/Estimators.py"
HOSTILE = "<img src=x onerror=alert(1)> $x^2$ [a](javascript:alert(1)) :red[x] \u202eevil"
CALIBRATED = Use("calibrated", MODEL, TEMPLATE)


@pytest.fixture(autouse=True)
def alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Nothing is shipped here, and no thread is left behind."""
    monkeypatch.setattr(saved, "SHIPPED", tmp_path / "shipped")
    with threadpool_limits(limits=1):
        yield


def page(*, model: str = MODEL, **address: str) -> AppTest:
    """The Estimators page, drawn once, in a browser session of its own."""
    use = endpoint("http://127.0.0.1:9/v1", model)
    return opened(PAGE, address=address, use=use, est_template=TEMPLATE, est_template_of=model)


def charts(at: AppTest) -> list[dict[str, Any]]:
    return [json.loads(node.proto.spec) for node in at.main if node.type == "plotly_chart"]


def titles(at: AppTest) -> list[str]:
    return [chart["layout"]["title"]["text"].replace("<br>", " ") for chart in charts(at)]


def trained(at: AppTest) -> AppTest:
    """Press Train; returns when the training has ended and the page has learnt it."""
    at.button(key="train").click().run()
    assert not at.exception
    if (training := at.query_params.get("training")) and (job := runner().get(str(training))):
        job.wait(60)
    return at.run()


def press(at: AppTest, what: str, one: SavedEstimator) -> AppTest:
    at.button(key=f"est_{what}_{estimators_saved.key_of(one)}").click().run()
    assert not at.exception
    return at


def upload(at: AppTest, text: bytes) -> AppTest:
    at.file_uploader(key="est_file").set_value(("rows.jsonl", text, "application/jsonl"))
    return at.run()


def test_without_a_row_it_says_what_is_needed_and_how_to_get_it() -> None:
    at = page()
    text = words(at.main)
    assert not at.exception and not at.error and not charts(at)
    assert "How well can a budget be predicted?" in text
    assert "0 searches found an optimum; 20 are needed." in text
    assert "Until then use the estimator zero-shot." in text
    assert at.button(key="train").disabled and "There is none for this model and prompt template yet." in text
    assert (
        "search --dataset FILE --template paper --model simulated --base-url http://127.0.0.1:9/v1" in at.code[0].value
    )


def test_too_few_rows_name_the_fallback() -> None:
    samples.keep(rows(7, zero=None))
    at = page()
    text = words(at.main)
    assert "7 searches found an optimum; 20 are needed." in text
    middle = sorted(row.optimal_budget for row in rows(7, zero=None))[3]
    assert f"or fixed:{middle} (the middle optimum of the 7 there are)" in text
    assert at.button(key="train").disabled


def test_rows_of_another_template_are_named() -> None:
    samples.keep(replace(row, template="words") for row in rows(3, zero=None))
    assert "There are searches for simulated with words (3)." in words(page().main)


def test_the_calibrated_kind_says_how_many_own_estimates_are_missing() -> None:
    samples.keep(rows(21, zero=None))
    at = page()
    assert not at.button(key="train").disabled
    at.radio(key="est_kind").set_value("calibrated").run()
    text = words(at.main)
    assert "21 searches found an optimum, and 0 of them have the model's own estimate; 20 are needed." in text
    assert "tale-zero-shot" in text and at.button(key="train").disabled


def test_rows_in_the_store_are_trained_saved_found_by_link_made_default_and_deleted() -> None:
    samples.keep(rows(24))
    at = page()
    at.radio(key="est_kind").set_value("calibrated").run()
    at = trained(at)
    (one,) = saved.listing().estimators
    version = one.metadata.version
    assert not at.exception and not at.error and at.query_params["estimator"] == version
    assert at.subheader[0].value.startswith("Calibrating the model")
    assert one.use == CALIBRATED
    assert "used: the newest" in words(at.main) and "training" not in at.query_params
    press(at, "default", one)
    assert saved.default_version(CALIBRATED) == version and "used: the newest" not in words(at.main)
    other = page(estimator=version)
    assert not other.exception and other.subheader[0].value == at.subheader[0].value
    press(at, "delete", one)
    assert "for good?" in words(at.main) and saved.listing().estimators
    press(at, "keep", one)
    press(press(at, "delete", one), "really", one)
    assert not saved.listing().estimators and saved.default_version(CALIBRATED) is None
    assert "There is none for this model and prompt template yet." in words(at.main)


def test_a_training_saves_by_itself_though_nobody_waits_and_the_same_again_is_the_same() -> None:
    asked = Asked("calibrated", "upper", MODEL, TEMPLATE, tuple(rows(24)))
    first, second = start_training(asked), start_training(asked)
    assert first is second
    at = page(training=first.id)
    assert not at.exception
    view = first.wait(60)
    assert view.status == "done" and view.found in saved.listing().estimators
    assert view.found is not None and view.found.metadata.aim == "upper"


def test_a_page_that_opens_while_a_training_runs_follows_it(monkeypatch: pytest.MonkeyPatch) -> None:
    gate = threading.Event()
    monkeypatch.setattr(estimators_training, "trained", lambda asked: gate.wait(20) and samples.mapped())
    samples.keep(rows(24))
    job = start_training(Asked("calibrated", "median", MODEL, TEMPLATE, tuple(rows(24))))
    try:
        at = page(training=job.id)
        assert not at.exception and at.button(key="train").disabled
        assert "Training on 24 searches" in words(at.main) or "Waiting for another" in words(at.main)
    finally:
        gate.set()
    assert job.wait(30).status == "done"
    at.run()
    assert at.query_params["estimator"] == samples.mapped().version and not at.button(key="train").disabled


def test_rows_that_teach_nothing_end_in_words() -> None:
    samples.keep(replace(row, optimal_budget=50) for row in rows(20, zero=None))
    at = trained(page())
    assert not at.exception and "All 20 searched optima are 50 tokens" in words(at.error)
    assert not saved.listing().estimators and not at.button(key="train").disabled


def test_a_trained_one_says_its_finding_first_then_four_charts_and_the_comparison() -> None:
    one = samples.put(samples.regressed())
    at = page(estimator=one.metadata.version)
    report, text = one.metadata.report, words(at.main)
    assert not at.exception and len(charts(at)) == 4
    told = words(at.main).replace("\u00a0", " ")
    assert words([at.subheader[0]]).replace("\u00a0", " ").endswith(as_numbers(report.reason))
    assert report.findings and all(as_numbers(finding) in told for finding in report.findings)
    score = estimators_words.chosen(report)
    assert score is not None
    found = titles(at)
    assert found[0] == f"The predicted budget is off by a factor of {score.error_factor:.2f} on average"
    assert report.learning_curve is not None and found[3] == report.learning_curve.words
    assert "matters most" in found[2] or "matters alone" in found[2]
    drawn = charts(at)[0]
    assert drawn["data"][0]["line"]["dash"] and len(drawn["data"][1]["x"]) == 30
    assert drawn["layout"]["xaxis"]["type"] == drawn["layout"]["yaxis"]["type"] == "log"
    for told in ("always the middle optimum", "(used)", "Pinball loss", "95 % intervals", "How it was made"):
        assert told in text
    assert f"{score.mae_tokens.value:,.0f} [{score.mae_tokens.low:,.0f} to" in text


def test_a_kept_constant_says_why_and_reads_no_features() -> None:
    one = samples.put(samples.constant())
    at = page()
    assert not at.exception and one.metadata.report.chosen == "constant"
    assert "The model names 10 tokens for 24 of 24 questions, which tells nothing" in words([at.subheader[0]])
    assert titles(at)[0].startswith("One budget for all, while optima lie from")
    assert "Which features matter: none" in words(at.main)


def test_a_damaged_file_is_named_and_the_others_work() -> None:
    one = samples.put(samples.mapped())
    (saved.folder() / "broken.skops").write_bytes(b"PK no archive")
    at = page()
    assert not at.exception and "broken.skops is not a usable estimator" in words(at.warning)
    assert charts(at) and f"calibrated:{one.metadata.version}" in words(at.main)


def test_a_damaged_file_of_defaults_is_told_and_the_newest_is_shown() -> None:
    samples.put(samples.mapped())
    (saved.folder() / "defaults.json").write_text("{broken", encoding="utf-8")
    at = page()
    assert not at.exception and "defaults.json is damaged" in words(at.warning)
    assert charts(at) and "used: the newest" in words(at.main)
    press(at, "default", saved.listing().estimators[0])
    assert "defaults.json is damaged" in words(at.error)


def test_a_shipped_one_cannot_be_deleted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    samples.put(samples.mapped())
    monkeypatch.setattr(saved, "SHIPPED", saved.folder())
    monkeypatch.setattr(saved, "folder", lambda: tmp_path / "none")
    at = page()
    assert not at.exception and "shipped with the program" in words(at.main)
    assert not [button for button in at.button if button.label == "Delete"]


def test_an_unknown_version_is_told() -> None:
    at = page(estimator="' OR 1=1")
    assert not at.exception and "There is no estimator of the version ' OR 1=1" in words(at.warning)
    assert "estimator" not in at.query_params


def test_another_template_leaves_the_one_that_the_address_named() -> None:
    one = samples.put(samples.mapped())
    at = page(estimator=one.metadata.version)
    at.selectbox(key="est_template").set_value("words").run()
    assert not at.exception and not charts(at) and "estimator" not in at.query_params
    assert "1 more for other models or prompt templates" in words(at.main) and "see below" not in words(at.main)
    at.selectbox(key="est_template").set_value(TEMPLATE).run()
    assert charts(at) and "What was learnt from other searches is there already" in words(at.main)


def test_texts_of_others_are_shown_literally() -> None:
    def spoilt(report: TrainingReport) -> TrainingReport:
        hostile = tuple(replace(p, question=HOSTILE) for p in report.predictions)
        topics = (TopicResidual(HOSTILE, 9, 0.4),)
        return replace(report, reason=HOSTILE, notes=(HOSTILE,), predictions=hostile, residuals=topics)

    estimator = samples.mapped()
    metadata = replace(estimator.metadata, report=spoilt(estimator.metadata.report))
    one = samples.put(replace(estimator, metadata=metadata))
    at = page(estimator=one.metadata.version)
    assert not at.exception and "\u202e" not in sent(at.main)
    drawn = json.dumps(charts(at))
    assert "<img" not in drawn and "&lt;img" in drawn
    assert at.subheader[0].value.startswith("\\<img")


@pytest.mark.parametrize(
    ("found", "told"),
    [
        (
            [("a", 9, 0.5), ("b", 9, 1.6), ("c", 2, 8.0)],
            "Of topics with 5 questions or more “a” is furthest off: × 0.50 of the optimum (n = 9)",
        ),
        ([("a", 9, 1.04), ("b", 5, 0.97)], "No topic with 5 questions or more is off by more than 10 %"),
        ([("a", 4, 3.0)], "Too few questions of every topic to tell where it is off"),
    ],
)
def test_a_topic_with_few_questions_is_not_judged(found: list[tuple[str, int, float]], told: str) -> None:
    residuals = tuple(TopicResidual(*one) for one in found)
    assert estimators_words.topics_title(replace(samples.mapped().metadata.report, residuals=residuals)) == told


@settings(deadline=None)  # The first example trains.
@given(some.lists(some.floats(), min_size=1, max_size=5))
def test_a_report_of_somebody_else_may_hold_any_number(values: list[float]) -> None:
    report = samples.regressed().metadata.report
    low = values[-1]
    hostile = replace(
        report,
        predictions=tuple(Predicted("q", 10, value, low, value) for value in values),
        residuals=tuple(TopicResidual("t", 9, value) for value in values),
        importances=tuple(replace(report.importances[0], factor=value) for value in values),
        candidates=tuple(replace(c, mean_budget=low, error_factor=low) for c in report.candidates),
    )
    makers = (estimators_figures.predicted, estimators_figures.topics, estimators_figures.features)
    for make in makers:
        figure = make(hostile)
        for axis in (figure.layout.xaxis, figure.layout.yaxis) if figure else ():
            assert axis.range is None or all(math.isfinite(end) for end in axis.range)
    assert len(estimators_words.comparison(hostile)["n"]) == len(report.candidates)
    estimators_words.predicted_table(hostile)


def test_uploaded_rows_count_and_are_told_apart() -> None:
    samples.keep(rows(5, zero=None))
    at = upload(page(), rows_to_jsonl(rows(22, zero=None)).encode())
    text = words(at.main)
    assert not at.exception and "22 searches found an optimum; 20 are needed." in text
    assert "17 of them are from the uploaded file." in text and not at.button(key="train").disabled
    assert "The file has 22 rows for this model and prompt template." in text


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"\xff\xfe\x00", "is not UTF-8 text"),
        (b"\n\n", "has no rows"),
        (b'{"question": ' + b"[" * 2000, "rows.jsonl, line 1"),
        (b'{"question": {"text": "<b>x</b>"}, "optimal_budget": -1}', "rows.jsonl, line 1"),
    ],
)
def test_a_file_that_holds_no_rows_is_told_in_words(content: bytes, told: str) -> None:
    at = upload(page(), content)
    assert not at.exception and told in words(at.error)
    assert "0 searches found an optimum" in words(at.main)


def test_a_file_for_another_model_says_what_it_holds() -> None:
    at = upload(page(model="other"), rows_to_jsonl(rows(21)).encode())
    text = words(at.main)
    assert "The file has 0 rows for this model and prompt template. Others are for simulated with paper (21)." in text
    assert at.button(key="train").disabled


def test_too_large_a_file_is_not_read() -> None:
    with pytest.raises(InputError, match="larger than 20 MB"):
        estimators_rows.parsed("x.jsonl", b" " * 20_000_001)
