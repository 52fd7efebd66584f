"""One page of the app as a test sees it: AppTest with the words of everything that is sent to the browser."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import pytest
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message
from streamlit.testing.v1 import AppTest

from tale_core.models.choice import ModelChoice, endpoint_choice
from tale_core.runs.runner import runner
from tale_core.settings import REPO_ROOT
from tale_core.store import Store, open_store
from tale_core.types import SessionRecord
from ui.common.run_page import RunPage

QUESTION = "What is six times seven?"


def opened(
    page: str = "app.py", *, session: str | None = None, address: Mapping[str, str] | None = None,
    use: ModelChoice | None = None, **state: object,
) -> AppTest:  # fmt: skip
    """A page, drawn once, in a browser session of its own.

    Args:
        page: Its file; the Ask page's if none is named.
        session: `?session=` of the address.
        address: What else the address says.
        use: An endpoint that was added in Settings and chosen.
        state: More of the browser session's state.
    """
    at = AppTest.from_file(str(REPO_ROOT / "app.py"), default_timeout=60)
    if page != "app.py":
        at.switch_page(page)
    if session is not None:
        at.query_params["session"] = session
    for name, value in (address or {}).items():
        at.query_params[name] = value
    if use is not None:
        at.session_state["session_endpoints"] = {use.key: use}
        at.session_state["chosen_model"] = use.key
    for name, value in state.items():
        at.session_state[name] = value
    return at.run()


def endpoint(base_url: str, model: str) -> ModelChoice:
    return endpoint_choice(model=model, base_url=base_url)


def ask(at: AppTest, question: str = QUESTION, *, answer: str = "42", budget: int | None = None) -> AppTest:
    """Fill the form and press Ask; returns when the Ask has ended."""
    at.text_area(key="question").input(question)
    at.text_input(key="answer").input(answer)
    if budget is not None:
        at.selectbox(key="estimator").select("fixed").run()
        at.number_input(key="fixed_budget").set_value(budget)
    return at.button(key="ask").click().run()


def result(at: AppTest) -> str:
    """The words below the form."""
    return words(at.main).split("template are in Settings.", 1)[1]


def session_id(at: AppTest) -> str:
    return str(at.query_params["session"])


def store() -> Store:
    return open_store()


def stored(at: AppTest) -> SessionRecord:
    return store().get_session(session_id(at))


def words(part: Any) -> str:
    """Every string that the browser is sent for this part, without what keeps Markdown from reading it."""
    return re.sub(r"\\(_|[^\w\s])", r"\1", sent(part)).replace("\u2060", "").replace("\u00a0", " ")


def sent(part: Any) -> str:
    """Every string that the browser is sent for this part, as it is sent."""
    return "\n".join(text for node in part for text in _strings(getattr(node, "proto", None)))


def _strings(message: Any) -> Iterator[str]:
    if not isinstance(message, Message):
        return
    for field, value in message.ListFields():
        for one in value if field.is_repeated else [value]:
            if field.type == FieldDescriptor.TYPE_MESSAGE and isinstance(one, Message):
                yield from _strings(one)
            elif field.type == FieldDescriptor.TYPE_STRING:
                yield str(one)
            elif field.type == FieldDescriptor.TYPE_BYTES:
                yield one.decode("utf-8", errors="replace")
            elif isinstance(one, str):  # A key of a map.
                yield str(value[one])


@contextmanager
def unfollowed() -> Iterator[None]:
    """Pages are drawn once and do not wait for what runs, as where the reader clicks elsewhere at once."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RunPage, "follow", lambda page, job: None)
        yield


def started(at: AppTest, press: Callable[[AppTest], object], address: str = "session") -> Any:
    """Start something and leave the page before it ends; its job."""
    with unfollowed():
        press(at)
    job = runner().get(str(at.query_params[address]))
    assert job is not None
    return job


def press_again(at: AppTest, key: str) -> None:
    """What the second half of a double click does: the browser still has the old address."""
    at.query_params.clear()
    with unfollowed():
        at.run().button(key=key).click().run()
