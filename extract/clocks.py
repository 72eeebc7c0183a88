"""How far clocks of other hosts are from the generator's: what cross-host intervals contain.

A ping asks another host's clock between two looks at one's own: at some instant between t0 and t1
it said `there`, so its offset lies between `there - t1` and `there - t0`, whatever the network did.
The pings of a reading follow each other within a fraction of a second, so the offset lies in all of
their ranges at once: in the intersection, which the quickest pings make narrow. The midpoint is the
estimate, as in NTP (Mills, RFC 5905) and Cristian's algorithm (1989), which assume that both ways
take as long; the bounds hold without that.

A cell has a reading before and after. Clocks drift, so its bounds are those of both together. And
no task was received before it was sent: the least wait of all bounds the offset from above.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

import pandas as pd

from extract.manifest import CellRecord, ClockReading, Manifest

_KEYS: Final = {"session": "string", "scenario": "string", "framework": "string",
                "variant": "string", "repetition": "int64"}  # fmt: skip
#: `offset_ns` is how much later the host's clock is than the reference's; the truth is within
#: `uncertainty_ns` of it. <NA> where the readings contradict each other: a clock was stepped.
COLUMNS: Final = {
    **_KEYS, "host": "string", "reference": "string", "offset_ns": "Int64",
    "uncertainty_ns": "Int64", "pings": "int64", "least_wait_ns": "Int64",
}  # fmt: skip
#: Intervals that begin on the sender's host and end on the worker's.
CROSSING: Final = ("broker_wait", "delay", "end_to_end")
_MS: Final = 1e6
_PROCESSES: Final = r":[^:]*/[^/]*$"


def table(manifest: Manifest, tasks: pd.DataFrame) -> pd.DataFrame:
    """Return one row for each measured cell and other host; none where all was one host."""
    rows = [
        {**cell.labels(manifest.session), "repetition": cell.repetition, **_row(cell, host, tasks)}
        for cell in manifest.cells
        for host in dict.fromkeys(reading.host for reading in cell.clocks)
    ]
    return frame(rows)


def frame(rows: Iterable[Mapping[str, Any]]) -> pd.DataFrame:
    """Return the rows as the table `clocks`."""
    return pd.DataFrame(list(rows), columns=pd.Index(COLUMNS)).astype(COLUMNS)


def _row(cell: CellRecord, host: str, tasks: pd.DataFrame) -> dict[str, Any]:
    readings = [reading for reading in cell.clocks if reading.host == host]
    wait = _least_wait(cell, host, tasks)
    bounds = combined(readings, wait)
    lower, upper = bounds or (0, 0)
    return {
        "host": host,
        "reference": readings[0].reference,
        "offset_ns": (lower + upper) // 2 if bounds else None,
        "uncertainty_ns": (upper - lower + 1) // 2 if bounds else None,
        "pings": sum(reading.pings for reading in readings),
        "least_wait_ns": wait,
    }


def combined(readings: Sequence[ClockReading], least_wait_ns: int | None) -> tuple[int, int] | None:
    """Return the bounds of the offset over the time of all readings; None if they contradict."""
    if any(reading.lower_ns > reading.upper_ns for reading in readings):
        return None
    lower = min(reading.lower_ns for reading in readings)
    upper = max(reading.upper_ns for reading in readings)
    if least_wait_ns is not None:
        upper = min(upper, least_wait_ns)
    return (lower, upper) if lower <= upper else None


def _least_wait(cell: CellRecord, host: str, tasks: pd.DataFrame) -> int | None:
    mine = tasks[
        (tasks["scenario"] == cell.scenario)
        & (tasks["variant"] == cell.variant)
        & (tasks["repetition"] == cell.repetition)
        & (hosts(tasks) == host)
    ]
    waits = (mine["received_ns"] - mine["sent_ns"]).dropna()
    return int(waits.min()) if len(waits) else None


def hosts(tasks: pd.DataFrame) -> pd.Series:
    """Return the host of each attempt's worker, whose name is host:pid/pid."""
    return tasks["worker"].astype("string").str.replace(_PROCESSES, "", regex=True)


def sentence(row: Mapping[str, Any]) -> str:
    """Say how far a host's clock is off, how sure that is, and what contains it."""
    host, reference = row["host"], row["reference"]
    if pd.isna(row["offset_ns"]):
        return f"the clock of {host} was stepped: how far it is from that of {reference} is unknown"
    offset, uncertainty = row["offset_ns"] / _MS, row["uncertainty_ns"] / _MS
    how = "ahead of" if offset >= 0 else "behind"
    return (
        f"the clock of {host} is {abs(offset):.3g} ms {how} that of {reference}, "
        f"give or take {uncertainty:.2g} ms, and intervals between the two contain that"
    )


def of_cell(
    clocks: pd.DataFrame, scenario: str, variant: str, repetition: int | None = None
) -> list[dict[str, Any]]:
    """Return the rows of one cell, or of all repetitions of a variant."""
    chosen = clocks[(clocks["scenario"] == scenario) & (clocks["variant"] == variant)]
    if repetition is not None:
        chosen = chosen[chosen["repetition"] == repetition]
    return [{str(key): value for key, value in row.items()} for row in chosen.to_dict("records")]


def of_record(clocks: pd.DataFrame, record: Mapping[str, Any]) -> dict[str, Any] | None:
    """Say how far the clock of an attempt's worker is off; None on the generator's own host."""
    host = re.sub(_PROCESSES, "", str(record["worker"]))
    cell = of_cell(clocks, record["scenario"], record["variant"], record["repetition"])
    for row in cell:
        if row["host"] == host:
            known = not pd.isna(row["offset_ns"])
            return {
                "host": host,
                "offset_ms": row["offset_ns"] / _MS if known else None,
                "uncertainty_ms": row["uncertainty_ns"] / _MS if known else None,
                "found": sentence(row),
            }
    return None
