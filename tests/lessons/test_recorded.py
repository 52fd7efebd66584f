"""Recordings as files: what is written can be read, what is wrong is refused in words, the bundled ones are real."""

from __future__ import annotations

import json
from datetime import date

import pytest

from tale_core.errors import InputError
from tale_core.i18n import use_language
from tale_core.lessons.arc import lesson_arc
from tale_core.lessons.recipes import read_recipes
from tale_core.lessons.recorded import BUNDLED, available, bundled, own_folder, parsed, read, write
from tale_core.lessons.replay import whole
from tale_core.models.embedded.catalog import embedded_models
from tests.lessons.samples import recorded

pytestmark = pytest.mark.sqlite_only("rooms alone ask the database anything of their own")


@pytest.mark.parametrize("kind", ["ask", "search", "sweep"])
async def test_a_recording_is_read_as_it_was_written(kind, tmp_path):
    one = await recorded(kind)
    path = write(one, tmp_path)
    assert read(path) == one and not list(tmp_path.glob("*.tmp"))
    assert one.session.source == "recorded" and {c.source for c in one.session.calls} == {"recorded"}
    assert one.made.on <= date.today() and one.made.model == "scripted"


async def test_a_sweep_says_of_every_answer_that_it_is_recorded():
    view = whole(await recorded("sweep"))
    assert view.result.sources == {"recorded": 12}


def test_a_language_without_recordings_gets_the_english_ones_and_their_notes():
    assert lesson_arc("de") == lesson_arc("en")
    with use_language("de"):
        assert lesson_arc().ladder.reason == lesson_arc("en").ladder.note["en"]
    with use_language("zh"):
        assert lesson_arc().ladder.reason == lesson_arc("zh").ladder.note["zh"]


async def damaged(change):
    document = json.loads(json.dumps((await recorded("ask", estimator="zero-shot")).document()))
    change(document)
    return json.dumps(document)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda d: d.update(format=2), "format"),
        (lambda d: d.pop("made"), "made"),
        (lambda d: d["made"].update(model=""), "model"),
        (lambda d: d["made"].update(key="sk-1"), "key"),
        (lambda d: d["session"].update(source="live"), "recorded"),
        (lambda d: d["session"]["calls"][0].update(source="live"), "recorded"),
        (lambda d: d["session"].update(status="cancelled"), "end well"),
        (lambda d: d["session"].update(kind="experiment"), "experiment"),
        (lambda d: d["session"]["calls"][1].update(text="other"), "does not fit"),
        (lambda d: d["tapes"].pop(), "tapes"),
        (lambda d: d["tapes"][0][2].append([-1, 0]), "came before"),
        (lambda d: d["tapes"][0].__setitem__(1, 0), "after the end"),
        (lambda d: d["marks"].append(5), "marks"),
        (lambda d: d["session"].update(question="text"), "question"),
    ],
)
async def test_a_file_that_is_wrong_is_refused_and_the_fault_is_named(change, says):
    with pytest.raises(InputError, match=says):
        parsed(await damaged(change), name="x.json")


@pytest.mark.parametrize("text", ["", "[]", "null", "{", '{"format": 1}', "[" * 5000, '{"format": 1, "tapes": 7}'])
def test_rubbish_is_refused_in_words(text):
    with pytest.raises(InputError, match="no recording that can be replayed"):
        parsed(text, name="x.json")


async def test_what_was_recorded_here_is_offered_beside_the_bundled_ones_and_a_bad_file_is_told():
    write(await recorded("ask"), own_folder())
    (own_folder() / "bad.json").write_text("{}", encoding="utf-8")
    found, problems = available()
    assert "ask-test" in found and set(bundled()) <= set(found)
    assert len(problems) == 1 and "bad.json" in problems[0]


def test_every_bundled_recording_is_a_real_run_of_an_embedded_model_and_says_so():
    names = {m.name for m in embedded_models()}
    assert bundled()
    for name, one in bundled().items():
        assert one.name == name and one.made.model in names and one.made.endpoint == "embedded"
        assert one.made.command == f"python -m tale_core record {name}"
        assert all(c.source == "recorded" and c.model == one.made.model for c in one.session.calls)
        assert one.note["en"] and one.note["zh"]
        assert (BUNDLED / f"{name}.json").stat().st_size < 400_000


def test_every_recipe_has_its_recording_and_every_recording_its_recipe():
    recipes = {one.name: one for one in read_recipes().recipes}
    assert set(recipes) == set(bundled())
    for name, one in bundled().items():
        plan = recipes[name].plan()
        assert one.session.kind == recipes[name].kind and one.session.question.text == plan.question.text
        assert one.session.template == plan.template
        assert {c.sampling.seed for c in one.session.calls if c.role != "estimate"} <= {
            plan.sampling.seed + i for i in range(recipes[name].repeats)
        }


@pytest.mark.parametrize("language", ["en", "zh"])
def test_the_lesson_of_either_language_has_its_recordings(language):
    found = lesson_arc(language)
    assert (found.ladder.kind, found.closed.kind) == ("sweep", "ask")
    assert found.ladder.session.question == found.closed.session.question
    assert found.ladder.session.question.language == language


def test_a_recipe_that_is_wrong_is_refused_with_its_fault(tmp_path):
    path = tmp_path / "r.toml"
    for text, says in (
        ("x = ", "not TOML"),
        ("", "no recipes"),
        ('[[recording]]\nname="a"\nkind="sweep"\nquestion="q"\nnote={en="e",zh="z"}', "lists its budgets"),
        ('[[recording]]\nname="a"\nkind="search"\nquestion="q"\nof="b"\nnote={en="e",zh="z"}', "takes its answers"),
        ('[[recording]]\nname="A B"\nkind="ask"\nquestion="q"\nnote={en="e",zh="z"}', "name"),
        ('[[recording]]\nname="a"\nkind="ask"\nquestion="q"', "note"),
    ):
        path.write_text(text, encoding="utf-8")
        with pytest.raises(InputError, match=says):
            read_recipes(path)
    with pytest.raises(InputError, match="cannot be read"):
        read_recipes(tmp_path / "none.toml")
    with pytest.raises(InputError, match="no recording 'nothing'"):
        read_recipes().named(["nothing"])
