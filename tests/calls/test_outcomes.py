"""The registry of outcomes: whole, and no two that a reader could take for each other."""

from __future__ import annotations

from argparse import ArgumentParser

import pytest

from tale_core.calls.outcomes import OUTCOMES, REFUSED, outcome_counts, outcome_kind
from tale_core.cli import label
from tale_core.types import Outcome

KINDS = (*OUTCOMES.values(), REFUSED)


def test_every_outcome_is_in_the_registry_in_the_order_of_its_type():
    assert list(OUTCOMES) == list(Outcome)


@pytest.mark.parametrize("form", ["label", "phrase", "term", "icon"])
def test_no_two_outcomes_share_a_word_or_an_icon(form):
    assert len({getattr(kind, form) for kind in KINDS}) == len(KINDS)


def test_a_refusal_is_told_from_a_call_that_failed_and_nothing_is_counted_twice():
    told = outcome_counts({Outcome.ERROR: 5, Outcome.CORRECT: 2}, refused=3)
    assert {kind.term: n for kind, n in told if n} == {"correct": 2, "error": 2, "refused": 3}
    assert outcome_kind(Outcome.ERROR, refused=True) is REFUSED is not outcome_kind(Outcome.ERROR)


def test_the_command_line_filters_the_labeling_queue_by_every_outcome_that_people_label():
    labelled = [outcome.value for outcome, kind in OUTCOMES.items() if kind.labelled]
    parser = ArgumentParser()
    label.register(parser.add_subparsers())
    flags = [flag for one in labelled for flag in ("--outcome", one)]
    assert parser.parse_args(["label", "queue", "--annotator", "a", *flags]).outcome == labelled
