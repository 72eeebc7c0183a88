"""Where a trace can be seen in Grafana: the address of Explore, with the trace in Tempo."""

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import SplitResult, quote, urlsplit, urlunsplit

from taskscope.errors import UsageError

EXAMPLE = "http://host:3000, or https://host/grafana"
_AROUND_MS = 60_000  # Explore looks for a trace between two instants; clocks may differ


def base(url: str | None) -> str:
    """Return the address of Grafana, without credentials. UsageError if there is none."""
    if not url:
        raise UsageError(
            "No Grafana is configured: there is no address of one.",
            "Give --grafana-url http://host:3000, or set TASKSCOPE_GRAFANA_URL.",
        )
    try:
        parts = urlsplit(url)
        host = _host(parts)
    except ValueError:  # a port that is no number, a bracket that is not closed
        host = ""
    if not host or parts.scheme not in {"http", "https"}:
        raise UsageError(
            "What was given as --grafana-url is no address of a Grafana.",  # it may hold a password
            f"Write --grafana-url {EXAMPLE}.",
        )
    return urlunsplit((parts.scheme, host, parts.path.rstrip("/"), "", ""))


def _host(parts: SplitResult) -> str:
    name = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return f"{name}:{parts.port}" if parts.port is not None and name else name


def trace_url(base_url: str, datasource: str, record: Mapping[str, Any]) -> str:
    """Return the address of a task's trace, in the schema of Grafana 11 and later."""
    begin_ms = record["begin_ns"] // 1_000_000
    pane = {
        "datasource": datasource,
        "queries": [
            {
                "refId": "A",
                "datasource": {"type": "tempo", "uid": datasource},
                "queryType": "traceql",
                "query": record["trace_id"],
            }
        ],
        "range": {
            "from": str(begin_ms - _AROUND_MS),
            "to": str(begin_ms + int(record["total_ms"]) + _AROUND_MS),
        },
    }
    panes = quote(json.dumps({"trace": pane}, separators=(",", ":")), safe="")
    return f"{base_url}/explore?schemaVersion=1&panes={panes}&orgId=1"
