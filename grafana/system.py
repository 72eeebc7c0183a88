"""*System*: the broker, the machine, and what watching costs."""

from typing import Any, Final

from grafana import frame
from grafana.panels import Look, Shown, curves, figure

_CELLS: Final = f'{frame.SCENARIO}, repetition=~"$repetition"'


def build_dashboard() -> dict[str, Any]:
    """Return the dashboard."""
    return frame.build(
        "System",
        "taskscope-system",
        "Broker, machine, what makes a cell invalid, and the cost of monitoring itself.",
        frame.standard(),
        [
            ("What makes a cell invalid", 4, [
                figure("Lost records", Shown("lost_now", _CELLS)),
                figure("Clock anomalies", Shown("clock_anomalies_now", _CELLS)),
                figure("Evicted keys", Shown("evicted_keys_now", _CELLS)),
                figure("Failed reads", Shown("exporter_failures_now", _CELLS)),
                figure("Targets up", Shown("targets_up", frame.SESSION), good="blue"),
            ]),
            ("Broker", 7, [
                curves("Commands", [Shown("broker_commands", _CELLS)]),
                curves("Network", [Shown("broker_network", _CELLS)]),
                curves("Memory", [Shown("broker_memory", _CELLS),
                                  Shown("broker_memory_limit", _CELLS)]),
            ]),
            ("Broker processes", 7, [
                curves("CPU", [Shown("broker_cpu_now", _CELLS)], Look(stacked=True)),
                curves("Resident memory", [Shown("broker_memory_now", _CELLS)]),
                curves("Connections", [Shown("broker_connections", _CELLS)]),
            ]),
            ("Machine", 7, [
                curves("CPU, all processes", [Shown("host_cpu", _CELLS)]),
                curves("Load", [Shown("host_load", _CELLS)]),
                curves("Swapping", [Shown("host_swap", _CELLS)]),
            ]),
            ("Generator", 7, [
                curves("CPU", [Shown("generator_cpu_now", _CELLS)], Look(stacked=True)),
                curves("Resident memory", [Shown("generator_memory_now", _CELLS)]),
            ]),
            ("What watching costs", 7, [
                curves("CPU", [Shown("monitoring_cpu_now", _CELLS)], Look(stacked=True)),
                curves("Resident memory", [Shown("monitoring_memory_now", _CELLS)]),
                curves("Scrapes", [Shown("scrape_seconds", _CELLS)]),
                curves("Samples a scrape", [Shown("scrape_samples", _CELLS)]),
                curves("Reading the sources", [Shown("exporter_seconds", _CELLS)]),
            ]),
        ],
    )  # fmt: skip
