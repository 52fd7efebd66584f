"""The papers for people name files, floors and links that are there, and the code of their recipes runs."""

import re
import textwrap
import tomllib
from inspect import isfunction
from pathlib import Path
from types import ModuleType
from typing import Any, get_type_hints

import numpy as np
import pytest

from tale_core import strategies
from tale_core.budgets import kinds as budgets
from tale_core.datasets import named
from tale_core.estimators import candidates, estimator, offered
from tale_core.estimators import kinds as estimator_kinds
from tale_core.experiments import columns, rows_of
from tale_core.models import endpoints
from tale_core.settings import REPO_ROOT
from tale_core.strategies import kinds
from tale_core.types import Question, Sampling

PAPERS = sorted([*REPO_ROOT.glob("*.md"), *REPO_ROOT.glob("docs/*.md"), REPO_ROOT / "data" / "README.md"])
NEW = {"ui/prices/page.py", "ui/prices/__init__.py", "pages/NAME.py"}
"""What the recipe of a page makes."""
ROOMS = ("tale_core/", "ui/", "pages/", "tests/", "data/", "docs/", "benchmarks/", "deploy/")


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: str(p.relative_to(REPO_ROOT)))
def test_every_file_that_a_paper_names_is_there(paper: Path) -> None:
    words = re.findall(r"`([\w./-]+)`", paper.read_text(encoding="utf-8"))
    named = {word for word in words if word.startswith(ROOMS) and not word.endswith("/CODE/")}
    assert [word for word in sorted(named - NEW) if not (REPO_ROOT / word).exists()] == []


@pytest.mark.parametrize("paper", PAPERS, ids=lambda p: str(p.relative_to(REPO_ROOT)))
def test_every_link_of_a_paper_leads_to_a_file(paper: Path) -> None:
    links = re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", paper.read_text(encoding="utf-8"))
    assert [link for link in links if not (paper.parent / link).exists()] == []


def test_the_picture_of_the_floors_is_the_contract_that_lint_holds() -> None:
    contracts = tomllib.loads((REPO_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["tool"]["importlinter"]
    layers = next(c["layers"] for c in contracts["contracts"] if c.get("containers"))
    picture = (REPO_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8").split("```")[3]
    assert [line.split("  ")[0] for line in picture.strip().splitlines()] == layers


def test_the_house_is_as_small_as_its_paper_says() -> None:
    text = (REPO_ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    plan, way = text.split("## The way of one question")
    rows = "".join(line for line in way.splitlines() if line.startswith("|"))
    files = set(re.findall(r"`([\w/]+\.py)`", rows))
    floors = len(plan.split("```")[3].strip().splitlines())
    loose = len(list((REPO_ROOT / "tale_core").glob("*.py")))
    assert f"These are {floors} floors, and {loose} modules lie loose" in plan and max(floors, loose) <= 12
    assert f"These are {len(files)} files" in way and [one for one in files if not (REPO_ROOT / one).is_file()] == []


def block(recipe: str, language: str = "python") -> str:
    """The first code of a recipe of docs/extending.md."""
    text = (REPO_ROOT / "docs" / "extending.md").read_text(encoding="utf-8").split(f"## {recipe}\n")[1]
    return textwrap.dedent(text.split(f"```{language}\n")[1].split("```")[0].rstrip(" "))


def made(recipe: str, where: ModuleType) -> dict[str, Any]:
    """What the code of a recipe defines where it is to stand."""
    names = dict(vars(where))
    exec(compile("from __future__ import annotations\n" + block(recipe), "docs/extending.md", "exec"), names)
    new = [one for name, one in names.items() if vars(where).get(name) is not one]
    for member in (m for one in new for m in (vars(one).values() if isinstance(one, type) else (one,))):
        if isfunction(member) and member.__module__ == where.__name__:
            get_type_hints(member)  # Every name in a signature is known there.
    return names


def test_the_strategy_of_the_recipe_has_a_name_and_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(strategies, "KINDS", (*strategies.KINDS, made("A strategy", kinds)["Plain"]))
    assert strategies.strategy("plain").title == "Plain question"
    assert "plain" in strategies.offered(strategies.Offer())


def test_the_kind_of_budget_of_the_recipe_is_carried_by_a_sampling(monkeypatch: pytest.MonkeyPatch) -> None:
    one = made("A kind of budget", budgets)["Detail"]()
    monkeypatch.setattr(budgets, "KINDS", (*budgets.KINDS, one))
    assert budgets.set_in(one.in_sampling(Sampling(), one.read("low"))) == (one, "low")


def test_the_estimator_of_the_recipe_has_a_name_and_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    kind = made("An estimator", estimator_kinds)["BY_LENGTH"]
    monkeypatch.setitem(estimator_kinds.KINDS, kind.name, kind)
    assert estimator("by-length").name == kind.name in offered(model="m", template="words")


def test_the_candidate_of_the_recipe_fits_and_predicts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(estimator_kinds.TITLES, "length", "the length of the question")
    one = made("A candidate", candidates)["LENGTH"]
    x = candidates.features.matrix([Question("How many apples are there? " * n) for n in (1, 2, 4, 8)])
    data = candidates.Data(x, np.full(4, np.nan), np.log([10.0, 20.0, 40.0, 80.0]))
    found = one.predict(one.fit(data, {}), data)
    assert list(found.median) == sorted(found.median) and (found.upper >= found.median).all()


def test_the_data_set_of_the_recipe_has_one_file() -> None:
    (one,) = made("A data set", named)["_exam"]()
    assert one.info.name == "exam" and one.parts[0].files == ("exam.jsonl",)


def test_the_column_of_the_recipe_reads_a_row_and_is_shown() -> None:
    column = made("A column of the results", columns)["PER_RIGHT"]
    (row,) = rows_of([], ["vanilla"], planned=1)
    assert columns.document([column], row) == {"all_in_tokens_per_right": None}
    assert columns.table([column], "report", [row]) == [("all-in tokens a right answer", ["unknown"])]


def test_the_preset_of_the_recipe_is_one() -> None:
    ((name, entry),) = tomllib.loads(block("An endpoint", "toml")).items()
    assert endpoints.Preset.model_validate({"name": name, **entry}).models[0].price is None
