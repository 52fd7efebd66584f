"""OpenAI-compatible endpoints: presets from data/endpoints.toml, addresses a person typed, and where their keys are.

It opens no connection.
"""

from __future__ import annotations

import os
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr, ValidationError, model_validator

from tale_core.access.who import asking
from tale_core.budgets.native import NativeKnob
from tale_core.errors import AuthenticationFailedError, InputError, SettingsError, UnknownModelError
from tale_core.i18n import t
from tale_core.models.endpoint_url import deployment, is_azure, is_loopback_host, validate_base_url
from tale_core.settings import APP_ROOT, DATA_ROOT
from tale_core.types import Price, ReasoningEffort

ENDPOINTS_FILE = DATA_ROOT / "endpoints.toml"
Tokenizer = Literal["tiktoken", "llama.cpp"]
UsageShape = Literal["inside", "beside", "unsaid"]
"""Where an endpoint's usage has the thinking tokens: in its completion tokens, beside them, or nowhere told apart."""
_PLACE = re.compile(r"[a-z_]{1,60}(?:\.[a-z_]{1,60}){0,5}")
Continues = Literal["flags", "prefix", "bare", "no"]
"""How an endpoint is told to continue the last message, where that is the assistant's: by vLLM's parameters, which
llama.cpp took over (PR 23012), by `prefix` in the message (DeepSeek, Mistral), by nothing at all (it always does), or
not at all."""


class Strict(BaseModel):
    """What a file names is known, or refused."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Priced(Strict):
    """Something whose tokens have a price: dollars per million of them, or None when unknown.

    `cached_input` and `cache_write` are for input that comes out of the endpoint's cache or is put into it; where they
    are unknown, that input costs what other input costs.
    """

    name: str = Field(min_length=1)
    input: float | None = None
    output: float | None = None
    as_of: str | None = Field(default=None, min_length=1)
    cached_input: float | None = Field(default=None, ge=0)
    cache_write: float | None = Field(default=None, ge=0)

    @model_validator(mode="after")
    def _all_of_a_price_or_nothing(self) -> Self:
        if len({value is None for value in (self.input, self.output, self.as_of)}) > 1:
            raise ValueError(f"{self.name}: a price needs input, output and as_of together")
        if self.input is None and (self.cached_input is not None or self.cache_write is not None):
            raise ValueError(f"{self.name}: a price of cached input needs the ordinary prices beside it")
        return self

    @property
    def price(self) -> Price | None:
        """The price of its tokens, or None when unknown."""
        if self.input is None or self.output is None or self.as_of is None:
            return None
        return Price(self.input, self.output, self.as_of, self.cached_input, self.cache_write)


PLACEHOLDER = "your-resource"
"""Stands in a preset's address for what every customer has a name of their own for."""


class ThinkingRange(Strict):
    """What a model allows of its endpoint's number of thinking tokens.

    Attributes:
        off: Thinking can be turned off.
    """

    least: int = Field(default=1, ge=1)
    most: int | None = Field(default=None, ge=1)
    off: bool = True


def _whole(knob: NativeKnob) -> NativeKnob:
    """A knob as the file describes it, if that holds together."""
    places = (knob.path, *knob.beside, *knob.off, *(place for sent in knob.instead.values() for place in sent))
    if wrong := next((place for place in places if not _PLACE.fullmatch(place)), None):
        raise ValueError(f"{wrong!r} is no place in a request: write names with dots, as thinking.budget_tokens")
    if (knob.knob == "thinking") == bool(knob.levels):
        raise ValueError(f"{knob.knob}: a number of tokens has no levels, and every other knob has some")
    if knob.least < 1 or (knob.most is not None and knob.most < knob.least):
        raise ValueError(f"{knob.path}: the range {knob.least} to {knob.most} is none")
    if strangers := {*knob.same.values(), *knob.instead} - set(knob.levels):
        raise ValueError(f"{knob.path}: {sorted(strangers)} in `same` or `instead` are not among its levels")
    return knob


Knobs = tuple[Annotated[NativeKnob, AfterValidator(_whole)], ...]


class PresetModel(Priced):
    """A model of a preset. Prices are dollars per million tokens; None means that none is known.

    Attributes:
        reasoning: It thinks before it answers and its hidden tokens are billed.
        efforts: Values of the provider's native effort knob; empty when it has none.
        thinking: Its range of thinking tokens; None when they cannot be set.
    """

    input: float | None = Field(default=None, gt=0)
    output: float | None = Field(default=None, gt=0)
    as_of: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}(-\d{2})?$")
    reasoning: bool = False
    efforts: tuple[ReasoningEffort, ...] = ()
    thinking: ThinkingRange | None = None
    note: str = ""

    def narrowed(self, knob: NativeKnob) -> NativeKnob | None:
        """The endpoint's knob as this model has it; None when it has not."""
        if knob.knob == "thinking":
            if self.thinking is None:
                return None
            range_ = self.thinking
            return replace(knob, least=range_.least, most=range_.most, off=knob.off if range_.off else {})
        if knob.knob == "effort":
            if not self.efforts:
                return None
            kept = set(self.efforts)
            return replace(
                knob,
                levels=self.efforts,
                off=knob.off if "none" in kept else {},
                same={word: level for word, level in knob.same.items() if level in kept},
                instead={level: sent for level, sent in knob.instead.items() if level in kept},
            )
        return knob if self.reasoning else None


class Preset(Strict):
    """An endpoint that people choose by name.

    Attributes:
        name: "openai", "anthropic", "vllm", …: the table's name in the file.
        title: Name for people.
        auth: How its key is sent: `Authorization: Bearer KEY`, or a header `api-key` of its own.
        api_key_env: Environment variable (and secrets.toml name) of its key; None when it has none.
        needs_key: Without a key it refuses everything.
        tokenizer: What counts its tokens before a call.
        continues: How a message is continued, as its documentation says; None when that says nothing.
        usage: Where its usage has the thinking tokens.
        streaming: What is odd about its streams, for people; "" when nothing is.
        ignored: Parameters that it takes and drops without a word, by its own documentation: they are not sent.
        knobs: How the knobs of its models are set.
        read_on: The day its documentation was read.
        sources: The pages that were read.
        models: Models whose names are known; empty when the server decides.
    """

    name: str
    title: str
    base_url: str
    auth: Literal["bearer", "api-key"] = "bearer"
    api_key_env: str | None = None
    needs_key: bool = False
    tokenizer: Tokenizer = "tiktoken"
    continues: Continues | None = None
    note: str = ""
    usage: UsageShape = "inside"
    streaming: str = ""
    ignored: tuple[str, ...] = ()
    knobs: Knobs = ()
    read_on: str | None = Field(default=None, pattern=r"^\d{4}-\d{2}-\d{2}$")
    sources: tuple[str, ...] = ()
    models: tuple[PresetModel, ...] = ()

    @model_validator(mode="after")
    def _its_models_use_its_knobs(self) -> Self:
        own = {knob.knob: knob for knob in self.knobs}
        if len(own) < len(self.knobs):
            raise ValueError("knobs: one is described twice")
        for model in self.models:
            levels = own["effort"].levels if "effort" in own else ()
            if unknown := [level for level in model.efforts if level not in levels]:
                raise ValueError(f"{model.name}: efforts {unknown} are not among the endpoint's levels {list(levels)}")
            if model.thinking and "thinking" not in own:
                raise ValueError(f"{model.name}: a thinking range needs the endpoint's thinking knob")
        if len({model.name for model in self.models}) < len(self.models):
            raise ValueError("a model is named twice")
        if (self.auth == "api-key") != is_azure(self.base_url):
            raise ValueError("auth: Azure's addresses, and no others, want the key in a header api-key")
        return self

    def model(self, name: str) -> PresetModel | None:
        """The model of this name, or None when the preset does not know it."""
        return next((m for m in self.models if m.name == name), None)

    def is_at(self, address: str) -> bool:
        """Whether this address is the preset's, however spelt; each of Azure's customers has one of their own."""
        if PLACEHOLDER not in self.base_url:
            return _place(address) == _place(self.base_url)
        home, there = urlsplit(self.base_url), urlsplit(address)
        domain = (home.hostname or "").removeprefix(PLACEHOLDER)
        return there.scheme == home.scheme and (there.hostname or "").endswith(domain) and is_azure(address)

    @property
    def anywhere(self) -> bool:
        """It describes a server that people run themselves (vLLM, llama.cpp …): it speaks so at any address."""
        return is_loopback_host(urlsplit(self.base_url).hostname or "")

    def knobs_of(self, name: str) -> tuple[NativeKnob, ...]:
        """The knobs of a model; one that the file does not know may have all that the endpoint has."""
        known = self.model(name)
        return self.knobs if known is None else tuple(filter(None, (known.narrowed(one) for one in self.knobs)))


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Everything the client needs to talk to one model. No representation of it shows the key.

    Attributes:
        base_url: Normalised, as `validate_base_url` returns it.
        label: Where it runs, as stored with each call; the address unless something better is known.
        price: Published price, or None when unknown.
        reasoning: The model thinks before it answers, in tokens that may be hidden.
        tokenizer: What counts tokens before a call.
        continues: How the last message is continued; None where nobody knows: then it is tried.
        embedded: It is this program's own server; when it goes away, that is its death and not the network's.
        adapters: Keys of the adapters that it has loaded; their places are the ids that it knows them by.
        knobs: How its knobs are set; those of another kind are set as at any endpoint that nobody has described.
        ignored: Parameters that it takes and drops: they are not sent.
        usage: Where its usage has the thinking tokens.
        guarded: Somebody named it who may not reach into private networks; see `tale_core.models.client.guard`.
    """

    base_url: str
    model: str
    api_key: SecretStr | None = field(default=None, repr=False)
    label: str = ""
    price: Price | None = None
    reasoning: bool = False
    tokenizer: Tokenizer = "tiktoken"
    continues: Continues | None = None
    embedded: bool = False
    adapters: tuple[str, ...] = ()
    knobs: tuple[NativeKnob, ...] = ()
    ignored: tuple[str, ...] = ()
    usage: UsageShape = "inside"
    guarded: bool = False

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


def _place(address: str) -> tuple[object, ...]:
    """What two spellings of one address have in common: the machine's own name, the usual port and /v1 go unsaid."""
    parts = urlsplit(address)
    host = "localhost" if is_loopback_host(parts.hostname or "") else parts.hostname
    usual = {"https": 443, "http": 80}.get(parts.scheme)
    return parts.scheme, host, parts.port or usual, parts.path.rstrip("/").removesuffix("/v1"), parts.query


def preset_at(base_url: str) -> Preset | None:
    """The preset of this normalised address, or None."""
    return next((one for one in endpoints() if one.is_at(base_url)), None)


@lru_cache(maxsize=4)
def _load(path: Path) -> tuple[Preset, ...]:
    try:
        entries = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as e:
        raise _unreadable(path, str(e)) from e
    return tuple(_preset(path, name, entry) for name, entry in entries.items())


def _preset(path: Path, name: str, entry: object) -> Preset:
    try:
        return Preset.model_validate({"name": name, **entry} if isinstance(entry, dict) else entry)
    except ValidationError as e:
        first = e.errors(include_input=False, include_url=False)[0]
        where = ".".join(str(part) for part in (name, *first["loc"]))
        raise _unreadable(path, f"{where}: {first['msg']}") from None


def _unreadable(path: Path, problem: str) -> SettingsError:
    return SettingsError(
        t("{path} cannot be read as a list of endpoints: {problem}", path=path, problem=problem), t("Restore the file.")
    )


def resolve(
    model: str | None = None,
    *,
    preset_name: str | None = None,
    base_url: str | None = None,
    api_key_env: str | None = None,
    secrets: Mapping[str, object] | None = None,
    key: str | None = None,
    guarded: bool = False,
) -> Endpoint:
    """Choose an endpoint by preset, by address, or by the name of a model that a preset lists.

    A preset's own key goes to the preset's own address only: with another `base_url`, name the key's variable or give
    the key.

    Args:
        model: Its name at the endpoint; a preset's first model when None.
        preset_name: A preset; found by `model` or by `base_url` when None.
        base_url: An address; the preset's when None.
        api_key_env: Variable that holds the key; the preset's when None.
        secrets: What secrets.toml holds; see `read_secrets`.
        key: The key itself, as typed for this session.
        guarded: See `Endpoint`.

    Raises:
        UnknownModelError: No preset has this model and no address was given.
        InputError: The preset or the address is wrong, or no model was named.
        AuthenticationFailedError: The endpoint needs a key and none was found.
    """
    address = validate_base_url(base_url) if base_url else None
    chosen = preset(preset_name) if preset_name else _guess(model, address)
    home = chosen is not None and (address is None or chosen.is_at(address))
    env = api_key_env or (chosen.api_key_env if chosen and home else None)
    secret = api_key(env, secrets=secrets, field=key)
    if secret is None and (api_key_env or (chosen and home and chosen.needs_key)):
        raise _no_key(chosen.title if chosen and home else address or t("the endpoint"), env)
    target = validate_base_url(address or (chosen.base_url if chosen else ""), has_key=secret is not None)
    if PLACEHOLDER in target:
        raise InputError(
            t("{address} has still the placeholder {name} in it.", address=target, name=PLACEHOLDER),
            t("Put the name of your own resource there."),
        )
    name = model or deployment(target) or (chosen.models[0].name if chosen and chosen.models else "")
    known = chosen.model(name) if chosen and home else None
    kind = chosen if chosen and (home or chosen.anywhere) else None
    return Endpoint(
        base_url=target,
        model=name,
        api_key=SecretStr(secret) if secret else None,
        price=known.price if known else None,
        reasoning=known.reasoning if known else False,
        tokenizer=chosen.tokenizer if chosen else "tiktoken",
        continues=kind.continues if kind else None,
        knobs=kind.knobs_of(name) if kind else (),
        ignored=kind.ignored if kind else (),
        usage=kind.usage if kind else "inside",
        guarded=guarded,
    )


def _guess(model: str | None, address: str | None) -> Preset | None:
    if address:
        return preset_at(address)
    if found := model and preset_of_model(model):
        return found
    names = ", ".join(m.name for p in endpoints() for m in p.models)
    raise UnknownModelError(
        t("No endpoint is known for the model {model!r}.", model=model)
        if model
        else t("Neither a model nor an endpoint was given."),
        t("Give the endpoint's address (--base-url), or choose one of: {names}.", names=names),
    )


def preset_of_model(model: str) -> Preset | None:
    """The preset that lists this model, or None.

    Raises:
        InputError: Several list it: which is meant is not guessed.
    """
    found = [one for one in endpoints() if one.model(model)]
    if len(found) > 1:
        where = ", ".join(f"{one.title} ({one.base_url})" for one in found)
        raise InputError(
            t("Several endpoints have the model {model!r}: {where}.", model=model, where=where),
            t("Name one of them: --base-url ADDRESS."),
        )
    return found[0] if found else None


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

    The environment and secrets.toml hold the owner's keys: nobody else's calls are paid with them.

    Args:
        env_name: Name of the variable and of the entry in `secrets`.
        secrets: What secrets.toml holds.
        field: What was typed.
    """
    named = env_name if asking().sees_all else None
    from_file = secrets.get(named) if secrets is not None and named else None
    candidates = (field, os.environ.get(named) if named else None, from_file)
    return next((c.strip() for c in candidates if isinstance(c, str) and c.strip()), None)


def read_secrets() -> Mapping[str, object]:
    """What the secrets.toml files hold that the pages read too: in the home folder, here, and beside app.py.

    A later one's value counts.

    Raises:
        SettingsError: See `read_secrets_file`.
    """
    found: dict[str, object] = {}
    for folder in (Path(os.path.expanduser("~")), Path(), APP_ROOT):
        found |= read_secrets_file(folder / ".streamlit" / "secrets.toml")
    return found


def read_secrets_file(path: Path) -> Mapping[str, object]:
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
