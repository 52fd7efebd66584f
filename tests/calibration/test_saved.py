"""What a calibration found is remembered, and a file that cannot be trusted does no harm."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from tale_core.calibration import saved as saved_choices
from tale_core.calibration.run import (
    Calibration,
    CalibrationPlan,
    calibrate,
    default_questions,
    read_choices,
    remember,
    template_for,
)
from tale_core.errors import InputError, StoreError
from tale_core.prompts.messages import TEMPLATES, TOOL_FREE
from tale_core.settings import Settings, get_settings
from tests.support.template_models import model, obeys

QUESTIONS = default_questions(6, ("en",))


@pytest.fixture
async def calibration() -> Calibration:
    plan = CalibrationPlan(questions=QUESTIONS)
    *_, found = [e async for e in calibrate(plan, model(obeys("words"), QUESTIONS))]
    assert isinstance(found, Calibration)
    return found


@pytest.fixture
def nothing_shipped(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    path = tmp_path / "shipped.json"
    monkeypatch.setattr(saved_choices, "SHIPPED", path)
    return path


async def test_a_calibration_is_remembered_with_its_figures(calibration: Calibration, nothing_shipped: Path) -> None:
    settings = get_settings()
    assert template_for("scripted", settings) is None
    path = remember(calibration, settings)
    assert path == settings.data_dir / "wordings.json"
    found = template_for("scripted", settings)
    assert found is not None and (found.template, found.found, found.model) == ("words", "yours", "scripted")
    entry = found.entry
    assert (entry.version, entry.n, entry.budgets) == (TEMPLATES["words"].version, 6, [25, 60])
    assert entry.date == calibration.created_at.date().isoformat() and entry.source == "simulated"
    assert entry.spent.calls == calibration.spent.calls > 0
    assert [f.name for f in entry.figures] == list(TOOL_FREE)
    words = next(f for f in entry.figures if f.name == "words")
    assert (words.n, words.accuracy, words.curve, words.dropped_after) == (12, 1.0, "follows", None)
    assert template_for("another", settings) is None
    assert [p.name for p in path.parent.iterdir()] == ["wordings.json"]  # No draft is left behind.


async def test_calibrating_one_model_keeps_what_is_known_of_others(calibration: Calibration) -> None:
    settings = get_settings()
    remember(replace(calibration, model="模型/β"), settings)
    path = remember(calibration, settings)
    assert list(read_choices(path)) == ["模型/β", "scripted"]


async def test_the_users_own_goes_before_the_shipped(calibration: Calibration, nothing_shipped: Path) -> None:
    settings = get_settings()
    remember(calibration, settings).rename(nothing_shipped)
    shipped_one = template_for("scripted", settings)
    assert shipped_one is not None and shipped_one.found == "shipped"
    remember(calibration, settings)
    assert template_for("scripted", settings)._replace(entry=None) == shipped_one._replace(found="yours", entry=None)


@pytest.mark.parametrize("change", [{"version": 99}, {"wording": "gone"}])
async def test_an_entry_of_another_text_is_not_used(calibration: Calibration, nothing_shipped: Path, change) -> None:
    path = remember(calibration, get_settings())
    document = json.loads(path.read_text(encoding="utf-8"))
    document["models"]["scripted"].update(change)
    path.write_text(json.dumps(document), encoding="utf-8")
    assert read_choices(path) and template_for("scripted", get_settings()) is None


HOSTILE = {
    "empty": b"",
    "not-json": b"{",
    "list": b"[]",
    "other-format": b'{"format": 2, "models": {}}',
    "no-models": b'{"format": 1}',
    "entry-is-text": b'{"format": 1, "models": {"scripted": "words"}}',
    "binary": bytes(range(256)),
    "deep": b"[" * 100_000,
    "deep-inside": b'{"format": 1, "models": ' + b'{"a":' * 50_000,
    "too-large": b'{"format": 1, "models": {}}' + b" " * 2_000_000,
    "too-many": json.dumps({"format": 1, "models": {str(i): {} for i in range(2_000)}}).encode(),
}


@pytest.mark.parametrize("raw", HOSTILE.values(), ids=HOSTILE)
async def test_a_file_that_cannot_be_trusted_is_ignored_told_and_left_alone(
    raw: bytes, calibration: Calibration, nothing_shipped: Path
) -> None:
    settings = get_settings()
    remember(calibration, settings).rename(nothing_shipped)
    path = settings.data_dir / "wordings.json"
    path.write_bytes(raw)
    found = template_for("scripted", settings)
    assert found is not None and found.found == "shipped"
    for use in (lambda: read_choices(path), lambda: remember(calibration, settings)):
        with pytest.raises(InputError) as error:
            use()
        assert str(path) in str(error.value) and len(str(error.value)) < 1_000
    assert path.read_bytes() == raw


@pytest.mark.parametrize(
    "change",
    [
        {"wording": 7}, {"date": "yesterday"}, {"n": -1}, {"n": "6"}, {"budgets": [25] * 200}, {"reason": "x" * 5_000},
        {"figures": [{}]}, {"source": "made up"}, {"spent": None},
    ],
)  # fmt: skip
async def test_an_entry_with_a_wrong_value_names_the_value(calibration: Calibration, change) -> None:
    path = remember(calibration, get_settings())
    document = json.loads(path.read_text(encoding="utf-8"))
    document["models"]["scripted"].update(change)
    path.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(InputError, match=rf"scripted\.{next(iter(change))}"):
        read_choices(path)


@pytest.mark.parametrize("number", ["NaN", "Infinity", "1.5", "-0.1"])
async def test_a_share_that_is_none_is_refused(calibration: Calibration, number: str) -> None:
    path = remember(calibration, get_settings())
    text = path.read_text(encoding="utf-8")
    assert text.count('"accuracy": 1.0') > 0
    path.write_text(text.replace('"accuracy": 1.0', f'"accuracy": {number}'), encoding="utf-8")
    with pytest.raises(InputError, match="not to be trusted"):
        read_choices(path)


async def test_what_is_no_file_is_told_and_never_waited_for(calibration: Calibration, tmp_path: Path) -> None:
    pipe, folder = tmp_path / "pipe", tmp_path / "folder"
    os.mkfifo(pipe)
    folder.mkdir()
    for path in (pipe, folder):
        with pytest.raises(InputError, match="not a file"):
            read_choices(path)
    taken = tmp_path / "taken"
    taken.write_text("", encoding="utf-8")
    with pytest.raises(StoreError, match="cannot be written"):
        remember(calibration, Settings(data_dir=taken))


def test_the_shipped_choices_are_current_and_measured_with_real_models() -> None:
    for name, entry in read_choices(saved_choices.SHIPPED).items():
        assert entry.model == name and entry.version == TEMPLATES[entry.template].version
        assert entry.source == "live" and entry.spent.calls > 0
