"""The sentence at which an answer is settled, marked on Ask and on Label, and what Fine-tune makes of it."""

from __future__ import annotations

from tale_core.calls.settling import closed_at, places
from tale_core.labels import Labeling
from tale_core.labels.marks import markable, sentences
from tale_core.labels.training_files import label_rows
from tale_core.store import open_store
from tale_core.types import Outcome
from tests.labels import samples as label_samples
from tests.pages.app_page import opened, words
from tests.pages.test_label_page import opened as label_page
from tests.pages.test_label_page import press
from tests.tuning import samples

TEXT = "At first 3 pens. Then 5 more. That makes 8. Let me check it again. Yes, it is right. The answer is [[8]]."


def asked() -> str:
    """A finished Ask whose answer was closed at each of its steps: the model knows it after the third sentence."""
    call = samples.call("x", "vanilla", TEXT, 40, extracted="8", extracted_by="brackets")
    known = len("".join(sentences(call)[:3]))
    probes = [
        samples.call(
            "x", "forced", "8]]" if end >= known else "3]]", 3, messages=closed_at(call, end).messages,
            requested_budget=round(40 * end / len(TEXT)), extracted="8" if end >= known else "3",
            outcome=Outcome.CORRECT if end >= known else Outcome.WRONG,
        )
        for end in places(call)
    ]  # fmt: skip
    return samples.asked(samples.question(3), [call, *probes])


def test_ask_suggests_where_the_models_answer_stopped_changing_and_only_a_press_marks_it() -> None:
    session = asked()
    at = opened(session=session)
    assert not at.exception
    key = f"mark_vanilla_{session}"
    assert at.radio(key=f"{key}_sentence_3").value == 3 and "Chosen at first: sentence 3" in words(at.main)
    assert label_rows(open_store()) == []
    at.button(key=f"{key}_press").click().run()  # Without a name.
    assert not at.exception and "cannot be used" in words(at.main) and label_rows(open_store()) == []
    at.text_input(key=f"{key}_name").input("Ada")
    at.radio(key=f"{key}_sentence_3").set_value(4).run()
    at.button(key=f"{key}_press").click().run()
    assert not at.exception and "You marked sentence 4 of 6." in words(at.main)
    (row,) = label_rows(open_store())
    assert (row["kind"], row["value"], row["annotator"]) == ("mark", "4", "Ada")
    again = opened(session=session, label_annotator="Ada")
    assert again.radio(key=f"{key}_sentence_3").value == 4 and "Chosen at first" not in words(again.main)
    at.button(key=f"{key}_undo").click().run()
    assert not at.exception and label_rows(open_store()) == []


def test_label_marks_with_m_beside_the_verdict_and_settles_what_two_marked_differently() -> None:
    asked()
    at = press(label_page(which="all", people="all"), "mark")
    (box,) = [r for r in at.radio if (r.key or "").startswith("label_sentence_")]
    assert box.value == 3 and not [b for b in at.button if (b.key or "").startswith("label_right_")]
    press(at, "mark_save")
    assert "You marked sentence 3 of 6." in words(at.main) and "Sentence 3" in words(at.main)
    bob = press(label_page("Bob", which="all", people="all"), "mark")
    assert "You marked" not in words(bob.main)  # Nobody is told what another one marked.
    next(r for r in bob.radio if (r.key or "").startswith("label_sentence_")).set_value(2).run()
    press(bob, "mark_save")
    eve = label_page("Eve", queue="settle")
    shown = words(eve.main)
    assert "Ada: **Sentence 3**" in shown and "Bob: **Sentence 2**" in shown
    assert not [b for b in eve.button if (b.key or "").startswith(("label_right_", "label_gold_"))]
    next(b for b in eve.button if b.label.startswith("Sentence 3")).click().run()
    assert not eve.exception and "Nobody disagrees" in words(eve.main)
    agreement = words(label_page(section="agreement").main)
    assert "0 of 1 answers that several people marked" in agreement and "Marked sentences" in agreement


def test_an_answer_of_one_sentence_offers_no_mark() -> None:
    label_samples.asked(open_store(), samples.question(3), "So it is [[8]]")
    assert not [b for b in label_page(which="all").button if (b.key or "").startswith("label_mark_")]


def test_fine_tune_counts_the_marked_answers_apart() -> None:
    session = asked()
    labeling, store = Labeling(open_store()), open_store()
    found = markable(store.get_session(session).calls[0], samples.question(3))
    assert found is not None
    labeling.mark(labeling.sit_down("Ada"), found, 3)
    at = opened("pages/Fine-tune.py", tune_base=samples.BASE, tune_held_out=0)
    assert not at.exception and "1 of them is an answer up to the sentence that a person marked" in words(at.main)
