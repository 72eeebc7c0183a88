"""A Grafana of the user's: connected to, and its refusals explained."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from grafana_client import GrafanaApi, TokenAuth
from grafana_client.client import GrafanaClientError, GrafanaException, GrafanaUnauthorizedError

from taskscope import grafana
from taskscope.errors import MissingServiceError, TaskscopeError, UsageError

TOKEN_VARIABLE: Final = "TASKSCOPE_GRAFANA_TOKEN"  # noqa: S105 - its name, not a token
_FORBIDDEN, _NOT_FOUND = 403, 404
_TIMEOUT_SECONDS: Final = 5.0
_LOOPBACK: Final = ("127.0.0.1", "localhost", "::1")


def token() -> str:
    """Return the token from the environment. UsageError if there is none."""
    found = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not found:
        raise UsageError(
            f"{TOKEN_VARIABLE} is not set, and Grafana lets nobody in without a token.",
            f"In Grafana, add a service account with the role Admin (Editor suffices for the marks "
            f"of a run) and a token to it; then: export {TOKEN_VARIABLE}=…",
        )
    return found


def connect(base_url: str, secret: str) -> GrafanaApi:
    """Return a client. A proxy from the environment is never asked for a loopback address."""
    parts = urlsplit(base_url)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname
    prefix = parts.path.strip("/")
    api = GrafanaApi(
        TokenAuth(secret), host=host, port=parts.port, protocol=parts.scheme,
        url_path_prefix=f"{prefix}/" if prefix else "", timeout=_TIMEOUT_SECONDS,
    )  # fmt: skip
    api.client.s.trust_env = parts.hostname not in _LOOPBACK
    return api


def check(api: GrafanaApi, base_url: str) -> str:
    """Return Grafana's version. MissingServiceError if there is none, or something else."""
    with explained(base_url, "read its health"):
        health = api.client.GET("/health")
    if not isinstance(health, dict) or "database" not in health:
        raise _no_grafana(base_url)
    return str(health.get("version", "of a version that it does not tell"))


def found(look: Any, *arguments: Any) -> dict[str, Any] | None:
    """Return what a call of the client finds; None where Grafana says that there is no such."""
    try:
        answer: dict[str, Any] = look(*arguments)
    except GrafanaClientError as error:
        if error.status_code == _NOT_FOUND:
            return None
        raise
    return answer


@contextmanager
def explained(base_url: str, what: str) -> Iterator[None]:
    """Turn what the client raises while it is to do `what` into an error with a remedy."""
    try:
        yield
    except GrafanaUnauthorizedError:
        raise UsageError(
            f"Grafana at {base_url} does not accept the token in {TOKEN_VARIABLE}.",
            "It may have expired, or be of another Grafana or organisation: make a new one.",
        ) from None
    except GrafanaClientError as error:
        if error.status_code == _FORBIDDEN:
            raise UsageError(
                f"The token in {TOKEN_VARIABLE} may not {what}: {_message(error)}",
                "Give its service account the role Admin, or that permission.",
            ) from None
        if error.status_code == _NOT_FOUND:
            raise _no_grafana(base_url) from None
        raise TaskscopeError(
            f"Grafana at {base_url} would not {what}: {_message(error)}",
            "See Grafana's log. taskscope is made for Grafana 11 and 12.",
        ) from None
    except GrafanaException as error:
        raise MissingServiceError(
            f"Grafana at {base_url} failed to {what}: {_message(error)}", "See Grafana's log."
        ) from None
    except requests.exceptions.JSONDecodeError:
        raise _no_grafana(base_url) from None
    except requests.RequestException as error:
        raise MissingServiceError(
            f"Grafana at {base_url} did not answer: {_reason(error)}.",
            "Check the address, and that Grafana runs there.",
        ) from None


def _no_grafana(base_url: str) -> MissingServiceError:
    return MissingServiceError(
        f"What answers at {base_url} is no Grafana.",
        "Check the address; where Grafana lies below a path, the address has it too: "
        f"{grafana.EXAMPLE}.",
    )


def _message(error: GrafanaException) -> str:
    """Return Grafana's own words."""
    response = error.response
    said = response.get("message") if isinstance(response, dict) else None
    return str(said or error.message).rstrip(".")


def _reason(error: requests.RequestException) -> str:
    """Return why, without the layers of libraries around it."""
    if isinstance(error, requests.Timeout):
        return f"nothing within {_TIMEOUT_SECONDS:g} s"
    cause = getattr(error.args[0] if error.args else None, "reason", error)
    return str(cause).rpartition(": ")[2]
