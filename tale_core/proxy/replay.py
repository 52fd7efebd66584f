"""What if: requests out of a log are asked again, changed, and compared with the answers that the log holds."""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Sequence
from typing import Any

from tale_core.proxy.app import Proxy
from tale_core.proxy.change import left_alone
from tale_core.proxy.logs import LogFile, Logged
from tale_core.proxy.pairs import Answered
from tale_core.proxy.plan import ProxyPlan
from tale_core.settings import get_settings
from tale_core.store import TrafficStore

SEED = 19


def summary(log: LogFile, allowed: frozenset[str] = frozenset()) -> dict[str, Any]:
    """What a log holds, by model; JSON-safe."""
    models: dict[str, Counter[str]] = {}
    for one in log.entries:
        tokens = one.answer.completion_tokens or 0
        mine = models.setdefault(one.body["model"], Counter())
        mine.update(requests=1, tokens=tokens)
        if not left_alone(one.body, allowed):
            mine.update(changeable=1, changeable_tokens=tokens)
    names = ("requests", "tokens", "changeable", "changeable_tokens")
    found = [{"model": model, **{name: counts[name] for name in names}} for model, counts in models.items()]
    return {"models": found, "skipped": log.skipped}


def drawn(log: LogFile, n: int, allowed: frozenset[str] = frozenset()) -> list[Logged]:
    """At most `n` requests that may be changed, drawn at random; the same ones for the same log."""
    fit = [one for one in log.entries if not left_alone(one.body, allowed)]
    return random.Random(SEED).sample(fit, min(n, len(fit)))


async def replay(
    entries: Sequence[Logged], plan: ProxyPlan, store: TrafficStore, key: str | None,
    each: Callable[[], None] = lambda: None,
) -> None:  # fmt: skip
    """Ask each once more, changed, within the plan's limits; what comes out is counted with the rest of the traffic."""
    proxy = Proxy(plan, store, get_settings(), api_key=key)
    headers = [*proxy.own_headers(), (b"content-type", b"application/json"), (b"accept-encoding", b"identity")]
    try:
        for one in entries:
            await proxy.pairs.ask(Answered(
                one.body, None, None, one.answer, None, 0, "", headers, b"", origin="replayed"
            ))  # fmt: skip
            each()
    finally:
        await proxy.aclose()
