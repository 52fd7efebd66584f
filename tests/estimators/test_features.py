import math
import subprocess
import sys
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.estimators import features
from tale_core.types import Question

WIDTH = features.WORD_COLUMNS + features.CHARACTER_COLUMNS + len(features.STRUCTURE)
TEXT = st.text(st.characters(exclude_categories=()), max_size=300)


def value(question, name):
    return features.structure(question)[features.STRUCTURE.index(name)]


@given(TEXT, st.lists(TEXT, max_size=5).map(tuple), st.sampled_from(["en", "zh"]))
def test_any_question_has_finite_structure(text, options, language):
    counts = features.structure(Question(text, options=options, language=language))
    assert len(counts) == len(features.STRUCTURE)
    assert all(map(math.isfinite, counts))


@settings(max_examples=40)
@given(TEXT, st.lists(TEXT, max_size=5).map(tuple))
def test_any_question_becomes_one_row_of_finite_numbers(text, options):
    x = features.matrix([Question(text, options=options)])
    assert x.shape == (1, WIDTH)
    assert all(map(math.isfinite, x.data))


@pytest.mark.parametrize(
    ("text", "name", "expected"),
    [
        ("Add 1,200 and 3.5 and 3.5.", "numbers", 3),
        ("Add 1,200 and 3.5 and 3.5.", "different numbers", 2),
        ("Add 1,200 and 3.5 and 3.5.", "fractions", 2),
        ("What is (3 + 4) × 2 - 1?", "symbols", 3),
        ("Each of 4 boys, twice a day, eats one egg.", "multiply", 2),
        ("One. Two! Three?", "sentences", 3),
        ("小明有 24 颗糖，分给 6 个朋友，每人几颗？", "clauses", 2),
        ("小明有 24 颗糖，分给 6 个朋友，每人几颗？", "divide", 1),
        ("小明有 24 颗糖，分给 6 个朋友，每人几颗？", "questions asked", 2),
    ],
)
def test_structure_counts_what_it_says(text, name, expected):
    assert value(Question(text), name) == expected


def test_a_number_of_any_length_stays_finite():
    assert value(Question("9" * 20_000), "largest number") == pytest.approx(30, abs=0.1)


def test_the_known_answer_changes_no_feature():
    asked = Question("Which is larger, 3 or 4? Give the number.", topic="a", difficulty=1)
    known = replace(asked, answer="B", kind="text", topic="b", difficulty=5, id="x")
    assert (features.matrix([asked]) != features.matrix([known])).nnz == 0


def test_groups_and_wording_cover_every_column_once():
    found = [int(c) for group in ("wording", *features.GROUPS) for c in features.columns(group)]
    assert sorted(found) == list(range(WIDTH))


@pytest.mark.parametrize("module", ["tale_core.estimators", "tale_core.estimators.saved", "tale_core.ask.plan"])
def test_importing_estimators_loads_no_scikit_learn(module):
    code = f"import sys, {module}; print([m for m in ('sklearn', 'skops', 'scipy', 'numpy') if m in sys.modules])"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert out.stdout.strip() == "[]", out.stderr
