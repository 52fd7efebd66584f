import json
import math
import random
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn.linear_model import Ridge

from tale_core.errors import TrainingError
from tale_core.estimators import candidates
from tale_core.estimators.base import MAX_BUDGET
from tale_core.estimators.candidates import BOOSTING, CALIBRATED, CANDIDATES, CONSTANT, NEIGHBOURS, RIDGE, Data
from tale_core.estimators.evaluation import conformal_radius, folds, held_out, pinball, score
from tale_core.estimators.insight import chance
from tale_core.estimators.kinds import KINDS, Training
from tale_core.estimators.rows import TooFewRowsError
from tale_core.estimators.training import train
from tale_core.types import Question
from tests.estimators.simulated import MODEL, TEMPLATE, law, question, rows

NAMED = {"model": MODEL, "template": TEMPLATE}
RUN = {**NAMED, "trained_on": "2026-11-02", "aim": "median"}


@pytest.fixture
def ridge_alone(monkeypatch):
    monkeypatch.setitem(KINDS, "regression", replace(KINDS["regression"], training=Training("Ridge", ("ridge",))))


def scored(report, name):
    return next(c for c in report.candidates if c.name == name)


def test_a_known_law_is_recovered_better_than_by_the_constant(regressed):
    report = regressed.metadata.report
    assert report.chosen in {"ridge", "boosting", "neighbours"}
    best = scored(report, report.chosen)
    assert best.gain.low > 0.3 and best.spearman.low > 0.7
    for steps in (1, 4, 8):
        budget, problem = regressed.budget(question(steps, seed=999))
        assert problem is None and 0.6 < budget / law(steps) < 1.6


def test_every_learner_beats_the_constant_on_a_known_law(regressed):
    for name in ("ridge", "boosting", "neighbours", "calibrated"):
        assert scored(regressed.metadata.report, name).gain.low > 0, name


def test_the_report_is_json_and_complete(regressed):
    report = regressed.metadata.report
    document = json.loads(json.dumps(regressed.metadata.document(), allow_nan=False))
    assert document["report"]["rows"] == 60 and len(report.predictions) == 60
    assert {c.name for c in report.candidates} == set(CANDIDATES)
    assert {r.topic for r in report.residuals} == {"short", "long"} and sum(r.n for r in report.residuals) == 60
    assert report.importances[-1].factor == pytest.approx(1, abs=0.02)  # Nothing in these questions has another form.
    assert report.learning_curve.words.startswith("50 more searches would cut the error by about")


def test_the_length_of_a_vanilla_answer_is_told_where_it_follows_a_law_and_only_there(regressed, ridge_alone):
    report = regressed.metadata.report
    assert regressed.metadata.length == report.lengths[0].name and report.lengths[0].gain.low > 0.3
    for steps in (1, 4, 8):  # In these searches a vanilla answer has four times the optimum's tokens.
        assert 0.6 < regressed.vanilla_tokens(question(steps, seed=999)) / (4 * law(steps)) < 1.6
    assert any("What the question does tell is" in found for found in report.findings)
    rng = random.Random(5)
    lawless = [replace(row, vanilla_tokens=rng.choice((200.0, 250.0, 400.0))) for row in rows(60)]
    found = train("regression", lawless, **RUN)
    assert found.metadata.length is None and found.vanilla_tokens(question(4)) is None
    assert ["does not tell beyond noise" in one for one in found.metadata.report.findings] == [True]


@pytest.mark.parametrize("noise", [0.2, 0.6])
def test_the_part_of_optima_that_is_chance_is_found_from_questions_searched_again(noise):
    rng = random.Random(8)
    again = [
        replace(row, earlier=tuple(max(1, round(law(i % 8 + 1) * math.exp(rng.gauss(0, noise)))) for _ in range(2)),
                optimal_budget=max(1, round(law(i % 8 + 1) * math.exp(rng.gauss(0, noise)))))
        for i, row in enumerate(rows(120))
    ]  # fmt: skip
    found = chance([*again, *rows(30, seed=3)])
    of_law = np.var([math.log(law(i % 8 + 1)) for i in range(120)])
    assert (found.questions, found.searches) == (120, 360)
    assert found.share.low < noise**2 / (noise**2 + of_law) < found.share.high
    assert found.factor == pytest.approx(math.exp(noise * 2 / math.sqrt(math.pi)), rel=0.15)
    assert found.share.high - found.share.low < 0.35


def test_hardly_any_question_searched_twice_tells_nothing_of_chance():
    assert chance([replace(row, earlier=(40,)) for row in rows(9)]) is None and chance(rows(40)) is None


def test_shuffled_optima_are_predicted_no_better_than_by_the_constant():
    taken = 0
    for seed in range(3):
        shuffled = rows(50, noise=0.3, seed=seed, lawful=False)
        data = Data.of(shuffled)
        constant = held_out(CONSTANT, data, "median")
        for candidate in (RIDGE, NEIGHBOURS):
            gain = score(held_out(candidate, data, "median"), constant, data, "median", {}).gain
            assert gain.value < 0.15
            taken += gain.low > 0
    assert taken <= 1  # 95 % intervals of six comparisons.


def test_without_a_law_every_question_honestly_gets_the_middle(ridge_alone):
    mixed = rows(40, lawful=False, seed=3, noise=0.4)
    found = train("regression", mixed, seed=1, **RUN)
    middle = sorted(r.optimal_budget for r in mixed)[20]
    assert found.metadata.candidate == "constant"
    assert f"every question gets {middle} tokens" in found.metadata.report.reason
    assert found.budget(Question("anything")) == (middle, None)


@pytest.mark.parametrize("candidate", [RIDGE, NEIGHBOURS, CALIBRATED, CONSTANT], ids=lambda c: c.name)
def test_a_ninety_percent_interval_holds_nine_of_ten_new_optima(candidate):
    inside = []
    for seed in range(3):
        data = Data.of(rows(150, seed=seed, noise=0.3))
        held = held_out(candidate, data, "median")
        inside += list(np.abs(data.y - held.median) <= held.radius)
    assert 0.86 <= np.mean(inside) <= 0.97


def test_the_upper_aim_is_enough_for_about_nine_of_ten():
    data = Data.of(rows(200, noise=0.3))
    held = held_out(RIDGE, data, "upper")
    assert 0.8 <= np.mean(held.upper >= data.y) <= 0.97


def test_the_same_rows_and_seed_give_the_same_estimator_and_another_seed_another(ridge_alone):
    one, same, other = (train("regression", rows(24), seed=seed, **RUN) for seed in (1, 1, 2))
    assert one.metadata == same.metadata
    assert one.metadata.report.candidates != other.metadata.report.candidates and one.version != other.version


def test_boosting_is_deterministic():
    data = Data.of(rows(40))
    first, second = (BOOSTING.predict(BOOSTING.fit(data, BOOSTING.settings[0]), data) for _ in range(2))
    assert (first.median == second.median).all() and (first.upper == second.upper).all()
    assert (first.upper >= first.median).all()


def test_a_calibrated_estimate_follows_the_models_own_and_corrects_it(mapped):
    low, high = mapped.budget(Question("x"), 5)[0], mapped.budget(Question("x"), 20)[0]
    assert mapped.needs_zero_shot and 15 < low < high
    assert high == pytest.approx(100, rel=0.25)  # The simulated model says a fifth of what is needed.
    assert scored(mapped.metadata.report, "calibrated").gain.low > scored(mapped.metadata.report, "zero-shot").gain.high


@settings(max_examples=30, deadline=None)
@given(st.integers(1, MAX_BUDGET), st.integers(1, MAX_BUDGET))
def test_calibration_never_turns_the_order_around(mapped, a, b):
    (low, _), (high, _) = (mapped.budget(Question("x"), n) for n in sorted((a, b)))
    assert 1 <= low <= high <= MAX_BUDGET


def test_an_unreadable_own_estimate_falls_back_to_the_middle_and_says_so(mapped):
    budget, problem = mapped.budget(Question("x"), None)
    assert budget == mapped.metadata.fallback
    assert problem == (
        f"the model named no number of tokens; using {budget} tokens instead, the middle of 60 searched optima"
    )
    assert mapped.interval(Question("x"), None) is None


def test_a_model_that_always_says_the_same_is_not_asked_and_the_report_says_why(same_estimate):
    middle = sorted(r.optimal_budget for r in rows(40, zero="same"))[20]
    assert not same_estimate.needs_zero_shot
    assert same_estimate.budget(Question("x")) == (middle, None)
    assert (
        "The model names 10 tokens for 40 of 40 questions, which tells nothing" in same_estimate.metadata.report.reason
    )


def test_an_interval_holds_the_budget(regressed):
    low, high = regressed.interval(question(5))
    assert 1 <= low <= regressed.budget(question(5))[0] <= high


def test_all_optima_the_same_is_refused_with_what_to_use():
    same = [replace(r, optimal_budget=42) for r in rows(25)]
    with pytest.raises(TrainingError, match=r"All 25 searched optima are 42 tokens.*fixed:42"):
        train("regression", same, **NAMED)


def test_questions_that_cannot_be_told_apart_are_refused_with_what_to_use():
    looks_same = [replace(r, question=Question("Why" + "?" * 20_000 + str(i))) for i, r in enumerate(rows(25))]
    middle = sorted(r.optimal_budget for r in looks_same)[12]
    with pytest.raises(TrainingError, match=f"All 25 questions look the same.*fixed:{middle}"):
        train("regression", looks_same, **NAMED)


def test_too_few_rows_are_refused_for_each_kind():
    with pytest.raises(TooFewRowsError, match="has 19 finished searches with the template"):
        train("regression", rows(19), **NAMED)
    with pytest.raises(TooFewRowsError, match="has 5 finished searches with its own estimate"):
        train("calibrated", [*rows(30, zero=None), *rows(5, seed=9)], **NAMED)


def test_what_is_left_out_is_noted():
    mixed = [*rows(30), *rows(30, zero=None, seed=5)]
    report = train("calibrated", mixed, **NAMED).metadata.report
    assert report.rows == 30 and report.notes[0].startswith("30 searches are left out")


def test_no_row_is_predicted_by_a_model_that_saw_it():
    for seen, held in folds(37):
        assert set(seen) | set(held) == set(range(37)) and not set(seen) & set(held)


def test_the_conformal_radius_leaves_at_most_one_in_ten_outside():
    residuals = np.array([random.Random(i).gauss(0, 1) for i in range(99)])
    assert (np.abs(residuals) <= conformal_radius(residuals)).sum() == 90
    assert conformal_radius(residuals[:8]) is None  # 9 of 10 cannot be told from 8.


def test_pinball_loss_punishes_too_low_nine_times_as_much_at_the_upper_aim():
    y = np.array([1.0, 1.0])
    assert pinball(y, np.array([0.0, 2.0]), "upper") == pytest.approx([0.9, 0.1])
    assert pinball(y, np.array([0.0, 2.0]), "median") == pytest.approx([0.5, 0.5])


def test_left_out_residuals_are_those_of_a_line_fitted_without_the_row():
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(30, 4)), rng.normal(size=30)
    x -= x.mean(axis=0)
    line = Ridge(alpha=3.0).fit(x, y)
    found = candidates.left_out(x, y - line.predict(x), 3.0)
    for i in (0, 7, 29):
        rest = np.delete(np.arange(30), i)
        # The penalty stays the same without the row; its mean is no longer zero, which Ridge's intercept takes up.
        assert found[i] == pytest.approx(y[i] - Ridge(alpha=3.0).fit(x[rest], y[rest]).predict(x[[i]])[0], rel=1e-6)
