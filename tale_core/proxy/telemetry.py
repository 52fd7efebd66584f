"""Spans and metrics of what passes, by OpenTelemetry's conventions for generative AI. No text is in them.

They go by OTLP (HTTP) where OTEL_EXPORTER_OTLP_ENDPOINT says, with the packages of requirements-otel.txt; under
`opentelemetry-instrument` they go wherever that was told. https://opentelemetry.io/docs/specs/semconv/gen-ai/
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from tale_core.store import Passed

log = logging.getLogger(__name__)
ENDPOINTS = ("OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_METRICS_ENDPOINT")
SERVICE = "tale-proxy"
_NANO = 1_000_000_000
_TOKENS, _SECONDS = [4**n for n in range(14)], [0.01 * 2**n for n in range(14)]
"""Bounds of the histograms' buckets, as the conventions name them."""
_OPERATIONS = {"completions": "text_completion", "embeddings": "embeddings"}


@contextmanager
def sent() -> Iterator[None]:
    """While it is open, spans and metrics are sent where the environment says; what is left goes at the end."""
    if not any(os.environ.get(name) for name in ENDPOINTS):
        yield
        return
    try:
        from opentelemetry import metrics, trace

        # Under opentelemetry-instrument there is one already.
        providers = _providers() if type(trace.get_tracer_provider()).__name__ == "ProxyTracerProvider" else None
    except ImportError:
        log.warning("OTEL_EXPORTER_OTLP_ENDPOINT is set, but nothing is sent: pip install 'tale[otel]'.")
        providers = None
    if providers is None:
        yield
        return
    trace.set_tracer_provider(providers[0])
    metrics.set_meter_provider(providers[1])
    try:
        yield
    finally:
        for provider in providers:
            provider.shutdown()


def _providers() -> tuple[Any, Any]:
    """Of spans and of metrics, each with an exporter that reads the environment."""
    from opentelemetry.exporter.otlp.proto.http.metric_exporter import (
        OTLPMetricExporter,
    )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import (
        OTLPSpanExporter,
    )
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor

    resource = Resource.create()
    if str(resource.attributes["service.name"]).startswith("unknown_service"):
        resource = resource.merge(Resource({"service.name": SERVICE}))
    traces = TracerProvider(resource=resource, shutdown_on_exit=False)
    traces.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    reader = PeriodicExportingMetricReader(OTLPMetricExporter())
    return traces, MeterProvider(metric_readers=[reader], resource=resource, shutdown_on_exit=False)


class Telemetry:
    """Where ended requests are told; nowhere without OpenTelemetry's API."""

    def __init__(self) -> None:
        self._tracer: Any = None
        if find_spec("opentelemetry") is None:
            return
        from opentelemetry import metrics, trace

        self._trace = trace
        self._tracer = trace.get_tracer("tale.proxy")
        meter = metrics.get_meter("tale.proxy")
        self._tokens = meter.create_histogram(
            "gen_ai.client.token.usage", "{token}", "Tokens of a request", explicit_bucket_boundaries_advisory=_TOKENS
        )
        self._seconds = meter.create_histogram(
            "gen_ai.client.operation.duration", "s", "Time of a request", explicit_bucket_boundaries_advisory=_SECONDS
        )

    def tell(self, passed: Passed) -> None:
        """One request has ended."""
        if self._tracer is None:
            return
        said = _attributes(passed)
        now, took = time.time_ns(), passed.latency_s or 0.0
        span = self._tracer.start_span(
            f"{said['gen_ai.operation.name']} {passed.model}", kind=self._trace.SpanKind.CLIENT,
            attributes={**said, **_of_span(passed)}, start_time=now - int(took * _NANO),
        )  # fmt: skip
        if "error.type" in said:
            span.set_status(self._trace.StatusCode.ERROR)
        span.end(now)
        self._seconds.record(took, said)
        for kind, n in (("input", passed.prompt_tokens), ("output", passed.completion_tokens)):
            if n is not None:
                self._tokens.record(n, {**said, "gen_ai.token.type": kind})


def _attributes(passed: Passed) -> dict[str, Any]:
    """What both spans and metrics carry."""
    parts = urlsplit(passed.upstream)
    provider = "openai" if parts.hostname == "api.openai.com" else "openai_compatible"
    said = {"gen_ai.operation.name": _OPERATIONS.get(passed.left_alone, "chat"), "gen_ai.provider.name": provider,
            "gen_ai.request.model": passed.model, "server.address": parts.hostname or "",
            "server.port": parts.port or (443 if parts.scheme == "https" else 80)}  # fmt: skip
    failed = {} if passed.status == "done" else {"error.type": str(passed.http_status or passed.status)}
    return {**said, **failed}


def _of_span(passed: Passed) -> dict[str, Any]:
    found = {
        "gen_ai.usage.input_tokens": passed.prompt_tokens, "gen_ai.usage.output_tokens": passed.completion_tokens,
        "gen_ai.usage.reasoning.output_tokens": passed.thinking_tokens,
        "tale.strategy": passed.strategy or None, "tale.budget": passed.budget,
        "tale.fallback": passed.fallback or None, "tale.unchanged": passed.left_alone or None,
        "tale.dropped_tokens": passed.dropped_tokens or None,
    }  # fmt: skip
    return {name: value for name, value in found.items() if value is not None}
