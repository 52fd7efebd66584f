"""The Label page without a browser: what it shows, what a press does, and that nothing hostile is read as Markdown."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.labels import Labeling
from tale_core.labels.training_files import label_rows
from tale_core.store import QueueFilter, open_store
from tale_core.types import Outcome, Question
from tests.labels import samples
from tests.pages.app_page import opened as drawn
from tests.pages.app_page import sent, words

CATS = Question("How many legs have 3 cats, at $4 a leg?", answer="12", kind="number")
HOSTILE = "<script>alert(1)</script> ![x](http://127.0.0.1:9/p.png) $x^2$ \u202e **[a](javascript:1)**\nSo it is 13"


def opened(annotator: str | None = "Ada", **query: str) -> AppTest:
    at = drawn("pages/Label.py", address=query if annotator is None else {"annotator": annotator, **query})
    assert not at.exception
    return at


def press(at: AppTest, name: str) -> AppTest:
    (button,) = [b for b in at.button if (b.key or "").startswith(f"label_{name}_")]
    button.click().run()
    assert not at.exception
    return at


def test_a_stranger_is_asked_for_a_name_and_then_sees_the_first_answer() -> None:
    samples.asked(open_store(), CATS, "So it is 13")
    at = opened(None)
    assert "Your name" in words(at.main) and "So it is" not in words(at.main)
    at.text_input(key="label_typed_name").input("Ada")
    next(b for b in at.button if b.label == "Begin").click().run()
    assert "So it is" in words(at.main) and at.query_params["annotator"] == "Ada"


def test_an_answer_is_blind_until_it_is_revealed() -> None:
    samples.asked(open_store(), CATS, "So it is 13", model="very-secret-model")
    at = opened()
    shown = words(at.main)
    assert "How many legs have 3 cats, at $4 a leg?" in shown and "the grader reads **13**" in shown
    work = shown.split("What is in the queue")[0]
    assert "very-secret-model" not in work and "Vanilla" not in work and "Wrong" in work
    revealed = words(press(at, "show").main).split("What is in the queue")[0]
    assert "very-secret-model" in revealed and "Vanilla" in revealed


def test_a_press_labels_moves_on_and_says_what_it_moved_and_undo_comes_back() -> None:
    session = samples.asked(open_store(), CATS, "So it is 13")
    at = press(opened(), "right")
    assert samples.outcomes(open_store(), session) == [(Outcome.CORRECT, "verdict")]
    assert "1 stored answer has another outcome now. 1 right, whole answer more to learn from." in words(at.main)
    assert "1 of 1 done, 0 left" in words(at.main)
    assert "0 of 1 done, 1 left" in words(press(at, "undo").main)
    assert samples.outcomes(open_store(), session) == [(Outcome.WRONG, None)]


def test_a_known_answer_is_typed_saved_and_makes_the_question_searchable() -> None:
    session = samples.asked(open_store(), replace(CATS, answer=None), "So it is 12", "[[13]]")
    at = press(opened(), "gold")
    assert not [b for b in at.button if (b.key or "").startswith("label_right_")]  # No key means anything else now.
    next(b for b in at.button if b.label.startswith("Save")).click().run()
    assert "Type an answer first" in words(at.main)
    (box,) = [b for b in at.text_input if (b.key or "").startswith("label_typed_")]
    box.input("12")
    next(b for b in at.button if b.label.startswith("Save")).click().run()
    assert not at.exception
    assert samples.outcomes(open_store(), session) == [(Outcome.CORRECT, "gold"), (Outcome.WRONG, "gold")]
    (search,) = [b for b in at.button if b.key == "label_search_last"]
    search.click().run()
    assert at.session_state["question"] == CATS.text and at.session_state["answer"] == "12"


def test_a_hostile_answer_is_shown_and_never_interpreted() -> None:
    samples.asked(open_store(), CATS, HOSTILE)
    at = opened()
    assert "<script>alert(1)</script>" in words(at.main) and "⟨U+202E⟩" in words(at.main)
    markdown = [m.value for m in at.main.markdown]
    assert not [m for m in markdown if re.search(r"(?<!\\)(?:<script>|\]\(javascript|!\[x\])", m)]
    assert "allow_html: true" not in str([m.proto for m in at.main.markdown])
    assert "\u202e" not in sent(at.main)


def test_filters_are_in_the_address_and_a_wrong_one_is_passed_over() -> None:
    samples.asked(open_store(), CATS, "[[12]]")
    samples.asked(open_store(), replace(CATS, topic="legs"), "[[13]]")
    assert "No stored answer is in this queue" in words(opened().main)
    at = opened(which="all", outcome_is="wrong")
    assert "0 of 1 done" in words(at.main) and "[[" in words(at.main)
    assert "0 of 2 done" in words(opened(which="all", outcome_is="nonsense", people="17", queue="?").main)
    assert at.query_params["which"] == "all"


def test_a_disagreement_shows_who_said_what_and_is_settled() -> None:
    store = open_store()
    session = samples.asked(store, CATS, "So it is 13")
    labeling, wanted = Labeling(store), QueueFilter(which="all", overlap=0)
    labeling.sync()
    for name, verdict in (("Ada", "right"), ("Ben", "wrong")):
        who = labeling.sit_down(name)
        target = labeling.next(who, wanted)
        assert target is not None
        labeling.judge(who, target, verdict)  # type: ignore[arg-type]
    at = opened("Eve", queue="settle")
    assert "Ada: **Right**" in words(at.main) and "Ben: **Wrong**" in words(at.main)
    press(at, "right")
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "verdict")]
    assert "Nobody disagrees" in words(at.main)
    agreement = words(opened("Eve", section="agreement").main)
    assert "not defined" not in agreement and "Ada and Ben" in agreement


def test_questions_without_a_known_answer_show_their_question_and_what_was_read_folded_away() -> None:
    samples.asked(open_store(), replace(CATS, answer=None), "[[12]]", "[[13]]")
    at = opened(queue="questions")
    assert CATS.text in words(at.main) and not [b for b in at.button if (b.key or "").startswith("label_right_")]
    assert not at.expander[0].proto.expanded
    assert "1 of 1 done" in words(press(at, "unsure").main)


@pytest.mark.parametrize("section", ["agreement", "import", "export"])
def test_every_section_is_drawn_on_an_empty_store_and_on_a_full_one(section: str) -> None:
    opened(section=section)
    samples.asked(open_store(), CATS, "[[12]]")
    assert words(opened(section=section).main)


def test_an_import_is_shown_before_it_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    session = samples.asked(open_store(), replace(CATS, answer=None), "[[12]]")
    at = opened(section="import")
    at.file_uploader(key="label_file").upload(
        "gold.csv", f'question,answer\n"{CATS.text}",12\n'.encode(), "text/csv"
    ).run()
    assert not at.exception
    assert "1 known answer would be written." in words(at.main)
    assert samples.outcomes(open_store(), session) == [(Outcome.UNGRADED, None)]
    at.button(key="label_write").click().run()
    assert samples.outcomes(open_store(), session) == [(Outcome.CORRECT, "gold")]
    assert "1 known answer written." in words(at.main)


def test_exported_labels_are_imported_as_what_they_are() -> None:
    samples.asked(open_store(), CATS, "So it is 13")
    press(opened(), "wrong")
    rows = "".join(json.dumps(row) + "\n" for row in label_rows(open_store()))
    at = opened("Ben", section="import")
    at.file_uploader(key="label_file").upload("labels.jsonl", rows.encode(), "text/plain").run()
    assert not at.exception and at.button(key="label_write").label == "Write 1 label"
    at.button(key="label_write").click().run()
    assert not at.exception and [r["value"] for r in label_rows(open_store())] == ["wrong", "wrong"]
    assert {r["kind"] for r in label_rows(open_store())} == {"verdict"}


def test_columns_that_leave_a_choice_are_asked_for() -> None:
    samples.asked(open_store(), replace(CATS, answer=None), "[[12]]")
    at = opened(section="import")
    table = f'question,label,target\n"{CATS.text}",12,13\n'.encode()
    at.file_uploader(key="label_file").upload("gold.csv", table, "text/csv").run()
    assert "Several columns may hold the known answers" in words(at.error)
    next(b for b in at.selectbox if b.label == "Known answer").set_value("label").run()
    assert not at.exception and "1 known answer would be written." in words(at.main)


def test_a_labelled_outcome_says_so_where_the_session_is_shown() -> None:
    store = open_store()
    session = samples.asked(store, CATS, "So it is 13", "[[12]]")
    press(opened(), "right")
    at = drawn(session=session)
    assert "Labelled" in words(at.main)
    exported = store.export_session(session)["session"]["calls"]
    assert [call["labelled"] for call in exported] == ["verdict", None]
