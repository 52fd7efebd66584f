"""What ships for the embedded default: its rows, and the estimators made of them."""

from pathlib import Path

import pytest

from tale_core.datasets import shipped
from tale_core.estimators import saved, usual_estimator
from tale_core.estimators.kinds import trainings
from tale_core.estimators.rows import fingerprint
from tale_core.estimators.rows_file import read_rows
from tale_core.prompts.messages import TEMPLATES
from tale_core.settings import REPO_ROOT
from tale_core.types import Question

ROWS = sorted((REPO_ROOT / "data" / "training").glob("*.jsonl"))
ESTIMATORS = sorted((REPO_ROOT / "data" / "estimators").glob("*.skops"))


@pytest.mark.parametrize("path", ROWS, ids=lambda p: p.stem)
def test_training_rows_are_searches_of_our_own_questions_or_of_gsm8ks_training_set(path: Path) -> None:
    own = {(q.text, q.answer) for q in shipped()}
    rows = read_rows(path)
    assert len(rows) >= 20
    for row in rows:
        assert (row.question.text, row.question.answer) in own or row.question.source == "gsm8k-train"
        assert row.optimal_budget >= 1 and row.optimal_tokens <= row.vanilla_tokens
        assert row.template in TEMPLATES


def test_the_shipped_estimator_tells_the_length_of_a_vanilla_answer_and_says_how_far_searches_differ() -> None:
    metadata = saved.load(next(p for p in ESTIMATORS if p.name.startswith("regression"))).metadata
    report = metadata.report
    assert metadata.length is not None and report.lengths[0].gain is not None and report.lengths[0].gain.low > 0
    assert report.chance is not None and report.chance.questions >= 30 and report.chance.share.low > 0.25


@pytest.mark.parametrize("path", ESTIMATORS, ids=lambda p: p.stem)
def test_a_shipped_estimator_loads_predicts_and_names_the_rows_it_learned_from(path: Path) -> None:
    estimator = saved.load(path)
    rows = [r for p in ROWS for r in read_rows(p)]
    metadata = estimator.metadata
    mine = [r for r in rows if (r.model, r.template) == (metadata.model, metadata.template)]
    if trainings()[metadata.kind].needs_estimate:
        mine = [r for r in mine if r.zero_shot is not None]
    assert metadata.rows == len(mine) and metadata.fingerprint == fingerprint(mine)
    budget, problem = estimator.budget(Question(text="A box holds 6 rows of 8 pens. How many pens?"), 10)
    assert budget >= 1 and problem is None


def test_a_newcomers_first_question_gets_a_trained_budget() -> None:
    assert ESTIMATORS and ROWS
    assert usual_estimator(model="qwen2.5-coder-1.5b", template="words") == "regression"
    assert usual_estimator(model="smollm2-135m", template="words") == "zero-shot"
