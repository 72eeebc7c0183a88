"""The state of the host, for the audit: a cell that swapped or shared its cores is no evidence."""

import os
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import psutil
from prometheus_client import Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

BUSY_FIELDS = ("user", "nice", "system", "irq", "softirq", "steal")
"""What is not idle. Waiting for a disk is idle; guest time is within user and nice already."""


@dataclass(frozen=True)
class HostReading:
    """Counts are since boot; ``cpu_seconds`` is summed over all cores."""

    swapped_in_bytes: int
    swapped_out_bytes: int
    load1: float
    cpu_seconds: float


class HostSource:
    """Swap, load and CPU of the machine that runs this exporter."""

    name = "host"

    def __init__(
        self,
        swap_memory: Callable[[], Any] = psutil.swap_memory,
        cpu_times: Callable[[], Any] = psutil.cpu_times,
        load_average: Callable[[], tuple[float, float, float]] = os.getloadavg,
    ) -> None:
        self._swap_memory = swap_memory
        self._cpu_times = cpu_times
        self._load_average = load_average

    def collect(self) -> list[Metric]:
        """Read now. Raises OSError, or RuntimeWarning where the kernel keeps no swap counters."""
        with warnings.catch_warnings():
            # psutil only warns when it cannot read the counters, and reports zeros.
            warnings.simplefilter("error")
            swap = self._swap_memory()
        return emit(parse(swap, self._cpu_times(), self._load_average()))


def parse(swap: Any, cpu: Any, load: tuple[float, float, float]) -> HostReading:
    """Reduce psutil's records; a field that this kernel does not have counts as zero."""
    return HostReading(
        swapped_in_bytes=swap.sin,
        swapped_out_bytes=swap.sout,
        load1=load[0],
        cpu_seconds=sum(getattr(cpu, field, 0.0) for field in BUSY_FIELDS),
    )


def emit(reading: HostReading) -> list[Metric]:
    """Name the metrics."""
    swap = CounterMetricFamily(
        "taskscope_host_swap_bytes",
        "Bytes swapped in from disk and out to it, since boot.",
        labels=["direction"],
    )
    swap.add_metric(["in"], reading.swapped_in_bytes)
    swap.add_metric(["out"], reading.swapped_out_bytes)
    return [
        swap,
        GaugeMetricFamily(
            "taskscope_host_load1",
            "Load average over one minute.",
            value=reading.load1,
        ),
        CounterMetricFamily(
            "taskscope_host_cpu_seconds",
            "CPU time of all cores that was not idle, since boot.",
            value=reading.cpu_seconds,
        ),
    ]
