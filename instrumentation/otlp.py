"""An OTLP/HTTP endpoint that span lines are posted to, by nothing but the standard library."""

import gzip
import ssl
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.error import HTTPError
from urllib.parse import unquote, urlsplit, urlunsplit
from urllib.request import (
    HTTPDefaultErrorHandler,
    HTTPErrorProcessor,
    HTTPHandler,
    HTTPSHandler,
    OpenerDirector,
    ProxyHandler,
    Request,
)

from instrumentation.sinks import QueuedSink

_REPEATABLE = (429, 502, 503, 504)


@dataclass(frozen=True)
class Transport:
    """How to post: what the OTEL_EXPORTER_OTLP_* variables say beside the endpoint."""

    headers: Mapping[str, str] = field(default_factory=dict)
    timeout_seconds: float = 10.0
    compressed: bool = False
    certificate: str | None = None
    client_certificate: str | None = None
    client_key: str | None = None

    def tls(self) -> ssl.SSLContext:
        """Make the TLS context; raises where a file cannot be read."""
        context = ssl.create_default_context(cafile=self.certificate)
        if self.client_certificate:
            context.load_cert_chain(self.client_certificate, self.client_key)
        return context


class HttpSink(QueuedSink):
    """Posts lines as OTLP/HTTP JSON."""

    def __init__(self, url: str, transport: Transport, close_after_seconds: float = 10.0) -> None:
        super().__init__(close_after_seconds)
        self._url, user = _without_user(url)
        self._transport = transport
        self._headers = {"Content-Type": "application/json", **user, **transport.headers}
        if transport.compressed:
            self._headers["Content-Encoding"] = "gzip"

    def deliver(self, line: bytes) -> None:
        body = gzip.compress(line, 1) if self._transport.compressed else line
        request = Request(self._url, body, self._headers, method="POST")  # noqa: S310 - see _opener
        with self._opener.open(request, timeout=self._transport.timeout_seconds) as answer:
            answer.read()

    def may_recover(self, error: Exception) -> bool:
        """Tell whether OTLP wants a request repeated that failed so."""
        if isinstance(error, HTTPError):
            return error.code in _REPEATABLE
        return isinstance(error, OSError)  # nobody answered

    @cached_property
    def _opener(self) -> OpenerDirector:
        """Speaks HTTP(S), by a proxy where the environment names one.

        It follows no redirection, which would show the headers to somebody else.
        """
        opener = OpenerDirector()
        opener.add_handler(HTTPSHandler(context=self._transport.tls()))
        for kind in (HTTPHandler, ProxyHandler, HTTPDefaultErrorHandler, HTTPErrorProcessor):
            opener.add_handler(kind())
        return opener

    def explain(self, error: Exception) -> str:
        what = f"HTTP {error.code}" if isinstance(error, HTTPError) else type(error).__name__
        return f"the OTLP endpoint failed: {what}"


def _without_user(url: str) -> tuple[str, dict[str, str]]:
    """Take name and password out of an URL; return them as the header they stand for."""
    parts = urlsplit(url)
    user, found, host = parts.netloc.rpartition("@")
    if not found:
        return url, {}
    basic = b64encode(unquote(user).encode()).decode()
    return urlunsplit(parts._replace(netloc=host)), {"Authorization": f"Basic {basic}"}
