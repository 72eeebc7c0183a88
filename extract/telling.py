"""Slow tasks in words, for the terminal and the report alike."""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from extract.causes import many, write
from extract.life import Stage

type Record = Mapping[str, Any]
"""What `Slow.record` returns."""

NS_PER_MS: Final = 1e6
_NAMED: Final = 3

TITLES: Final[Mapping[Stage, str]] = {
    "schedule_lag": "generator lag",
    "earlier_attempts": "earlier attempts",
    "delay": "delay on purpose",
    "broker_wait": "broker wait",
    "wait": "waiting",
    "prefetch_wait": "prefetch wait",
    "execution": "execution",
    "ack": "acknowledgement",
}


def took(milliseconds: float) -> str:
    """Write a duration with a unit that suits it."""
    return write(milliseconds * NS_PER_MS)


def surroundings(record: Record) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Yield what was around an attempt: a line, and the others that it is about."""
    if record["queue_depth"] is not None:
        yield f"Queue depth when it was sent: {record['queue_depth']:,}", ()
    if record["worker_cpu_cores"] is not None:
        yield f"Worker CPU during its longest stage: {record['worker_cpu_cores']:.2f} cores", ()
    for title, neighbours in (
        ("Its process executed meanwhile", record["executing"]),
        ("Its worker held meanwhile", record["held"]),
    ):
        if neighbours["count"]:
            named = tuple(_neighbour(other) for other in neighbours["longest"][:_NAMED])
            yield f"{title}: {many(neighbours['count'], 'other')}, the longest there", named


def disagreements(record: Record) -> Iterator[str]:
    """Yield each stage that would be negative."""
    for stage in record["clocks_disagree"]:
        yield f"Clocks disagree: its {TITLES[stage]} would be negative."


def _neighbour(other: Record) -> str:
    there, executed = took(other["overlap_ms"]), took(other["execution_ms"])
    return f"{other['task']} {other['task_id']}, there for {there}, executed {executed}"
