"""Experiments and Estimators read in Chinese: no English sentence is left, and the machine's words stay English."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tale_core import i18n
from tale_core.estimators import saved
from tale_core.experiments.export import UNIT_KEYS
from tale_core.i18n import to_stored
from tests.estimators.simulated import MODEL, TEMPLATE, rows
from tests.pages import estimator_samples, experiment_samples
from tests.pages.app_page import endpoint, opened, store, words
from tests.pages.chinese import texts
from ui.experiments.result import exported

ENGLISH = re.compile(r"[A-Za-z][a-z']+(?: [A-Za-z][a-z'-]*,?){3,}")
"""Four English words in a row."""
SAID_BY_OTHERS = ("What is six times seven", "Answered by", "So number", "Crate ", "The endpoint failed")
"""Questions, answers and errors of the samples, and the shell's words, which have tests of their own."""


@pytest.fixture(autouse=True)
def chinese(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(i18n, "asked_for_language", [lambda: "zh"])


def left(at: AppTest) -> list[str]:
    """English sentences of the page."""
    assert not at.exception
    lines = [line for text in texts(at) for line in text.splitlines() if not line.startswith(("{", "python -m"))]
    return [
        line for line in lines if ENGLISH.search(line) and not line.lstrip("0123456789. ").startswith(SAID_BY_OTHERS)
    ]


def experiment(**kept: object) -> AppTest:
    name = experiment_samples.kept(**kept)  # type: ignore[arg-type]
    return opened("pages/Experiments.py", address={"experiment": name})


@pytest.mark.parametrize(
    "kept",
    [
        {},
        {"status": "failed", "answers": 16, "failed": 5, "error": "x"},
        {"status": "interrupted", "answers": 10},
        {"status": "cancelled", "answers": 0},
        {"status": "running", "answers": 5},
    ],
)
def test_an_experiment_in_any_state_leaves_no_english_sentence(kept: dict[str, object]) -> None:
    assert left(experiment(**kept)) == []


def test_switches_and_single_answers_leave_no_english_sentence() -> None:
    at = experiment()
    for key in ("exp_paper", "exp_answers"):
        at.toggle(key=key).set_value(True).run()
    assert left(at) == [] and "标出的词" in words(at.main)


def test_earlier_experiments_are_named_in_chinese_though_stored_in_english() -> None:
    name = experiment_samples.kept()
    at = opened("pages/Experiments.py")
    assert at.button(key=f"experiment_{name}").label.startswith("gsm8k：12 个问题")
    assert store().get_session(name).question.text == "gsm8k: 12 questions"


@pytest.mark.parametrize("trained", [estimator_samples.regressed, estimator_samples.mapped, estimator_samples.constant])
def test_a_trained_estimator_leaves_no_english_sentence(trained: object, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(saved, "SHIPPED", tmp_path / "shipped")
    one = saved.save(trained())  # type: ignore[operator]
    estimator_samples.keep(rows(22))
    use = endpoint("http://127.0.0.1:9/v1", MODEL)
    address = {"estimator": one.metadata.version}
    state = {"est_template": TEMPLATE, "est_template_of": MODEL}
    assert left(opened("pages/Estimators.py", address=address, use=use, **state)) == []


def test_an_estimator_trained_by_a_chinese_reader_is_stored_in_english() -> None:
    metadata = estimator_samples.regressed().metadata
    stored = json.dumps([metadata.document(), metadata.document(to_stored)], ensure_ascii=False)
    assert not re.search("[\u4e00-\u9fff]", stored.replace("多少", ""))


def test_files_have_english_columns_and_values_and_the_report_is_in_the_readers_language() -> None:
    name = experiment_samples.kept()
    table = exported(name, "csv", said_in="zh").decode()
    assert table.startswith(",".join(UNIT_KEYS)) and not re.search("[\u4e00-\u9fff]", table)
    page = exported(name, "html", said_in="zh").decode()
    assert '<html lang="zh">' in page and "各策略" in page and "正确率" in page
    plain = re.sub(r"<style>.*?</style>|<[^>]*>", "\n", page, flags=re.DOTALL)
    assert not [line for line in plain.splitlines() if ENGLISH.search(line)]
