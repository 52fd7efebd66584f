"""`python -m tale_core label …`: one JSON document, exit codes, nothing written by a dry run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tale_core.cli.main import main
from tale_core.cli.output import FAILED, OK, WRONG_INPUT
from tale_core.labels import Labeling
from tale_core.store import QueueFilter, Store
from tale_core.types import Outcome, Question
from tests.labels import samples

pytestmark = pytest.mark.sqlite_only("the command line; what it asks the database is tested beside it")

CATS = Question("How many legs have 3 cats?", kind="number")
ALL = QueueFilter(which="all", overlap=0)


def printed(capsys: pytest.CaptureFixture[str], *args: str) -> Any:
    assert main(["label", *args, "--json"]) == OK
    return json.loads(capsys.readouterr().out)


def test_the_queue_is_blind_unless_it_is_revealed_and_the_one_that_the_page_shows(
    store: Store, labeling: Labeling, capsys: pytest.CaptureFixture[str]
) -> None:
    for q in samples.numbered(5):
        samples.asked(store, q, "[[5]]")
    document = printed(capsys, "queue", "--annotator", "Ada", "--which", "all", "--limit", "3")
    assert (document["total"], document["left"], len(document["items"])) == (5, 5, 3)
    assert not {"model", "strategy", "budget", "outcome"} & set(document["items"][0])
    assert labeling.queue.annotators() == []  # Looking on writes nothing.
    first = labeling.next("ada", ALL)
    assert first is not None and document["items"][0]["target"] == first.key
    revealed = printed(capsys, "queue", "--annotator", "Ada", "--which", "all", "--reveal")["items"][0]
    assert (revealed["strategy"], revealed["model"], revealed["outcome"]) == ("vanilla", "scripted", "ungraded")


def test_an_import_is_a_dry_run_until_it_is_told_to_write(
    store: Store, labeling: Labeling, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    session = samples.asked(store, CATS, "[[12]]")
    file = tmp_path / "gold.csv"
    file.write_text(f"question,answer\n{CATS.text},12\nWho?,me\n")
    dry = printed(capsys, "import", str(file), "--annotator", "Ada")
    assert not dry["written"] and dry["would_write"] == 1 and dry["moved"]["answers"] == 1
    assert [row["status"] for row in dry["rows"]] == ["new", "unknown"]
    assert samples.outcomes(store, session) == [(Outcome.UNGRADED, None)] and labeling.queue.annotators() == []
    written = printed(capsys, "import", str(file), "--annotator", "Ada", "--write")
    assert written["written"] and written["moved"] == dry["moved"]
    assert samples.outcomes(store, session) == [(Outcome.CORRECT, "gold")]
    assert main(["label", "import", str(file), "--annotator", "Ben"]) == OK
    assert "0 known answers would be written" in capsys.readouterr().out


def test_training_data_is_exported_with_its_fingerprint(
    store: Store, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    samples.asked(store, Question(CATS.text, answer="12"), "[[12]]", role="budgeted", tokens=7)
    file = tmp_path / "rows.jsonl"
    document = printed(capsys, "export", "fine-tuning", str(file))
    assert document["rows"] == 1 and len(document["fingerprint"]) == 64
    (example, *_) = (json.loads(line) for line in file.read_text().splitlines())
    assert example["target"] == "[[12]]"
    assert main(["tune", "examples", "--from", str(file), "--json"]) == OK
    assert json.loads(capsys.readouterr().out)["fingerprint"] == document["fingerprint"]
    assert printed(capsys, "export", "labels", str(tmp_path / "labels.csv"))["rows"] == 0
    assert printed(capsys, "export", "estimators", str(file))["rows"] == 0


def test_agreement_is_printed(store: Store, labeling: Labeling, capsys: pytest.CaptureFixture[str]) -> None:
    for q in samples.numbered(4):
        samples.asked(store, q, "[[5]]")
    labeling.sync()
    for name, verdicts in (("Ada", "rrww"), ("Ben", "rrwr")):
        who = labeling.sit_down(name)
        targets = sorted(labeling.queue.ahead(who, ALL, limit=9), key=lambda t: t.key)
        for target, letter in zip(targets, verdicts, strict=True):
            labeling.judge(who, target, "right" if letter == "r" else "wrong")
    document = printed(capsys, "agreement")
    assert document["cohen"][0]["names"] == ["Ada", "Ben"] and document["cohen"][0]["kappa"] == pytest.approx(0.5)
    assert document["fleiss"]["n"] == 4


@pytest.mark.parametrize(
    "args",
    [
        ["import", "/no/such/file.csv", "--annotator", "Ada"],
        ["import", "gold.exe", "--annotator", "Ada"],
        ["export", "fine-tuning", "rows.exe"],
        ["export", "estimators", "rows.csv"],
        ["export", "fine-tuning", "/no/such/folder/rows.jsonl"],
        ["queue", "--annotator", "Ada", "--limit", "0"],
    ],
)
def test_wrong_input_ends_with_2_and_says_why(
    args: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "gold.exe").write_text("x")
    assert main(["label", *args]) == WRONG_INPUT
    told = capsys.readouterr()
    assert told.out == "" and told.err.startswith("tale: ")


def test_a_database_that_cannot_be_used_ends_with_1(tmp_path: Path) -> None:
    (tmp_path / "no.db").write_text("no database at all")
    assert main(["label", "agreement", "--db", f"sqlite:///{tmp_path / 'no.db'}"]) == FAILED
