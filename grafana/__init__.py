"""What Grafana shows: data sources, and dashboards as the JSON that Grafana reads.

The JSON in `dashboards/` is generated from the modules here by `python -m grafana`, and committed,
so that neither `taskscope grafana push` nor provisioning needs what generates it.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

FOLDER: Final = Path(__file__).parent / "dashboards"
#: The folder in Grafana, and the tag that all dashboards have and link each other by.
FOLDER_UID: Final = "taskscope"
FOLDER_TITLE: Final = "taskscope"
TAG: Final = "taskscope"
#: Data sources of ours: the names differ from what an existing Grafana is likely to have.
PROMETHEUS_UID: Final = "taskscope-prometheus"
TEMPO_UID: Final = "taskscope-tempo"
COMPARISON_UID: Final = "taskscope-comparison"
SLOW_TASKS_UID: Final = "taskscope-slow-tasks"


def dashboards() -> Mapping[str, dict[str, Any]]:
    """Return every dashboard by its uid, Comparison first."""
    found = [json.loads(path.read_text()) for path in sorted(FOLDER.glob("*.json"))]
    found.sort(key=lambda dashboard: dashboard["uid"] != COMPARISON_UID)
    return {dashboard["uid"]: dashboard for dashboard in found}


def data_sources(prometheus_url: str, tempo_url: str | None) -> list[dict[str, Any]]:
    """Return the data sources in Grafana's own form; addresses are as Grafana's server sees them.

    Exemplars lead to Tempo, if there is one.
    """
    prometheus = {
        "uid": PROMETHEUS_UID,
        "name": "taskscope Prometheus",
        "type": "prometheus",
        "access": "proxy",
        "url": prometheus_url,
        "jsonData": {
            "httpMethod": "POST",
            "timeInterval": "1s",  # the scrape interval: what $__rate_interval starts from
            "exemplarTraceIdDestinations": [{"name": "trace_id", "datasourceUid": TEMPO_UID}],
        },
    }
    tempo: dict[str, Any] = {
        "uid": TEMPO_UID,
        "name": "taskscope Tempo",
        "type": "tempo",
        "access": "proxy",
        "url": tempo_url,
        "jsonData": {},
    }
    return [prometheus, tempo] if tempo_url else [prometheus]
