"""What the drop-in endpoint reads in an upstream's answer is what the project's own client reads there."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.proxy.pairs import judge
from tale_core.proxy.reading import read
from tale_core.types import Question

WITHIN = {"prompt_tokens": 18, "completion_tokens": 311, "total_tokens": 329}
BESIDE = {"prompt_tokens": 32, "completion_tokens": 9, "total_tokens": 135,
          "completion_tokens_details": {"reasoning_tokens": 94}}  # fmt: skip
CACHED = {"input_tokens": 20, "cache_creation_input_tokens": 100, "cache_read_input_tokens": 300, "output_tokens": 11}
PARTS = [
    {"type": "thinking", "thinking": [{"type": "text", "text": "Six sevens."}]},
    {"type": "text", "text": "[[42]]"},
]


def whole(content: Any = "[[42]]", **more: Any) -> bytes:
    return json.dumps({"choices": [{"message": {"content": content}, "finish_reason": "stop"}], **more}).encode()


def stream(*documents: dict[str, Any]) -> bytes:
    return b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in documents) + b"data: [DONE]\n\n"


PIECE = {"choices": [{"index": 0, "delta": {"content": "[[42]]"}}]}
END = {"index": 0, "delta": {}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("body", "tokens"),
    [
        (whole(usage=BESIDE), (32, 103, 94)),
        (whole(usage={"prompt_tokens": 30, "completion_tokens": 14, "total_tokens": 444}), (30, 414, 400)),
        (whole(usage=CACHED), (420, 11, None)),
        (stream(PIECE, {"choices": [END], "x_groq": {"usage": WITHIN}}), (18, 311, None)),
        (stream(PIECE, {"choices": [END | {"usage": WITHIN}]}), (18, 311, None)),
        (stream(PIECE, {"choices": [END], "usage": WITHIN}, {"choices": [], "usage": None}), (18, 311, None)),
    ],
    ids=["beside", "in the total", "through a cache", "groq's corner", "in the choice", "then null"],
)
def test_tokens_are_read_by_every_name_and_thinking_is_counted(body: bytes, tokens: tuple[Any, ...]) -> None:
    found = read(body, model="m")
    assert (found.prompt_tokens, found.completion_tokens, found.thinking_tokens) == tokens
    assert (found.text, found.finish_reason, found.estimated) == ("[[42]]", "stop", False)


@pytest.mark.parametrize(
    "body",
    [
        whole(PARTS), whole("<think>6 x 7</think>[[42]]"),
        stream({"choices": [{"index": 0, "delta": {"content": PARTS}}]}, {"choices": [END]}),
    ],
    ids=["parts", "marks", "streamed parts"],
)  # fmt: skip
def test_thinking_is_no_text_and_is_counted_where_the_endpoint_does_not(body: bytes) -> None:
    found = read(body, model="m")
    assert found.text == "[[42]]" and found.estimated and (found.completion_tokens or 0) > 6


MANY_LINES = b'data: {"choices": [{"index": 0,\ndata: "delta": {"content": "[[42]]"}}]}\n\n'
COUNTED = {"choices": [END], "usage": WITHIN}


@pytest.mark.parametrize(
    "body",
    [
        b"\xef\xbb\xbf" + stream(PIECE, COUNTED), stream(PIECE, COUNTED).replace(b"\n", b"\r\n"),
        stream(PIECE, COUNTED).replace(b"\n", b"\r"), MANY_LINES + stream(COUNTED),
        b"\n".join(json.dumps(one).encode() for one in (PIECE, COUNTED)),
        b": keep-alive\n\nevent: message\n" + stream(PIECE, COUNTED),
        whole(usage=WITHIN),
    ],
    ids=["a mark of its order", "CR LF", "CR", "data over lines", "a document a line", "keep-alives", "whole"],
)  # fmt: skip
def test_events_are_cut_as_the_client_cuts_them(body: bytes) -> None:
    found = read(body, model="m")
    assert (found.text, found.prompt_tokens, found.completion_tokens) == ("[[42]]", 18, 311)


CALL = {"name": "add", "arguments": json.dumps({"numbers": list(range(40))})}
SECOND = {"index": 1, "message": {"content": "forty-two " * 20}, "finish_reason": "stop"}


@pytest.mark.parametrize(
    ("body", "least"),
    [
        (whole(None, choices=[{"message": {"tool_calls": [{"function": CALL}]}, "finish_reason": "tool_calls"}]), 60),
        (whole(None, choices=[{"message": {"function_call": CALL}, "finish_reason": "function_call"}]), 60),
        (whole(choices=[{"index": 0, "message": {"content": "[[42]]"}, "finish_reason": "stop"}, SECOND]), 40),
        (stream(PIECE, {"choices": [{"index": 1, "delta": {"content": "forty-two " * 20}}]}, {"choices": [END]}), 40),
        (json.dumps({"output": [{"type": "function_call", **CALL}]}).encode(), 60),
    ],
    ids=["a tool", "a function", "a second choice", "a second choice in a stream", "a tool of the Responses API"],
)
def test_all_that_a_model_wrote_is_counted_where_the_endpoint_does_not(body: bytes, least: int) -> None:
    found = read(body, model="m")
    assert found.estimated and (found.completion_tokens or 0) > least
    assert "forty-two" not in found.text


@pytest.mark.parametrize(
    "body",
    [
        b'{"error": {"message": "overloaded", "code": 503}}', stream(PIECE, {"error": {"message": "overloaded"}}),
        b"event: error\ndata: overloaded\n\n", b'{"detail": "Model is overloaded"}',
    ],
)  # fmt: skip
def test_an_error_in_an_answers_place_is_no_answer(body: bytes) -> None:
    assert read(body, model="m").failed and not read(stream(PIECE), model="m").failed


def test_two_answers_without_a_text_do_not_agree() -> None:
    assert judge(Question("What is 6 x 7?"), "", " ") == "unread"
    assert judge(Question("Why?"), "Since.", "Since.") == "agree"


NAMES = (
    "choices message delta content usage prompt_tokens completion_tokens response type output text tool_calls error "
    "logprobs finish_reason index x_groq"
)
ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers(-5, 10**13) | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES.split()), inner, max_size=4),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.lists(ANYTHING, max_size=3), st.sampled_from(["", " ", "m"]))
def test_whatever_an_upstream_sends_is_read_and_never_raises(documents: list[Any], model: str) -> None:
    lines = b"".join(f"data: {json.dumps(one)}\n\n".encode() for one in documents)
    read(lines, model=model, upstream="https://api.x.ai/v1")
    for one in documents:
        read(json.dumps(one).encode(), model=model)
