"""The table of an experiment: golden numbers, consistency under any mix of outcomes, tests against brute force."""

from __future__ import annotations

import csv
import io
import itertools
import json
import math
import random
from collections import Counter
from dataclasses import replace
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import update

from tale_core.calls.budget_ledger import Limits
from tale_core.errors import InputError
from tale_core.experiments import ExperimentPlan, results, rows_of, run_experiment
from tale_core.experiments.estimate import cost_estimate, estimate_words
from tale_core.experiments.export import UNIT_KEYS, experiment_document, export_experiment, unit_rows
from tale_core.experiments.html_report import report_html
from tale_core.experiments.paper import paper_rows, paper_rows_of
from tale_core.experiments.text import accuracy_words, finding, headline
from tale_core.models.testing.scripted import Reply, ScriptedClient
from tale_core.stats import break_even, holm, mcnemar_p, mean_interval, pareto, sign_flip_p
from tale_core.store import UnitFigures, tables
from tale_core.strategies import title_of
from tale_core.types import Outcome, Price, Question, Usage

CASES = json.loads(
    (Path(__file__).resolve().parents[1] / "cases" / "experiment_completions.json").read_text(encoding="utf-8")
)
PRICE = Price(0.15, 0.6, "2026-11-24")
NAMES = ("direct", "vanilla", "tale-zero-shot")


def recorded(price=PRICE):
    """A client that answers from the recorded completions."""

    def reply(request):
        prompt = request.messages[-1].content
        case = next(c for c in CASES["questions"] if c["text"] in prompt)
        kind = (
            "estimate" if "estimate the minimum" in prompt
            else "tale" if "less than" in prompt
            else "direct" if "without any explanation" in prompt
            else "vanilla"
        )  # fmt: skip
        text, prompt_tokens, completion_tokens, reason = case[kind]
        return Reply(text, finish_reason=reason, usage=Usage(prompt_tokens, completion_tokens))

    return ScriptedClient(reply, price=price)


async def ran(store, client=None, **options):
    questions = tuple(Question(c["text"], answer=c["answer"]) for c in CASES["questions"])
    plan = ExperimentPlan(questions=questions, strategies=NAMES, dataset="gsm8k", **options)
    return [e async for e in run_experiment(plan.checked(), client or recorded(), store)][-1].results


# --- golden


async def test_the_table_of_recorded_completions_holds_the_numbers_computed_by_hand(store):
    found = await ran(store)
    by_name = {row.strategy: row for row in found.rows}
    direct, vanilla, tale = (by_name[name] for name in NAMES)
    # Right: direct 1, 3, 6; vanilla 1, 2, 3, 4, 6 (5 is truncated); TALE 1, 2, 3, 5 (4 wrong, 6 unparsed).
    assert [(r.right, r.graded, r.n) for r in (direct, vanilla, tale)] == [(3, 6, 6), (5, 6, 6), (4, 6, 6)]
    assert vanilla.outcomes[Outcome.TRUNCATED] == 1 and vanilla.outcomes[Outcome.WRONG] == 0
    assert tale.outcomes[Outcome.UNPARSED] == 1 and tale.outcomes[Outcome.WRONG] == 1
    assert vanilla.accuracy_decided.mean == 1.0 and tale.accuracy_decided.mean == 4 / 5
    # Output tokens, by hand from the file.
    assert direct.output_tokens.mean == 4
    assert vanilla.output_tokens.mean == pytest.approx((118 + 131 + 97 + 160 + 400 + 105) / 6)
    assert tale.output_tokens.mean == pytest.approx((31 + 27 + 22 + 24 + 44 + 19) / 6)
    # All-in: TALE's has the estimates and every prompt.
    prompts = 71 + 76 + 73 + 68 + 77 + 72 + 92 + 97 + 94 + 89 + 98 + 93
    answers = 31 + 27 + 22 + 24 + 44 + 19 + 6 + 6 + 5 + 6 + 6 + 6
    assert tale.all_in_tokens.mean == pytest.approx((prompts + answers) / 6)
    assert tale.cost_usd == pytest.approx((prompts * 0.15 + answers * 0.6) / 1e6 / 6)
    assert tale.calls == 2 and tale.defaults == 1  # Question 3's estimate named no number.
    assert found.spent.calls == 6 * 4
    assert [r.latency_s is not None for r in found.rows] == [True] * 3
    assert accuracy_words(tale) == "66.7 % of 6 right (95 %: 30.0 % to 90.3 %)"
    assert headline(found, NAMES[2]).startswith(title_of(NAMES[2])) and headline(found).startswith(title_of(NAMES[0]))


async def test_the_paired_differences_of_recorded_completions_are_those_computed_by_hand(store):
    found = await ran(store)
    tale = found.rows[2].against_vanilla
    # TALE alone right: question 5. Vanilla alone right: 4 and 6. Exact McNemar: 2 * (1 + 3) / 8 = 1.
    assert (tale.better, tale.worse, tale.pairs, tale.accuracy.p) == (1, 2, 6, 1.0)
    assert tale.accuracy.mean == pytest.approx(4 / 6 - 5 / 6)
    differences = [31 - 118, 27 - 131, 22 - 97, 24 - 160, 44 - 400, 19 - 105]
    assert tale.output_tokens.mean == pytest.approx(sum(differences) / 6)
    assert tale.output_tokens.p == 2 / 2**6  # All of one sign: only two of 64 sign patterns are as far out.
    assert tale.output_tokens.p_holm == 2 * 2 / 2**6  # Two strategies are compared.
    assert tale.output_saving == pytest.approx(1 - (31 + 27 + 22 + 24 + 44 + 19) / (118 + 131 + 97 + 160 + 400 + 105))
    assert found.rows[1].against_vanilla is None


async def test_the_document_has_the_agreed_keys_and_an_unknown_price_is_null(store):
    document = experiment_document(await ran(store, recorded(price=None)))
    assert {"experiment", "calls", "rows"} <= document.keys() and document["calls"] == 24
    keys = {"strategy", "n", "accuracy", "accuracy_low", "accuracy_high", "output_tokens", "all_in_tokens", "cost_usd"}
    for row in document["rows"]:
        assert keys | {"latency_s", "outcomes"} <= row.keys()
        assert row["cost_usd"] is None and set(row["outcomes"]) == {o.value for o in Outcome}
    assert json.loads(json.dumps(document)) == document
    assert document["spent"]["cost_usd"] is None


async def test_a_later_judgement_of_an_answer_changes_the_table(store):
    found = await ran(store)
    made = store.get_session(found.experiment_id).calls
    (call,) = (c for c in made if c.outcome is Outcome.UNPARSED and c.role == "budgeted")
    with store.writing() as connection:
        connection.execute(update(tables.calls).where(tables.calls.c.id == call.id).values(outcome="correct"))
    assert results(store, found.experiment_id).rows[2].right == 5


# --- any mix of outcomes


@st.composite
def figures(draw):
    """Ended units of a few strategies on a few questions."""
    made = []
    for name in ("vanilla", "other", "third"):
        for position, repeat in itertools.product(range(draw(st.integers(0, 7))), range(draw(st.integers(1, 3)))):
            failed = draw(st.booleans()) and draw(st.booleans())
            tokens = draw(st.integers(0, 5000))
            made.append(
                UnitFigures(
                    position=position, repeat_index=repeat, strategy=name, status="failed" if failed else "done",
                    graded=draw(st.booleans()) or draw(st.booleans()),
                    outcome=None if failed else draw(st.sampled_from(Outcome)), extracted=None, finish_reason=None,
                    budget=None, output_tokens=None if failed else tokens, prompt_tokens=draw(st.integers(0, 400)),
                    completion_tokens=tokens + draw(st.integers(0, 100)),
                    cost_usd=draw(st.none() | st.floats(0, 1)), latency_s=draw(st.none() | st.floats(0, 60)),
                    calls=1, reused=0, estimated=0, problem=None, error="x" if failed else None,
                )
            )  # fmt: skip
    return made


@given(figures())
@settings(max_examples=120, deadline=None)
def test_rows_are_consistent_whatever_became_of_the_answers(made):
    rows = rows_of(made, ["vanilla", "other", "third"], planned=21)
    for row in rows:
        mine = [u for u in made if u.strategy == row.strategy]
        assert row.n + row.failed == len(mine) and sum(row.outcomes.values()) == row.n
        assert row.right <= row.graded <= row.n and row.right <= row.outcomes[Outcome.CORRECT]
        assert (row.accuracy is None) == (row.graded == 0) and (row.output_tokens is None) == (row.n == 0)
        for interval in (row.accuracy, row.accuracy_decided, row.output_tokens, row.all_in_tokens):
            assert interval is None or interval.low <= interval.mean <= interval.high
        assert row.accuracy is None or row.accuracy.mean == pytest.approx(row.right / row.graded)
        assert row.accuracy is None or (row.accuracy.low >= 0 and row.accuracy.high <= 1)
        known = [u.cost_usd for u in mine if u.status == "done"]
        assert (row.cost_usd is None) == (not known or None in known)
        if (d := row.against_vanilla) is not None:
            assert row.strategy != "vanilla"
            for change in (d.accuracy, d.output_tokens, d.all_in_tokens):
                if change is not None:
                    assert change.low <= change.mean <= change.high and 0 < change.p <= change.p_holm <= 1
    assert any(r.pareto for r in rows) == any(r.accuracy and r.all_in_tokens for r in rows)


def test_the_interval_takes_questions_and_not_repeats_for_independent():
    one = [_unit(p, 0, right=p % 2 == 0) for p in range(10)]
    ten = [_unit(p, r, right=p % 2 == 0) for p in range(10) for r in range(10)]
    (alone,), (repeated,) = rows_of(one, ["a"], planned=10), rows_of(ten, ["a"], planned=100)
    assert repeated.graded == 100 and repeated.accuracy == pytest.approx(alone.accuracy)
    assert repeated.output_tokens == alone.output_tokens


def _unit(position, repeat, *, right, tokens=None, name="a"):
    return UnitFigures(
        position, repeat, name, "done", True, Outcome.CORRECT if right else Outcome.WRONG, None, "stop", None,
        10 * position if tokens is None else tokens, 5, 10, 0.0, 0.1, 1, 0, 0, None, None,
    )  # fmt: skip


# --- statistics against brute force


@given(st.integers(0, 12), st.integers(0, 12))
def test_mcnemar_is_the_two_sided_binomial_test(better, worse):
    n = better + worse
    tail = sum(Fraction(math.comb(n, i), 2**n) for i in range(min(better, worse) + 1))
    assert mcnemar_p(better, worse) == pytest.approx(float(min(Fraction(1), 2 * tail)))


def test_mcnemar_takes_thousands_of_pairs():
    assert mcnemar_p(5000, 5000) == pytest.approx(1.0)
    assert mcnemar_p(0, 3000) == 0.0 or mcnemar_p(0, 3000) < 1e-300
    assert 0 < mcnemar_p(4800, 5200) < 1e-4


@given(st.lists(st.integers(-50, 50), min_size=1, max_size=8))
def test_the_sign_flip_test_is_exact_for_few_pairs(differences):
    observed = abs(sum(differences))
    patterns = list(itertools.product((1, -1), repeat=len(differences)))
    beyond = sum(abs(sum(s * d for s, d in zip(p, differences, strict=True))) >= observed for p in patterns)
    assert sign_flip_p(differences) == pytest.approx(beyond / len(patterns))


def test_with_one_repeat_the_sign_flip_test_of_accuracy_is_mcnemar():
    assert sign_flip_p([1.0] * 7 + [-1.0] * 2 + [0.0] * 30) == pytest.approx(mcnemar_p(7, 2))


def test_the_sign_flip_test_rejects_at_its_level_when_nothing_differs():
    rng = random.Random(3)
    ps = [sign_flip_p([rng.gauss(0, 1) for _ in range(20)]) for _ in range(150)]
    assert 0.005 <= sum(p < 0.05 for p in ps) / 150 <= 0.12


def test_the_bootstrap_covers_the_mean_about_as_often_as_it_says():
    rng = random.Random(5)
    hits = 0
    for _ in range(120):
        interval = mean_interval(tuple(rng.gauss(10, 3) for _ in range(40)))
        hits += interval.low <= 10 <= interval.high
    assert 0.87 <= hits / 120 <= 0.99


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=6))
def test_holm_keeps_the_order_and_never_lowers_a_p(ps):
    adjusted = holm(ps)
    assert adjusted.keys() == ps.keys() and all(ps[k] <= adjusted[k] <= 1 for k in ps)
    assert all(adjusted[a] <= adjusted[b] for a in ps for b in ps if ps[a] < ps[b])


@given(st.dictionaries(st.text(max_size=2), st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=8))
def test_the_pareto_front_is_what_nobody_beats(points):
    front = pareto(points)
    for name, (right, tokens) in points.items():
        beaten = any(r >= right and t <= tokens and (r, t) != (right, tokens) for r, t in points.values())
        assert (name in front) != beaten


def test_break_even_counts_the_questions_until_a_training_has_paid_for_itself():
    assert break_even(1000, 40) == 25 and break_even(1001, 40) == 26 and break_even(0, 3) == 1
    assert break_even(1000, 0) is None and break_even(1000, -2) is None
    cheap = [_unit(p, 0, right=True, name="cheap")._replace(completion_tokens=4) for p in range(5)]
    base = [_unit(p, 0, right=True, name="vanilla")._replace(completion_tokens=104) for p in range(5)]
    rows = rows_of([*cheap, *base], ["vanilla", "cheap"], planned=5, paid_once={"cheap": 5000})
    assert rows[1].against_vanilla.break_even == 50


# --- files


async def test_units_are_exported_as_csv_lines_and_parquet_alike(store, tmp_path):
    found = await ran(store)
    rows = list(unit_rows(store, found.experiment_id))
    assert len(rows) == 18 and all(tuple(row) == UNIT_KEYS for row in rows)
    paths = [tmp_path / f"units.{kind}" for kind in ("csv", "jsonl", "parquet")]
    for path in paths:
        export_experiment(store, found.experiment_id, path)
    table = list(csv.DictReader(io.StringIO(paths[0].read_text(encoding="utf-8"))))
    lines = [json.loads(line) for line in paths[1].read_text(encoding="utf-8").splitlines()]
    import pyarrow.parquet as pq

    assert lines == rows == pq.read_table(paths[2]).to_pylist()
    assert [row["output_tokens"] for row in table] == [str(row["output_tokens"]) for row in rows]
    assert sorted(p.name for p in tmp_path.iterdir() if p.name.startswith((".", "units"))) == [
        "units.csv", "units.jsonl", "units.parquet",
    ]  # fmt: skip


async def test_no_cell_of_a_csv_is_a_formula_and_no_text_of_a_report_is_markup(store, tmp_path):
    evil = "=cmd|' /C calc'!A0 <script>alert(1)</script><img src=http://evil/x>"
    plan = ExperimentPlan(questions=(Question(evil, answer="1"),), strategies=("vanilla",), dataset=evil)
    client = ScriptedClient(lambda r: evil, model="<b>model</b>")
    found = [e async for e in run_experiment(plan.checked(), client, store)][-1].results
    for name in ("u.csv", "u.html"):
        export_experiment(store, found.experiment_id, tmp_path / name)
    cells = [cell for row in csv.reader(io.StringIO((tmp_path / "u.csv").read_text(encoding="utf-8"))) for cell in row]
    assert any("cmd" in cell for cell in cells) and not any(cell.startswith(("=", "+", "-", "@")) for cell in cells)
    page = (tmp_path / "u.html").read_text(encoding="utf-8")
    assert "&lt;script&gt;" in page and "<script" not in page and "<img" not in page and "<b>" not in page
    assert "http" not in page.replace("http-equiv", "").replace("&lt;img src=http://evil/x&gt;", "")


async def test_the_report_says_its_finding_first_and_shows_the_paper_beside(store):
    found = await ran(store)
    page = report_html(found)
    assert page.index("<h1>") < page.index("<svg") < page.index("<table>")
    assert "84.5 %" in page and "arXiv 2412.18547" in page  # TALE-EP on GSM8K in the paper's table 3.
    assert "1 of" not in page or found.complete
    for row in found.rows:
        assert title_of(row.strategy) in page


@pytest.mark.parametrize("name", ["units", "units.xlsx", "units.pkl"])
async def test_another_kind_of_file_is_refused_in_words(store, tmp_path, name):
    found = await ran(store)
    with pytest.raises(InputError, match=r"\.parquet"):
        export_experiment(store, found.experiment_id, tmp_path / name)
    with pytest.raises(InputError, match="cannot be written"):
        export_experiment(store, found.experiment_id, tmp_path / "nowhere" / "u.csv")


# --- the paper's numbers and the sheet


def test_the_papers_tables_are_as_printed():
    found = {(r.table, r.model, r.dataset, r.strategy): r for r in paper_rows()}
    assert len(found) == len(paper_rows()) == 6 * 3 + 3 * 3 + 2 * 4
    tale = found[3, "GPT-4o-mini", "gsm8k", "tale-zero-shot"]
    assert (tale.accuracy, tale.output_tokens, tale.cost_usd) == pytest.approx((0.8446, 77.26, 0.0027984))
    # The averages printed in table 3, within their rounding.
    for strategy, accuracy, tokens in (
        ("direct", 52.31, 14.57),
        ("vanilla", 83.75, 461.25),
        ("tale-zero-shot", 81.03, 148.72),
    ):
        mine = [r for key, r in found.items() if key[0] == 3 and key[3] == strategy]
        assert sum(r.accuracy for r in mine) / 6 * 100 == pytest.approx(accuracy, abs=0.011)
        assert sum(r.output_tokens for r in mine) / 6 == pytest.approx(tokens, abs=0.011)
    assert paper_rows_of("my own file") == ()


def test_the_sheet_bounds_what_a_run_then_takes():
    questions = tuple(Question(c["text"], answer=c["answer"]) for c in CASES["questions"])
    plan = ExperimentPlan(questions=questions, strategies=(*NAMES, "oracle"), repeats=2)
    one = cost_estimate(plan, count=lambda text: len(text.split()), price=PRICE)
    assert (one.units, one.calls_low, one.calls_high) == (48, 12 * 5, 12 * (4 + 25))
    assert 0 < one.tokens_about < one.tokens_worst and one.cost_worst > 0
    assert "unknown" in estimate_words(replace(one, cost_worst=None))
    capped = cost_estimate(replace(plan, limits=Limits(max_tokens=500)), count=len, price=None)
    assert capped.tokens_worst == 500 and capped.cost_worst is None


# --- words


def test_the_finding_names_the_cheapest_that_is_not_surely_worse():
    def units(name, right, tokens):
        return [
            _unit(p, 0, right=right(p), tokens=tokens, name=name)._replace(completion_tokens=tokens + p % 3)
            for p in range(40)
        ]

    base = units("vanilla", lambda p: p % 5 > 0, 300)
    good, bad = units("fixed:50", lambda p: p % 4 > 0, 80), units("direct", lambda p: p % 9 == 0, 5)
    names = ["vanilla", "fixed:50", "direct"]
    words = finding(_results(rows_of([*base, *good, *bad], names, planned=40)))
    assert words.startswith("Fixed budget of 50 tokens spends least") and "fewer than vanilla" in words
    words = finding(_results(rows_of([*base, *bad], ["vanilla", "direct"], planned=40)))
    assert words.startswith("What saves tokens is less accurate") and "Direct answer" in words
    costly = units("costly", lambda p: True, 900)
    assert "No strategy uses fewer" in finding(_results(rows_of([*base, *costly], ["vanilla", "costly"], planned=40)))


def _results(rows):
    from tale_core.calls.budget_ledger import Spent
    from tale_core.experiments import ExperimentResults

    n = sum(row.n for row in rows)
    return ExperimentResults("e", "d", "m", "e", "done", 40, 1, n, n, 0, Spent(), tuple(rows))


def test_outcomes_are_counted_once():
    (row,) = rows_of([_unit(p, 0, right=p > 3) for p in range(9)], ["a"], planned=9)
    assert Counter(row.outcomes) == Counter({**dict.fromkeys(Outcome, 0), Outcome.CORRECT: 5, Outcome.WRONG: 4})
