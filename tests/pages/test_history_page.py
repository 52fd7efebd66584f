"""The History page: what it lists, how the address holds it, comparing, deleting with undo, and files out and in."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.history.filters import Filters, filters_from, place_from, place_words
from tale_core.store import Archive, History, Place, SessionFilter, Trash, export_archive, open_store
from tale_core.types import Outcome, Question
from tests.pages import experiment_samples, search_samples, sweep_samples
from tests.pages.app_page import endpoint, opened, sent, store, words
from tests.store import samples
from tests.store.test_history import kept

START = datetime(2026, 5, 1, 12, tzinfo=UTC)
HOSTILE = "<img src=x onerror=alert(1)> **bold** $x^2$ [link](http://evil) \u202eabc :red[x] `code`"


def history(address: dict[str, str] | None = None, **state: object) -> AppTest:
    """The History page, drawn once, in a browser session of its own; its model has not to be fetched."""
    use = endpoint("http://127.0.0.1:9/v1", "ok")
    return fine(opened("pages/History.py", address=address, use=use, **state))


def fine(at: AppTest) -> AppTest:
    assert not at.exception
    return at


def many(n: int, **fields: Any) -> list[str]:
    """Sessions from old to new; their ids."""
    return [
        kept(store(), f"Question {i}", "an answer", created_at=START + timedelta(days=i), **fields) for i in range(n)
    ]


def listed(at: AppTest) -> list[str]:
    return [link.proto.label.replace("\\", "") for link in at.main.get("page_link")]


def address(at: AppTest) -> dict[str, str]:
    return {name: str(at.query_params[name]) for name in at.query_params}


def choose(at: AppTest, *ids: str) -> AppTest:
    for id in ids:
        at.checkbox(key=f"hist_pick_{id}").check().run()
    return fine(at)


def test_an_empty_store_says_what_will_stand_here_and_can_be_filled_from_an_archive() -> None:
    at = history()
    assert "Nothing is stored yet" in words(at.main) and listed(at) == ["Ask a question"]
    assert [e.label for e in at.expander] == ["Export and import"]
    assert not at.warning and not at.error


def test_every_session_is_a_link_with_what_it_found_in_a_line() -> None:
    kept(store(), "An ask", model="phi-3", created_at=START, calls=(
        samples.call("", "vanilla", status="done", completion_tokens=258, outcome=Outcome.CORRECT),
        samples.call("", "budgeted", status="done", completion_tokens=79, outcome=Outcome.WRONG),
    ))  # fmt: skip
    search_samples.saved(search_samples.view())
    store().create_session(sweep_samples.session(sweep_samples.rebound(), "sweep-sample"))
    experiment_samples.kept(experiment_samples.plan(4))
    failed = kept(store(), "A failed one", status="failed", error="The endpoint did not answer.", source="recorded")
    at = history()
    said = words(at.main)
    assert "79 tokens under the budget" in said and "258 without a budget" in said
    assert "budget 41 is enough: 37 tokens instead of 258" in said
    assert "4 questions, 12 answers" in said and "5 sessions" in said
    assert "Failed" in said and "Recorded" in said and "phi-3" in said
    links = {link.proto.label.replace("\\", ""): link.proto for link in at.main.get("page_link")}
    assert links["A failed one"].page == "pages/Ask" or failed in str(links["A failed one"])
    assert len(links) == 5


def test_an_answer_that_a_content_filter_refused_is_not_said_to_have_failed() -> None:
    kept(store(), "A refused one", calls=(
        samples.call("", "budgeted", status="done", completion_tokens=3, outcome=Outcome.ERROR,
                     finish_reason="content_filter"),
    ))  # fmt: skip
    said = words(history().main)
    assert "3 tokens under the budget" in said and ":material/block: Refused" in said and "error: Failed" not in said


def test_the_list_is_walked_and_its_place_is_in_the_address() -> None:
    many(45)
    at = history()
    assert listed(at) == [f"Question {i}" for i in range(44, 24, -1)] and "45 sessions" in words(at.main)
    assert at.button(key="hist_newer").disabled
    fine(at.button(key="hist_older").click().run())
    assert listed(at) == [f"Question {i}" for i in range(24, 4, -1)]
    there = history(address(at))
    assert listed(there) == listed(at)
    fine(at.button(key="hist_older").click().run())
    assert listed(at) == [f"Question {i}" for i in range(4, -1, -1)] and at.button(key="hist_older").disabled
    fine(at.button(key="hist_newer").click().run())
    assert listed(at) == listed(there)


def test_filters_are_in_the_address_and_begin_at_the_newest() -> None:
    many(25)
    kept(store(), "A wrong 课堂", "[[7]]", kind="search", model="phi-3", outcome=Outcome.WRONG, created_at=START)
    at = history()
    at.button(key="hist_older").click().run()
    at.text_input(key="hist_text").input("课堂 7").run()
    assert address(at) == {"q": "课堂 7"} and listed(at) == ["A wrong 课堂"]
    at.radio(key="hist_kind").set_value("search").run()
    at.selectbox(key="hist_model").select("phi-3").run()
    at.selectbox(key="hist_outcome").select("wrong").run()
    at.date_input(key="hist_first").set_value(START.date()).run()
    at.date_input(key="hist_last").set_value(START.date()).run()
    expected = {"q": "课堂 7", "kind": "search", "model": "phi-3", "outcome": "wrong", "from": "2026-05-01"}
    assert address(fine(at)) == expected | {"to": "2026-05-01"}
    assert listed(at) == ["A wrong 课堂"] and "1 session fits" in words(at.main)
    again = history(address(at))
    assert listed(again) == ["A wrong 课堂"] and again.selectbox(key="hist_model").value == "phi-3"
    assert again.text_input(key="hist_text").value == "课堂 7"
    at.selectbox(key="hist_status").select("failed").run()
    assert "No session fits" in words(at.main)
    fine(at.button(key="hist_all").click().run())
    assert address(at) == {} and len(listed(at)) == 20 and at.text_input(key="hist_text").value == ""


@pytest.mark.parametrize(
    "made_up",
    [
        {"kind": "virus", "status": "x", "outcome": "1", "source": "..", "from": "yesterday", "to": "0001-01-01"},
        {"after": "nonsense"}, {"after": "~"}, {"before": "20260501T000000.000000"}, {"model": "no such model"},
        {"q": '"' * 500}, {"q": "\x00"}, {"a": "ask-x"}, {"from": "9999-12-31"},
        {"after": f"{'9' * 40}~x"}, {"model": HOSTILE},
    ],
    ids=str,
)  # fmt: skip
def test_an_address_that_somebody_made_up_shows_a_page(made_up: dict[str, str]) -> None:
    many(2)
    at = history(made_up)
    assert not at.error


def test_what_others_wrote_is_shown_as_it_stands() -> None:
    kept(store(), HOSTILE, HOSTILE, model=HOSTILE[:60])
    id = kept(store(), HOSTILE, HOSTILE, created_at=START)
    at = history()
    assert "⟨U+202E⟩" in words(at.main) and "\u202e" not in sent(at.main)
    shown = sent(at.main.get("page_link")) + sent(at.main.caption) + sent(at.main.markdown)
    assert "**bold**" not in shown and "\\*\\*bold\\*\\*" in shown
    compared = history({"a": id, "b": id})
    drawn = sent(compared.main.markdown)
    assert "\u202e" not in sent(compared.main)
    assert all(sign in drawn for sign in ("\\[link\\](", "\\<img", "\\:red\\[", "\\$x"))


def test_two_chosen_sessions_are_compared_by_a_link() -> None:
    ids = many(3)
    at = choose(history(), ids[0])
    assert at.button(key="hist_compare").disabled
    choose(at, ids[2])
    fine(at.button(key="hist_compare").click().run())
    assert address(at) == {"a": ids[0], "b": ids[2]}
    assert "Two different questions" in at.subheader[0].value
    fine(at.button(key="hist_back").click().run())
    assert address(at) == {} and at.checkbox(key=f"hist_pick_{ids[0]}").value
    fine(at.button(key="hist_none").click().run())
    assert not at.checkbox(key=f"hist_pick_{ids[0]}").value and at.button(key="hist_delete").disabled


def test_a_link_to_a_session_leads_to_its_page_from_here_too() -> None:
    id = kept(store(), "An ask", "text")
    at = history({"session": id})
    assert at.text_area(key="question").value == "An ask" and not listed(at)[1:]
    assert history({"session": "nonsense"}).text_input(key="hist_text")


def test_no_day_is_asked_for_until_one_is_chosen() -> None:
    many(1)
    at = history()
    assert at.date_input(key="hist_first").value is None and at.date_input(key="hist_last").value is None
    at.text_input(key="hist_text").input("Question").run()
    assert address(at) == {"q": "Question"}


def test_a_choice_outlives_pages_and_filters() -> None:
    ids = many(25)
    at = choose(history(), ids[24])
    at.button(key="hist_older").click().run()
    choose(at, ids[0])
    at.text_input(key="hist_text").input("nothing like it").run()
    assert not at.button(key="hist_compare").disabled


def test_a_comparison_says_what_is_the_same_and_what_differs() -> None:
    def answered(tokens: int, text: str, **fields: Any) -> str:
        call = samples.call("", "vanilla", status="done", text=text, completion_tokens=tokens, outcome=Outcome.CORRECT)
        return kept(store(), "One question", calls=(call,), **fields)

    left = answered(60, "six times seven makes 42", model="phi-3")
    right = answered(120, "six times seven is 42")
    at = history({"a": left, "b": right})
    said = at.subheader[0].value.replace("\\", "")
    assert "The same question; what differs: model." in said
    assert "The left answer took 60 tokens, the right one 120: 50 % fewer on the left." in said
    table = at.table[0].value
    assert list(table.iloc[0]) == ["**Model**", "phi\\-3", "scripted"] and "the same" in str(table)
    assert ":gray-background[makes]" in sent(at.main) and ":blue-background[is]" in sent(at.main)
    assert "Both sides are the same session" in history({"a": left, "b": left}).subheader[0].value


def test_sessions_of_any_kinds_can_be_compared() -> None:
    ids = [kept(store(), "An ask", "text"), search_samples.saved(search_samples.view())]
    ids += [store().create_session(sweep_samples.session(sweep_samples.rebound(), "sweep-sample")).id]
    ids += [experiment_samples.kept()]
    ids += [kept(store(), "nothing in it"), kept(store(), "unreadable", kind="search", plan={"x": 1}, result={"y": 2})]
    for other in ids:
        at = history({"a": ids[0], "b": other})
        assert len(at.table) == 1 and not at.error
    both = history({"a": ids[3], "b": ids[3]})
    cells = both.table[0].value
    assert "Fixed budget of 50 tokens" in list(cells["What"]) and "% of" in " ".join(cells["On the left"])


def test_a_session_that_is_gone_is_told_in_a_comparison() -> None:
    at = history({"a": kept(store()), "b": "ask-gone"})
    assert "There is no session ask-gone here" in words(at.warning)
    assert history({"a": "experiment-gone", "b": "<b>"}).warning


def test_a_deletion_can_be_undone_at_once_and_for_thirty_days() -> None:
    ids = many(3)
    at = choose(history(), ids[0], ids[1])
    fine(at.button(key="hist_delete").click().run())
    assert listed(at) == ["Question 2"] and "2 sessions deleted" in words(at.main)
    assert "In the trash until" in words(at.main)
    fine(at.button(key="hist_undo").click().run())
    assert listed(at) == ["Question 2", "Question 1", "Question 0"] and store().count_sessions() == 3
    choose(at, ids[0])
    fine(at.button(key="hist_delete").click().run())
    assert "Deleted: Question 0" in words(at.main)
    fine(at.switch_page("pages/Settings.py").run())
    fine(at.switch_page("pages/History.py").run())
    assert listed(at) == ["Question 2", "Question 1"] and "Deleted: Question 0" not in words(at.main)
    fine(at.button(key=f"hist_undo_{ids[0]}").click().run())
    assert len(listed(at)) == 3


def test_whoever_empties_the_trash_means_what_it_showed() -> None:
    ids = many(3)
    Trash(store()).delete(ids[:1])
    at = history()
    Trash(store()).delete(ids[1:2])
    fine(at.button(key="hist_empty").click().run())
    assert [one.session_id for one in Trash(store()).pending()] == ids[1:2]


def test_a_reload_or_another_person_can_still_undo_until_its_moment() -> None:
    ids = many(2)
    choose(history(), ids[0]).button(key="hist_delete").click().run()
    at = history()
    assert at.expander[0].label == "Trash"
    fine(at.switch_page("pages/Settings.py").run())
    fine(at.switch_page("pages/History.py").run())
    fine(at.button(key=f"hist_undo_{ids[0]}").click().run())
    assert len(listed(at)) == 2


def test_a_deletion_undone_elsewhere_is_no_error() -> None:
    (id,) = many(1)
    at = choose(history(), id)
    at.button(key="hist_delete").click().run()
    Trash(store()).undo(id)
    fine(at.run())
    assert listed(at) == ["Question 0"] and not at.error


def test_a_running_session_stays_and_the_page_says_why() -> None:
    running = store().create_session(samples.session(question=Question("still going"))).id
    at = choose(history(), running)
    fine(at.button(key="hist_delete").click().run())
    assert "still running: stop it first" in words(at.warning) and listed(at) == ["still going"]


def test_the_sidebar_leads_to_all_sessions() -> None:
    kept(store())
    at = opened()
    fine(at.button(key="all_sessions").click().run())
    assert listed(at) == ["How many legs?"]


def test_a_search_that_takes_too_long_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    from tale_core.store import text_search

    many(3)
    monkeypatch.setattr(text_search, "FEW", -1)
    monkeypatch.setattr(text_search, "LIMIT_S", -1.0)
    monkeypatch.setattr(text_search, "STEPS", 1)
    at = history({"q": "not there"})
    assert "took too long" in words(at.error) and at.text_input(key="hist_text").value == "not there"


def test_the_page_speaks_chinese_and_its_links_keep_that() -> None:
    (id,) = many(1)
    at = history({"lang": "zh"})
    assert "历史" in words(at.main) and "1 个会话" in words(at.main) and "全部会话" in words(at.sidebar)
    assert "两个会话并排比较" in words(history({"a": id, "b": id, "lang": "zh"}).main)
    at.text_input(key="hist_text").input("Question").run()
    assert address(fine(at)) == {"q": "Question", "lang": "zh"}


# --- files


def test_what_is_chosen_filtered_or_all_can_be_saved(tmp_path: Path) -> None:
    from ui.history.archive import written

    ids = many(3)
    at = choose(history({"q": "Question"}), ids[1])
    asked = Filters(text="Question", last=START.date() + timedelta(days=1))
    radio = at.radio(key="hist_export_what")
    assert radio.options == ["Everything: 3 sessions", "What the filters leave", "The 1 chosen session"]
    for what, expected in (("all", 3), ("filter", 2), ("chosen", 1)):
        path = tmp_path / f"{what}.zip"
        path.write_bytes(written(what, asked, (ids[1],)))
        with Archive(path) as archive:
            assert archive.manifest.sessions == expected
    assert len(at.main.get("download_button")) == 1


def test_more_than_a_page_can_write_is_left_to_the_command_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ui.history.archive.MOST", 2)
    many(3)
    at = history()
    assert "python -m tale_core export" in at.code[0].value and not at.main.get("download_button")


@pytest.fixture
def archive(tmp_path: Path) -> bytes:
    """Three sessions of another machine."""
    there = open_store(f"sqlite:///{tmp_path / 'there' / 'tale.db'}")
    for i in range(3):
        kept(there, f"From there {i}", "x", id=f"ask-there{i}")
    export_archive(there, tmp_path / "there.zip")
    there.close()
    return (tmp_path / "there.zip").read_bytes()


def upload(at: AppTest, data: bytes, name: str = "there.zip") -> AppTest:
    at.file_uploader(key="hist_upload").upload(name, data, "application/zip")
    return until_ended(at)


def until_ended(at: AppTest) -> AppTest:
    deadline = time.monotonic() + 30
    fine(at.run())
    while "hist_archive_job" in at.session_state and at.session_state["hist_archive_job"].view().running:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    return fine(at.run())


def test_an_archive_is_looked_at_first_and_comes_when_asked_for(archive: bytes) -> None:
    kept(store(), "the one here", id="ask-there0")
    at = upload(history(), archive)
    said = words(at.main)
    assert "The archive is whole:" in said and "3 sessions" in said and "2 are new. 1 are here already" in said
    assert store().count_sessions() == 1
    at.button(key="hist_import").click()
    until_ended(at)
    assert "Imported: 2 new, 0 replaced, 1 left as they were." in words(at.success)
    assert store().get_session("ask-there0").question.text == "the one here"
    assert sorted(listed(fine(at.run()))) == ["From there 1", "From there 2", "the one here"]


def test_what_is_here_is_replaced_when_that_is_chosen(archive: bytes) -> None:
    kept(store(), "the one here", id="ask-there0")
    at = upload(history(), archive)
    at.radio(key="hist_existing").set_value("replace").run()
    assert at.button(key="hist_import").label == "Import 3 sessions"
    at.button(key="hist_import").click()
    until_ended(at)
    assert "1 replaced" in words(at.success) and store().get_session("ask-there0").question.text == "From there 0"
    again = upload(history(), archive)
    assert again.button(key="hist_import").disabled and "Everything in it is here already" in words(again.main)


@pytest.mark.parametrize("data", [b"", b"no zip at all"])
def test_a_file_that_is_no_archive_is_refused_in_words(data: bytes) -> None:
    at = upload(history(), data)
    assert "no archive of this program" in words(at.error) and store().count_sessions() == 0


def test_a_damaged_archive_is_refused_in_words(archive: bytes) -> None:
    at = upload(history(), archive[: len(archive) // 2])
    assert words(at.error) and "hist_import" not in {b.key for b in at.button}
    assert History(store()).listing(SessionFilter()).count == 0


# --- addresses


def test_filters_and_places_survive_the_address() -> None:
    asked = Filters('课堂 "two words"', "search", "a&b=c", "done", "wrong", "live", START.date(), START.date())
    assert filters_from(asked.address()) == asked and asked.many == 8
    assert Filters().address() == {} and Filters().session_filter().all
    place = Place(START + timedelta(microseconds=7), "ask-a~b")
    assert place_from(place_words(place)) == place
    whole_day = Filters(first=START.date(), last=START.date()).session_filter()
    assert whole_day.since is not None and whole_day.until is not None
    assert whole_day.until - whole_day.since >= timedelta(hours=23)
