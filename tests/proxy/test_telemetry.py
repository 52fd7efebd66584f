"""OpenTelemetry, against the real packages (requirements-otel.txt) where they are installed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from importlib.util import find_spec

import pytest

from tests.proxy.conftest import Start
from tests.proxy.test_app import ASKED, RESPONSE, post
from tests.support.upstream import Answer, Upstream, serving


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


def proxied(receiver: str, bodies: list[tuple[str, dict[str, object]]], **more: str) -> str:
    """Ask through a proxy of its own, which tells a receiver of it, and end it; what it said on standard error."""
    answer = Answer(raw=json.dumps(RESPONSE).encode())
    upstream = Upstream(lambda body: answer if "input" in body else Answer(tokens=9))
    environment = {**os.environ, "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.removesuffix("/v1"), **more}
    with serving(upstream) as direct:
        command = [sys.executable, "-m", "tale_core", "proxy", "--upstream", direct, "--json", "--sample", "0"]
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
                              ) as process:  # fmt: skip
            assert process.stdout is not None
            try:
                url = json.loads(process.stdout.readline())["base_url"]
                assert [post(url, body, path).status_code for path, body in bodies] == [200] * len(bodies)
                process.send_signal(signal.SIGINT)
                return process.communicate(timeout=90)[1]
            finally:
                process.kill()


def test_traces_and_metrics_go_by_otlp_where_the_environment_says() -> None:
    pytest.importorskip("opentelemetry.exporter.otlp.proto.http")
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    receiver = Upstream()
    with serving(receiver) as url:
        asked = [("/chat/completions", ASKED), ("/responses", {"model": "m", "input": "6 times 7?"})]
        proxied(url, asked)
    told = {path: body for _, path, _, body in receiver.seen}
    assert sorted(told) == ["/v1/metrics", "/v1/traces"]
    assert not any(b"6 times 7" in body for body in told.values())
    (traces,) = ExportTraceServiceRequest.FromString(told["/v1/traces"]).resource_spans
    assert {a.key: a.value.string_value for a in traces.resource.attributes}["service.name"] == "tale-proxy"
    spans = {s.name: {a.key: a.value.int_value or a.value.string_value for a in s.attributes}
             for scope in traces.scope_spans for s in scope.spans if s.attributes}  # fmt: skip
    assert list(spans) == ["chat m"]
    assert spans["chat m"].items() >= {
        "gen_ai.operation.name": "chat", "gen_ai.usage.input_tokens": 11, "gen_ai.usage.output_tokens": 70,
        "gen_ai.usage.reasoning.output_tokens": 60, "tale.unchanged": "responses",
    }.items()  # fmt: skip
    metrics = ExportMetricsServiceRequest.FromString(told["/v1/metrics"]).resource_metrics
    points = [(m.name, sum(p.count for p in m.histogram.data_points), sum(p.sum for p in m.histogram.data_points))
              for r in metrics for s in r.scope_metrics for m in s.metrics]  # fmt: skip
    assert ("gen_ai.client.token.usage", 4, 20 + 9 + 11 + 70) in points
    assert [n for name, n, _ in points if name == "gen_ai.client.operation.duration"] == [2]


@pytest.mark.skipif(find_spec("opentelemetry") is not None, reason="OpenTelemetry is installed")
def test_without_its_packages_the_proxy_says_that_nothing_is_sent() -> None:
    assert "pip install 'tale[otel]'" in proxied("http://127.0.0.1:9", [("/chat/completions", ASKED)])
