"""A profile puts the sweeps of many questions on one scale."""

from __future__ import annotations

import pytest

from tale_core.calls.budget_ledger import Limits, Spent
from tale_core.elasticity.engine import (
    Profile,
    SweepResult,
    profile,
)
from tale_core.models.testing.simulated import SimulatedModel
from tests.elasticity.test_engine import result


async def test_a_profile_puts_questions_of_any_length_on_one_scale() -> None:
    found = profile(
        [await result(SimulatedModel.monotone(vanilla=v, right_from=v // 4), lowest=4) for v in (64, 256, 512)]
    )
    assert (found.questions, found.left_out, found.rebounds, found.judged) == (3, 0, 0, 3)
    assert [p.relative for p in found.points] == sorted((p.relative for p in found.points), reverse=True)
    top = found.points[0]
    assert (top.relative, top.questions, top.answers, top.graded) == (1.0, 3, 9, 9)
    assert top.share == pytest.approx(0.9, abs=0.01) and top.share_low <= top.share <= top.share_high
    assert top.accuracy == 1.0 and top.accuracy_low is not None and top.accuracy_low < 1.0
    assert found.points[-1].accuracy == 0.0
    assert all(p.relative_low < p.relative < p.relative_high for p in found.points)
    assert sum(p.answers for p in found.points) == sum(p.graded for p in found.points)


async def test_a_profile_counts_each_question_once_and_rebounds_that_were_judged() -> None:
    often = await result(SimulatedModel.rebounding().noisy(), budgets=(250,), repeats=9)
    seldom = await result(SimulatedModel.flat(), budgets=(250,), repeats=1)
    (point,) = profile([often, seldom]).points
    shares = [often.points[2].tokens_mean / often.points[0].tokens_mean, 1.0]  # type: ignore[operator]
    assert point.share == pytest.approx(sum(shares) / 2)
    rebounding = await result(SimulatedModel.rebounding().noisy())
    unjudged = await result(SimulatedModel.rebounding(), repeats=1)
    found = profile([rebounding, unjudged])
    assert (found.rebounds, found.judged, found.questions) == (1, 1, 2)


async def test_a_profile_of_nothing_is_empty_and_unfinished_sweeps_are_counted_apart() -> None:
    assert profile([]) == Profile(0, 0, (), None, 0, 0)
    unfinished = await result(SimulatedModel.monotone(), limits=Limits(max_calls=2))
    assert profile([unfinished]) == Profile(0, 1, (), None, 0, 0)
    empty = SweepResult((), None, None, None, "", False, "running", Spent())
    assert profile([empty]).left_out == 1
