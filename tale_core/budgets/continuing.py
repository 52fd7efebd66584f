"""Whether an endpoint continues a message that the assistant has begun, and the text that it writes on with.

vLLM and llama.cpp (the embedded models' server) do, DeepSeek and Mistral by a mark, OpenAI does not
(`continues` in data/endpoints.toml). Of one whose documentation does not say it is tried once: a word cut in two shows
whether it is gone on with. An endpoint that ignores what it is asked for would otherwise answer anew, and that would be
taken for the end of the answer.
"""

from __future__ import annotations

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace

from tale_core.errors import CannotContinueError, RequestRejectedError, ServerFailedError
from tale_core.i18n import t
from tale_core.types import Client, Completion, Delta, Message, Request, Sampling

_TRIED = Request(
    (
        Message("user", "What is the capital of France? Answer in one sentence."),
        Message("assistant", "The capital of France is Par"),
    ),
    Sampling(max_tokens=4),
)
_GOES_ON = "is"
_known: dict[tuple[str, str], bool] = {}


def said_to_continue(client: Client) -> bool | None:
    """Whether a client's endpoint is said to continue an assistant message; None where nobody knows."""
    said: bool | None = getattr(client, "continues", None)
    return said


async def check_continues(client: Client) -> None:
    """Check that what the client asks continues a message; one that nobody knows is tried once in a process.

    Raises:
        CannotContinueError: It does not.
        ModelError: It could not be tried.
    """
    said = said_to_continue(client)
    key = (client.endpoint, client.model)
    if said is None and (said := _known.get(key)) is None:
        said = _known[key] = await _tried(client)
    if not said:
        raise CannotContinueError(
            t(
                "{endpoint} does not continue a message that was begun, so no answer can be forced out of it.",
                endpoint=client.endpoint,
            ),
            t("Use an embedded model, llama.cpp or vLLM."),
        )


async def _tried(client: Client) -> bool:
    text = ""
    try:
        async with aclosing(client.stream(_TRIED)) as items:
            async for item in items:
                text = item.text if isinstance(item, Completion) else text
    except (RequestRejectedError, ServerFailedError):
        return False
    return text.removeprefix(_TRIED.messages[-1].content).startswith(_GOES_ON)


async def continued(client: Client, request: Request) -> AsyncGenerator[Delta | Completion, None]:
    """The answer to a request whose last message is continued: what is new in it.

    Raises:
        CannotContinueError: The endpoint does not continue messages; see `check_continues`.
        ModelError: The call failed.
    """
    await check_continues(client)
    echo = _Echo(request.messages[-1].content)
    async with aclosing(client.stream(request)) as items:
        async for item in items:
            if isinstance(item, Completion):
                if rest := echo.rest():
                    yield Delta(rest)
                yield replace(item, text=item.text.removeprefix(echo.begun))
            elif (text := echo.new(item.text)) or item.reasoning:
                yield replace(item, text=text)


class _Echo:
    """Holds back what an endpoint repeats of the message that it was to continue.

    Mistral does, and llama.cpp where it does not stream.
    """

    def __init__(self, begun: str) -> None:
        self.begun = begun
        self._held = ""
        self._over = False

    def new(self, text: str) -> str:
        """What a piece brings that is certain to be new."""
        if self._over:
            return text
        self._held += text
        if self.begun.startswith(self._held):
            return ""
        self._over = True
        return self._held.removeprefix(self.begun)

    def rest(self) -> str:
        """Nothing more comes: what only looked like a repetition."""
        return "" if self._over or self._held == self.begun else self._held
