"""OpenTelemetry, against the real package where it is installed."""

from __future__ import annotations

import pytest

from tests.proxy.conftest import Start
from tests.proxy.test_app import ASKED, post


@pytest.mark.filterwarnings("default")
def test_each_request_is_a_span_with_its_tokens_and_no_text(started: Start) -> None:
    pytest.importorskip("opentelemetry.sdk")
    from opentelemetry import metrics, trace
    from opentelemetry.sdk.metrics import MeterProvider
    from opentelemetry.sdk.metrics.export import InMemoryMetricReader
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import SimpleSpanProcessor
    from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

    spans, reader, provider = InMemorySpanExporter(), InMemoryMetricReader(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    trace.set_tracer_provider(provider)
    metrics.set_meter_provider(MeterProvider(metric_readers=[reader]))
    with started() as on:
        post(on.url, ASKED, x_tale="budget=60")
    (span,) = spans.get_finished_spans()
    assert span.name == "chat m"
    assert span.attributes is not None
    assert dict(span.attributes).items() >= {
        "gen_ai.operation.name": "chat", "gen_ai.request.model": "m", "gen_ai.usage.input_tokens": 20,
        "gen_ai.usage.output_tokens": 9, "tale.strategy": "fixed:60", "tale.budget": 60,
    }.items()  # fmt: skip
    assert "6 times 7" not in span.to_json()
    told = reader.get_metrics_data()
    assert told is not None
    names = {one.name for r in told.resource_metrics for s in r.scope_metrics for one in s.metrics}
    assert names == {"gen_ai.client.token.usage", "gen_ai.client.operation.duration"}
