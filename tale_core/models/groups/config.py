"""Several endpoints behind one model name: the file that says so.

    # endpoint-groups.toml in the data folder, or where TALE_ENDPOINT_GROUPS says
    [qwen-lab]                                   # what people choose
    title = "Qwen on three machines"
    model = "Qwen/Qwen2.5-7B-Instruct"           # what the endpoints call it

    [[qwen-lab.endpoints]]
    base_url = "http://gpu-1:8000/v1"
    weight = 2                                   # gets twice as many calls as one of weight 1
    most = 32                                    # calls at the same time, at most
    per_minute = 600                             # calls begun in a minute, at most
    api_key_env = "VLLM_API_KEY"                 # the variable that holds its key, never the key

It opens no connection and holds no key.
"""

from __future__ import annotations

import tomllib
from functools import lru_cache
from pathlib import Path
from typing import Any

from pydantic import Field, ValidationError, field_validator, model_validator

from tale_core.errors import InputError, SettingsError
from tale_core.i18n import t
from tale_core.models.endpoint_url import validate_base_url
from tale_core.models.endpoints import Priced, Strict, Tokenizer
from tale_core.settings import Settings, get_settings

FILE = "endpoint-groups.toml"
PREFIX = "group:"
"""Begins what is stored as the endpoint of a call that a group has answered."""
MOST_ENDPOINTS = 64


class Member(Strict):
    """One endpoint of a group.

    Attributes:
        weight: Its share of the calls, against the others'.
        most: Calls at the same time, at most; None for no limit of ours.
        per_minute: Calls begun in any 60 seconds, at most; None for no limit of ours.
        api_key_env: Environment variable that holds its key.
        model: What it calls the model, if not as the group says.
    """

    base_url: str
    weight: float = Field(default=1.0, gt=0, le=1000)
    most: int | None = Field(default=None, ge=1, le=10_000)
    per_minute: int | None = Field(default=None, ge=1, le=1_000_000)
    api_key_env: str | None = Field(default=None, pattern=r"^[A-Za-z_][A-Za-z0-9_]{0,127}$")
    model: str | None = Field(default=None, min_length=1)

    @field_validator("base_url")
    @classmethod
    def _an_address(cls, value: str) -> str:
        try:
            return validate_base_url(value)
        except InputError as e:
            raise ValueError(str(e)) from None


class Group(Priced):
    """Endpoints that answer for one model name.

    Attributes:
        name: What people choose, and what is stored as the model of each call.
        model: What the endpoints call it; the name when empty.
        input: Dollars per million prompt tokens; None with the other two when unknown.
    """

    name: str = Field(min_length=1, max_length=200)
    title: str = ""
    model: str = ""
    tokenizer: Tokenizer = "tiktoken"
    reasoning: bool = False
    input: float | None = Field(default=None, ge=0)
    output: float | None = Field(default=None, ge=0)
    endpoints: tuple[Member, ...] = Field(min_length=1, max_length=MOST_ENDPOINTS)

    @model_validator(mode="after")
    def _whole(self) -> Group:
        if len({one.base_url for one in self.endpoints}) < len(self.endpoints):
            raise ValueError("an address is named twice")
        return self

    @property
    def label(self) -> str:
        """What is stored as its endpoint."""
        return PREFIX + self.name

    def model_at(self, member: Member) -> str:
        """What this endpoint calls the model."""
        return member.model or self.model or self.name


def groups(settings: Settings | None = None) -> tuple[Group, ...]:
    """Every group, in the file's order; none when there is no file.

    Raises:
        SettingsError: The file cannot be read; the message says where it is wrong.
    """
    settings = settings or get_settings()
    path = settings.endpoint_groups or settings.data_dir / FILE
    try:
        changed = path.stat().st_mtime_ns
    except FileNotFoundError as e:
        if settings.endpoint_groups is None:
            return ()
        raise _unreadable(path, t("there is no such file")) from e
    except OSError as e:
        raise _unreadable(path, e.strerror or str(e)) from e
    return _load(path, changed)


@lru_cache(maxsize=4)
def _load(path: Path, _changed: int) -> tuple[Group, ...]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise _unreadable(path, str(e)) from e
    return tuple(_group(path, name, entry) for name, entry in entries.items())


def _group(path: Path, name: str, entry: Any) -> Group:
    fields = entry if isinstance(entry, dict) else {"endpoints": entry}
    try:
        return Group.model_validate({**fields, "name": name})
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]  # What was given may be a key.
        where = ".".join(str(part) for part in (name, *first["loc"]))
        raise _unreadable(path, f"{where}: {first['msg']}") from None


def _unreadable(path: Path, problem: str) -> SettingsError:
    return SettingsError(
        t("{path} cannot be read as groups of endpoints: {problem}.", path=path, problem=problem.rstrip(".")),
        t("docs/scale.md shows one; keys are named by api_key_env and stand in the environment."),
    )


def group(name: str) -> Group:
    """Look a group up.

    Raises:
        InputError: There is none of this name.
        SettingsError: The file cannot be read.
    """
    for one in groups():
        if one.name == name:
            return one
    raise InputError(
        t("There is no group of endpoints {name!r}.", name=name),
        t("There are: {names}.", names=", ".join(g.name for g in groups()) or "-"),
    )
