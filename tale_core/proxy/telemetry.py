"""Spans and metrics of what passes, by OpenTelemetry's conventions for generative AI, where its API is installed.

It sets nothing up: whoever runs `opentelemetry-instrument tale proxy …` says where they go. No text is in them.
https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import time
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from tale_core.store import Passed

_NANO = 1_000_000_000


class Telemetry:
    """Where ended requests are told; nowhere without the API."""

    def __init__(self) -> None:
        self._tracer: Any = None
        if find_spec("opentelemetry") is None:
            return
        from opentelemetry import metrics, trace  # type: ignore[import-not-found]

        self._trace = trace
        self._tracer = trace.get_tracer("tale.proxy")
        meter = metrics.get_meter("tale.proxy")
        self._tokens = meter.create_histogram("gen_ai.client.token.usage", unit="{token}")
        self._seconds = meter.create_histogram("gen_ai.client.operation.duration", unit="s")

    def tell(self, passed: Passed) -> None:
        """One request has ended."""
        if self._tracer is None:
            return
        said = _attributes(passed)
        now, took = time.time_ns(), passed.latency_s or 0.0
        span = self._tracer.start_span(
            f"chat {passed.model}", kind=self._trace.SpanKind.CLIENT, attributes={**said, **_of_span(passed)},
            start_time=now - int(took * _NANO),
        )  # fmt: skip
        span.end(now)
        self._seconds.record(took, said)
        for kind, n in (("input", passed.prompt_tokens), ("output", passed.completion_tokens)):
            if n is not None:
                self._tokens.record(n, {**said, "gen_ai.token.type": kind})


def _attributes(passed: Passed) -> dict[str, Any]:
    """What both spans and metrics carry."""
    parts = urlsplit(passed.upstream)
    provider = "openai" if parts.hostname == "api.openai.com" else "openai_compatible"
    said = {"gen_ai.operation.name": "chat", "gen_ai.provider.name": provider, "gen_ai.request.model": passed.model,
            "server.address": parts.hostname or ""}  # fmt: skip
    failed = {} if passed.status == "done" else {"error.type": str(passed.http_status or passed.status)}
    return {**said, **failed}


def _of_span(passed: Passed) -> dict[str, Any]:
    found = {
        "gen_ai.usage.input_tokens": passed.prompt_tokens, "gen_ai.usage.output_tokens": passed.completion_tokens,
        "tale.strategy": passed.strategy or None, "tale.budget": passed.budget,
        "tale.fallback": passed.fallback or None, "tale.unchanged": passed.left_alone or None,
        "tale.dropped_tokens": passed.dropped_tokens or None,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}
