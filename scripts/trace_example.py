"""`check`: examples/observability sends one trace to a collector, by OTLP: the client's span, Rust's and Python's are
in one line. Used by check-examples.py.

By itself it prints such a trace: `trace_example.py PROGRAM VENV`.
"""

import http.client
import sys

from collector import Collector
from example import Failed, Server

LIMIT = 30
TRACE, CLIENT = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
# Service and name of each span, from the client's on; Python's two only where its SDK is there.
RUST, PYTHON = [("rust", "request"), ("rust", "python.call")], [("python", "order"), ("python", "price")]


def check(program, venv):
    """Raises `Failed` for what is not as it should be; the spans. Without a `venv` there are none of Python's."""
    with Collector() as collector:
        environment = {"OTEL_EXPORTER_OTLP_ENDPOINT": collector.endpoint, "RUST_LOG": "info,httpy::call=debug"}
        server = Server(program, **environment, **({"VIRTUAL_ENV": venv} if venv else {}))
        try:
            connection = http.client.HTTPConnection(*server.address(), timeout=LIMIT)
            connection.request("GET", "/order/tea?count=2", headers={"traceparent": f"00-{TRACE}-{CLIENT}-01"})
            connection.getresponse().read()
            connection.close()
            # At its end it sends what it still has.
            server.stop()
        except (Failed, OSError) as failure:
            raise Failed(f"{failure!r}\n{''.join(server.printed)}") from failure
        finally:
            server.kill()
    parent = CLIENT
    for service, name in RUST + (PYTHON if venv else []):
        found = [span for span in collector.spans if (span.service, span.name) == (service, name)]
        if [(span.trace_id, span.parent_id) for span in found] != [(TRACE, parent)]:
            raise Failed(f"span {name} of {service}: expected one of {TRACE} below {parent}, got {collector.spans}")
        parent = found[0].span_id
    return collector.spans


def main(program, venv):
    for span in sorted(check(program, venv), key=lambda span: span.service, reverse=True):
        print(*span)


if __name__ == "__main__":
    main(*sys.argv[1:])
