"""The paper's table in the benchmarks: its arithmetic and goal lines; a stopped run goes on and repeats nothing."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest

from benchmarks import __main__ as bench
from benchmarks import table
from benchmarks.clock import MeasurementError
from benchmarks.figures import Interval
from benchmarks.parts import Options
from benchmarks.stack import serving
from benchmarks.table import Measured, against, measure, nearest, public_questions
from tale_core.datasets import shipped
from tale_core.errors import AuthenticationFailedError
from tale_core.models.adapters import registry as adapters
from tale_core.models.client.openai_compatible import make_embedded_client
from tale_core.models.testing.scripted import ScriptedClient
from tale_core.settings import get_settings
from tale_core.store import ExperimentStore, open_store
from tale_core.tuning.examples import leak_key
from tale_core.types import Question, Sampling
from tests.support.fixtures_model import TEST_MODEL, smollm_cache
from tests.tuning import samples

__all__ = ["smollm_cache"]

STRATEGIES = ("direct", "vanilla", "tale-zero-shot@paper", "tale-regression")


class Sixty:
    """A trained estimator that always says 60 tokens."""

    name, version, needs_zero_shot = "regression", "v1", False

    def budget(self, question: Question, zero_shot: int | None) -> tuple[int, str | None]:
        return 60, None


def questions(n: int) -> tuple[Question, ...]:
    return tuple(Question(f"How much is 6 times 7, sum {i}?", answer="42") for i in range(n))


def said(request: object) -> str:
    """Vanilla: 45 tokens, right; under 45 words: 15, wrong on every tenth; under the model's own budget of 10: 5."""
    prompt = request.messages[-1].content  # type: ignore[attr-defined]
    if "estimate the minimum number" in prompt:
        return "Budget: [[10]]"
    if "at most 45 words" in prompt:
        return "so " * 10 + ("[[41]]" if re.search(r"sum \d*0\?", prompt) else "[[42]]")
    return "[[41]]" if "10 tokens" in prompt or "step by step" not in prompt else "so " * 40 + "[[42]]"


async def measured(client, n, **options):
    store = open_store()
    return await measure(client, store, questions(n), Options(models=()), strategies=STRATEGIES,
                         estimators={"regression": Sixty()}, **options)  # fmt: skip


async def test_the_table_has_every_strategy_with_intervals_and_the_goals_lines():
    found = await measured(ScriptedClient(said, repeat=True), 60)
    (shown,) = found.tables
    rows = {row[0]: row[1:] for row in shown.rows}
    assert list(rows) == list(STRATEGIES)
    assert rows["vanilla"][:2] == ("100.0 [94.0, 100.0], n = 60", "45.0 [45.0, 45.0]") and rows["vanilla"][3] == ""
    # 6 of 60 wrong, 15 tokens instead of 45.
    right, tokens, _, saved, points, p, _ = rows["tale-regression"]
    assert right == "90.0 [79.9, 95.3], n = 60" and tokens == "15.0 [15.0, 15.0]" and saved == "66.7 %"
    assert points.startswith("-10.0 [") and float(p) == pytest.approx(0.031, abs=0.001)
    saving, losing = found.goals
    assert "tale-regression saves" in saving.words and saving.met and saving.measured.value == pytest.approx(2 / 3)
    assert losing.measured.value == pytest.approx(10) and not losing.met and losing.unit == "points"
    assert losing.measured.low <= 5 <= losing.measured.high and losing.measured.n == 60


async def test_a_few_questions_show_that_it_works_and_claim_nothing():
    found = await measured(ScriptedClient(said, repeat=True), 3)
    assert found.goals == () and len(found.tables[0].rows) == 4
    assert "3 questions show that it works and measure nothing" in found.notes[-1] and "--limit 60" in found.notes[-1]


async def test_a_stopped_run_goes_on_and_repeats_no_answer():
    asked: list[str] = []

    def stops(request):
        asked.append(request.messages[-1].content)
        if len(asked) == 10:
            running.cancel()
        return said(request)

    running = asyncio.create_task(measured(ScriptedClient(stops, repeat=True), 4))
    with pytest.raises(asyncio.CancelledError):
        await running
    done = len(ExperimentStore(open_store()).figures(open_store().list_sessions()[0].id))
    again: list[str] = []

    def counts(request):
        again.append(request.messages[-1].content)
        return said(request)

    found = await measured(ScriptedClient(counts, repeat=True), 4)
    assert 0 < done < 16 and len(again) <= 20 - 5 and open_store().count_sessions() == 1
    assert "went on with a run that was stopped" in found.notes[1]
    await measured(ScriptedClient(counts, repeat=True), 4)
    assert open_store().count_sessions() == 2, "a run that has ended is measured anew"


async def test_a_run_that_cannot_finish_says_how_to_go_on():
    def fails(request):
        raise AuthenticationFailedError("The endpoint refused the key.", "Check it.")

    with pytest.raises(MeasurementError, match="run it again to go on"):
        await measured(ScriptedClient(fails, repeat=True), 1)


def one(name: str, saved: float, lost: float) -> Measured:
    return Measured(name, Interval(60, saved, saved, saved), Interval(60, lost, lost, lost))


def test_the_goal_is_judged_by_the_strategy_that_comes_nearest():
    both, dear, cheap = one("both", 0.61, 4), one("dear", 0.9, 30), one("cheap", 0.3, 0)
    assert nearest([dear, both, cheap]) is both and both.reaches and not dear.reaches
    assert nearest([one("dearer", 0.7, 40), dear, cheap]) is dear
    assert nearest([cheap, one("cheaper", 0.2, 0)]) is cheap and nearest([]) is None


def test_a_strategy_without_a_pair_cannot_be_judged():
    with pytest.raises(MeasurementError, match="share no answer"):
        against("tale-regression", [])


# --- the questions


def test_without_the_public_questions_it_is_passed_over_with_a_message(monkeypatch, tmp_path, capsys):
    monkeypatch.setattr(table, "folders", lambda: [tmp_path / "nowhere"])
    monkeypatch.setattr(table, "serving", lambda model: pytest.fail("no model may be started"))
    assert bench.main(["table", "--limit", "60", "--results", str(tmp_path)]) == 0
    out = capsys.readouterr().out
    assert "passed over" in out and "gsm8k_dev.jsonl" in out and "TALE_DATASETS_DIR" in out


def test_the_first_questions_of_the_folder_that_has_them_are_taken(monkeypatch, tmp_path):
    (tmp_path / "gsm8k_dev.jsonl").write_text(
        "".join(f'{{"question": "Q{i}?", "answer": "#### {i}"}}\n' for i in range(9))
    )
    monkeypatch.setenv("TALE_DATASETS_DIR", str(tmp_path))
    get_settings.cache_clear()
    assert [q.answer for q in public_questions(3) or ()] == ["0", "1", "2"]


def test_a_question_that_taught_the_shipped_estimators_is_refused():
    table.check_untaught(questions(3))
    with pytest.raises(MeasurementError, match="has trained"):
        table.check_untaught(shipped())


def test_a_shipped_adapter_is_one_of_the_ways_and_a_question_that_taught_it_is_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(table, "MODEL", samples.BASE)
    one = samples.adapter(tmp_path, data={"questions": [leak_key(questions(3)[2])]})
    assert table.shipped_adapters() == (), "a user's own is no way of the table"
    shutil.copytree(one.folder, adapters.SHIPPED / one.name)
    adapters.delete(one)
    (own,) = table.shipped_adapters()
    table.check_untaught(questions(2), (own,))
    with pytest.raises(MeasurementError, match="has trained the shipped adapter brief"):
        table.check_untaught(questions(3), (own,))


@pytest.mark.model
@pytest.mark.timeout(600)
async def test_it_runs_on_an_embedded_model(smollm_cache: Path, monkeypatch):
    monkeypatch.setenv("TALE_CACHE_DIR", str(smollm_cache))
    monkeypatch.setattr(table, "SAMPLING", Sampling(max_tokens=24))
    get_settings.cache_clear()
    with serving(TEST_MODEL) as info:
        found = await measure(make_embedded_client(info), open_store(), questions(2), Options(models=()),
                              strategies=("direct", "vanilla", "tale-zero-shot@paper", "chain-of-draft"))  # fmt: skip
    assert [row[0] for row in found.tables[0].rows] == ["direct", "vanilla", "tale-zero-shot@paper", "chain-of-draft"]
    assert all(0 < r["output_tokens"] <= 24 and r["all_in_tokens"] > r["output_tokens"] for r in found.data["rows"])
