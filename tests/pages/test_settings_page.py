"""The Settings page: the connection test's words, what is remembered, and where keys never go."""

from __future__ import annotations

import socket
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from tale_core.models.embedded import own
from tale_core.prompts import messages as prompts
from tests.models.test_own_models import model_file
from tests.pages.app_page import ask, opened, result, sent, session_id, store, stored, words
from tests.support.bad_endpoint import BadEndpoint

CUSTOM = "Another address"
KEY = "canary-5b1f0c77e9d24a3b-QpLmNoRs"


def settings(at: AppTest | None = None) -> AppTest:
    return opened("pages/Settings.py") if at is None else at.switch_page("pages/Settings.py").run()


def home(at: AppTest) -> AppTest:
    return at.switch_page("app.py").run()


def fill(at: AppTest, url: str, model: str, key: str = "") -> AppTest:
    at.selectbox(key="endpoint_preset").select(CUSTOM).run()
    at.text_input(key=f"endpoint_url_{CUSTOM}").input(url)
    box = at.selectbox(key=f"endpoint_model_{CUSTOM}")
    box.options.append(model)  # Typed, as `accept_new_options` lets a person do.
    box.select(model)
    if key:
        at.text_input(key=f"endpoint_key_{CUSTOM}").input(key)
    return at


def press(at: AppTest, label: str) -> AppTest:
    (button,) = [b for b in at.main.button if b.label == label]
    return button.click().run()


def use(at: AppTest, url: str, model: str, key: str = "") -> AppTest:
    """Use an endpoint; the page leads to the Ask page by itself, and AppTest has to be told to stay there."""
    press(fill(at, url, model, key), "Use this endpoint")
    assert not at.exception and at.text_area(key="question") is not None
    return home(at)


def checked(url: str, model: str = "ok", key: str = "") -> AppTest:
    at = press(fill(settings(), url, model, key), "Test connection")
    assert not at.exception
    return at


def test_the_page_opens_without_an_error_and_asks_nobody() -> None:
    at = settings()
    assert not at.exception and not [e for e in at.main if e.type == "error"]
    for heading in ("Endpoint", "Sampling", "Prompt template"):
        assert heading in words(at.main)


def test_a_working_connection_says_so_and_lists_the_models(bad: BadEndpoint) -> None:
    at = checked(bad.base_url)
    assert "Connected" in words(at.success[0]) and f"ok at {bad.base_url} answered in" in words(at.success[0])
    assert "Models that the endpoint lists" in words(at.main) and "hang-mid-stream" in words(at.main)
    assert store().count_sessions() == 0


@pytest.mark.parametrize(
    ("model", "said"),
    [
        ("401", ("Access refused: check the key", "no key was sent")),
        ("qqqqqqqqqq", ("Model not found", "The endpoint lists:")),
        ("usage-lost", ("Model not found", "Did you mean usage-list")),
        ("html", ("This is not an OpenAI-compatible endpoint", "a web page")),
        ("429-quota", ("The account has no credit left",)),
        ("500", ("The endpoint failed", "simulated 500")),
    ],
)
def test_a_connection_that_does_not_work_is_told_apart(bad: BadEndpoint, model: str, said: tuple[str, ...]) -> None:
    at = checked(bad.base_url, model)
    told = words([e for e in at.main if e.type == "error"])
    for piece in said:
        assert piece in told


def test_a_name_that_is_not_found_and_a_closed_port_are_told_apart() -> None:
    unknown = checked("http://no-such-host.invalid/v1")
    assert "The host name was not found" in words(unknown.error)
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        closed = checked(f"http://127.0.0.1:{unused.getsockname()[1]}/v1")
        assert "Nothing listens at this address" in words(closed.error)


@pytest.mark.parametrize(
    ("url", "model", "said"),
    [
        ("", "ok", "address"),
        ("not an address", "ok", "address"),
        ("http://127.0.0.1:9/v1", " ", "No model was named."),
        ("http://user:secret@127.0.0.1:9/v1", "ok", "key"),
    ],
)
def test_an_address_or_model_that_cannot_be_right_is_refused_at_once(url: str, model: str, said: str) -> None:
    for button in ("Test connection", "Use this endpoint"):
        at = press(fill(settings(), url, model), button)
        told = words([e for e in at.main if e.type == "error"])
        assert not at.exception and said.lower() in told.lower() and "secret" not in told


def test_a_preset_without_its_key_says_where_to_put_it() -> None:
    at = press(settings(), "Test connection")
    assert "No API key for OpenAI was found." in words(at.main) and "OPENAI_API_KEY" in words(at.main)


def test_an_endpoint_that_is_used_is_chosen_on_the_ask_page_and_answers(bad: BadEndpoint) -> None:
    at = use(settings(), bad.base_url, "ok", KEY)
    assert not at.exception and at.selectbox(key="model").value == f"{bad.base_url}|ok"
    ask(at)
    assert not at.exception and "Both right" in at.subheader[0].value
    assert {r.headers["authorization"] for r in bad.requests} == {f"Bearer {KEY}"}


def test_a_typed_key_is_in_nothing_that_the_browser_is_sent_or_the_store_holds(bad: BadEndpoint) -> None:
    for model in ("ok", "401", "500-echo", "echo-in-stream"):
        at = press(fill(settings(), bad.base_url, model, KEY), "Test connection")
        assert KEY not in sent([n for n in at.main if getattr(n, "key", "") != f"endpoint_key_{CUSTOM}"])
        home(press(at, "Use this endpoint"))
        ask(at, budget=20)
        assert not at.exception and KEY not in sent(at) and KEY[:14] not in sent(at) and KEY not in session_id(at)
        assert KEY not in repr(stored(at)) and KEY not in str(store().export_session(session_id(at)))
    assert any(KEY in r.headers.get("authorization", "") for r in bad.requests)


def test_the_key_of_one_browser_session_is_unknown_to_the_next(bad: BadEndpoint) -> None:
    mine = use(settings(), bad.base_url, "ok", KEY)
    ask(mine)
    theirs = opened(session=session_id(mine))
    assert f"{bad.base_url}|ok" not in theirs.selectbox(key="model").options
    assert "session_api_keys" not in theirs.session_state or not theirs.session_state["session_api_keys"]
    seen = len(bad.requests)
    press(fill(settings(theirs), bad.base_url, "ok"), "Test connection")
    assert [r.headers.get("authorization", "") for r in bad.requests[seen:]].count(f"Bearer {KEY}") == 0


def test_what_was_set_survives_going_to_another_page_and_reaches_the_endpoint(bad: BadEndpoint) -> None:
    at = settings()
    at.number_input(key="temperature").set_value(0.7)
    at.number_input(key="seed").set_value(5)
    at.number_input(key="max_tokens").set_value(321)
    at.selectbox(key="effort").select("low")
    at.selectbox(key="template").select(list(prompts.TEMPLATES)[-1]).run()
    home(at)
    settings(at)
    assert (at.number_input(key="temperature").value, at.number_input(key="seed").value) == (0.7, 5)
    assert (at.number_input(key="max_tokens").value, at.selectbox(key="effort").value) == (321, "low")
    assert at.selectbox(key="template").value == list(prompts.TEMPLATES)[-1]
    use(at, bad.base_url, "ok")
    ask(at, budget=20)
    body = bad.requests[-1].body
    assert (body["temperature"], body["seed"], body["reasoning_effort"]) == (0.7, 5, "low")
    assert 321 in (body.get("max_tokens"), body.get("max_completion_tokens"))
    assert {c.prompt_template for c in stored(at).calls} == {list(prompts.TEMPLATES)[-1]}


def test_what_was_typed_on_the_ask_page_survives_a_visit_to_settings() -> None:
    at = opened()
    at.text_area(key="question").input("How much is 2 + 2?")
    at.text_input(key="answer").input("4")
    at.selectbox(key="estimator").select("fixed").run()
    at.number_input(key="fixed_budget").set_value(77)
    at.toggle(key="together").set_value(False).run()
    home(settings(at))
    assert (at.text_area(key="question").value, at.text_input(key="answer").value) == ("How much is 2 + 2?", "4")
    assert at.selectbox(key="estimator").value == "fixed" and at.number_input(key="fixed_budget").value == 77
    assert at.toggle(key="together").value is False


@pytest.mark.parametrize("name", prompts.TEMPLATES)
def test_the_preview_shows_what_is_sent(bad: BadEndpoint, name: str) -> None:
    at = settings()
    at.selectbox(key="template").select(name).run()
    english, chinese = (c.value for c in at.code)
    template = prompts.TEMPLATES[name]
    assert template.budget_part(50) in english and "A baker makes 12 rolls" in english
    assert template.budget_part(50, "zh") in chinese and "面包师" in chinese
    use(at, bad.base_url, "ok")
    ask(at, "A baker makes 12 rolls and sells 5. How many are left?", answer="7", budget=50)
    prompts_sent = ["\n".join(m["content"] for m in r.body["messages"]) for r in bad.requests]
    assert english.strip() in [p.strip() for p in prompts_sent] and "Budget: 50 tokens" in result(at)


def test_a_group_is_shown_tested_and_used() -> None:
    from tale_core.settings import get_settings
    from tests.support.counting_endpoint import CountingEndpoint, Reply

    file = get_settings().data_dir / "endpoint-groups.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    with CountingEndpoint(lambda _: Reply("6 times 7 is [[42]]")) as one, CountingEndpoint(lambda _: Reply()) as dead:
        dead.down()
        addresses = "".join(f'[[lab.endpoints]]\nbase_url = "{e.base_url}"\n' for e in (one, dead))
        file.write_text(f'[lab]\ntitle = "The lab"\n{addresses}')
        at = settings()
        assert "The lab" in words(at.main) and not at.exception
        at = at.button(key="test_group_lab").click().run()
        assert one.base_url in words(at.main) and "Nothing listens" in words(at.main)
        at.button(key="use_group_lab").click().run()
        at = ask(home(at), budget=20)
        assert not at.exception and "Right" in result(at)
        assert {call.endpoint for call in store().get_session(session_id(at)).calls} == {f"group:lab {one.base_url}"}
        dead.up()


def test_a_wrong_file_of_groups_is_told_in_words_on_every_page() -> None:
    from tale_core.settings import get_settings

    file = get_settings().data_dir / "endpoint-groups.toml"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text("[lab")
    at = settings()
    assert not at.exception and "cannot be read as groups" in words(at)


def test_a_file_of_ones_own_is_chosen_checked_and_asked_from_then_on(tmp_path: Path) -> None:
    path = model_file(tmp_path / "mine.gguf")
    (tmp_path / "no.gguf").write_bytes(b"PK" + b"x" * 40)

    def choose(at: AppTest, name: str) -> AppTest:
        box = at.selectbox(key="model_file")
        box.options.append(str(tmp_path / name))  # Typed, as `accept_new_options` lets a person do.
        box.select(str(tmp_path / name))
        return press(at, "Use this file")

    at = choose(settings(), "no.gguf")
    assert not at.exception and "does not begin with GGUF" in words(at.main)
    at = choose(at, "mine.gguf")
    assert not at.exception
    name = own.take(str(path)).name
    assert at.session_state["chosen_model"] == f"embedded:{name}"
    assert f"{name}" in words(settings(at).main).replace("\\", "")
    assert "thinking can be turned off" in words(at.main)
