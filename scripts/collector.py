"""`Collector`: takes spans by OTLP over HTTP, as protobuf, and keeps what makes them a trace. Without any package: it reads
the few fields that are asked for, and skips the others. Used by trace_example.py.
"""

import threading
from collections import namedtuple
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Span = namedtuple("Span", "service name trace_id span_id parent_id")


class Collector:
    """Listens on a port of its own; a context, at whose end it is closed."""

    def __init__(self):
        self.spans = []
        spans = self.spans

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self):
                body = self.rfile.read(int(self.headers["Content-Length"]))
                known = self.path == "/v1/traces" and self.headers["Content-Type"] == "application/x-protobuf"
                if known:
                    spans.extend(spans_of(body))
                # An empty message says that all of it was taken.
                self.send_response(200 if known else 415)
                self.send_header("Content-Type", "application/x-protobuf")
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_):
                """Says nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.endpoint = "http://127.0.0.1:{}".format(self._server.server_port)
        """What `OTEL_EXPORTER_OTLP_ENDPOINT` has to be."""

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()


def spans_of(request):
    """The spans of an `ExportTraceServiceRequest`."""
    for resource_spans in every(request, 1):
        resource = b"".join(every(resource_spans, 1))
        service = next((value(pair) for pair in every(resource, 1) if key(pair) == "service.name"), "")
        for scope_spans in every(resource_spans, 2):
            for span in every(scope_spans, 2):
                trace_id, span_id, parent_id = (b"".join(every(span, number)).hex() for number in (1, 2, 4))
                name = b"".join(every(span, 5)).decode()
                yield Span(service, name, trace_id, span_id, parent_id)


def key(pair):
    return b"".join(every(pair, 1)).decode()


def value(pair):
    """The text of an attribute whose value is one."""
    return b"".join(text for any_value in every(pair, 2) for text in every(any_value, 1)).decode()


def every(message, number):
    """The fields of this number that have a length: texts, bytes and messages."""
    at = 0
    while at < len(message):
        tag, at = varint(message, at)
        kind = tag & 7
        if kind == 0:
            _, at = varint(message, at)
        elif kind in (1, 5):
            at += 8 if kind == 1 else 4
        elif kind == 2:
            length, at = varint(message, at)
            if tag >> 3 == number:
                yield message[at : at + length]
            at += length
        else:
            raise ValueError(f"not a message: a field of kind {kind}")


def varint(message, at):
    number = shift = 0
    while True:
        byte = message[at]
        number |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return number, at
