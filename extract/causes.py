"""Why an attempt was slow: rules over its stages and its surroundings, each with its evidence.

Every rule says how many nanoseconds of the attempt's life it explains. The cause that explains most
is the first; another that explains a fifth of the life is the second.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal, Protocol

from extract.intervals import overlap
from extract.life import Life, Segment
from extract.standstill import Standstill
from extract.surroundings import Surroundings

type Kind = Literal[
    "behind a backlog", "stuck behind a prefetched long task", "slow itself",
    "worker paused or starved", "slow to acknowledge", "waited on purpose", "generator late",
    "retried", "delivered again", "nothing unusual", "not explained",
]  # fmt: skip

#: Up to how many times the typical life of its cell is normal.
NORMAL: Final = 1.5
#: A cause counts that explains this share of the life.
COUNTS: Final = 0.2
#: Where the life is normal for its cell, causes are named first that explain this share together.
MAIN: Final = 0.5
#: A standstill that explains this much of what the first cause does goes first: it explains both.
CLOSE: Final = 0.8
#: Workers are full that execute this share of what they can at once.
FULL: Final = 0.8
#: Long tasks must have held this share of a prefetch wait for it to be stuck behind them.
STUCK: Final = 0.5
#: What takes less is no long task, however quick the others are.
LONG_SECONDS: Final = 0.01
#: The audit's bound, too: a generator is late from here on.
LATE_SECONDS: Final = 0.01
#: Cores that a standing worker uses at most, and that a starved one uses at least.
IDLE_CORES: Final = 0.1
BUSY_CORES: Final = 0.9

REMEDIES: Final[Mapping[Kind, str]] = {
    "behind a backlog": "Add workers or concurrency, or send no faster than they complete.",
    "stuck behind a prefetched long task":
        "Prefetch less (a multiplier of 1, acknowledging late), or give long tasks a queue and "
        "workers of their own.",
    "slow itself": "Trace the task itself: its own code took the time, or what it waited for.",
    "worker paused or starved":
        "Look for what stopped it: a signal, a debugger, a blocked event loop, a lost connection "
        "to the broker, a machine without CPU to spare.",
    "slow to acknowledge": "Look at the broker's latency, and at what the worker does meanwhile.",
    "waited on purpose": "None is needed: it was sent with a delay.",
    "generator late": "Ask for a lower rate, or give the sender a core of its own.",
    "retried": "See what the earlier attempts failed of: taskscope trace DIR --task ID.",
    "delivered again": "Look for a worker that died, or took longer than the broker waits.",
    "nothing unusual": "None is needed.",
    "not explained": "Compare its stages with those of its neighbours.",
}  # fmt: skip


class Samples(Protocol):
    """What was sampled, not traced; None for what is not known. Cells are as in the dataset."""

    def worker_cpu_cores(self, cell: "Cell", start_ns: int, end_ns: int) -> float | None:
        """Return how many cores the cell's workers used between two instants, in the mean."""
        ...

    def queue_depth(self, cell: "Cell", queue: str, at_ns: int) -> float | None:
        """Return the queue depth as last sampled before an instant."""
        ...


class NoSamples:
    """Nothing was sampled."""

    def worker_cpu_cores(self, _cell: "Cell", _start_ns: int, _end_ns: int) -> None:
        """Return None."""

    def queue_depth(self, _cell: "Cell", _queue: str, _at_ns: int) -> None:
        """Return None."""


@dataclass(frozen=True, slots=True)
class Cell:
    """Which cell."""

    scenario: str
    framework: str
    variant: str
    repetition: int


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an attempt was slow: how much of it that explains, what shows it, and what would help."""

    kind: Kind
    explains_ns: int
    evidence: tuple[str, ...]
    remedy: str


@dataclass(frozen=True)
class Case:
    """An attempt that is asked about."""

    cell: Cell
    around: Surroundings
    row: int
    life: Life
    pauses: tuple[Standstill, ...]
    samples: Samples = field(default_factory=NoSamples)

    @property
    def worker(self) -> int:
        """The process that executed it."""
        return int(self.around.worker[self.row])

    @property
    def instance(self) -> int:
        """What received it for that process."""
        return int(self.around.instance[self.row])

    @property
    def queue(self) -> int:
        """The queue it came from."""
        return int(self.around.queue[self.row])

    def paused(self, segment: Segment) -> int:
        """Return how much of a stage the worker stood still for, in nanoseconds."""
        return sum(overlap(segment.span, (p.start_ns, p.end_ns)) for p in self.pauses)

    def idle(self, segment: Segment) -> int:
        """Return how much of that no long task explains as well."""
        idle = (p for p in self.pauses if p.sign == "idle")
        return sum(overlap(segment.span, (p.start_ns, p.end_ns)) for p in idle)

    def took(self, segment: Segment, what: str) -> str:
        """Say how much of the life a stage took."""
        share = self.life.share(segment.ns)
        return f"{what} took {write(segment.ns)} of {write(self.life.ns)} ({share:.0%})."


type Rule = Callable[[Case], Iterator[Cause]]


def write(ns: float) -> str:
    """Write a duration with a unit that suits it."""
    for unit, size in (("s", 1e9), ("ms", 1e6), ("µs", 1e3)):
        if ns >= 0.9995 * size:  # what would be rounded to 1,000 of the next smaller unit
            digits = ".3g" if ns < 999.5 * size else ".0f"
            return f"{ns / size:,{digits}} {unit}"
    return f"{ns:.0f} ns"


def many(count: int, noun: str) -> str:
    """Write a count with its noun."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def cause(kind: Kind, explains_ns: float, *evidence: str) -> Iterator[Cause]:
    """Yield a cause, if it explains anything."""
    if explains_ns > 0:
        yield Cause(kind, int(explains_ns), tuple(e for e in evidence if e), REMEDIES[kind])
