"""Which model to ask: an embedded one, a preset's, one at any address, or a group of endpoints; and a client for it.

The one place where a person's choice becomes a client: the page and the command line both come through here. It holds
no key longer than a call.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, Literal, cast

from tale_core.budgets.native import NativeKnob, native
from tale_core.errors import InputError
from tale_core.i18n import joined, t
from tale_core.models.adapters import registry as adapters
from tale_core.models.adapters.registry import Adapter
from tale_core.models.client.retry import Retry, RetryPolicy
from tale_core.models.embedded import own
from tale_core.models.embedded.catalog import EmbeddedModel, embedded_model, embedded_models, knobs_of
from tale_core.models.endpoint_url import deployment, validate_base_url
from tale_core.models.endpoints import (
    Endpoint,
    api_key,
    endpoints,
    preset,
    preset_at,
    preset_of_model,
    read_secrets,
    resolve,
)
from tale_core.models.groups.config import PREFIX, Group, group, groups
from tale_core.settings import get_settings
from tale_core.types import Client, Price, ReasoningEffort

EMBEDDED: Final = "embedded"


@dataclass(frozen=True, slots=True)
class ModelChoice:
    """A model that can be asked.

    Attributes:
        model: Catalog name, with "+" and an adapter's key where one is switched on; the name at the endpoint; or the
            group's.
        title: For people.
        preset: The preset's name, for endpoints that have one.
        base_url: The address, for endpoints.
        api_key_env: Variable that holds the key; the preset's when None.
        adapter: Key of the adapter that answers; "" asks the model as it is.
        guarded: Somebody named the address who may not reach into private networks.
    """

    kind: Literal["embedded", "endpoint", "group"]
    model: str
    title: str
    preset: str | None = None
    base_url: str | None = None
    api_key_env: str | None = None
    adapter: str = ""
    guarded: bool = False

    @property
    def base(self) -> str:
        """The model's name without its adapter."""
        return self.model.removesuffix(f"+{self.adapter}") if self.adapter else self.model

    @property
    def key(self) -> str:
        """Identifies the choice in a session; holds no secret."""
        return f"{self.base_url}|{self.model}" if self.kind == "endpoint" else f"{self.kind}:{self.model}"

    @property
    def endpoint(self) -> str:
        """Where it runs, as stored with each call."""
        if self.kind == "group":
            return PREFIX + self.model
        return EMBEDDED if self.kind == EMBEDDED else (self.base_url or "")


def embedded_choice(name: str) -> ModelChoice:
    """An embedded model, as it is or with an adapter ("qwen2.5-coder-1.5b+brief"), or a GGUF file by its path.

    Raises:
        UnknownModelError: No such name.
        InputError: No such adapter, or one of another model; or a file that cannot be loaded.
        AdapterFileError: The adapter's description is damaged.
    """
    base, plus, adapter = (name, "", "") if own.is_file_name(name) else name.partition("+")
    model = embedded_model(base)
    if plus:
        return _adapted(model, adapters.find(adapter))
    return ModelChoice(EMBEDDED, model.name, t("{model} · on this machine", model=model.title))


def _adapted(model: EmbeddedModel, adapter: Adapter) -> ModelChoice:
    if adapter.about.base != model.name:
        raise InputError(adapters.other_base(adapter, model.name), adapters.choose_base(adapter))
    title = t("{model} · on this machine", model=f"{model.title} + {adapter.name}")
    return ModelChoice(EMBEDDED, f"{model.name}+{adapter.key}", title, adapter=adapter.key)


def default_choice() -> ModelChoice:
    """The configured embedded model (`TALE_MODEL`).

    Raises:
        UnknownModelError: The setting names no embedded model.
    """
    return embedded_choice(get_settings().model)


def endpoint_choice(
    *,
    model: str,
    preset_name: str | None = None,
    base_url: str | None = None,
    api_key_env: str | None = None,
    guarded: bool = False,
) -> ModelChoice:
    """A model at an endpoint; `guarded` is meant as in `ModelChoice`.

    Raises:
        InputError: No model was named, or the address is wrong.
    """
    if not model.strip():
        raise InputError(t("No model was named."), t("Name one as the endpoint calls it."))
    known = preset(preset_name) if preset_name else None
    url = validate_base_url(base_url or (known.base_url if known else ""))
    where = known.title if known and url == known.base_url else url
    title = f"{model.strip()} · {where}"
    return ModelChoice("endpoint", model.strip(), title, preset_name, url, api_key_env, guarded=guarded)


def group_choice(name: str) -> ModelChoice:
    """A group of endpoints.

    Raises:
        InputError: No such group.
    """
    return _of_group(group(name))


def _of_group(one: Group) -> ModelChoice:
    many = t("{n} endpoints", n=len(one.endpoints))
    return ModelChoice("group", one.name, f"{one.title or one.name} · {many}")


def available_choices(secrets: Mapping[str, object]) -> tuple[ModelChoice, ...]:
    """What can be asked without further ado: embedded models, with each adapter too, groups, presets of a known key."""
    found = [embedded_choice(m.name) for m in embedded_models()]
    saved = adapters.listing().adapters
    found += [_adapted(m, a) for m in embedded_models() for a in saved if a.about.base == m.name]
    found += [_of_group(one) for one in groups()]
    for one in endpoints():
        if one.needs_key and api_key(one.api_key_env, secrets=secrets):
            found += [endpoint_choice(model=m.name, preset_name=one.name) for m in one.models]
    return tuple(found)


def efforts(choice: ModelChoice) -> tuple[ReasoningEffort, ...]:
    """The levels of native effort that a model can be asked for, as the endpoints' file says.

    A model that the file does not know may have any: the endpoint then says which it takes.
    """
    knob = native_knob(choice, "effort")
    return cast(tuple[ReasoningEffort, ...], knob.levels if knob else ())


def native_knob(choice: ModelChoice, name: str) -> NativeKnob | None:
    """How a model is told a budget of this kind, as the endpoints' file says; None for kinds that are no parameter.

    To an endpoint that the file does not know what most endpoints understand is sent, and so it is to an embedded model
    whose chat template has no switch.
    """
    described = knobs_of(choice.base) if choice.kind == EMBEDDED else ()
    home = preset_at(choice.base_url) if choice.kind == "endpoint" and choice.base_url else None
    if home is not None:
        described = home.knobs_of(choice.model)
        if name == "effort" and home.model(choice.model) and not any(one.knob == name for one in described):
            return NativeKnob("effort", "reasoning_effort")
    return native(described, name)


def choice_from_flags(*, model: str | None, base_url: str | None, api_key_env: str | None) -> ModelChoice:
    """The choice that `--model`, `--base-url` and `--api-key-env` describe; nothing given means the embedded default.

    Raises:
        InputError: They describe nothing that can be asked.
    """
    if api_key_env is not None and not os.environ.get(api_key_env):
        raise InputError(
            t("--api-key-env names {variable!r}, which is not set or empty.", variable=api_key_env),
            t("Set it to the key."),
        )
    if base_url is not None:
        model = model or deployment(validate_base_url(base_url))
        if model is None:
            raise InputError(
                t("--base-url was given without a model."), t("Add --model NAME, as the endpoint calls it.")
            )
        return endpoint_choice(model=model, base_url=base_url, api_key_env=api_key_env)
    if model is None:
        return default_choice()
    if own.is_file_name(model) or model.partition("+")[0] in {m.name for m in embedded_models()}:
        return embedded_choice(model)
    if model in {one.name for one in groups()}:
        return group_choice(model)
    if found := preset_of_model(model):
        return endpoint_choice(model=model, preset_name=found.name, api_key_env=api_key_env)
    embedded = ", ".join(m.name for m in embedded_models())
    named = ", ".join([*(g.name for g in groups()), *(m.name for p in endpoints() for m in p.models)])
    raise InputError(
        t("There is no model {model!r}.", model=model),
        t(
            "Embedded: {embedded}, or the path of a GGUF file. At endpoints: {named}. Or add --base-url URL.",
            embedded=embedded,
            named=named,
        ),
    )


def endpoint_of(
    choice: ModelChoice, *, secrets: Mapping[str, object] | None = None, key: str | None = None
) -> Endpoint:
    """The endpoint of a choice, with its key.

    Args:
        choice: Not an embedded one.
        secrets: What secrets.toml holds; read from the file when None.
        key: The key as typed for this session; it goes before the environment's.

    Raises:
        InputError: The address is wrong, or the key would travel unencrypted.
        AuthenticationFailedError: The endpoint needs a key and none was found.
    """
    return resolve(
        choice.model,
        preset_name=choice.preset,
        base_url=choice.base_url,
        api_key_env=choice.api_key_env,
        secrets=read_secrets() if secrets is None else secrets,
        key=key,
        guarded=choice.guarded,
    )


def price_of(
    choice: ModelChoice, *, secrets: Mapping[str, object] | None = None, key: str | None = None
) -> Price | None:
    """What its tokens cost, None when that is unknown; the errors of `endpoint_of`."""
    if choice.kind == EMBEDDED:
        return Price(0.0, 0.0, "runs on this machine")
    if choice.kind == "group":
        return group(choice.model).price
    return endpoint_of(choice, secrets=secrets, key=key).price


async def open_client(
    choice: ModelChoice,
    *,
    secrets: Mapping[str, object] | None = None,
    key: str | None = None,
    notice: Callable[[str], None] | None = None,
    retry: RetryPolicy | None = None,
) -> Client:
    """A client for this choice; waits for the embedded model's weights and server.

    Args:
        choice: The model.
        secrets: See `endpoint_of`.
        key: See `endpoint_of`.
        notice: Told in words when the client waits before it tries again.
        retry: How often it tries again by itself; the usual policy when None.

    Raises:
        InputError: See `endpoint_of`.
        WeightsError: The embedded model's weights cannot be had.
        ModelError: No key was found, or the embedded server did not start.
    """
    if choice.kind == EMBEDDED:
        from tale_core.models.embedded.prepare import open_embedded

        client = await open_embedded(choice.base)
        if not choice.adapter:
            return client
        from tale_core.models.embedded.client import AdaptedClient

        return AdaptedClient(client, choice.adapter, choice.model)
    on_retry = _in_words(notice) if notice else None
    if choice.kind == "group":
        from tale_core.models.groups.client import open_group

        found = read_secrets() if secrets is None else secrets
        return await asyncio.to_thread(open_group, group(choice.model), secrets=found, on_retry=on_retry, retry=retry)
    from tale_core.models.client.openai_compatible import OpenAIClient

    # Importing the SDK and opening TLS takes a while: not in the loop that other answers stream through.
    endpoint = endpoint_of(choice, secrets=secrets, key=key)
    return await asyncio.to_thread(OpenAIClient, endpoint, on_retry=on_retry, retry=retry)


def _in_words(notice: Callable[[str], None]) -> Callable[[Retry], None]:
    return lambda retry: notice(joined(retry.reason, t("Trying again in {seconds:.0f} s.", seconds=retry.wait_s)))
