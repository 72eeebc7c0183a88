"""Where a run's spans go when not into its directory: an OTLP/HTTP endpoint, tried beforehand."""

from collections.abc import Mapping
from typing import Final

from compose.broker import redacted
from compose.errors import ServiceError
from instrumentation.destination import choose, otlp_endpoint
from instrumentation.otlp import HttpSink

NATIVE: Final = "native"
_NOTHING: Final = b'{"resourceSpans":[]}'


def variables(endpoint: str | None) -> dict[str, str]:
    """Return the variables that send every process's spans there; the ones for traces go first."""
    if endpoint is None:
        return {}
    if not endpoint.startswith(("http://", "https://")):
        raise ServiceError(
            f"{redacted(endpoint)} is no URL of an OTLP/HTTP endpoint.",
            "Write --otlp-endpoint http://host:4318, without /v1/traces.",
        )
    return {
        "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": endpoint.rstrip("/") + "/v1/traces",
        "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json",
    }


def where(environ: Mapping[str, str]) -> str:
    """Return where the spans of processes with this environment go, without credentials."""
    endpoint = otlp_endpoint(environ)
    return redacted(endpoint) if endpoint else NATIVE


def check(environ: Mapping[str, str]) -> None:
    """ServiceError if spans would go to an endpoint that does not take them.

    It is tried just as a worker does it: with its headers, certificates and proxy.
    """
    if otlp_endpoint(environ) is None:
        return
    sink = choose(environ, None, "")
    assert isinstance(sink, HttpSink)  # noqa: S101 - what an endpoint leads to
    try:
        sink.deliver(_NOTHING)
    except Exception as error:  # noqa: BLE001 - urllib, http.client, ssl and socket each have theirs
        raise ServiceError(
            f"{where(environ)} did not take an empty batch of spans: {sink.explain(error)}.",
            "Check --otlp-endpoint (or OTEL_EXPORTER_OTLP_ENDPOINT), and that OTLP/HTTP with JSON "
            "is received there; headers come from OTEL_EXPORTER_OTLP_HEADERS.",
        ) from None
    finally:
        sink.close()
