"""How fast traces become the dataset, and how that grows: from 10,000 tasks to 1,000,000.

    python -m benchmarks.extraction [TASKS ...]

The files are written by the instrumentation's own writer. A task is one PRODUCER and one CONSUMER
span; 1 % are sampled and have their waits as child spans too. Timed is all that `taskscope extract`
does with traces: reading, the figures of every cell, and the table of tasks as Parquet. What it
asks Prometheus takes a time of its own, which does not grow with the tasks.
"""

import json
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import batched
from pathlib import Path
from statistics import median

import msgspec
import psutil

from extract import traces
from extract.manifest import CellRecord, Manifest
from instrumentation import spans
from instrumentation.attempt import Attempt
from instrumentation.carrier import pack
from instrumentation.ids import new_span_ids
from instrumentation.records import SENT, Record

_SIZES = (10_000, 100_000, 1_000_000)
_REPEATS = 3
_CELLS = 10
_BEGIN = 1_795_308_000_000_000_000
_GAP, _STAGE = 200_000, 150_000  # nanoseconds between tasks, and between a task's instants
_SAMPLED = 100  # one in so many
_POLL_SECONDS = 0.02


def write(directory: Path, tasks: int) -> int:
    """Write the traces of ten cells, and return their size in bytes."""
    each = tasks // _CELLS
    (directory / "traces").mkdir()
    cells = []
    for number in range(_CELLS):
        begin = _BEGIN + number * (each * _GAP + 10**9)
        marks = (begin / 1e9 - 0.1, (begin + each * _GAP) / 1e9 + 0.5)
        variant, repetition = f"variant-{number % 2}", number // 2 + 1
        cell = CellRecord("bench", "framework", variant, repetition, each, *marks)
        _write_cell(directory / "traces", cell, begin, each)
        cells.append(cell)
    manifest = Manifest("session", "", "complete", (), "native", "native", {}, {}, (), (),
                        tuple(cells))  # fmt: skip
    manifest.write(directory)
    return sum(path.stat().st_size for path in (directory / "traces").iterdir())


def _write_cell(directory: Path, cell: CellRecord, begin: int, count: int) -> None:
    name = f"{cell.variant}-{cell.repetition}"
    for kind, made in (("generator", _sent), ("worker", _done)):
        labels = {f"taskscope.{key}": value for key, value in cell.labels("session").items()}
        about = {"service.name": kind, "service.instance.id": f"host:{name}", **labels}
        with (directory / f"{kind}-{name}.jsonl").open("wb") as file:
            for numbers in batched(range(count), 10_000):
                file.writelines(
                    line for line, _ in spans.lines(made(numbers, begin, name), "redis", about)
                )


def _sent(numbers: tuple[int, ...], begin: int, name: str) -> Iterator[Record]:
    for number, span_id in zip(numbers, new_span_ids(len(numbers)), strict=True):
        sent = begin + number * _GAP
        parent = f"00-{_trace(number)}-{span_id}-{_flags(number)}"
        yield (SENT, "noop", "taskscope", _task_id(number, name), parent, "", sent - 1_000, sent,
               sent + _STAGE, None)  # fmt: skip


def _done(numbers: tuple[int, ...], begin: int, name: str) -> Iterator[Attempt]:
    for number, sender in zip(numbers, new_span_ids(len(numbers)), strict=True):
        sent = begin + number * _GAP
        attempt = Attempt()
        attempt.task, attempt.queue, attempt.outcome = "noop", "taskscope", "success"
        attempt.task_id, attempt.pid = _task_id(number, name), 4_000 + number % 10
        header = f"00-{_trace(number)}-{sender}-{_flags(number)}"
        attempt.carrier = pack(header, sent - 1_000, sent)
        attempt.received, attempt.started, attempt.completed, attempt.acked = (
            sent + stage * _STAGE for stage in (1, 2, 3, 4)
        )
        yield attempt


def _trace(number: int) -> str:
    return f"{number + 1:032x}"  # zero is no trace id


def _task_id(number: int, name: str) -> str:
    return f"{name}-{number:024x}"


def _flags(number: int) -> str:
    return "00" if number % _SAMPLED else "01"


def extract(directory: Path) -> float:
    """Do what `taskscope extract` does with traces; return the seconds it took."""
    manifest = msgspec.json.decode((directory / "manifest.json").read_bytes(), type=Manifest)
    begin = time.perf_counter()
    attempts, publishes = traces.read_traces(directory / "traces")
    figures = list(traces.results(manifest, attempts, publishes))
    tasks = traces.of_cells(attempts, manifest.cells)
    tasks.to_parquet(directory / "tasks.parquet", index=False)
    seconds = time.perf_counter() - begin
    sent = sum(row["value"] for row in figures if row["metric"] == "tasks_sent")
    if not sent == len(tasks) == sum(cell.planned for cell in manifest.cells):
        raise SystemExit(f"{sent:.0f} publishes and {len(tasks)} attempts were read")
    return seconds


@dataclass(frozen=True, slots=True)
class Measured:
    """One extraction: how long it took, the CPU time of its process, its largest memory."""

    seconds: float
    cpu_seconds: float
    peak_bytes: int


def measure(directory: Path) -> Measured:
    """Extract in a process of its own, whose start and imports count as CPU time."""
    before = _used()
    command = [sys.executable, "-m", "benchmarks.extraction", "--only", str(directory)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE)
    peak = 0
    while process.poll() is None:
        peak = max(peak, _resident(process.pid))
        time.sleep(_POLL_SECONDS)
    if process.returncode or process.stdout is None:
        raise SystemExit(f"extraction failed with {process.returncode}")
    return Measured(float(json.loads(process.stdout.read())), _used() - before, peak)


def _used() -> float:
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return children.ru_utime + children.ru_stime


def _resident(pid: int) -> int:
    """Return the memory of a process and its children; pages that they share count in each."""
    try:
        tree = psutil.Process(pid)
        return sum(p.memory_info().rss for p in (tree, *tree.children(recursive=True)))
    except psutil.Error:
        return 0


def main(sizes: tuple[int, ...]) -> None:
    """Print a line for each number of tasks."""
    for tasks in sizes:
        with tempfile.TemporaryDirectory() as scratch:
            size = write(Path(scratch), tasks)
            found = [measure(Path(scratch)) for _ in range(_REPEATS)]
        seconds, cpu = (median(getattr(m, n) for m in found) for n in ("seconds", "cpu_seconds"))
        peak = max(m.peak_bytes for m in found)
        sys.stdout.write(
            f"{tasks:>9,} tasks ({2 * tasks:,} spans, {size / 1e6:,.0f} MB): "
            f"median of {_REPEATS} {seconds:.2f} s, {1e6 * seconds / tasks:.1f} µs a task, "
            f"CPU {cpu:.1f} s, "
            f"peak {peak / 2**20:,.0f} MiB\n"
        )
        sys.stdout.flush()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--only"]:
        sys.stdout.write(json.dumps(extract(Path(sys.argv[2]))))
    else:
        main(tuple(int(word.replace("_", "")) for word in sys.argv[1:]) or _SIZES)
