"""The Tempo that holds a run's traces: fetched from, and its failures explained."""

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

import requests

from compose.broker import redacted
from compose.errors import ServiceError
from extract import tempo
from extract.manifest import Manifest
from instrumentation.settings import pairs

#: Where headers come from: they may hold a password, and a command line can be seen by others.
HEADERS: Final = "TASKSCOPE_TEMPO_HEADERS"


def check(url: str, environ: Mapping[str, str] = os.environ) -> None:
    """ServiceError if what is at `url` does not search traces as Tempo does."""
    if not url.startswith(("http://", "https://")):
        raise ServiceError(
            f"{redacted(url)} is no URL of a Tempo.", "Write --tempo-url http://host:port."
        )
    connection = _connection(url, environ)
    try:
        with connection.client() as client:
            answer = connection.get(client, "/api/search", {"q": "{ false }", "limit": 1})
    except (requests.RequestException, tempo.TempoError) as error:
        raise _explained(url, error) from None
    if answer is None:
        raise _explained(url, tempo.TempoError("HTTP 404: it has no /api/search"))


def fetch(
    url: str,
    manifest: Manifest,
    directory: Path,
    report: Callable[[str], None],
    environ: Mapping[str, str] = os.environ,
) -> tempo.Fetched:
    """Write a run's traces into its folder of traces. ServiceError where that cannot be done."""
    directory.mkdir(exist_ok=True)
    try:
        return tempo.fetch(_connection(url, environ), manifest, directory, report)
    except (requests.RequestException, tempo.TempoError) as error:
        raise _explained(url, error) from None


def _connection(url: str, environ: Mapping[str, str]) -> tempo.Tempo:
    return tempo.Tempo(url, pairs(environ.get(HEADERS, "")))


def _explained(url: str, error: Exception) -> ServiceError:
    """Say what went wrong. What requests says of it may hold the URL, with its password."""
    if isinstance(error, tempo.TempoError):
        said = str(error)
        remedy = "Is it a Tempo, 2.7 or newer, and its HTTP port (3200)? See docs/tempo.md."
    else:
        said = type(error).__name__
        remedy = "Check the address, and that Tempo runs there: --tempo-url http://host:3200."
    if "HTTP 401" in said or "HTTP 403" in said:
        remedy = f"Give credentials in the URL, or headers in {HEADERS} (key=value,key=value)."
    return ServiceError(f"Tempo at {redacted(url)} did not answer as it should: {said}", remedy)
