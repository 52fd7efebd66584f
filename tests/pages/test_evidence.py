"""What an empty page opens on: a real run that ships with the program, marked as recorded, one click from one's own."""

from __future__ import annotations

import pytest

from tale_core.elasticity.finding import sweep_finding
from tale_core.elasticity.view import SweepView
from tale_core.i18n import use_language
from tale_core.lessons import lesson
from tale_core.lessons.arc import borrowed_words
from tale_core.lessons.recorded import in_language, rebounding
from tale_core.lessons.replay import whole
from tale_core.models.adapters import registry as adapters
from tale_core.search.text import finding as search_finding
from tale_core.search.view import SearchView
from tale_core.settings import DATA_ROOT
from tale_core.tuning.evaluation import result_document, results_of
from tests.pages import experiment_samples
from tests.pages.app_page import opened, sent, words
from ui.common.answer import RAW
from ui.finetune import text as tuning_words


@pytest.mark.parametrize("page", ["Search", "Elasticity"])
@pytest.mark.parametrize("spoken", ["en", "zh"])
def test_an_empty_page_shows_a_recorded_run_and_one_click_takes_it_into_the_form(page: str, spoken: str) -> None:
    recording = in_language("search", spoken) if page == "Search" else rebounding(spoken)  # type: ignore[arg-type]
    view = whole(recording)
    with use_language(spoken):  # type: ignore[arg-type]
        if isinstance(view, SearchView):
            found = search_finding(view)
        else:
            assert isinstance(view, SweepView)
            found = sweep_finding(view)
            assert view.result is not None and view.result.rebound is not None, "the page about the rebound shows one"
        mark, borrowed = lesson.mark(recording), borrowed_words()
    at = opened(f"pages/{page}.py", address={"lang": spoken})
    text = words(at.main)
    assert (borrowed in text) == (view.question.language != spoken)
    assert not at.exception and mark in text and found in text and view.question.text in text
    assert at.text_area(key="question").value in (None, "")
    if spoken != "en":
        return  # AppTest says what was chosen in English, and finds it in no Chinese list.
    at.button(key="evidence_mine").click().run()
    assert not at.exception and at.text_area(key="question").value == view.question.text
    assert at.text_input(key="answer").value == view.question.answer


def test_experiments_and_fine_tune_open_on_what_the_shipped_adapter_was_measured_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(adapters, "SHIPPED", DATA_ROOT / "adapters")
    one = next(a for a in adapters.listing().adapters if a.shipped)
    kept = one.about.results[-1]
    found = results_of(one, kept)
    again = result_document(found)["rows"]  # Read and written again it is the same, but for what was not kept.
    for row, before in zip(again, kept["rows"], strict=True):
        assert {name: row[name] for name in before} == before
    at = opened("pages/Experiments.py")
    text = words(at.main)
    assert not at.exception and f"Recorded: {found.model}, {kept['at'][:10]}" in text
    assert "The paper’s numbers" in text
    assert not at.session_state["exp_setup"]
    at.button(key="evidence_mine").click().run()
    assert at.session_state["exp_setup"]
    at = opened("pages/Fine-tune.py")
    assert not at.exception
    assert words(at.main).index(tuning_words.finding(one, kept)) < words(at.main).index("A new training")


def test_an_experiment_of_ones_own_takes_the_place_of_the_example(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "SHIPPED", DATA_ROOT / "adapters")
    experiment_samples.kept()
    at = opened("pages/Experiments.py")
    assert not at.exception and "Recorded:" not in words(at.main) and "Earlier experiments" in words(at.main)


def test_label_and_history_show_recorded_answers_and_where_they_stand() -> None:
    recording = in_language("ask", "en")
    at = opened("pages/Label.py")
    assert not at.exception and lesson.mark(recording) in words(at.main)
    assert recording.session.question.text in words(at.main)
    assert "$$\\text{Number of days} =" in sent(at.main) and at.toggle(key=RAW).label == "Raw text"
    at = opened("pages/History.py")
    assert not at.exception
    for shown in (in_language("ask", "en"), in_language("search", "en"), rebounding("en")):
        assert lesson.finding(shown) in words(at.main)
