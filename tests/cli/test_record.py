"""`record` on the command line, against a real endpoint on loopback."""

import json

from tale_core.cli.main import main
from tale_core.lessons.recipes import read_recipes
from tale_core.lessons.recorded import own_folder, read
from tale_core.store import open_store


def test_recipes_are_listed_without_running_anything(capsys):
    assert main(["record", "--list", "--json"]) == 0
    listed = json.loads(capsys.readouterr().out)["recipes"]
    assert [one["name"] for one in listed] == [one.name for one in read_recipes().recipes]
    assert open_store().count_sessions() == 0


def test_a_recording_is_made_stored_and_offered_to_lessons(bad, capsys, tmp_path):
    flags = ["--base-url", bad.base_url, "--model", "obeys", "--json"]
    assert main(["record", "ask-en", *flags]) == 0
    (made,) = json.loads(capsys.readouterr().out)["recordings"]
    one = read(own_folder() / "ask-en.json")
    assert made["file"].endswith("ask-en.json") and one.made.model == "obeys"
    stored = open_store().get_session(made["session"])
    assert stored.source == "live" and one.session.source == "recorded"
    assert [c.text for c in stored.calls] == [c.text for c in one.session.calls]


def test_a_wrong_name_and_a_wrong_file_are_input_errors(capsys, tmp_path):
    assert main(["record", "nothing"]) == 2
    assert "has no recording 'nothing'" in capsys.readouterr().err
    assert main(["record", "--recipes", str(tmp_path / "none.toml")]) == 2


def test_a_run_that_fails_leaves_no_recording(bad, capsys, tmp_path):
    code = main(["record", "ask-en", "--base-url", bad.base_url, "--model", "cut", "--out", str(tmp_path / "out")])
    assert code == 1 and "ask-en" in capsys.readouterr().err
    assert not list((tmp_path / "out").glob("*"))
