"""Questions x strategies: every cell tells what the store holds, also of repeats, failures and what was not asked."""

from __future__ import annotations

from tale_core.experiments.matrix import MOST_ROWS, matrix
from tale_core.store import ExperimentStore, open_store
from tale_core.types import Outcome, Question
from tests.pages import experiment_samples as samples


def test_every_cell_is_the_outcome_of_its_answer() -> None:
    plan = samples.plan(6)
    kept = ExperimentStore(open_store()).figures(samples.kept(plan, answers=17, failed=1))
    found = matrix(kept, plan.questions, plan.strategies)
    assert found.strategies == plan.strategies and len(found.cells) == len(found.questions) == 6
    signs = {Outcome.CORRECT: "✓", Outcome.WRONG: "✗", Outcome.TRUNCATED: "▲", Outcome.ERROR: "◆", None: "◆"}
    units = {(u.position, u.strategy): u for u in kept}
    for at, row in enumerate(found.cells):
        for name, cell in zip(found.strategies, row, strict=True):
            unit = units.get((at, name))
            assert (cell and cell.sign) == (unit and signs[unit.outcome])
            if cell and unit and unit.output_tokens is not None:
                assert f"{unit.output_tokens} tokens" in cell.words
    assert sum(cell is None for row in found.cells for cell in row) == 18 - len(kept)


def test_repeats_of_a_question_are_counted_and_rows_have_an_end() -> None:
    plan = samples.plan(2, repeats=2)
    kept = ExperimentStore(open_store()).figures(samples.kept(plan))
    assert {c.sign for row in matrix(kept, plan.questions, plan.strategies).cells for c in row if c} <= {
        "0/2", "1/2", "2/2",
    }  # fmt: skip
    many = [Question(str(i)) for i in range(MOST_ROWS + 3)]
    found = matrix((), many, ("vanilla",))
    assert (len(found.questions), found.left_out) == (MOST_ROWS, 3) and found.cells[0] == (None,)
