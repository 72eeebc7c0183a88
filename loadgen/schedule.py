"""Arrival schedules: when each task is due, as nanoseconds after the start.

Pure arithmetic, apart from sleeping. Every offset is computed from the task's number, never from
the offset before it, so no rounding error can add up over a long run.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from math import ceil
from types import MappingProxyType
from typing import Final

import numpy as np
from numpy.typing import NDArray

type Offsets = NDArray[np.int64]

# Every kind of arrivals, and the numbers it needs.
PARAMETERS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "asap": (),
        "constant": ("rate",),
        "poisson": ("rate",),
        "ramp": ("rate_from", "rate_to"),
        "burst": ("burst_size", "burst_interval_seconds"),
        "pulse": ("rate", "burst_rate", "burst_after_seconds", "burst_seconds"),
    }
)
# One task a nanosecond is the resolution of the offsets.
LARGEST_NUMBER: Final = 1_000_000_000
_NS: Final = 1e9


@dataclass(frozen=True, slots=True)
class ArrivalSpec:
    """A kind of arrivals and its numbers: rates in tasks/s, `burst_interval_seconds` in seconds.

    Raises ValueError for an unknown kind, for a number missing or too many, and for one that is
    not above 0 and at most LARGEST_NUMBER.
    """

    kind: str
    numbers: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.kind not in PARAMETERS:
            raise ValueError(f"unknown arrivals {self.kind!r}; known: {', '.join(PARAMETERS)}")
        if set(self.numbers) != set(PARAMETERS[self.kind]):
            needed = ", ".join(PARAMETERS[self.kind]) or "no number"
            found = ", ".join(self.numbers) or "none"
            raise ValueError(f"arrivals {self.kind!r} needs {needed}; found {found}")
        for name, value in self.numbers.items():
            if not 0 < value <= LARGEST_NUMBER:
                raise ValueError(f"{name} must be above 0 and at most {LARGEST_NUMBER}: {value}")
        if not float(self.numbers.get("burst_size", 1)).is_integer():
            raise ValueError("burst_size must be a whole number")


def offsets_ns(spec: ArrivalSpec, count: int, seed: int = 0) -> Offsets | None:
    """Return when each of `count` tasks is due, in nanoseconds after the start, or None for asap.

    Shape (count,), never decreasing. Only poisson uses `seed` (an integer of at least 0); the same
    seed gives the same offsets with the same numpy. ValueError where `count` is negative.
    """
    if count < 0:
        raise ValueError(f"count must be at least 0: {count}")
    if spec.kind == "asap":
        return None
    due = _KINDS[spec.kind](spec.numbers, count, seed)
    return np.rint(due).astype(np.int64)


def planned_seconds(spec: ArrivalSpec, count: int) -> float | None:
    """Return how long sending `count` tasks takes by plan, in seconds, or None for asap.

    For poisson this is the expected time.
    """
    numbers = spec.numbers
    match spec.kind:
        case "asap":
            return None
        case "ramp":
            return 2 * count / (numbers["rate_from"] + numbers["rate_to"])
        case "burst":
            return ceil(count / numbers["burst_size"]) * numbers["burst_interval_seconds"]
        case "pulse":
            return float(_pulse_seconds(numbers, np.array([float(count)]))[0])
        case _:
            return count / numbers["rate"]


def _constant(numbers: Mapping[str, float], count: int, _seed: int) -> NDArray[np.float64]:
    """Task i at i / rate."""
    # Dividing last keeps i * 1e9 exact; a precomputed interval would carry its error i times.
    return _numbered(count) * _NS / numbers["rate"]


def _poisson(numbers: Mapping[str, float], count: int, seed: int) -> NDArray[np.float64]:
    """Independent exponential gaps of mean 1 / rate, one of them before the first task."""
    gaps = np.random.default_rng(seed).exponential(_NS / numbers["rate"], count)
    return np.cumsum(gaps)


def _ramp(numbers: Mapping[str, float], count: int, _seed: int) -> NDArray[np.float64]:
    """Place tasks so that the rate goes in a straight line from a to b while n tasks are sent.

    r(t) = a + (b - a) t / T, and n tasks take T = 2n / (a + b). Task i is due when the integral
    of r reaches i: a t + (b - a) t^2 / (2T) = i. The positive root, written so that it neither
    cancels nor divides by b - a, is  t = 2i / (a + sqrt(a^2 + (b^2 - a^2) i / n)).
    """
    first, last = numbers["rate_from"], numbers["rate_to"]
    number = _numbered(count)
    rate_when_due = np.sqrt(first**2 + (last**2 - first**2) * number / max(count, 1))
    return 2 * _NS * number / (first + rate_when_due)


def _burst(numbers: Mapping[str, float], count: int, _seed: int) -> NDArray[np.float64]:
    """Group g, tasks g * size to (g + 1) * size - 1, all due at g * interval."""
    group = _numbered(count) // numbers["burst_size"]
    return group * (numbers["burst_interval_seconds"] * _NS)


def _pulse(numbers: Mapping[str, float], count: int, _seed: int) -> NDArray[np.float64]:
    """Place tasks at a constant rate with one burst at another rate in it."""
    return _pulse_seconds(numbers, _numbered(count)) * _NS


def _pulse_seconds(
    numbers: Mapping[str, float], number: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return when task i is due: the inverse of how many are due by then, three straight lines."""
    rate, burst_rate = numbers["rate"], numbers["burst_rate"]
    began, lasts = numbers["burst_after_seconds"], numbers["burst_seconds"]
    before, within = rate * began, burst_rate * lasts
    slow, fast = number / rate, began + (number - before) / burst_rate
    after = began + lasts + (number - before - within) / rate
    return np.where(number < before, slow, np.where(number < before + within, fast, after))


def _numbered(count: int) -> NDArray[np.float64]:
    return np.arange(count, dtype=np.float64)


_KINDS: Final[Mapping[str, Callable[[Mapping[str, float], int, int], NDArray[np.float64]]]] = {
    "constant": _constant,
    "poisson": _poisson,
    "ramp": _ramp,
    "burst": _burst,
    "pulse": _pulse,
}
