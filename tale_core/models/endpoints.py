"""OpenAI-compatible endpoints: presets from data/endpoints.toml, addresses a person typed, and where their keys are.

Knows names, addresses, prices and where a key is looked up; opens no connection and knows no page.
"""

from __future__ import annotations

import os
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tale_core.errors import AuthenticationFailedError, InputError, SettingsError, UnknownModelError
from tale_core.i18n import t
from tale_core.models.endpoint_url import validate_base_url
from tale_core.settings import REPO_ROOT
from tale_core.types import Price, ReasoningEffort

ENDPOINTS_FILE = REPO_ROOT / "data" / "endpoints.toml"
SECRETS_FILE = REPO_ROOT / ".streamlit" / "secrets.toml"
Tokenizer = Literal["tiktoken", "llama.cpp"]


class Strict(BaseModel):
    """What a file names is known, or refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Priced(Strict):
    """Something whose tokens have a price: dollars per million of them, or None when unknown."""

    name: str = Field(min_length=1)
    input: float | None = None
    output: float | None = None
    as_of: str | None = Field(default=None, min_length=1)

    @model_validator(mode="after")
    def _all_of_a_price_or_nothing(self) -> Self:
        if len({value is None for value in (self.input, self.output, self.as_of)}) > 1:
            raise ValueError(f"{self.name}: a price needs input, output and as_of together")
        return self

    @property
    def price(self) -> Price | None:
        """The price of its tokens, or None when unknown."""
        if self.input is None or self.output is None or self.as_of is None:
            return None
        return Price(self.input, self.output, self.as_of)


class PresetModel(Priced):
    """A model of a preset. Prices are dollars per million tokens; None means that none is known.

    Attributes:
        reasoning: It thinks before it answers and its hidden tokens are billed.
        efforts: Values of the provider's native effort knob; empty when it has none.
    """

    input: float | None = Field(default=None, gt=0)
    output: float | None = Field(default=None, gt=0)
    as_of: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    reasoning: bool = False
    efforts: tuple[ReasoningEffort, ...] = ()
    note: str = ""


class Preset(Strict):
    """An endpoint that people choose by name.

    Attributes:
        name: "openai", "yi", "vllm", "ollama", "llamacpp".
        title: Name for people.
        api_key_env: Environment variable (and secrets.toml name) of its key; None when it has none.
        needs_key: Without a key it refuses everything.
        tokenizer: What counts its tokens before a call.
        models: Models whose names are known; empty when the server decides.
    """

    name: str
    title: str
    base_url: str
    api_key_env: str | None = None
    needs_key: bool = False
    tokenizer: Tokenizer = "tiktoken"
    note: str = ""
    models: tuple[PresetModel, ...] = ()

    def model(self, name: str) -> PresetModel | None:
        """The model of this name, or None when the preset does not know it."""
        return next((m for m in self.models if m.name == name), None)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Everything the client needs to talk to one model. No representation of it shows the key.

    Attributes:
        base_url: Normalised, as `validate_base_url` returns it.
        label: Where it runs, as stored with each call; the address unless something better is known.
        price: Published price, or None when unknown.
        reasoning: The model thinks before it answers, in tokens that may be hidden.
        tokenizer: What counts tokens before a call.
        embedded: It is this program's own server; when it goes away, that is its death and not the network's.
        adapters: Keys of the adapters that it has loaded; their places are the ids that it knows them by.
    """

    base_url: str
    model: str
    api_key: SecretStr | None = field(default=None, repr=False)
    label: str = ""
    price: Price | None = None
    reasoning: bool = False
    tokenizer: Tokenizer = "tiktoken"
    embedded: bool = False
    adapters: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        secret = self.secret
        # A line break in a header is refused deep in the HTTP library, with the header's value in the message.
        if any(not "!" <= c <= "~" for c in secret):
            raise InputError(
                t("The API key holds a space, a line break or a letter that no key has."), t("Copy it again.")
            )
        if not self.model.strip():
            raise InputError(
                t("No model name was given."), t("Name one; the connection test lists what the endpoint has.")
            )
        if not self.label:
            object.__setattr__(self, "label", self.base_url)

    @property
    def secret(self) -> str:
        """The key in the clear, "" when there is none: for the request's header and for nothing else."""
        return self.api_key.get_secret_value() if self.api_key else ""

    def with_model(self, model: str, *, price: Price | None = None) -> Endpoint:
        """The same endpoint with another model; the price is the new model's, unknown by default."""
        return replace(self, model=model, price=price)


def endpoints() -> tuple[Preset, ...]:
    """Every preset, in the file's order."""
    return _load(ENDPOINTS_FILE)


def preset(name: str) -> Preset:
    """Look a preset up.

    Raises:
        InputError: There is none of this name; the message lists those there are.
    """
    for one in endpoints():
        if one.name == name:
            return one
    raise InputError(
        t("There is no endpoint preset {name!r}.", name=name),
        t("Choose one of: {names}.", names=", ".join(p.name for p in endpoints())),
    )


@lru_cache(maxsize=4)
def _load(path: Path) -> tuple[Preset, ...]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(Preset.model_validate({"name": name, **entry}) for name, entry in entries.items())
    except (OSError, tomllib.TOMLDecodeError, ValidationError) as e:
        raise SettingsError(
            t("{path} cannot be read as a list of endpoints: {problem}", path=path, problem=str(e)),
            t("Restore the file."),
        ) from e


def resolve(
    model: str | None = None,
    *,
    preset_name: str | None = None,
    base_url: str | None = None,
    api_key_env: str | None = None,
    secrets: Mapping[str, object] | None = None,
    key: str | None = None,
) -> Endpoint:
    """Choose an endpoint by preset, by address, or by the name of a model that a preset lists.

    A preset's own key goes to the preset's own address only: with another `base_url`, name the key's variable or give
    the key.

    Args:
        model: Its name at the endpoint; a preset's first model when None.
        preset_name: A preset; found by `model` or by `base_url` when None.
        base_url: An address; the preset's when None.
        api_key_env: Variable that holds the key; the preset's when None.
        secrets: What secrets.toml holds; see `read_secrets_file`.
        key: The key itself, as typed for this session.

    Raises:
        UnknownModelError: No preset has this model and no address was given.
        InputError: The preset or the address is wrong, or no model was named.
        AuthenticationFailedError: The endpoint needs a key and none was found.
    """
    address = validate_base_url(base_url) if base_url else None
    chosen = preset(preset_name) if preset_name else _guess(model, address)
    home = chosen is not None and (address is None or address == chosen.base_url)
    env = api_key_env or (chosen.api_key_env if chosen and home else None)
    secret = api_key(env, secrets=secrets, field=key)
    if secret is None and (api_key_env or (chosen and home and chosen.needs_key)):
        raise _no_key(chosen.title if chosen and home else address or t("the endpoint"), env)
    target = validate_base_url(address or (chosen.base_url if chosen else ""), has_key=secret is not None)
    name = model or (chosen.models[0].name if chosen and chosen.models else "")
    known = chosen.model(name) if chosen and home else None
    return Endpoint(
        base_url=target,
        model=name,
        api_key=SecretStr(secret) if secret else None,
        price=known.price if known else None,
        reasoning=known.reasoning if known else False,
        tokenizer=chosen.tokenizer if chosen else "tiktoken",
    )


def _guess(model: str | None, address: str | None) -> Preset | None:
    if address:
        return next((p for p in endpoints() if p.base_url == address), None)
    for one in endpoints():
        if model and one.model(model):
            return one
    names = ", ".join(m.name for p in endpoints() for m in p.models)
    raise UnknownModelError(
        t("No endpoint is known for the model {model!r}.", model=model)
        if model
        else t("Neither a model nor an endpoint was given."),
        t("Give the endpoint's address (--base-url), or choose one of: {names}.", names=names),
    )


def _no_key(who: str, env: str | None) -> AuthenticationFailedError:
    where = (
        t("Set the environment variable {name}, or put {name} into .streamlit/secrets.toml.", name=env)
        if env
        else t("Give a key.")
    )
    return AuthenticationFailedError(t("No API key for {endpoint} was found.", endpoint=who), where)


def api_key(
    env_name: str | None, *, secrets: Mapping[str, object] | None = None, field: str | None = None
) -> str | None:
    """The key: what was typed for this session, else the environment's, else secrets.toml's; None when nobody has it.

    Args:
        env_name: Name of the variable and of the entry in `secrets`.
        secrets: What secrets.toml holds.
        field: What was typed.
    """
    from_file = secrets.get(env_name) if secrets is not None and env_name else None
    candidates = (field, os.environ.get(env_name) if env_name else None, from_file)
    return next((c.strip() for c in candidates if isinstance(c, str) and c.strip()), None)


def read_secrets_file(path: Path = SECRETS_FILE) -> Mapping[str, object]:
    """What a secrets.toml holds; empty when there is no such file.

    Raises:
        SettingsError: It is not TOML or cannot be read. The message holds nothing of its content.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError):
        problem = SettingsError(
            t("{path} cannot be read, or is not valid TOML.", path=path), t('A line looks like NAME = "value".')
        )
    raise problem
