"""What the numbers of a scenario may be, whether they come from its file or the command line."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from loadgen.schedule import LARGEST_NUMBER, ArrivalSpec, planned_seconds
from taskscope.errors import UsageError
from taskscope.values import describe

# The least that each whole number of a scenario may be.
MINIMUM: Final[Mapping[str, int]] = MappingProxyType(
    {
        "count": 1,
        "in_flight": 1,
        "burst_size": 1,
        "repetitions": 1,
        "warmup": 0,
        "concurrency": 1,
        "workers": 1,
        "payload_bytes": 0,
        "seed": 0,
    }
)
# Keeps every offset of a schedule far inside 64 bits of nanoseconds.
LONGEST_REPETITION_SECONDS: Final = 30 * 86_400


def check_integers(**numbers: int | None) -> None:
    """Refuse numbers below their minimum with a UsageError; None is no number and fits."""
    for name, number in numbers.items():
        if number is not None and number < MINIMUM[name]:
            raise UsageError(
                f"{name} must be a whole number of at least {MINIMUM[name]}; "
                f"found {describe(number)}",
                f"Give a {name} of at least {MINIMUM[name]}.",
            )


def arrivals_at(rate: float | None, arrivals: ArrivalSpec) -> ArrivalSpec:
    """Return arrivals at `rate` tasks/s: poisson stays poisson, all others become constant.

    None leaves them as they are. UsageError for a rate out of range.
    """
    if rate is None:
        return arrivals
    if not 0 < rate <= LARGEST_NUMBER:
        raise UsageError(
            f"rate must be above 0 and at most {LARGEST_NUMBER} tasks/s; found {rate}",
            "Give a rate in that range, in tasks per second.",
        )
    kind = "poisson" if arrivals.kind == "poisson" else "constant"
    return ArrivalSpec(kind, {"rate": float(rate)})


def too_long(arrivals: ArrivalSpec, count: int) -> str:
    """Say how long sending `count` tasks would take where that is beyond all use, else ''."""
    seconds = planned_seconds(arrivals, count) or 0.0
    if seconds <= LONGEST_REPETITION_SECONDS:
        return ""
    return (
        f"sending {count} tasks would take {seconds / 86_400:.3g} days, "
        f"and {LONGEST_REPETITION_SECONDS // 86_400} are the most"
    )
