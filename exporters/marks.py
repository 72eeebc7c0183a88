"""What happens in the cell, for people who watch: a JSON file, rewritten by whoever runs it.

Results rest on the marks of the manifest, never on these.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec
from prometheus_client import Metric
from prometheus_client.core import GaugeMetricFamily


class Mark(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """An instant, in Unix seconds, and what began or ended then."""

    mark: str
    at: float


class Marks(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The file: the marks so far, and whether the cell shares the machine with another one."""

    marks: tuple[Mark, ...] = ()
    together: bool = False

    def store(self, path: Path) -> None:
        """Write the file in one step: a reader sees it whole."""
        temporary = path.with_suffix(".tmp")
        temporary.write_bytes(msgspec.json.encode(self))
        temporary.replace(path)


class MarksSource:
    """The marks of a file, which is read again at every scrape."""

    name = "marks"

    def __init__(self, path: Path) -> None:
        self._path = path

    def collect(self) -> Iterable[Metric]:
        """Read now. Raises OSError, or msgspec.DecodeError for a file that is none."""
        return emit(msgspec.json.decode(self._path.read_bytes(), type=Marks))


def emit(marks: Marks) -> list[Metric]:
    """Name the metrics; of two marks of one name the later one counts."""
    instants = GaugeMetricFamily(
        "taskscope_mark_timestamp_seconds",
        "When the cell reached a mark, in Unix seconds.",
        labels=["mark"],
    )
    for name, at in {mark.mark: mark.at for mark in marks.marks}.items():
        instants.add_metric([name], at)
    together = GaugeMetricFamily(
        "taskscope_cell_together",
        "1 if another cell runs at the same time, with half of the resources each.",
        value=float(marks.together),
    )
    return [instants, together]
