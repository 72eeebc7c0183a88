"""Settings from environment variables, read as OpenTelemetry wants: empty is unset, odd is said."""

import logging
import os
import socket
from collections.abc import Callable, Mapping
from urllib.parse import unquote

_log = logging.getLogger(__name__)

type Environ = Mapping[str, str]

_DEFAULT_SAMPLE_RATIO = 0.01
_SAMPLERS = {"always_on": 1.0, "always_off": 0.0}


def read[T](environ: Environ, name: str, parse: Callable[[str], T], default: T) -> T:
    """Read a variable; warn of a value that makes no sense, and go on with the default."""
    text = environ.get(name, "").strip()
    try:
        return parse(text) if text else default
    except (TypeError, ValueError):
        _log.warning("%s is ignored: %r makes no sense", name, text)
        return default


def pairs(text: str) -> dict[str, str]:
    """Parse `key=value,key=value`, values percent-encoded: resource attributes and headers."""
    found = (pair.split("=", 1) for pair in text.split(",") if "=" in pair)
    return {key.strip(): unquote(value.strip()) for key, value in found}


def resource(environ: Environ, system: str) -> dict[str, str | int]:
    """Return what the spans of this process come from."""
    attributes = pairs(environ.get("OTEL_RESOURCE_ATTRIBUTES", ""))
    name = environ.get("OTEL_SERVICE_NAME") or attributes.get("service.name") or system
    instance = f"{socket.gethostname()}:{os.getpid()}"
    return {"service.instance.id": instance, **attributes, "service.name": name}


def spans_wanted(environ: Environ) -> bool:
    """Tell whether the environment lets spans be made at all."""
    disabled = environ.get("OTEL_SDK_DISABLED", "").strip().lower() == "true"
    return not disabled and environ.get("OTEL_TRACES_EXPORTER", "").strip() != "none"


def sample_ratio(environ: Environ) -> float:
    """Return the share of traces that run inside a live SDK span."""
    sampler = environ.get("OTEL_TRACES_SAMPLER", "").strip().removeprefix("parentbased_")
    if sampler in _SAMPLERS:
        return _SAMPLERS[sampler]
    return read(environ, "OTEL_TRACES_SAMPLER_ARG", float, _DEFAULT_SAMPLE_RATIO)
