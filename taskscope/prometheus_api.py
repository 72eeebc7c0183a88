"""The Prometheus that holds a run's series: connected to, checked, and its failures explained."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final
from urllib.parse import urlsplit

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException
from urllib3.util.retry import Retry

from compose.broker import redacted
from compose.errors import ServiceError

_TIMEOUT_SECONDS: Final = 10
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def connect(url: str) -> PrometheusConnect:
    """Return a client. A proxy from the environment is never asked for a loopback address."""
    session = requests.Session()
    session.trust_env = urlsplit(url).hostname not in _LOOPBACK
    retry = Retry(total=2, backoff_factor=0.2, status_forcelist=(502, 503, 504))
    return PrometheusConnect(
        url=url.rstrip("/"), session=session, timeout=_TIMEOUT_SECONDS, retry=retry
    )


@contextmanager
def explained(url: str) -> Iterator[None]:
    """Turn what the client raises into ServiceError."""
    try:
        yield
    except (requests.RequestException, PrometheusApiClientException, KeyError) as error:
        raise ServiceError(
            f"Prometheus at {redacted(url)} did not answer: {error}",
            "See logs/prometheus.log; with --prometheus-url, check the address and that Prometheus "
            "runs there.",
        ) from None


def check(url: str) -> None:
    """ServiceError if what is at `url` does not speak Prometheus' API."""
    if not url.startswith(("http://", "https://")):
        raise ServiceError(
            f"{redacted(url)} is no URL of a Prometheus.",
            "Write --prometheus-url http://host:port.",
        )
    with explained(url):
        connect(url).custom_query("vector(1)")
