"""What is stored in English is said again in the reader's language; what is not ours stays as it is."""

from __future__ import annotations

import json

import pytest

from tale_core.estimators import saved
from tale_core.estimators.words import LEARNING_HELPS, NOT_COMPARED, TITLES, told
from tale_core.experiments.opening import TITLE, title_told
from tale_core.i18n import use_language
from tale_core.retold import MOST_LETTERS, retold
from tale_core.wording_memory import SHIPPED
from tale_core.wording_rule import reason_told


def chinese(words: str) -> bool:
    return any("\u4e00" <= letter <= "\u9fff" for letter in words)


def test_a_stored_sentence_and_the_names_in_it_are_said_in_the_readers_language():
    stored = LEARNING_HELPS.format(title=TITLES["ridge"], gain="47%", low="31%", high="58%")
    assert told(stored) == stored
    with use_language("zh"):
        again = told(stored)
    assert "线性模型" in again and all(part in again for part in ("47%", "31%", "58%"))
    assert "linear" not in again and "{" not in again


def test_the_titles_that_are_left_out_together_are_translated_together():
    titles = f"{TITLES['zero-shot']} and {TITLES['calibrated']}"
    with use_language("zh"):
        assert "own estimate" not in told(NOT_COMPARED.format(titles=titles, estimates=0, n=30, least=20))


@pytest.mark.parametrize(
    "foreign", ["A finding of a later version.", "", "{names} of {name}", "x" * (MOST_LETTERS + 1)]
)
def test_what_no_message_made_stays_as_it_is(foreign):
    with use_language("zh"):
        assert told(foreign) == foreign


def test_a_message_as_long_as_is_matched_takes_no_time_even_if_it_is_made_to():
    hostile = "Nothing that was learnt beats a constant beyond noise (" + ": ( (95 % interval  to )); so " * 18
    with use_language("zh"):
        assert told(hostile[:MOST_LETTERS]) == hostile[:MOST_LETTERS]


def test_every_sentence_that_ships_in_a_file_is_known():
    with use_language("zh"):
        for one in saved.listing().estimators:
            report = one.metadata.report
            curve = [report.learning_curve.words] if report.learning_curve else []
            for words in (report.reason, *report.notes, *curve, *(c.title for c in report.candidates)):
                assert chinese(told(words)), words
        for entry in json.loads(SHIPPED.read_text())["models"].values():
            assert chinese(reason_told(entry["reason"])), entry["reason"]


def test_an_experiments_stored_name_is_english_and_read_in_chinese():
    stored = TITLE.format(dataset="gsm8k", questions=20)
    assert stored == "gsm8k: 20 questions"
    with use_language("zh"):
        assert title_told(stored) == "gsm8k：20 个问题"
        assert title_told("A train covers 180 km?") == "A train covers 180 km?"


def test_values_are_never_looked_up_unless_they_are_messages():
    with use_language("zh"):
        assert retold("gsm8k: question questions", (TITLE,)) == "gsm8k：question 个问题"
