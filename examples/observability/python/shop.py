"""Two routes of a shop. Where Python's OpenTelemetry SDK can be imported, what they do is a span inside of the request's
trace: `httpy_rs.trace_context()` says which one that is."""

import logging
import os
import time
from contextlib import contextmanager

import httpy_rs

log = logging.getLogger("shop")

try:
    from opentelemetry import trace
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, ConsoleSpanExporter, SimpleSpanProcessor
except ImportError:
    provider = None
    log.warning("opentelemetry-sdk is not installed: there are no spans of Python's")
else:
    provider = TracerProvider(resource=Resource.create({"service.name": "python"}), shutdown_on_exit=False)
    if os.environ.get("OTEL_EXPORTER_OTLP_ENDPOINT"):
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter

        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
    else:
        provider.add_span_processor(SimpleSpanProcessor(ConsoleSpanExporter()))
    tracer = provider.get_tracer(__name__)


@contextmanager
def span(name, **attributes):
    """A span of the request's trace, as a child of httpy's or of the one around this one."""
    if provider is None:
        yield
        return
    around = None
    if not trace.get_current_span().get_span_context().is_valid:
        around = _of_the_request()
    with tracer.start_as_current_span(name, context=around, attributes=attributes):
        yield


def _of_the_request():
    known = httpy_rs.trace_context()
    if known is None:
        return None
    flags = trace.TraceFlags(trace.TraceFlags.SAMPLED if known.sampled else trace.TraceFlags.DEFAULT)
    there = trace.SpanContext(int(known.trace_id, 16), int(known.span_id, 16), is_remote=True, trace_flags=flags)
    return trace.set_span_in_context(trace.NonRecordingSpan(there))


def init():
    return {"/order/:item": ["GET"], "/slow": ["GET"]}


def handle(method, path, params, query, headers, body):
    if path == "/slow":
        with span("sleep"):
            time.sleep(int(query["ms"][0]) / 1000)
        return 200, "slept", {}
    count = int(query.get("count", ["1"])[0])
    with span("order", item=params["item"][0], count=count):
        log.info("%s ordered", params["item"][0])
        with span("price"):
            cents = count * len(params["item"][0]) * 40
    return 200, f"{cents} cents", {}


def stop():
    if provider is not None:
        provider.shutdown()
