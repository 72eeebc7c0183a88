"""*Slow tasks*: from a high percentile to the spans of one task."""

from typing import Any, Final

from grafana_foundation_sdk.builders import dashboard as builders
from grafana_foundation_sdk.models import dashboard as model

import grafana
from grafana import frame
from grafana.panels import Look, Shown, curves, traces

_CELLS: Final = f'{frame.SCENARIO}, variant=~"$variant", repetition=~"$repetition"'
#: The same cells, as the resource of their spans says it.
_SPANS: Final = (
    'resource.taskscope.session = "$session" && resource.taskscope.scenario = "$scenario"'
    ' && resource.taskscope.variant =~ "$variant"'
    ' && resource.taskscope.repetition =~ "$repetition"'
)
_EXEMPLARS: Final = Look(note="A point is one task: hover over it, and follow its trace id.")


def build_dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    every = model.VariableOption(text="All", value="$__all", selected=True)
    return frame.build(
        "Slow tasks",
        grafana.SLOW_TASKS_UID,
        "The slowest and the failed tasks, each with its trace. Why one was slow, "
        "`taskscope trace` says.",
        frame.standard(
            frame.data_source("traces", "Tempo", "tempo", grafana.TEMPO_UID),
            frame.of_cells("variant", "Variant", frame.SCENARIO)
            .multi(True).include_all(True).all_value(".*").current(every),
            builders.TextBoxVariable("slower").label("Slower than").default_value("100ms"),
        ),
        [
            ("Latency, with the traces of single tasks", 9, [
                curves("End to end", [
                    Shown("end_to_end_p99_with_exemplars", _CELLS, exemplars=True),
                    Shown("end_to_end_p50_with_exemplars", _CELLS),
                ], _EXEMPLARS),
                curves("Execution", [
                    Shown("execution_p99_with_exemplars", _CELLS, exemplars=True),
                    Shown("execution_p50_with_exemplars", _CELLS),
                ], _EXEMPLARS),
            ]),
            ("Where the time went", 8, [
                curves("Stages, slowest 1 %", [Shown("stages_p99", _CELLS)]),
                curves("Execution by task, slowest 1 %", [Shown("by_task", _CELLS)]),
            ]),
            ("Traces", 10, [
                traces("Slower than $slower", "slowest", _SPANS, "$slower"),
                traces("With a failed attempt", "failed", _SPANS),
            ]),
        ],
    )  # fmt: skip
