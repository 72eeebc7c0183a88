"""Where the spans of a process go, as its environment and its application decide."""

import logging
from pathlib import Path

from opentelemetry import trace

from instrumentation.otlp import HttpSink, Transport
from instrumentation.provider import ProviderSink, application_provider
from instrumentation.settings import Environ, pairs, read, spans_wanted
from instrumentation.sinks import FileSink, LineSink, NullSink

_log = logging.getLogger(__name__)
_OTLP_HTTP = {"otlp", "otlp_proto_http"}
_TIMEOUT_SECONDS = 10.0


def choose(environ: Environ, provider: trace.TracerProvider | None, file_name: str) -> LineSink:
    """Return where spans go: the first of these that there is.

    Nowhere, when the environment says so; the given provider; an OTLP/HTTP endpoint; a folder of
    files; the application's own provider, which may come later; else nowhere.
    """
    if not spans_wanted(environ):
        return NullSink()
    if provider is not None:
        return ProviderSink(lambda: provider)
    if endpoint := otlp_endpoint(environ):
        try:
            return HttpSink(endpoint, _transport(environ))
        except ValueError:  # which is not repeated: it may hold credentials
            _log.error("spans are not sent: the OTLP endpoint is no URL")
            return NullSink()
    if directory := environ.get("TASKQUEUE_TRACES_DIR"):
        return FileSink(Path(directory) / file_name)
    return ProviderSink(application_provider)


def otlp_endpoint(environ: Environ) -> str | None:
    """Where spans go by OTLP/HTTP; None when they go elsewhere, or by another protocol."""
    if not _speaks_http(environ):
        return None
    if endpoint := environ.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"):
        return endpoint
    endpoint = environ.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    return endpoint.rstrip("/") + "/v1/traces" if endpoint else None


def _speaks_http(environ: Environ) -> bool:
    """Neither the exporter nor the protocol that was asked for is another one."""
    exporters = {name.strip() for name in environ.get("OTEL_TRACES_EXPORTER", "").split(",")} - {""}
    if exporters and not exporters & _OTLP_HTTP:
        return False
    return "otlp_proto_http" in exporters or _otlp(environ, "PROTOCOL", "http").startswith("http")


def _otlp(environ: Environ, name: str, default: str = "") -> str:
    """Read an OTLP setting: the one for traces goes before the one for all signals."""
    own = environ.get(f"OTEL_EXPORTER_OTLP_TRACES_{name}", "").strip()
    return own or environ.get(f"OTEL_EXPORTER_OTLP_{name}", "").strip() or default


def _transport(environ: Environ) -> Transport:
    both = read(environ, "OTEL_EXPORTER_OTLP_TIMEOUT", _seconds, _TIMEOUT_SECONDS)
    return Transport(
        headers=pairs(_otlp(environ, "HEADERS")),
        timeout_seconds=read(environ, "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", _seconds, both),
        compressed=_otlp(environ, "COMPRESSION") == "gzip",
        certificate=_otlp(environ, "CERTIFICATE") or None,
        client_certificate=_otlp(environ, "CLIENT_CERTIFICATE") or None,
        client_key=_otlp(environ, "CLIENT_KEY") or None,
    )


def _seconds(text: str) -> float:
    seconds = float(text)
    if not 0 < seconds < float("inf"):
        raise ValueError
    return seconds
