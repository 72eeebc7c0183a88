"""Host state, from psutil's records to metrics."""

import warnings
from types import SimpleNamespace

import pytest

from exporters.host import HostReading, HostSource, parse

SWAP = SimpleNamespace(total=0, used=0, free=0, percent=0.0, sin=4096, sout=8192)
# Recorded from a Linux VM, with the idle kinds made large enough to be missed by nobody.
CPU = SimpleNamespace(
    user=31.5, nice=0.25, system=17.0, idle=9000.0, iowait=700.0, irq=0.5, softirq=0.125,
    steal=0.0625, guest=5.0, guest_nice=6.0,
)  # fmt: skip


def test_idle_and_waiting_do_not_count_and_guests_count_once() -> None:
    assert parse(SWAP, CPU, (0.5, 9.0, 9.0)) == HostReading(
        swapped_in_bytes=4096, swapped_out_bytes=8192, load1=0.5, cpu_seconds=49.4375
    )


def test_a_kernel_without_some_kinds_of_time_is_read_all_the_same() -> None:
    cpu = SimpleNamespace(user=1.0, nice=0.0, system=2.0, idle=100.0)

    assert parse(SWAP, cpu, (0.0, 0.0, 0.0)).cpu_seconds == 3.0


def test_every_reading_has_its_metric() -> None:
    source = HostSource(lambda: SWAP, lambda: CPU, lambda: (0.5, 9.0, 9.0))

    samples = {
        (sample.name, sample.labels.get("direction")): sample.value
        for family in source.collect()
        for sample in family.samples
    }

    assert samples == {
        ("taskscope_host_swap_bytes_total", "in"): 4096,
        ("taskscope_host_swap_bytes_total", "out"): 8192,
        ("taskscope_host_load1", None): 0.5,
        ("taskscope_host_cpu_seconds_total", None): 49.4375,
    }


def test_swap_counters_that_cannot_be_read_are_a_failure_not_zeros() -> None:
    def unreadable() -> SimpleNamespace:
        warnings.warn("swap memory stats could not be determined", RuntimeWarning, stacklevel=1)
        return SimpleNamespace(sin=0, sout=0)

    with pytest.raises(RuntimeWarning):
        HostSource(unreadable).collect()
