"""What `/metrics` counts, for Prometheus.

Where the server is several processes (`server.workers`), each keeps its figures in a file of a folder that all of them
read: whichever is asked answers the sums.
"""

import os

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
)
from prometheus_client.multiprocess import MultiProcessCollector
from starlette.requests import Request
from starlette.responses import Response

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0)

operation_seconds = Histogram(
    "tollpath_operation_seconds", "Time to answer one query or mutation over HTTP.", ["type"], buckets=_SECONDS
)
query_seconds = operation_seconds.labels("query")
mutation_seconds = operation_seconds.labels("mutation")
refused_seconds = operation_seconds.labels("refused")

top_level_errors = Counter("tollpath_top_level_errors", "Top-level errors, by extensions.code.", ["code"])
live_connections = Gauge(
    "tollpath_live_connections", "Open connections that carry events.", ["transport"], multiprocess_mode="livesum"
)
websocket_connections = live_connections.labels("websocket")
event_stream_connections = live_connections.labels("sse")

exports_running = Gauge("tollpath_exports_running", "Exports that are being made or sent.")


async def metrics(request: Request) -> Response:
    """Everything counted, in Prometheus' text form."""
    registry = REGISTRY
    if "PROMETHEUS_MULTIPROC_DIR" in os.environ:
        registry = CollectorRegistry()
        MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return Response(generate_latest(registry), headers={"content-type": CONTENT_TYPE_LATEST})
