"""Imported predictions are an experiment: graded again, marked as imported, nothing made up, and asked of nobody."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tale_core.cli.main import main
from tale_core.datasets.logs import TOOLS
from tale_core.datasets.predictions import read_predictions
from tale_core.errors import InputError, StoreError
from tale_core.experiments import results, stored_plan
from tale_core.experiments.compare import compare
from tale_core.experiments.export import export_experiment
from tale_core.experiments.html_report import report_html
from tale_core.experiments.import_notes import brief, notes, read
from tale_core.experiments.import_predictions import Imported, import_predictions
from tale_core.experiments.text import finding
from tale_core.store import CallStore, ExperimentStore, open_store
from tale_core.types import Outcome, Question
from tests.support import log_files as logs
from tests.support.prediction_files import DIRECT, GOLDS, SEARCHED, TALE, TEXTS, VANILLA, lines, vanilla

FILES = {
    "output_without_reasoning_new_prompt.jsonl": DIRECT,
    "output_with_reasoning.jsonl": VANILLA,
    "TALE.jsonl": TALE,
}


def imported(files=None, **options) -> Imported:
    read_files = [read_predictions(name, data) for name, data in (files or FILES).items()]
    settings = {"model": "gpt-4o-mini", "dataset": "gsm8k", "count": lambda text: len(text.split()), **options}
    return import_predictions(read_files, store=open_store(), **settings)


def row(found, name):
    return next(r for r in found.rows if r.strategy == name)


def test_the_files_of_one_data_set_become_one_experiment_graded_by_our_rules():
    done = imported()
    found = results(open_store(), done.experiment_id)
    assert (done.questions, done.answers, done.strategies) == (3, 9, ("direct", "vanilla", "tale-zero-shot"))
    assert (found.status, found.questions, found.complete, found.model) == ("done", 3, True, "gpt-4o-mini")
    assert [r.right for r in found.rows] == [1, 3, 2]
    # Their rule for choices looks for a letter: "B" would be an answer, and "So 12." none.
    assert row(found, "tale-zero-shot").outcomes[Outcome.UNPARSED] == 1
    assert row(found, "tale-zero-shot").against_vanilla.pairs == 3
    head = ExperimentStore(open_store()).head(done.experiment_id)
    assert head.source == "recorded" and head.endpoint == "imported"
    calls = open_store().get_session(done.experiment_id).calls
    assert {c.source for c in calls} == {"recorded"} and {c.cache_key for c in calls} == {None}
    assert calls[0].messages[0].content.startswith("Please answer the following question and give")


def test_token_counts_are_the_files_and_ours_only_where_they_name_none():
    done = imported()
    found = results(open_store(), done.experiment_id)
    assert row(found, "tale-zero-shot").output_tokens.mean == (4 + 9 + 2) / 3
    assert row(found, "vanilla").output_tokens.mean == 10 and row(found, "direct").output_tokens.mean == 1
    assert (done.info.reported, done.info.counted) == (3, 6)
    told = " ".join(notes(done.info))
    assert "counted here by cl100k_base" in told and "not the model's own tokens" in told


def test_what_no_file_says_is_unknown_and_never_0():
    done = imported()
    found = results(open_store(), done.experiment_id)
    for one in found.rows:
        assert (one.all_in_tokens, one.prompt_tokens, one.cost_usd, one.latency_s) == (None,) * 4
    assert (found.spent.calls, found.spent.tokens, found.planned) == (0, 0, 9), "an import costs nothing"
    assert "all-in tokens, cost and time are unknown" in " ".join(notes(done.info))
    assert "tokens" in finding(found) and "prompts and estimates counted" not in finding(found)


def test_an_unread_estimate_and_a_search_without_a_result_are_told():
    done = imported({"TALE.jsonl": TALE, "searched_budget.jsonl": SEARCHED})
    told = " ".join(brief(done.info))
    assert "1 prompt asked for a number that is no budget (-1" in told and "1 search found no smaller budget" in told
    assert "its accuracies flatter" in told
    figures = ExperimentStore(open_store()).figures(done.experiment_id)
    (unread,) = [f for f in figures if f.strategy == "tale-zero-shot" and f.position == 1]
    assert unread.budget is None and unread.problem == "the prompt asked for −1 tokens, which is no budget"
    (nothing,) = [f for f in figures if f.strategy == "oracle" and f.position == 2]
    assert nothing.outcome is Outcome.CORRECT and "the vanilla answer" in nothing.problem
    assert [f.budget for f in figures if f.strategy == "oracle"] == [10, None]


def test_a_search_that_copies_the_vanilla_answers_doubles_none_of_them():
    done = imported({"output_with_reasoning.jsonl": VANILLA, "searched_budget.jsonl": SEARCHED})
    found = results(open_store(), done.experiment_id)
    assert (found.repeats, row(found, "vanilla").n, row(found, "oracle").n) == (1, 3, 2)
    twice = imported({"a.jsonl": VANILLA, "b.jsonl": VANILLA})
    assert (results(open_store(), twice.experiment_id).repeats, twice.answers) == (2, 6), "two runs are two repeats"


def test_known_answers_of_a_data_set_replace_those_that_a_comma_cut_off():
    text = "A car costs $2,000 more than $125. How much?"
    files = {"x.jsonl": lines([vanilla(text, "2", "It is [[2,125]]"), vanilla(TEXTS[0], GOLDS[0]),
                               vanilla("Nobody asked?", "1", "[[1]]")])}  # fmt: skip
    assert row(results(open_store(), imported(files).experiment_id), "vanilla").right == 2
    ours = [Question(text, id="g-7", answer="2,125"), Question(f" {TEXTS[0]}  ", answer="12")]
    done = imported(files, answers=ours, answers_from="gsm8k")
    found = results(open_store(), done.experiment_id)
    assert row(found, "vanilla").right == 3 and (done.info.corrected, done.info.unknown) == (1, 1)
    assert stored_plan(open_store(), done.experiment_id).questions[0].id == "g-7"
    assert "Known answers are those of gsm8k: the files have others for 1 questions, and it lacks 1." in brief(
        done.info
    )


def test_rows_that_contradict_each_other_are_named_by_file_line_and_reason():
    other = lines([vanilla(TEXTS[0], "13"), {"question": 1}])
    done = imported({"a.jsonl": VANILLA, "b.jsonl": other})
    assert [(p.line, p.reason) for p in done.problems] == [
        (2, "b.jsonl: there is no prediction"),
        (1, "b.jsonl: the same question stands before with another known answer"),
    ]
    assert done.info.passed_over == 2 and done.answers == 3
    with pytest.raises(InputError, match="no usable name"):
        imported(model=" ")
    with pytest.raises(InputError, match="no usable name"):
        imported(dataset="x" * 81)


@pytest.mark.parametrize(
    ("first", "other"),
    [
        ("1,000", "1000"), ("1000", "adds up\n#### 1000.0"), ("0.5", "\\frac{1}{2}"), ("-3", "\u22123"),
        ("Paris", "paris"), ("1/2", "0.50"), ("50%", "50 %"), ("(3,-2)", "(3, -2)"),
    ],
)  # fmt: skip
def test_known_answers_that_are_the_same_however_they_are_written_make_one_question(first, other):
    rows = [
        {"question": "How many?", "answer": first, "prediction": f"[[{first}]]", "strategy": "vanilla"},
        {"question": "How  many?", "answer": other, "prediction": f"[[{first}]]", "strategy": "direct"},
        {"question": "How many?", "answer": "7777", "prediction": "7777", "strategy": "concise"},
    ]
    done = imported({"x.jsonl": lines(rows)}, dataset="x")
    assert (done.questions, done.answers, done.strategies) == (1, 2, ("vanilla", "direct"))
    assert [p.line for p in done.problems] == [3]
    assert [r.right for r in results(open_store(), done.experiment_id).rows] == [1, 1]


LOGS = {
    "lm-eval": ("samples_gsm8k_2026-01-01T00-00-00.jsonl", logs.harness()),
    "inspect": ("log.eval", logs.inspect_archive(zstandard=True)),
    "promptfoo": ("results.json", logs.promptfoo()),
    "openai-evals": ("events.jsonl", logs.openai_evals()),
}


@pytest.mark.parametrize("tool", LOGS)
def test_a_log_of_another_tool_becomes_an_experiment_that_says_so(tool):
    name, data = LOGS[tool]
    done = imported({name: data}, dataset="jars")
    found = results(open_store(), done.experiment_id)
    assert found.imported is not None and found.imported.shape == tool and found.rows[0].right >= 1
    said = " ".join(notes(found.imported))
    assert f"Read from a log of {TOOLS[tool]}: its own scores were not taken." in said
    assert "GPT-4's tokenizer" not in said and ("the log holds 1 more" in said) == (tool in ("lm-eval", "openai-evals"))
    calls = open_store().get_session(done.experiment_id).calls
    assert (calls[0].prompt_tokens is None) == (tool == "lm-eval")
    assert ("all-in tokens" in said) == (tool == "lm-eval")


def test_an_answer_that_the_log_says_was_cut_is_truncated_and_not_wrong():
    cut, whole = logs.inspect_sample(1, said="So it is"), logs.inspect_sample(2, logs.PENS, "8", "So 8.")
    cut["output"]["choices"][0]["stop_reason"] = "max_tokens"
    done = imported({"log.json": logs.inspect_log(cut, whole)})
    (row,) = results(open_store(), done.experiment_id).rows
    assert row.outcomes[Outcome.TRUNCATED] == 1 and row.outcomes[Outcome.CORRECT] == 1


@pytest.mark.parametrize(
    ("tool", "model", "dataset"),
    [("inspect", "openai/gpt-4o", "gsm8k"), ("openai-evals", "gpt-3.5-turbo-0613", "jars"),
     ("promptfoo", "openai:gpt-5-mini", "results"), ("lm-eval", "org/model", "gsm8k")],
)  # fmt: skip
def test_the_command_takes_model_and_data_set_from_the_log_or_its_folder(tool, model, dataset, tmp_path, capsys):
    name, data = LOGS[tool]
    path = tmp_path / "org__model" / name
    path.parent.mkdir()
    path.write_bytes(data)
    assert main(["import-predictions", str(path), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert (document["model"], document["dataset"]) == (model, dataset)
    assert document["imported"]["shape"] == tool


def test_all_of_an_import_is_stored_or_nothing(monkeypatch):
    made = []

    def breaks(connection, unit):
        made.append(unit)
        if len(made) == 5:
            raise StoreError("The disk is full.", "Make room.")
        return 0

    monkeypatch.setattr("tale_core.store.experiments.write_unit", breaks)
    with pytest.raises(StoreError, match="disk is full"):
        imported()
    assert open_store().count_sessions() == 0


def test_an_imported_experiment_is_never_resumed_nor_taken_for_known_answers(capsys):
    done = imported()
    assert main(["run", "--resume", done.experiment_id]) == 2
    assert "was imported. There is nothing to resume" in capsys.readouterr().err
    plan = stored_plan(open_store(), done.experiment_id)
    with pytest.raises(InputError, match="was imported"):
        plan.check_same(ExperimentStore(open_store()).head(done.experiment_id).plan)
    assert not CallStore(open_store()).any_of(model="gpt-4o-mini", endpoint="imported")


def test_it_is_exported_and_reported_like_any_other(tmp_path):
    done = imported({"<b>=x.jsonl": VANILLA})
    for kind in ("csv", "jsonl", "parquet", "html"):
        export_experiment(open_store(), done.experiment_id, tmp_path / f"out.{kind}")
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert first["all_in_tokens"] is None and first["output_tokens"] == 10
    report = report_html(results(open_store(), done.experiment_id))
    assert "<b>" not in report and "output tokens a question" in report and "Imported, not run here: " in report
    assert "Spent" not in report


def test_it_stands_beside_ours_on_the_questions_that_both_hold():
    theirs = imported({"a.jsonl": VANILLA, "b.jsonl": DIRECT})
    mine = imported({"a.jsonl": lines([vanilla("Only ours?", "1"), vanilla(TEXTS[1], "14", "[[13]]"),
                                       vanilla(TEXTS[0], "12", "[[12]]")])})  # fmt: skip
    found = compare(open_store(), mine.experiment_id, theirs.experiment_id)
    assert found.shared == 2 and [r.strategy for r in found.theirs] == ["vanilla", "direct"]
    assert (found.mine[0].n, found.mine[0].right, found.theirs[0].right) == (2, 1, 2)
    ((name, difference),) = found.differences
    assert (name, difference.pairs, difference.better, difference.worse) == ("vanilla", 2, 0, 1)
    assert difference.accuracy.mean == -0.5 and difference.output_tokens.mean == -9
    stranger = imported({"a.jsonl": lines([vanilla("Nobody else?", "1")])})
    assert compare(open_store(), stranger.experiment_id, theirs.experiment_id) is None
    listed = [i for i, _, _ in ExperimentStore(open_store()).imported()]
    assert listed == [stranger.experiment_id, mine.experiment_id, theirs.experiment_id]


@pytest.mark.parametrize("document", [{}, {"imported": 3}, {"imported": {"files": "x", "counted": "many", "shape": 5}}])
def test_what_an_import_left_in_a_broken_database_is_read_without_an_error(document):
    info = read(document)
    assert info is None or (notes(info) and info.counted == 0 and info.files == ())


# --- the command line


def test_the_command_reads_model_and_data_set_from_the_repositorys_folders(tmp_path, capsys):
    folder = tmp_path / "gpt-4o-mini" / "GSM8K-Test"
    folder.mkdir(parents=True)
    paths = [folder / name for name in FILES]
    for path in paths:
        path.write_bytes(FILES[path.name] + b"{broken\n")
    assert main(["import-predictions", *map(str, paths), "--json"]) == 0
    out, err = capsys.readouterr()
    document = json.loads(out)
    assert (document["model"], document["dataset"], document["complete"]) == ("gpt-4o-mini", "gsm8k", True)
    assert [r["strategy"] for r in document["rows"]] == ["direct", "vanilla", "tale-zero-shot"]
    assert document["paper"] and document["imported"]["tokenizer"] == "cl100k_base" and len(document["problems"]) == 3
    assert f"line 4 of {paths[0].name}: broken JSON" in err and f"experiment {document['experiment']}" in err
    assert document["rows"][1]["output_tokens"] == pytest.approx(14, abs=2), "counted with GPT-4's tokenizer"


def test_the_command_tells_a_person_what_came_of_it(tmp_path, capsys):
    path = tmp_path / "mine.csv"
    path.write_text(f"frage,antwort\n{TEXTS[0]},[[12]]\n")
    arguments = ["import-predictions", str(path), "--map", "question=frage,prediction=antwort", "--model", "m"]
    assert main([*arguments, "--strategy", "vanilla"]) == 0
    out = capsys.readouterr().out
    assert "mine with m: 1 of 1 answers" in out and "not graded" in out and "Imported, not run here: mine.csv." in out


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["{file}"], "No file says which model answered. Give --model NAME."),
        (["{file}", "{file}", "--model", "m", "--strategy", "x"], "--strategy was given for several files"),
        (["{file}", "--model", "m", "--map", "question"], "Write field=column"),
        (["{file}", "--model", "m", "--answers", "nowhere"], "no file 'nowhere'"),
        (["nowhere.jsonl", "--model", "m"], "There is no file 'nowhere.jsonl'"),
    ],
)
def test_wrong_input_exits_2_and_stores_nothing(tmp_path: Path, capsys, arguments, words):
    path = tmp_path / "x.jsonl"
    path.write_bytes(VANILLA)
    assert main(["import-predictions", *(a.format(file=path) for a in arguments)]) == 2
    assert words in capsys.readouterr().err and open_store().count_sessions() == 0
