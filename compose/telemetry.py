"""The environment that tells an instrumented process where its telemetry goes, and whose it is."""

import json
from collections.abc import Mapping
from pathlib import Path


def telemetry_environment(
    role: str, labels: Mapping[str, str], trace_ratio: float, traces: Path, targets: Path
) -> dict[str, str]:
    """Return the variables; `labels` go on every series and, as attributes, on every span."""
    attributes = ",".join(f"taskscope.{key}={value}" for key, value in labels.items())
    return {
        "OTEL_SERVICE_NAME": role,
        "OTEL_RESOURCE_ATTRIBUTES": attributes,
        "OTEL_TRACES_SAMPLER_ARG": str(trace_ratio),
        "TASKQUEUE_TRACES_DIR": str(traces),
        "TASKQUEUE_TARGETS_DIR": str(targets),
        "TASKQUEUE_TARGET_LABELS": json.dumps({**labels, "component": role}),
    }
