"""What is stored of a sentence is said in the reader's language; what is none of ours stays as it is."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime

import pytest

from tale_core.calibration.saved import SHIPPED, read_choices
from tale_core.errors import InputError
from tale_core.estimators import saved
from tale_core.estimators.text import BOTH_ESTIMATES, LEARNING_HELPS, NOT_COMPARED, TITLES
from tale_core.experiments.create import TITLE, experiment_title
from tale_core.i18n import again, from_stored, in_english, listed, t, tn, to_stored, use_language

MODEL = "Model: {name}"
CALLS = "{n:,} calls"


def chinese(words: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in words)


def document(code: object = MODEL, values: object = None, text: object = "Model: it") -> str:
    return json.dumps({"code": code, "values": {"name": "it"} if values is None else values, "text": text})


@pytest.mark.parametrize("writer", ["en", "zh"])
def test_a_stored_sentence_and_the_names_in_it_are_said_in_the_readers_language(writer):
    with use_language(writer):
        said = t(LEARNING_HELPS, title=t(TITLES["ridge"]), gain="47%", low="31%", high="58%")
    stored = to_stored(said)
    read = from_stored(stored)
    assert read == in_english(said) == LEARNING_HELPS.format(title=TITLES["ridge"], gain="47%", low="31%", high="58%")
    assert json.loads(stored)["values"]["gain"] == "47%"
    with use_language("zh"):
        assert from_stored(stored) == again(read) == again(said)
        assert "线性模型" in from_stored(stored) and "47%" in from_stored(stored)
    assert to_stored(read) == stored


def test_an_error_is_stored_with_its_advice():
    error = InputError(t("No address was given."), t("Give a key."))
    with use_language("zh"):
        stored = to_stored(str(error))
        assert from_stored(stored) == "没有给出地址。请给出密钥。"
    assert from_stored(stored) == "No address was given. Give a key."


def test_one_and_many_are_both_kept_in_english():
    one, many = (to_stored(tn("{n} call", "{n} calls", n)) for n in (1, 2))
    assert (from_stored(one), from_stored(many)) == ("1 call", "2 calls")


def test_values_that_json_does_not_have_are_kept_as_text():
    when = datetime(2026, 11, 29, 9, 5, tzinfo=UTC)
    for value in (when, None, 1.5, True, float("nan"), ("a", "b"), ValueError("no")):
        said = t(MODEL, name=value)
        assert from_stored(to_stored(said)) == said == f"Model: {value}"


def test_a_list_of_names_is_kept_however_long_it_is():
    for n in (3, 300, 1_500):
        names = [f"name{i}" for i in range(n)]
        assert from_stored(to_stored(listed(names))) == ", ".join(names)


def test_the_titles_that_are_left_out_together_are_translated_together():
    assert f"{TITLES['zero-shot']} and {TITLES['calibrated']}" == BOTH_ESTIMATES
    stored = to_stored(t(NOT_COMPARED, titles=t(BOTH_ESTIMATES), estimates=0, n=30, least=20))
    with use_language("zh"):
        assert "own estimate" not in from_stored(stored)


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "stored",
    [
        "The model does not answer.",  # An older row.
        "",
        "{name} of {names}",
        '{"code": ',
        '{"code": "x"}',
        document(code=7),
        document(text=None),
        document(values=["it"]),
        '{"code": ' * 5_000,
        '{"code": ' + "[" * 100_000,
        '{"code": ' + "9" * 5_000 + "}",
    ],
)
def test_what_is_no_sentence_of_ours_stays_as_it_is(stored, language):
    with use_language(language):
        assert from_stored(stored) == stored
        assert to_stored(stored) == stored


@pytest.mark.parametrize("language", ["en", "zh"])
@pytest.mark.parametrize(
    "stored",
    [
        document(code="{name.__class__.__mro__}"),
        document(code="{name:>999999999}"),
        document(code="A sentence of a later version."),
        document(values={"of": 1}, code=CALLS),
        document(values={"n": "many"}, code=CALLS),
        document(values={"n": [1]}, code=CALLS),
        document(values={"n": None}, code=CALLS),
    ],
)
def test_a_message_from_a_hostile_file_is_never_filled_in(stored, language):
    with use_language(language):
        assert from_stored(stored) == "Model: it"
        assert again(from_stored(stored)) == "Model: it"


def test_none_stays_none():
    assert to_stored(None) is from_stored(None) is again(None) is None


def test_every_sentence_that_ships_in_a_file_is_said_in_chinese():
    for one in saved.listing().estimators:
        report = one.metadata.report
        curve = [report.learning_curve.words] if report.learning_curve else []
        with use_language("zh"):
            for words in (report.reason, *report.findings, *report.notes, *curve):
                assert chinese(again(words)), words
            assert all(chinese(t(c.title)) for c in report.candidates)
    with use_language("zh"):
        assert all(chinese(entry.reason) for entry in read_choices(SHIPPED).values())
    assert not any(chinese(entry.reason) for entry in read_choices(SHIPPED).values())


def test_an_older_report_is_read_in_english():
    report = saved.listing().estimators[0].metadata.report
    older = replace(report, reason="Of what costs no call, a linear model predicts optima best.", learning_curve=None)
    with use_language("zh"):
        assert older.with_sentences(from_stored).reason == older.reason


def test_an_experiments_stored_name_is_english_and_read_in_chinese():
    stored = TITLE.format(dataset="gsm8k", questions=20)
    assert stored == "gsm8k: 20 questions" == experiment_title(stored)
    with use_language("zh"):
        assert experiment_title(stored) == "gsm8k：20 个问题"
        assert "导入" in experiment_title(f"{stored}, imported")
        assert experiment_title("gsm8k: question questions") == "gsm8k: question questions"
        assert experiment_title("A train covers 180 km?") == "A train covers 180 km?"
