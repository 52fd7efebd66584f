"""Data sets with a name: where their files are looked for, fetched from, and what stands in them."""

from __future__ import annotations

import csv
import sys
import threading
from types import SimpleNamespace

import pytest

from tale_core.datasets import hub, load, named
from tale_core.errors import InputError
from tale_core.settings import REPO_ROOT, get_settings
from tests.support.dataset_files import lines, put

SHARED = REPO_ROOT.parent / "shared" / "data"
SECRET = "zebra quagga okapi"


def mathbench(root, level, form, *rows):
    put(root / "mathbench_v1" / level / f"{form}.jsonl", lines(*rows))


def test_mathbench_groups_read_all_their_files(here):
    mathbench(
        here, "college", "single_choice_cn", {"question": "选哪个", "options": ["1", "2", "3", "4"], "answer": "D"}
    )
    choice = {"question": "Which?", "options": ["1", "2", "3", "4"], "answer": "B"}
    mathbench(here, "college", "single_choice_en", choice, {**choice, "question": "What?", "answer": "E"})
    loaded = load("mathbench-college", folder=here)
    assert [(q.source, q.language, q.kind, q.answer) for q in loaded.questions] == [
        ("mathbench-college-choice-cn", "zh", "choice", "D"), ("mathbench-college-choice-en", "en", "choice", "B"),
    ]  # fmt: skip
    [problem] = loaded.problems
    assert problem.line == 2 and problem.reason.startswith("mathbench-college-choice-en, the answer is none")
    assert [q.answer for q in load("MathBench-college-choice-en", folder=here / "mathbench_v1").questions] == ["B"]
    assert len(load("mathbench-college", folder=here, limit=1).questions) == 1


# Rows as OpenCompass reads them from mathbench_v1 (opencompass/datasets/mathbench.py): `question` and `answer` with
# spaces around, for choices the letter and a list of four `options`; what else a row holds is left alone.
IN_A_CHOICE = {"options": ["$\\frac{1}{2}$", "$-2$", "$\\sqrt{3}$", "none of these"], "answer": "C\n"}
IN_A_CHOICE |= {"topic": "limits", "solution": "By l'Hopital."}
MATHBENCH_ROWS = {
    "single_choice_en": {"question": " Let $f(x)=x$. Find the limit ( ).\n", **IN_A_CHOICE},
    "single_choice_cn": {"question": "设$f(x)=x$，求极限（  ）。", **IN_A_CHOICE, "options": ["1", "2", "3", "4"]},
    "cloze_en": {"question": "Tom has 3 boxes of 12 pens. How many pens?", "answer": " 36 ", "solution": "3 * 12"},
    "cloze_cn": {"question": "小明有 3 盒铅笔，每盒 12 支，共多少支？", "answer": "36"},
}


@pytest.mark.parametrize("level", list(named.MATHBENCH_LEVELS))
def test_every_file_of_mathbenchs_release_is_read_in_its_real_shape(here, level):
    forms = [form.replace("choice", "single_choice").replace("-", "_") for form in named.MATHBENCH_LEVELS[level]]
    for form in forms:
        mathbench(here, level, form, MATHBENCH_ROWS[form])
    found = load(f"mathbench-{level}", folder=here)
    assert found.problems == () and len(found.questions) == len(forms)
    for form, question in zip(forms, found.questions, strict=True):
        choice = form.startswith("single")
        assert (question.kind, question.answer) == (("choice", "C") if choice else ("number", "36"))
        assert len(question.options) == (4 if choice else 0) and question.text == question.text.strip()
        assert question.language == ("zh" if form.endswith("cn") else "en")
        assert question.topic == ("limits" if choice else None)
        # Files and names as OpenCompass and the paper's repository spell them.
        assert load(f"mathbench-{level}-{form}", folder=here).questions == (question,)


def test_arithmetic_answers_of_every_written_form_are_taken(here):
    written = ["-3", "0.25", "1/8", "1,234", "2.5e3", "15%", "3 1/2"]
    rows = [{"question": f"Sum {i}: {i} + 1 = ?", "answer": answer} for i, answer in enumerate(written)]
    mathbench(here, "arithmetic", "cloze_en", *rows)
    found = load("mathbench-arithmetic", folder=here)
    assert [q.answer for q in found.questions] == written and {q.kind for q in found.questions} == {"number"}


def test_the_folders_of_the_papers_repository_are_found(here):
    put(here / "data" / "GSM8K" / "gsm8k-main-test.jsonl", lines({"question": "a?", "answer": "1 + 1\n#### 2"}))
    put(here / "data" / "GSM8K-Zero" / "GSM8K-Zero.jsonl", lines({"question": "b?", "answer": 48.0}))
    assert [load(name).questions[0].answer for name in ("GSM8K-Test", "GSM8K-Zero")] == ["2", "48"]


def test_a_mathbench_group_is_never_read_in_part(here):
    mathbench(here, "primary", "cloze_cn", {"question": "多少", "answer": "3"})
    with pytest.raises(InputError, match="mathbench-primary-cloze-en is not here"):
        load("mathbench-primary", folder=here)


def test_the_environment_and_the_current_folder_are_searched(here, monkeypatch):
    mathbench(here / "data", "arithmetic", "cloze_en", {"question": "1 + 2 = ?", "answer": "3"})
    assert [q.answer for q in load("mathbench-arithmetic").questions] == ["3"]
    mathbench(here / "mine", "arithmetic", "cloze_en", {"question": "2 + 2 = ?", "answer": "4"})
    monkeypatch.setenv("TALE_DATASETS_DIR", str(here / "mine"))
    get_settings.cache_clear()
    assert [q.answer for q in load("mathbench-arithmetic").questions] == ["4"]


def test_a_named_set_takes_no_mapping(here):
    for name in ("shipped", "gsm8k"):
        with pytest.raises(InputError, match="Named sets know their columns"):
            load(name, mapping={"question": "question"})


def gpqa_row(i, right="right one"):
    return {"Question": f"Which? {i}", "Correct Answer": f"{right}\n", "Incorrect Answer 1": "wrong a",
            "Incorrect Answer 2": "wrong b", "Incorrect Answer 3": "wrong c", "Record ID": f"rec{i}",
            "High-level domain": "Physics", "Canary String": "canary"}  # fmt: skip


def gpqa_file(path, rows):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="", encoding="utf-8") as f:
        writer = csv.DictWriter(f, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_gpqa_spreads_the_right_letter_and_does_so_the_same_each_time(here):
    rows = [gpqa_row(i) for i in range(200)]
    gpqa_file(here / "data" / "gpqa_diamond.csv", rows)
    loaded = load("gpqa")
    assert loaded.name == "gpqa-diamond" and "200 of 198 published" in loaded.source
    letters = [q.answer for q in loaded.questions]
    assert all(q.options["ABCD".index(q.answer)] == "right one" for q in loaded.questions)
    # Expected 50 of each; 25 is more than four standard deviations away.
    assert all(letters.count(letter) > 25 for letter in "ABCD")
    assert "canary" not in str(loaded.questions)
    assert (loaded.questions[0].id, loaded.questions[0].topic, loaded.questions[0].kind) == (
        "rec0",
        "Physics",
        "choice",
    )
    gpqa_file(here / "again" / "gpqa_diamond.csv", rows[::-1])
    again = load("gpqa-diamond", folder=here / "again")
    assert {q.text: q for q in again.questions} == {q.text: q for q in loaded.questions}


GPQA_HEADER = (
    "Pre-Revision Question", "Pre-Revision Correct Answer", "Pre-Revision Incorrect Answer 1",
    "Pre-Revision Incorrect Answer 2", "Pre-Revision Incorrect Answer 3", "Pre-Revision Explanation",
    "Self-reported question-writing time (minutes)", "Question", "Correct Answer", "Incorrect Answer 1",
    "Incorrect Answer 2", "Incorrect Answer 3", "Explanation", "Revision Comments (from Question Writer)", "Subdomain",
    "Writer's Difficulty Estimate", "Extra Revised Question", "Extra Revised Explanation",
    "Extra Revised Correct Answer", "Non-Expert Validator Accuracy", "Majority Non-Expert Vals Incorrect",
    "Expert Validator Accuracy", "Record ID", "High-level domain", "Question Writer", "Feedback_EV_1", "Canary String",
)  # fmt: skip
"""Columns of the published file in their order, as its card lists them, some of the many validators' left out."""


def test_gpqas_published_columns_are_read_and_none_of_the_others(here):
    row = dict.fromkeys(GPQA_HEADER, "not this: 7")
    row |= {"Question": 'Which of these,\nor "none", are mine?\n', "Correct Answer": " 12 blue cups\n"}
    row |= {"Incorrect Answer 1": "9 red cups", "Incorrect Answer 2": "7 cups\n", "Incorrect Answer 3": "5, or so"}
    row |= {"Extra Revised Question": "", "Record ID": "recMadeUp1", "High-level domain": "Physics"}
    gpqa_file(here / "data" / "dataset" / "gpqa_main.csv", [row])
    (question,) = load("gpqa-main").questions
    assert question.text == 'Which of these,\nor "none", are mine?' and "not this" not in str(question)
    assert sorted(question.options) == ["12 blue cups", "5, or so", "7 cups", "9 red cups"]
    assert question.options["ABCD".index(question.answer)] == "12 blue cups"
    assert (question.id, question.topic, question.kind) == ("recMadeUp1", "Physics", "choice")


def test_a_gpqa_row_with_a_right_answer_twice_is_a_problem(here):
    gpqa_file(here / "data" / "gpqa_main.csv", [gpqa_row(1), gpqa_row(2, right="wrong a")])
    loaded = load("gpqa-main")
    assert len(loaded.questions) == 1 and loaded.problems[0].reason == "the right option is there twice"


def test_without_the_hubs_package_the_message_says_what_to_do(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "datasets", None)
    with pytest.raises(InputError) as e:
        load("gsm8k", folder=here / "mine")
    assert "pip install datasets==5.2.0" in str(e.value)
    assert "gsm8k.jsonl" in str(e.value) and str(here / "mine") in str(e.value)


def stub(monkeypatch, load_dataset):
    monkeypatch.setitem(sys.modules, "datasets", SimpleNamespace(load_dataset=load_dataset))


def test_the_hub_is_asked_when_there_is_no_file(here, monkeypatch):
    asked = []

    def load_dataset(repo, config, *, split):
        asked.append((repo, config, split))
        return iter([{"question": "a?", "answer": "1+1\n#### 2"}, {"question": "b?", "answer": "none"}])

    stub(monkeypatch, load_dataset)
    loaded = load("gsm8k")
    assert asked == [("openai/gsm8k", "main", "test")]
    assert [q.answer for q in loaded.questions] == ["2"]
    assert [(p.line, p.reason) for p in loaded.problems] == [
        (2, "the answer is not a number, and this set asks for numbers")
    ]
    assert loaded.source == "https://huggingface.co/datasets/openai/gsm8k (1 of 1,319 published questions)"
    put(here / "data" / "gsm8k.jsonl", lines({"question": "here?", "answer": "#### 5"}))
    assert [q.answer for q in load("gsm8k").questions] == ["5"] and len(asked) == 1


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (ConnectionError(SECRET), r"could not be reached \(ConnectionError\)"),
        (RuntimeError(f"{SECRET}: this is a gated dataset"), "accept their terms"),
        (RuntimeError(SECRET), "RuntimeError"),
    ],
)
def test_a_hub_that_fails_is_named_without_its_words(error, words, here, monkeypatch):
    def load_dataset(*_args, **_options):
        raise error

    stub(monkeypatch, load_dataset)
    with pytest.raises(InputError, match=words) as e:
        load("gpqa")
    assert SECRET not in str(e.value) and "gpqa_diamond.csv" in str(e.value)


def test_a_hub_that_hangs_is_left_behind(here, monkeypatch):
    gone = threading.Event()
    stub(monkeypatch, lambda *_args, **_options: gone.wait(30))
    monkeypatch.setattr(hub, "HUB_S", 0.05)
    try:
        with pytest.raises(InputError, match="did not give openai/gsm8k within"):
            load("gsm8k")
    finally:
        gone.set()


def test_offline_the_hub_is_not_asked(here, monkeypatch):
    stub(monkeypatch, lambda *_args, **_options: pytest.fail("the hub was asked"))
    monkeypatch.setenv("TALE_OFFLINE", "1")
    get_settings.cache_clear()
    with pytest.raises(InputError, match="TALE_OFFLINE is set"):
        load("gsm8k")


@pytest.mark.skipif(not SHARED.is_dir(), reason="the development data are not here")
@pytest.mark.parametrize(("name", "good", "repeated"), [("gsm8k", 660, 0), ("gsm8k-zero", 1476, 24)])
def test_the_development_data_are_read_whole(name, good, repeated, here):
    loaded = load(name, folder=SHARED)
    assert (len(loaded.questions), len(loaded.problems)) == (good, repeated)
    assert all("repeats the question" in p.reason for p in loaded.problems)
    assert all(q.kind == "number" and float(q.answer.replace(",", "")) is not None for q in loaded.questions)
