"""The adapters that come with the program: small, whole, described as measured, and better than asking to be brief."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.check import check_lora
from tale_core.models.embedded.catalog import embedded_model
from tale_core.models.embedded.prepare import Preparation
from tale_core.settings import REPO_ROOT
from tale_core.strategies import Tuned, needs_adapter, strategy
from tests.pages import tuning_samples
from tests.pages.app_page import opened, words
from tests.pages.chinese import english
from tests.pages.test_chinese import Case, drawn

PLACE = REPO_ROOT / "data" / "adapters"
FOLDERS = sorted(PLACE.iterdir())
MOST_BYTES = 20_000_000
each = pytest.mark.parametrize("folder", FOLDERS, ids=lambda p: p.name)


@pytest.fixture(autouse=True)
def as_shipped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(adapters, "SHIPPED", PLACE)


def measured(folder: Path) -> dict[str, Any]:
    told = json.loads((folder / adapters.DESCRIPTION).read_text(encoding="utf-8"))
    return dict(told["results"][-1])


def rows(folder: Path) -> dict[str, dict[str, Any]]:
    return {row["strategy"]: row for row in measured(folder)["rows"]}


@each
def test_it_is_small_whole_and_of_a_model_in_the_catalog(folder: Path) -> None:
    one = adapters.find(folder.name)
    assert one.shipped and one in adapters.of_base(one.about.base)
    assert sum(p.stat().st_size for p in folder.iterdir()) <= MOST_BYTES
    assert adapters.verified(one) == one.gguf and check_lora(one.gguf)
    assert one.about.base_sha256 == embedded_model(one.about.base).sha256
    found = strategy(f"tuned:{one.name}")
    assert isinstance(found, Tuned) and found.adapter == one.key


@each
def test_it_holds_no_text_of_a_question(folder: Path) -> None:
    about = adapters.find(folder.name).about
    assert about.data["held_out_questions"] == []
    several = re.search(r"--per-question (\d+)", about.data["source"])
    assert len(about.data["questions"]) * int(several[1] if several else 1) >= about.data["examples"] > 0
    assert all(re.fullmatch(r"[0-9a-f]{32}", key) for key in about.data["questions"])


@each
def test_it_is_better_than_every_way_of_asking_to_be_brief(folder: Path) -> None:
    found = rows(folder)
    mine, vanilla = found.pop(f"tuned:{folder.name}"), found.pop("vanilla")
    assert mine["n"] >= 200 and vanilla["n"] >= 200
    more = ("direct", "lines-vote:3")  # The vote asks up to four times.
    brief = [row for name, row in found.items() if name not in more and not needs_adapter(name)]
    assert len(brief) >= 5, "measured against prompts alone"
    for row in brief:
        assert row["n"] >= 195 and mine["accuracy"] > row["accuracy"], row["strategy"]


@each
def test_its_card_says_what_was_measured(folder: Path) -> None:
    card = (folder / "README.md").read_text(encoding="utf-8")
    assert "tune train" in card and "MIT" in card
    for name, row in rows(folder).items():
        line = next(line for line in card.splitlines() if line.startswith(f"| `{name}` |"))
        span = f"{100 * row['accuracy']:.1f} % ({100 * row['accuracy_low']:.1f} to {100 * row['accuracy_high']:.1f})"
        assert f"| {span} | {row['output_tokens']:.1f} |" in line, span


@pytest.fixture
def no_download(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Preparation, "start", lambda self: None)


@each
def test_the_pages_offer_it_to_a_newcomer(folder: Path, no_download: None) -> None:
    at = opened()
    tool = ", evaluated by a calculator" if adapters.find(folder.name).about.writes == "lines" else ""
    assert f"None: the fine-tuned {folder.name}{tool}" in at.selectbox(key="estimator").options
    at.query_params["adapter"] = folder.name
    at = at.switch_page("pages/Fine-tune.py").run()
    assert at.button(key=f"tune_show_{folder.name}").disabled, "what was compared is open without a click"
    mine = rows(folder)[f"tuned:{folder.name}"]
    told = words(at.main).replace("\u00a0", " ")
    assert not at.exception and "shipped with the program" in told
    assert f"{100 * mine['accuracy']:.1f} % right" in told and "fewer output tokens than vanilla" in told
    assert f"**Fine-tuned: {folder.name}{tool}: " in told, "the chart's title is about the adapter that is shown"
    assert "TALE, calibrated" in told and "Chain of Draft" in told
    assert "Delete" not in told and "chain-of-draft" not in told


@each
def test_the_fine_tune_page_tells_of_it_in_chinese(folder: Path, no_download: None) -> None:
    at = drawn(Case("Fine-tune", "shipped", lambda: {"adapter": folder.name}, "embedded"))
    assert folder.name in words(at.main)
    names = (folder.name, measured(folder)["dataset"], *tuning_samples.WORDS, *rows(folder), "gsm8k", "GSM8K", "paper")
    assert english(at, *names) == []
