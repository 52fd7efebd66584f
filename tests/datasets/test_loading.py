"""Names, files and uploads become questions, or say why not."""

from __future__ import annotations

import csv
import datetime
import gzip
import io
import json
import string
import sys
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tale_core.datasets import SUFFIXES, describe, load, loading, read_upload, shipped
from tale_core.datasets.results import fingerprint
from tale_core.errors import InputError
from tale_core.grading import grade
from tale_core.settings import REPO_ROOT
from tale_core.types import Outcome
from tests.support.dataset_files import lines, put

CASES = json.loads((Path(__file__).resolve().parents[1] / "cases" / "datasets.json").read_text(encoding="utf-8"))[
    "files"
]
FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
SHARED = REPO_ROOT.parent / "shared" / "data"
SECRET = "zebra quagga okapi"


def case_bytes(case):
    text = case["text"]
    for word, (piece, times) in case.get("replace", {}).items():
        text = text.replace(word, piece * times)
    return text.encode("utf-8", "surrogatepass")


@pytest.mark.parametrize("how", ["file", "upload"])
@pytest.mark.parametrize("case", CASES, ids=lambda c: c["name"])
def test_a_file_gives_its_good_rows_and_the_reasons_of_the_others(case, how, tmp_path):
    def read():
        if how == "upload":
            return read_upload(f"set{case['suffix']}", case_bytes(case), mapping=case.get("mapping"))
        path = tmp_path / f"set{case['suffix']}"
        path.write_bytes(case_bytes(case))
        return load(str(path), mapping=case.get("mapping"))

    if "error" in case:
        with pytest.raises(InputError) as e:
            read()
        assert case["error"] in str(e.value)
        return
    loaded = read()
    if "answers" in case:
        assert [q.answer for q in loaded.questions] == case["answers"]
    if "right" in case:
        assert [q.options[ord(q.answer) - ord("A")] for q in loaded.questions] == case["right"]
    found = [(p.line, p.reason) for p in loaded.problems]
    expected = case.get("problems", [])
    assert [line for line, _ in found] == [line for line, _ in expected], found
    for (_, reason), (_, words) in zip(found, expected, strict=True):
        assert words in reason
    for field, key in (
        ("kind", "kinds"),
        ("language", "languages"),
        ("id", "ids"),
        ("topic", "topics"),
        ("text", "texts"),
    ):
        if key in case:
            assert [getattr(q, field) for q in loaded.questions] == case[key]


ROWS = st.lists(
    st.tuples(
        st.text(string.ascii_letters + "今天 ,;\"'\n\t", min_size=1, max_size=40).filter(str.strip),
        st.integers(-(10**9), 10**9),
    ),
    min_size=1, max_size=8, unique_by=lambda row: " ".join(row[0].split()),
)  # fmt: skip


def write(rows, suffix):
    named = [{"question": q, "answer": a} for q, a in rows]
    if suffix == ".parquet":
        out = io.BytesIO()
        pq.write_table(pa.Table.from_pylist(named), out)
        return out.getvalue()
    if suffix in (".csv", ".tsv"):
        text = io.StringIO()
        writer = csv.DictWriter(text, ["question", "answer"], delimiter="\t" if suffix == ".tsv" else ",")
        writer.writeheader()
        writer.writerows(named)
        return text.getvalue().encode()
    return (json.dumps(named, ensure_ascii=False, indent=1) if suffix == ".json" else lines(*named)).encode()


@pytest.mark.parametrize("suffix", [one for one in SUFFIXES if one != ".parquet"])
@given(rows=ROWS)
@settings(max_examples=60, deadline=None)
def test_what_was_written_is_read_back_in_every_format(suffix, rows):
    assert_read_back(suffix, rows)


@given(rows=ROWS)
@settings(max_examples=8, deadline=None)  # each is a process
def test_what_was_written_is_read_back_from_parquet(rows):
    assert_read_back(".parquet", rows)


def assert_read_back(suffix, rows):
    loaded = read_upload(f"set{suffix}", write(rows, suffix))
    assert [(q.text, q.answer) for q in loaded.questions] == [(q.strip(), str(a)) for q, a in rows]
    assert not loaded.problems
    assert len({q.id for q in loaded.questions}) == len(rows)


@given(
    data=st.one_of(st.binary(max_size=300), st.text('[]{}":,answerquestion01\n\\"', max_size=300).map(str.encode)),
    suffix=st.sampled_from(SUFFIXES),
)
@settings(max_examples=400, deadline=None)
def test_any_bytes_are_questions_or_an_input_error(data, suffix):
    try:
        loaded = read_upload(f"set{suffix}", data)
    except InputError as e:
        assert e.hint
    else:
        assert loaded.questions


@given(data=st.data())
@settings(max_examples=15, deadline=None)  # each is a process
def test_a_damaged_parquet_file_is_questions_or_an_input_error(data):
    whole = bytearray(write([("a?", 1), ("b?", 2), ("c?", 3)], ".parquet"))
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert read_upload("set.parquet", bytes(whole)).questions
    except InputError as e:
        assert e.message


@given(rows=ROWS)
@settings(max_examples=50, deadline=None)
def test_every_question_taken_can_be_answered_right(rows):
    for q in read_upload("set.jsonl", write(rows, ".jsonl")).questions:
        assert grade(f"So it is [[{q.answer}]].", q, finish_reason="stop").outcome is Outcome.CORRECT


def test_wrong_encoding_is_named_with_its_line():
    rows = "question,answer\na?,1\nWie groß?,2\n".encode("latin-1")
    loaded = read_upload("set.csv", rows)
    assert [p.line for p in loaded.problems] == [3] and "not UTF-8" in loaded.problems[0].reason
    rows = b'{"question": "a?", "answer": 1}\n{"question": "gro\xdf?", "answer": 1}\n'
    [problem] = read_upload("set.jsonl", rows).problems
    assert problem.line == 2 and "byte 18 (0xdf) is not UTF-8" in problem.reason
    with pytest.raises(InputError, match="Line 2 holds a byte"):
        read_upload("set.json", b'[{"question":\n"gro\xdf?", "answer": 1}]')
    with pytest.raises(InputError, match="UTF-16"):
        read_upload("set.csv", "question,answer\na?,1\n".encode("utf-16"))
    with pytest.raises(InputError, match="compressed"):
        read_upload("set.json", gzip.compress(rows))


def test_no_message_quotes_a_row(here):
    rows = lines(
        {"question": SECRET, "answer": 1}, {"question": SECRET, "answer": 2}, {"question": "a?", "answer": SECRET * 40},
        {"question": SECRET * 2000, "answer": 1}, {"question": "b?", "options": ["1", "2"], "answer": SECRET},
    ) + '{"question": "' + SECRET  # fmt: skip
    problems = read_upload("set.jsonl", rows.encode()).problems
    assert len(problems) == 5 and "zebra" not in str(problems)
    headless = put(here / "gpqa_diamond.csv", f'1,"{SECRET}",x,y,z\n2,"{SECRET} 2",x,y,z\n')
    with pytest.raises(InputError) as e:
        load("gpqa", folder=headless.parent)
    assert "zebra" not in str(e.value) and "no column 'Question'" in str(e.value)


def test_an_upload_has_limits():
    row = lines({"question": "a?", "answer": 1}).encode()
    with pytest.raises(InputError, match="At most 10 are read"):
        read_upload("set.jsonl", row, max_bytes=10)
    with pytest.raises(InputError, match="more than 2 rows"):
        read_upload("set.jsonl", write([("a", 1), ("b", 1), ("c", 1)], ".jsonl"), max_rows=2)


@pytest.mark.parametrize(
    "name", ["../../etc/passwd.jsonl", "/etc/x.jsonl", "C:\\x\\x.jsonl", "a\nb\u202e\ud800x.jsonl", "~x.jsonl"]
)
def test_a_hostile_name_is_only_a_name(name, here):
    loaded = read_upload(name, lines({"question": "a?", "answer": 1}).encode())
    assert loaded.source.isprintable() and not set("/\\") & set(loaded.source)
    assert list(here.iterdir()) == []


def test_parquet_that_would_unpack_to_too_much_is_refused(monkeypatch):
    from tale_core.datasets import parquet

    monkeypatch.setattr(parquet, "SMALL_UNPACKED", 1_000)
    monkeypatch.setattr(parquet, "MAX_RATIO", 1)
    with pytest.raises(InputError, match="once unpacked"):
        read_upload("set.parquet", write([("word " * 7 + str(i), i) for i in range(100)], ".parquet"))


def test_parquet_that_declares_more_values_than_its_bytes_make_likely_is_refused(monkeypatch):
    from tale_core.datasets import parquet as reader

    monkeypatch.setattr(reader, "SMALL_VALUES", 1_000)
    monkeypatch.setattr(reader, "VALUES_A_BYTE", 0)
    monkeypatch.setattr(reader, "SECONDS", 5)
    for data in (
        parquet(question=["a?"] * 600, answer=["1"] * 600),
        parquet(question=["a?"] * 3, choices=[["x"] * 400] * 3, answer=["A"] * 3),
        parquet(question=pa.nulls(2_000), answer=pa.nulls(2_000)),
    ):
        with pytest.raises(InputError, match="values in"):
            read_upload("set.parquet", data)


def test_a_parquet_file_that_ends_the_process_that_reads_it_is_damaged():
    # pyarrow 26 calls abort() on it: a histogram of another size than the column's.
    with pytest.raises(InputError, match="damaged"):
        read_upload("set.parquet", (FIXTURES / "aborts.parquet").read_bytes())


def test_parquet_that_needs_more_time_or_memory_than_allowed_is_read_as_far_as_it_goes(monkeypatch):
    from tale_core.datasets import parquet as reader

    for limit, value in (("MEMORY", 1_000_000), ("SECONDS", 0)):
        with monkeypatch.context() as patch, pytest.raises(InputError, match="damaged"):
            patch.setattr(reader, limit, value)
            read_upload("set.parquet", parquet(question=["a?"], answer=["1"]))


def test_a_parquet_cell_of_another_kind_is_named_and_a_decimal_stays_one():
    day, amount = datetime.date(2026, 1, 2), Decimal("0.10")
    loaded = read_upload("set.parquet", parquet(question=["a?", "b?"], answer=[amount, amount], id=["x", "y"]))
    assert [q.answer for q in loaded.questions] == ["0.1", "0.1"]
    with pytest.raises(InputError, match="not text but date"):
        read_upload("set.parquet", parquet(question=["a?"], answer=[day]))


def test_parquet_that_repeats_a_long_value_is_read_as_far_as_is_weighed(monkeypatch):
    from tale_core.datasets import parquet as reader

    monkeypatch.setattr(reader, "SMALL_READ", 10_000)
    monkeypatch.setattr(reader, "MAX_RATIO", 0)
    monkeypatch.setattr(reader, "BATCH_ROWS", 1)
    loaded = read_upload("set.parquet", parquet(question=["word " * 500] * 10, answer=["1"] * 10))
    assert 1 <= len(loaded.questions) < 10
    assert "repeats" in loaded.problems[-1].reason


def test_a_huge_parquet_row_is_a_problem_and_the_others_go_on():
    rows = [("x" * 9_000_000, 1), ("a?", 2), ("x" * 9_000_000, 3)]
    loaded = read_upload("set.parquet", write(rows, ".parquet"))
    assert [q.answer for q in loaded.questions] == ["2"]
    assert [(p.line, p.reason) for p in loaded.problems] == [(n, "larger than 2,000,000 bytes") for n in (1, 3)]


def test_parquet_lists_are_options():
    out = io.BytesIO()
    pq.write_table(pa.Table.from_pylist([{"question": "a?", "choices": ["red", "blue"], "answer": "blue"}]), out)
    [question] = read_upload("set.parquet", out.getvalue()).questions
    assert (question.options, question.answer) == (("red", "blue"), "B")


def parquet(**columns):
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def answers_of(*values, kind):
    data = parquet(question=[f"q{i}?" for i in range(len(values))], answer=pa.array(values, type=kind))
    return [q.answer for q in read_upload("set.parquet", data).questions]


@pytest.mark.parametrize(
    ("kind", "values", "answers"),
    [
        (pa.float32(), (0.1, -2.5, 3.0, 1e10, 16777217.0), ["0.1", "-2.5", "3", "10000000000", "16777216"]),
        (pa.float16(), (0.1, 1.5), ["0.1", "1.5"]),
        (pa.float64(), (0.1, 1 / 3, 3.0), ["0.1", "0.3333333333333333", "3"]),
        (pa.int8(), (3, -1), ["3", "-1"]),
        (pa.uint64(), (2**63,), ["9223372036854775808"]),
        (pa.decimal128(9, 2), (Decimal("3.00"), Decimal("-0.10"), Decimal("120.00")), ["3", "-0.1", "120"]),
        (pa.decimal256(40, 0), (Decimal("1" + "0" * 30),), ["1" + "0" * 30]),
        (pa.bool_(), (True, False), ["true", "false"]),
        (pa.dictionary(pa.int8(), pa.string()), ("5", "6"), ["5", "6"]),
        (pa.list_(pa.float32()), ([0.1], [2.0]), ["0.1", "2"]),
    ],
    ids=str,
)
def test_a_number_of_a_parquet_file_is_its_shortest_text_at_its_own_width(kind, values, answers):
    assert answers_of(*values, kind=kind) == answers


def test_numbers_among_parquet_options_are_as_short():
    options = pa.array([[0.1, 0.2, 0.7]], type=pa.list_(pa.float32()))
    data = parquet(question=["a?"], choices=options, answer=pa.array([0.2], type=pa.float32()))
    [question] = read_upload("set.parquet", data).questions
    assert (question.options, question.answer) == (("0.1", "0.2", "0.7"), "B")


def test_mmlus_parquet_has_the_place_counted_from_0():
    data = parquet(question=["a?", "b?"], subject=["x", "x"], choices=[["3", "2", "1", "0"]] * 2, answer=[2, 1])
    assert [q.options[ord(q.answer) - ord("A")] for q in read_upload("set.parquet", data).questions] == ["1", "2"]


def test_a_box_in_a_worked_solution_leaves_the_way_to_it_as_the_solution():
    rows = lines({"problem": "a?", "solution": "Twice 4 is $\\boxed{8}$."}, {"problem": "b?", "solution": "\\boxed{9}"})
    loaded = read_upload("set.jsonl", rows.encode())
    assert [loaded.solutions.get(str(q.id)) for q in loaded.questions] == ["Twice 4 is $8$.", None]
    said = [("user", "a?"), ("assistant", "Twice 4 is $\\boxed{8}$.")]
    chat = lines({"messages": [{"role": role, "content": content} for role, content in said]})
    assert list(read_upload("set.jsonl", chat.encode()).solutions.values()) == ["Twice 4 is $8$."]


def test_limit_and_offset_count_good_rows(here):
    text = lines(*({"question": f"q{i}?" if i % 2 else "", "answer": i} for i in range(10)))
    path = str(put(here / "set.jsonl", text))
    loaded = load(path, limit=2, offset=1)
    assert [q.answer for q in loaded.questions] == ["3", "5"]
    assert [p.line for p in loaded.problems] == [1, 3, 5]
    with pytest.raises(InputError, match="There are 5"):
        load(path, offset=5)
    for wrong in ({"limit": 0}, {"offset": -1}):
        with pytest.raises(InputError, match="whole number"):
            load(path, **wrong)
    for suffix in (".csv", ".parquet", ".json"):
        (here / f"set{suffix}").write_bytes(write([("a", 1), ("b", 2), ("c", 3)], suffix))
        assert [q.answer for q in load(str(here / f"set{suffix}"), limit=1, offset=1).questions] == ["2"]


def test_a_limit_may_be_taken_from_a_file_with_too_many_rows(here, monkeypatch):
    monkeypatch.setattr(loading, "MAX_ROWS", 30)
    path = str(put(here / "set.jsonl", lines(*({"question": f"q{i}?", "answer": i} for i in range(40)))))
    assert len(load(path, limit=25).questions) == 25
    with pytest.raises(InputError, match="Give a limit"):
        load(path)


def test_a_file_that_is_too_large_or_not_there_is_refused(here, monkeypatch):
    path = str(put(here / "set.jsonl", lines({"question": "a?", "answer": 1})))
    monkeypatch.setattr(loading, "MAX_BYTES", 5)
    with pytest.raises(InputError, match="At most 5 are read"):
        load(path)
    for name in ("nope", "nope.csv", str(here), "a\0b", "x" * 5000, "mathbench-nope", ""):
        with pytest.raises(InputError):
            load(name)


def test_the_fingerprint_is_of_what_was_loaded(here):
    path = str(put(here / "set.jsonl", lines(*({"question": f"q{i}?", "answer": i} for i in range(3)))))
    whole = load(path)
    assert whole.fingerprint == load(path).fingerprint == fingerprint(whole.questions)
    assert len({whole.fingerprint, load(path, limit=2).fingerprint, load(path, offset=1).fingerprint}) == 3
    one = [
        read_upload("set.jsonl", lines({"question": "a?", "answer": a, "options": o}).encode()).fingerprint
        for a, o in (("A", ["x", "y"]), ("B", ["x", "y"]), ("A", ["x", "z"]), ("A", []))
    ]
    assert len(set(one)) == 4
    assert one[0] == read_upload("other.csv", b"question,A,B,answer\na?,x,y,x\n").fingerprint


def test_the_shipped_questions_have_a_name_and_are_a_file_too():
    loaded = load("shipped")
    assert loaded.questions == shipped() and not loaded.problems
    assert load("Shipped", limit=3, offset=1).questions == shipped()[1:4]
    from_file = load(str(REPO_ROOT / "data" / "questions.jsonl"))
    assert from_file.fingerprint == loaded.fingerprint and not from_file.problems
    assert [q.kind for q in from_file.questions] == [q.kind for q in loaded.questions]


def test_every_set_that_is_described_can_be_asked_for(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    infos = describe()
    assert len({i.name for i in infos}) == len(infos)
    for info in infos:
        if info.name == "shipped":
            assert len(load("shipped").questions) == info.size
            continue
        with pytest.raises(InputError) as e:
            load(info.name)
        assert info.files[0] in str(e.value) and info.origin in str(e.value)
    licences = {i.name: i.licence for i in infos}
    assert (licences["gsm8k"], licences["gsm8k-zero"], licences["gpqa-main"]) == ("MIT", "not stated", "CC BY 4.0")
