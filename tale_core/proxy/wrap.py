"""The same changes without a server: for the openai SDK, LiteLLM and LangChain; each a few lines on `shorter`.

    client = openai_client(OpenAI(), change="concise")
    litellm.callbacks = [litellm_hook(change="fixed:60")]
    chain = langchain_runnable(change="concise") | ChatOpenAI(model="gpt-4o-mini")

What may not be changed (tools, JSON schemas, …: `tale_core.proxy.change`) goes on as it is. Nothing is counted and no
answer is checked: `tale proxy` does that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from functools import wraps
from typing import Any

from tale_core.errors import InputError
from tale_core.i18n import t
from tale_core.proxy.change import applied, left_alone
from tale_core.proxy.change import change as change_named

OPENAI = "https://api.openai.com/v1"
_PLAIN = (str, int, float, bool, list, tuple, dict)


def shorter(
    request: Mapping[str, Any], *, change: str = "concise", base_url: str = OPENAI, allow: Collection[str] = ()
) -> dict[str, Any]:
    """A chat completion's request, changed so that its answer takes fewer tokens; as it is where it may not be.

    Args:
        request: `model`, `messages` and whatever else is sent.
        change: concise, fixed:N, predicted, effort:LEVEL or thinking:N.
        base_url: Where it is sent: says how a provider's own knob is set.
        allow: Reasons to leave a request alone that do not count: tools, json, images, system.

    Raises:
        InputError: There is no such change, or it needs an answer to be checked.
    """
    how = change_named(change)
    if how.doubtful:
        raise InputError(t("{name!r} has to see the answer.", name=change), t("Use it with `tale proxy`."))
    # The SDK has values of its own for what was not given.
    given = {name: value for name, value in request.items() if isinstance(value, _PLAIN)}
    if left_alone(given, allow):
        return dict(request)
    found = applied(how, given, model=str(given.get("model", "")), base_url=base_url)
    return dict(request) if found is None else {**request, **found.body}


def openai_client(client: Any, *, change: str = "concise", allow: Collection[str] = ()) -> Any:
    """The same client of the openai SDK (`OpenAI` or `AsyncOpenAI`), whose requests are changed from now on."""
    completions, url = client.chat.completions, str(client.base_url).rstrip("/")
    create = completions.create

    @wraps(create)
    def shortened(**request: Any) -> Any:
        changed = shorter(request, change=change, base_url=url, allow=allow)
        extra = {name: changed.pop(name) for name in set(changed) - set(request) - {"reasoning_effort", "verbosity"}}
        if extra:  # What the SDK does not know goes beside the rest.
            changed["extra_body"] = {**(request.get("extra_body") or {}), **extra}
        return create(**changed)

    completions.create = shortened
    return client


def litellm_hook(*, change: str = "concise", allow: Collection[str] = ()) -> Any:
    """A callback for LiteLLM's proxy that changes chat completions before they are sent.

    Raises:
        ImportError: LiteLLM is not installed.
    """
    from litellm.integrations.custom_logger import CustomLogger  # type: ignore[import-not-found]

    class Shorter(CustomLogger):  # type: ignore[misc]
        async def async_pre_call_hook(self, user_api_key_dict: Any, cache: Any, data: Any, call_type: str) -> Any:
            return shorter(data, change=change, allow=allow) if call_type in ("completion", "acompletion") else data

    return Shorter()


def langchain_runnable(*, change: str = "concise", model: str = "") -> Any:
    """A runnable to stand before a chat model: messages in, messages out, the last one asking for a shorter answer.

    Args:
        change: One that stands in the prompt: concise, fixed:N or predicted.
        model: Whose words and estimator to use.

    Raises:
        InputError: The change stands in no prompt.
        ImportError: langchain-core is not installed.
    """
    from langchain_core.messages import convert_to_messages, convert_to_openai_messages  # type: ignore[import-not-found]
    from langchain_core.runnables import RunnableLambda  # type: ignore[import-not-found]

    if change.partition(":")[0] in ("effort", "thinking"):
        raise InputError(t("{name!r} stands in no prompt.", name=change), t("Set it on the chat model itself."))

    def changed(given: Any) -> Any:
        given = given.to_messages() if hasattr(given, "to_messages") else given
        messages = [{"role": "user", "content": given}] if isinstance(given, str) else convert_to_openai_messages(given)
        return convert_to_messages(shorter({"model": model, "messages": messages}, change=change)["messages"])

    return RunnableLambda(changed)
