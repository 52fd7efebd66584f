"""The registry of estimators: what pages, commands, papers and errors offer is what it holds, a newcomer included."""

import inspect

import pytest

import tale_core as tale
from tale_core.cli.main import main
from tale_core.errors import EstimatorFileError, InputError
from tale_core.estimators import archive, estimator, offered, saved
from tale_core.estimators.base import Estimator
from tale_core.estimators.candidates import CANDIDATES
from tale_core.estimators.kinds import KINDS, TITLES, EstimatorKind, Fixed, Training, trainings
from tale_core.estimators.training import train
from tale_core.settings import REPO_ROOT
from tests.estimators.simulated import MODEL, TEMPLATE, rows
from tests.pages.app_page import opened

TWICE = EstimatorKind("twice", "Twice as many", "twice", make=lambda n: Fixed(2 * int(n)), argument="N")
LINE = EstimatorKind("line", "A line", "from a line", training=Training("From a line", ("ridge",)))


@pytest.fixture
def newcomers(monkeypatch):
    for kind in (TWICE, LINE):
        monkeypatch.setitem(KINDS, kind.name, kind)


def help_of(command, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "1000")
    with pytest.raises(SystemExit):
        main([command, "--help"])
    return capsys.readouterr().out


def test_each_kind_is_either_made_or_trained_and_names_candidates_that_there_are():
    assert all((kind.make is None) != (kind.training is None) and kind.name == name for name, kind in KINDS.items())
    assert {name for how in trainings().values() for name in (*how.eligible, *how.shown)} <= set(CANDIDATES)
    assert list(TITLES) == list(CANDIDATES)


def test_what_needs_no_training_is_an_estimator_of_that_name():
    for name, kind in KINDS.items():
        if kind.make is not None:
            one: Estimator = estimator(f"{name}:50" if kind.argument else name)
            assert one.name.partition(":")[0] == name


@pytest.mark.parametrize("where", ["docstring", "docs"])
def test_the_papers_name_every_kind(where):
    text = inspect.getdoc(tale.ask_async) if where == "docstring" else (REPO_ROOT / "docs" / "api.md").read_text()
    assert [kind.pattern for kind in KINDS.values() if kind.pattern not in text] == []


def test_the_command_line_offers_every_kind_a_newcomer_included(newcomers, capsys, monkeypatch):
    assert f"{', '.join(kind.pattern for kind in KINDS.values())}, tuned:NAME" in help_of("ask", capsys, monkeypatch)
    assert f"{{{','.join(trainings())}}}" in help_of("train-estimator", capsys, monkeypatch)
    with pytest.raises(InputError, match="twice:N"):
        estimator("nope")


def test_ask_offers_every_kind_a_newcomer_included(newcomers):
    box = opened().selectbox(key="estimator")
    names = offered(model="any", template="words")
    assert "twice" in names and "line" not in names, "nothing of that kind is trained"
    titles = [KINDS[name].title for name in names]
    first = box.options.index(titles[0])
    assert box.options[first : first + len(names)] == titles


def test_the_estimators_page_offers_every_kind_that_can_be_trained(newcomers):
    at = opened("pages/Estimators.py")
    assert at.radio(key="est_kind").options == [how.title for how in trainings().values()]


def test_a_newcomer_is_trained_saved_and_offered_and_refused_where_its_kind_is_not_known(newcomers, monkeypatch):
    trained = train("line", rows(24), model=MODEL, template=TEMPLATE)
    saved.save(trained)
    assert "line" in offered(model=MODEL, template=TEMPLATE)
    assert estimator("line", model=MODEL, template=TEMPLATE).name.startswith("line:")
    assert estimator("twice:30").budget == 60
    content = archive.to_bytes(trained)
    monkeypatch.delitem(KINDS, "line")
    with pytest.raises(EstimatorFileError, match="its metadata is wrong at kind"):
        archive.from_bytes(content, where="line.skops")
