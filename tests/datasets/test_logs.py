"""Logs of other evaluation tools: recognised by their shape, read as predictions, refused where they cannot be."""

from __future__ import annotations

import io
import json
import struct
import zipfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.datasets import log_archive
from tale_core.datasets.chats import last_user
from tale_core.datasets.predictions import Predictions, read_predictions
from tale_core.errors import InputError
from tests.support import log_files as logs
from tests.support.log_files import JARS, PENS, jsonl


def read(data: bytes, name: str = "log.jsonl") -> Predictions:
    return read_predictions(name, data)


def only(data: bytes, name: str = "log.jsonl"):
    found = read(data, name)
    assert len(found.rows) == 1, found
    return found.rows[0]


def reasons(found: Predictions) -> list[str]:
    return [p.reason for p in found.problems]


# --- lm-evaluation-harness


def test_the_harness_is_read_with_its_own_targets_each_answer_once_for_all_filters():
    found = read(logs.harness(), "samples_gsm8k_2026-01-01T00-00-00.000000.jsonl")
    assert (found.shape, found.more, found.strategies, found.problems) == ("lm-eval", 1, ("lm-eval",), ())
    assert [(r.question.text, r.question.answer, r.text) for r in found.rows] == [
        (JARS, "13", "9+4 is 13. The answer is 13."), (PENS, "8", "It is 7."),
    ]  # fmt: skip
    assert found.rows[0].prompt.startswith("Question: Two?") and found.rows[0].tokens is None


@pytest.mark.parametrize("target", ["2", "C", "(C)", "blue"])
def test_the_harness_counts_options_from_0_or_names_their_letter_or_text(target):
    doc = {"question": "Which?", "choices": ["red", "green", "blue"], "answer": 2}
    row = only(jsonl(logs.harness_row(0, doc, target, ["The answer is (C)."])))
    assert (row.question.options, row.question.answer) == (("red", "green", "blue"), "C")


def test_an_older_harness_wrote_lists_and_no_filter():
    row = logs.harness_row(0, {"query": "", "goal": None}, "13", ["13"]) | {"arguments": [[JARS, {"until": []}]]}
    del row["filter"]
    assert only(jsonl(row)).question.text == JARS
    assert only(json.dumps([row]).encode(), "log.json").question.answer == "13"


def test_a_chat_template_leaves_the_last_message_of_the_user_as_the_question():
    asked = json.dumps([{"role": "user", "content": "Two?"}, {"role": "assistant", "content": "2"}, *logs.chat(JARS)])
    row = logs.harness_row(0, {"x": 1}, "13", ["13"]) | {"arguments": {"gen_args_0": {"arg_0": [asked], "arg_1": {}}}}
    assert only(jsonl(row)).question.text == JARS


def test_likelihoods_of_options_are_no_written_answer():
    row = logs.harness_row(0, {"question": "Which?", "choices": ["a", "b"]}, "1", [])
    row["resps"] = [[["-1.2", "False"]], [["-0.7", "True"]]]
    good = logs.harness_row(1, {"question": JARS}, "13", ["13"])
    assert reasons(read(jsonl(row, good))) == [
        "it was scored by the likelihood of its options: there is no written answer"
    ]


# --- Inspect


@pytest.mark.parametrize(
    ("name", "data"),
    [
        ("log.json", logs.inspect_log()),
        ("log.eval", logs.inspect_archive()),
        ("log.eval", logs.inspect_archive(zstandard=True)),
    ],
)
def test_inspect_is_read_from_its_document_and_from_its_archive(name, data):
    found = read(data, name)
    assert (found.shape, found.model, found.dataset) == ("inspect", "openai/gpt-4o", "gsm8k")
    row = found.rows[0]
    assert (row.question.text, row.question.answer, row.text) == (JARS, "13", "So it is 13.")
    assert (row.tokens, row.prompt_tokens, row.reasoning_tokens, row.finish) == (9, 52, 4, "stop")
    assert len(found.rows) == 2 and found.strategies == ("inspect",)


def test_an_archive_of_a_run_that_was_interrupted_has_no_header_yet():
    members = {"_journal/start.json": logs.INSPECT_HEADER, "samples/a_epoch_1.json": logs.inspect_sample(1)}
    assert read(logs.inspect_archive(members), "log.eval").model == "openai/gpt-4o"
    chunked = {"header.json": logs.INSPECT_HEADER, "samples/a_epoch_1/sample.json": logs.inspect_sample(1),
               "samples/a_epoch_1/messages/0.json": [{"role": "user"}]}  # fmt: skip
    assert len(read(logs.inspect_archive(chunked), "log.eval").rows) == 1


def test_thinking_is_no_part_of_an_answer_and_choices_are_options():
    said = [{"type": "reasoning", "reasoning": "B? no"}, {"type": "text", "text": "ANSWER: C"}]
    sample = logs.inspect_sample(1, logs.chat("Which?"), ["C"], said, choices=["x", "y", "z"])
    row = only(logs.inspect_log(sample), "log.json")
    assert (row.text, row.question.text, row.question.answer, row.question.options) == (
        "ANSWER: C", "Which?", "C", ("x", "y", "z"),
    )  # fmt: skip
    assert row.prompt == "Answer.\n\nWhich?"


def test_what_ended_an_answer_is_kept_and_further_choices_are_counted():
    sample = logs.inspect_sample(1)
    choices = sample["output"]["choices"]
    choices[0] = choices[0] | {"stop_reason": "max_tokens"}
    choices.append(choices[0])
    found = read(logs.inspect_log(sample), "log.json")
    assert (found.rows[0].finish, found.more) == ("length", 1)


def test_samples_without_an_answer_and_questions_with_pictures_are_named():
    picture = [{"role": "user", "content": [{"type": "text", "text": "What?"}, {"type": "image", "image": "data:"}]}]
    failed = logs.inspect_sample(2, error={"message": "x"})
    several = logs.inspect_sample(4, target=["13", "fourteen"])
    found = read(logs.inspect_log(logs.inspect_sample(1, picture), failed, {"id": 3}, several, 5,
                                  logs.inspect_sample(6, target=["13", "13.0"])), "log.json")  # fmt: skip
    assert len(found.rows) == 1 and [p.line for p in found.problems] == [1, 2, 3, 4, 5]
    assert reasons(found) == [
        "the question holds more than text", "the sample failed: it has no whole answer",
        "the sample failed: it has no whole answer", "there are several known answers: give one",
        "not a JSON object with named fields",
    ]  # fmt: skip


def test_long_texts_that_an_archive_keeps_elsewhere_are_put_back():
    sample = logs.inspect_sample(1, "attachment://a", attachments={"a": JARS})
    assert only(logs.inspect_log(sample), "log.json").question.text == JARS


def test_a_log_without_samples_says_so():
    with pytest.raises(InputError, match="holds no samples"):
        read(json.dumps(logs.INSPECT_HEADER).encode(), "log.json")


# --- hostile archives


def bomb(size: int) -> bytes:
    return b'{"id": 1, "input": "' + b"x" * size + b'"}'


@pytest.mark.parametrize("zstandard", [False, True])
def test_a_member_that_unpacks_to_too_much_is_refused_and_the_others_go_on(zstandard, monkeypatch):
    monkeypatch.setattr(log_archive, "MAX_MEMBER", 20_000)
    members = {"header.json": logs.INSPECT_HEADER, "samples/1_epoch_1.json": bomb(1_000_000),
               "samples/2_epoch_1.json": logs.inspect_sample(2)}  # fmt: skip
    found = read(logs.inspect_archive(members, zstandard=zstandard), "log.eval")
    assert reasons(found) == ["larger than 20,000 bytes"] and len(found.rows) == 1


def test_an_archive_that_unpacks_to_too_much_in_all_is_refused(monkeypatch):
    monkeypatch.setattr(log_archive, "MAX_UNPACKED", 900)
    with pytest.raises(InputError, match="unpacks to more than 900 bytes"):
        read(logs.inspect_archive(), "log.eval")


def test_an_archive_of_too_many_members_is_refused(monkeypatch):
    monkeypatch.setattr(log_archive, "MAX_MEMBERS", 2)
    with pytest.raises(InputError, match="members"):
        read(logs.inspect_archive(), "log.eval")


@pytest.mark.parametrize(
    ("member", "reason"),
    [(b"[" * 100_000, "nested too deeply"), (b"{", "broken JSON"), (b"\xff\xfe", "broken JSON"),
     (b'{"id": ' + b"9" * 5_000 + b"}", "broken JSON")],
)  # fmt: skip
def test_hostile_members_are_problems_of_their_own(member, reason):
    members = {"header.json": logs.INSPECT_HEADER, "samples/1_epoch_1.json": member,
               "samples/2_epoch_1.json": logs.inspect_sample(2)}  # fmt: skip
    assert reasons(read(logs.inspect_archive(members), "log.eval")) == [reason]


@pytest.mark.parametrize(
    "data",
    [b"", b"PK\x03\x04", b"hello", logs.inspect_archive()[:-30], logs.inspect_archive({"a.json": {}}),
     logs.inspect_archive({"header.json": logs.INSPECT_HEADER}), logs.inspect_archive({"header.json": b"["})],
)  # fmt: skip
def test_what_is_no_archive_of_inspect_is_refused_in_words(data):
    with pytest.raises(InputError) as e:
        read(data, "log.eval")
    assert e.value.hint


def test_encrypted_and_damaged_members_are_named():
    data = bytearray(logs.inspect_archive(zstandard=True))
    at = data.index(b"\x28\xb5\x2f\xfd", data.index(b"samples/1"))
    data[at + 12] ^= 0xFF
    assert reasons(read(bytes(data), "log.eval")) == ["the member is damaged"]
    data = bytearray(logs.inspect_archive())
    with zipfile.ZipFile(io.BytesIO(bytes(data))) as archive:
        central = archive.start_dir
    found = data.index(b"PK\x01\x02", central + 4)  # the second member: the first sample
    struct.pack_into("<H", data, found + 8, 1)
    assert reasons(read(bytes(data), "log.eval")) == ["the member is encrypted"]


@given(data=st.data())
@settings(max_examples=150, deadline=None)
def test_a_damaged_archive_is_predictions_or_an_input_error(data):
    whole = bytearray(logs.inspect_archive(zstandard=data.draw(st.booleans())))
    for _ in range(data.draw(st.integers(1, 5))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert read(bytes(whole), "log.eval").rows
    except InputError as e:
        assert e.message


# --- promptfoo


def test_promptfoo_is_read_with_its_tokens_and_a_failed_check_of_speed_is_no_failed_answer():
    found = read(logs.promptfoo(), "log.json")
    assert (found.shape, found.model) == ("promptfoo", "openai:gpt-5-mini")
    row = found.rows[0]
    assert (row.question.text, row.question.answer, row.text) == (JARS, "13", "13 marbles")
    assert (row.tokens, row.prompt_tokens, row.reasoning_tokens, row.finish) == (245, 37, 192, "stop")
    assert (row.prompt, row.strategy) == (f"Solve: {JARS}", "promptfoo")


def test_an_older_promptfoo_holds_the_list_itself_and_its_lines_are_read_too():
    older = json.dumps({"version": 2, "results": [logs.promptfoo_result()], "table": {}}).encode()
    assert only(older, "log.json").text == "13 marbles"
    assert only(jsonl(logs.promptfoo_result())).text == "13 marbles"


def test_several_providers_and_prompts_are_told_apart():
    results = [
        logs.promptfoo_result(PENS, provider=provider, prompt=prompt)
        for provider, prompts in (("openai:gpt-5", (0, 1)), ("anthropic/claude", (2, 3)))
        for prompt in prompts
    ]
    found = read(logs.promptfoo(*results), "log.json")
    assert found.model == "openai:gpt-5, anthropic/claude"
    assert found.strategies == (
        "openai:gpt-5 prompt 1", "openai:gpt-5 prompt 2", "anthropic-claude prompt 3", "anthropic-claude prompt 4",
    )  # fmt: skip


def test_two_providers_with_one_prompt_each_are_told_by_provider():
    results = [logs.promptfoo_result(provider=p, prompt=i) for i, p in enumerate(("a", "b"))]
    assert read(logs.promptfoo(*results), "log.json").strategies == ("a", "b")


def test_promptfoo_without_usual_variables_falls_back_to_the_only_one_or_to_the_prompt():
    riddle = logs.promptfoo_result(vars={"riddle": JARS}, testCase={"assert": [{"type": "equals", "value": 13}]})
    assert only(logs.promptfoo(riddle), "log.json").question.answer == "13"
    assert only(logs.promptfoo(riddle), "log.json").question.text == JARS
    raw = json.dumps(logs.chat(PENS))
    bare = logs.promptfoo_result() | {
        "vars": {"a": 1, "b": 2}, "prompt": {"raw": raw}, "testCase": {"assert": [{"type": "contains", "value": "8"}]},
    }  # fmt: skip
    row = only(logs.promptfoo(bare), "log.json")
    assert (row.question.text, row.question.answer) == (PENS, None)


def test_a_promptfoo_call_that_failed_is_named_and_an_object_is_its_json():
    failed = logs.promptfoo_result(response={"error": "429"})
    found = read(logs.promptfoo(failed, logs.promptfoo_result(said={"answer": 13})), "log.json")
    assert reasons(found) == ["the sample failed: it has no whole answer"]
    assert found.rows[0].text == '{"answer": 13}'


# --- OpenAI evals


def test_the_events_of_openai_evals_become_one_answer_a_sample():
    found = read(logs.openai_evals())
    assert (found.shape, found.model, found.dataset, found.more) == ("openai-evals", "gpt-3.5-turbo-0613", "jars", 1)
    assert [(r.question.text, r.question.answer, r.text, r.tokens) for r in found.rows] == [
        (JARS, "13", "It is 13.", 4), (PENS, "8", "It is 8.", None),
    ]  # fmt: skip
    assert [r.line for r in found.rows] == [2, 3]


def test_the_model_of_openai_evals_is_named_by_its_head_where_no_event_does():
    rows = jsonl({"spec": {"completion_fns": ["oai/a"], "eval_name": "x.dev.v0"}}, {"final_report": {"accuracy": 1}},
                 logs.event(0, "s", "sampling", prompt="Two?", sampled="2"))  # fmt: skip
    found = read(rows)
    assert (found.model, found.dataset, found.rows[0].question.answer) == ("oai/a", "x.dev.v0", None)


def test_a_sample_without_a_sampling_event_is_named():
    rows = jsonl(logs.event(0, "a", "error", type="TimeoutError", message="x"),
                 logs.event(1, "b", "sampling", prompt="Two?", sampled=["2", "two"]),
                 logs.event(2, "c", "sampling", prompt="Two?", sampled=[]))  # fmt: skip
    found = read(rows)
    assert (len(found.rows), found.more) == (1, 1)
    assert reasons(found) == ["the sample failed: it has no whole answer", "there is no prediction"]


def test_rows_of_input_ideal_and_sampled_are_read():
    row = only(jsonl({"input": logs.chat(JARS), "ideal": "13", "sampled": "13"}))
    assert (row.question.text, row.question.answer, row.text) == (JARS, "13", "13")


# --- all of them

NAMES = (
    "doc", "doc_id", "target", "resps", "arguments", "eval", "samples", "output", "choices", "message", "content",
    "type", "results", "prompt", "response", "vars", "spec", "data", "sample_id", "input", "question", "usage",
    "run_id", "completion_fns", "provider", "raw", "ideal", "sampled",
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 99) | st.text("ab{}[]/:", max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(NAMES),
        inner, max_size=5,
    ),
    max_leaves=40,
)  # fmt: skip


@given(document=JSON, rows=st.lists(JSON, max_size=3))
@settings(max_examples=400, deadline=None)
def test_whatever_stands_in_a_log_is_read_or_told_and_never_raises(document, rows):
    for name, data in (("x.json", json.dumps(document).encode()), ("x.jsonl", jsonl(*rows))):
        try:
            assert read(data, name).rows
        except InputError as e:
            assert e.message


SHAPES = {
    "lm-eval": logs.harness_row(0, {"question": JARS}, "13", ["13"]),
    "openai-evals": logs.event(0, "s", "sampling", prompt="Two?", sampled="2"),
    "promptfoo": logs.promptfoo_result(),
    "inspect": logs.inspect_sample(1),
}


def test_a_message_whose_part_has_a_list_for_a_type_is_no_text():
    assert last_user([{"role": "user", "content": [{"type": []}]}]) is None


@given(data=st.data(), value=JSON)
@settings(max_examples=300, deadline=None)
def test_a_log_in_which_anything_is_something_else_never_raises(data, value):
    shape = data.draw(st.sampled_from(sorted(SHAPES)))
    row = json.loads(json.dumps(SHAPES[shape]))
    inside = row
    while True:
        key = data.draw(st.sampled_from(sorted(inside)))
        if not isinstance(inside[key], dict) or not inside[key] or data.draw(st.booleans()):
            inside[key] = value
            break
        inside = inside[key]
    found = logs.inspect_log(row) if shape == "inspect" else jsonl(row)
    try:
        assert read(found, "x.json" if shape == "inspect" else "x.jsonl").rows
    except InputError as e:
        assert e.message


def test_a_table_that_has_a_column_of_the_same_name_is_still_a_table():
    row = {"question": JARS, "answer": "13", "prediction": "13", "doc_id": "x", "target": "13"}
    with pytest.raises(InputError, match="--map answer=answer or --map answer=target"):
        read(jsonl(row))
    assert read_predictions("x.jsonl", jsonl(row), mapping={"answer": "answer"}).shape == "mapped"
