"""What to record: a list in a TOML file that anybody can run again."""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from tale_core.ask.plan import AskPlan, CheckedAsk
from tale_core.datasets.ours import shipped
from tale_core.elasticity.plan import CheckedSweep, SweepPlan
from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.lessons.recorded import BUNDLED
from tale_core.search.plan import CheckedSearch, SearchPlan
from tale_core.types import AnswerKind, Language, Question, Sampling

RECIPES = BUNDLED / "recipes.toml"
Plan = CheckedAsk | CheckedSearch | CheckedSweep
_STRICT = ConfigDict(extra="forbid", frozen=True)


class _Note(BaseModel):
    model_config = _STRICT

    en: str = Field(min_length=1, max_length=600)
    zh: str = Field(min_length=1, max_length=600)


class Recipe(BaseModel):
    """One recording to be made.

    Attributes:
        name: Of the recording and its file.
        question: An id of our own questions, or a question's text; then `answer` goes with it.
        estimator: Where an Ask takes its budget from.
        of: The recorded sweep from which an Ask takes its two answers, instead of asking for them; its answer without a
            budget is then closed at its steps.
        note: Why it is worth showing, in both languages.
    """

    model_config = _STRICT

    name: str = Field(pattern=r"^[a-z0-9][a-z0-9-]{0,40}$")
    kind: Literal["ask", "search", "sweep"]
    question: str = Field(min_length=1)
    answer: str | None = None
    answer_kind: AnswerKind | None = None
    language: Language = "en"
    model: str | None = None
    template: str = "words"
    estimator: str = "fixed:40"
    of: str | None = None
    budgets: tuple[int, ...] = ()
    repeats: int = 1
    temperature: float = 0.0
    seed: int = 1024
    max_tokens: int = Field(default=600, ge=1, le=4000)
    slots: int = Field(default=4, ge=1, le=64)
    note: _Note

    @model_validator(mode="after")
    def _grid(self) -> Recipe:
        if (self.kind == "sweep") != bool(self.budgets):
            raise ValueError("a sweep, and nothing else, lists its budgets")
        if self.of is not None and (self.kind != "ask" or not self.estimator.startswith("fixed:")):
            raise ValueError("an ask with a fixed budget, and nothing else, takes its answers from a sweep")
        return self

    def plan(self) -> Plan:
        """What to run; nothing known from earlier is reused, since its timing is not known.

        Raises:
            InputError: The plan is wrong.
        """
        question = self._question()
        sampling = Sampling(temperature=self.temperature, seed=self.seed, max_tokens=self.max_tokens)
        if self.kind == "ask":
            return AskPlan(question, self.estimator, template=self.template, sampling=sampling).checked()
        if self.kind == "search":
            return SearchPlan(
                question=question, template=self.template, sampling=sampling, slots=self.slots, reuse=False
            ).checked()
        return SweepPlan(
            question=question,
            budgets=self.budgets,
            repeats=self.repeats,
            template=self.template,
            sampling=sampling,
            slots=self.slots,
            reuse=False,
        ).checked()

    def _question(self) -> Question:
        ours = next((q for q in shipped() if q.id == self.question), None)
        return ours or Question(
            text=self.question, answer=self.answer, kind=self.answer_kind, language=self.language, source="recipe"
        )


@dataclass(frozen=True, slots=True)
class Recipes:
    """A file of recipes, in order."""

    path: Path
    recipes: tuple[Recipe, ...]

    def named(self, names: list[str]) -> tuple[Recipe, ...]:
        """Those of these names, or all.

        Raises:
            InputError: A name is not in the file.
        """
        there = {recipe.name: recipe for recipe in self.recipes}
        if unknown := [name for name in names if name not in there]:
            raise InputError(
                t("{file} has no recording {name}.", file=self.path.name, name=repr(unknown[0])),
                t("It has: {names}.", names=", ".join(sorted(there))),
            )
        return tuple(there[name] for name in names) if names else self.recipes


def read_recipes(path: Path = RECIPES) -> Recipes:
    """Read a file of recipes.

    Raises:
        InputError: It cannot be read, is not TOML, a recipe is wrong, or two have one name.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
        found = tuple(Recipe.model_validate(one) for one in document.get("recording", []))
    except OSError as e:
        why = e.strerror or str(e)
        raise InputError(
            t("{file} cannot be read: {why}.", file=path, why=why), t("Give a file with {flag}.", flag="--recipes")
        ) from e
    except ValidationError as e:
        first = e.errors()[0]
        where = ".".join(map(str, first["loc"])) or "?"
        fault = t("{file}: {where}: {why}.", file=path.name, where=where, why=first["msg"])
        raise InputError(fault, t("See {file} for an example.", file=RECIPES)) from e
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as e:
        fault = t("{file} is not TOML: {why}.", file=path.name, why=e)
        raise InputError(fault, t("See {file} for an example.", file=RECIPES)) from e
    if len({one.name for one in found}) != len(found) or not found:
        raise InputError(
            t("{file} has no recipes, or two of one name.", file=path.name),
            t("Give each {section} its own name.", section="[[recording]]"),
        )
    return Recipes(path, found)
