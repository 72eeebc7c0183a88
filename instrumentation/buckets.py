"""The one bucket layout of every histogram: geometric, so that the relative error is constant."""

import numpy as np
from numpy.typing import NDArray

_FACTOR = 2 ** (1 / 8)
_SMALLEST_SECONDS = 100e-6
_COUNT = 189  # 100 µs x 2^(188/8): about 20 minutes

#: Upper bounds as Prometheus sees them in `le`. Six digits keep the labels short.
LABELS: tuple[str, ...] = tuple(f"{_SMALLEST_SECONDS * _FACTOR**i:.6g}" for i in range(_COUNT))
#: The same bounds in seconds, exactly as the labels say them.
BOUNDS_SECONDS: tuple[float, ...] = tuple(float(label) for label in LABELS)
#: And in nanoseconds, to bin integer intervals without rounding.
BOUNDS_NS: NDArray[np.int64] = np.array([round(b * 1e9) for b in BOUNDS_SECONDS], dtype=np.int64)


def bin_counts(
    intervals_ns: NDArray[np.int64], codes: NDArray[np.int64], groups: int
) -> NDArray[np.int64]:
    """Count the intervals of each group by bucket: a row a group, not cumulated.

    `codes` says of each interval which group is its own. The last of a row's 190 counts is +Inf. A
    value equal to a bound belongs to that bound's bucket (`le` means less or equal).
    """
    positions = np.searchsorted(BOUNDS_NS, intervals_ns, side="left")
    if groups > 1:
        positions += codes * (_COUNT + 1)
    counts = np.bincount(positions, minlength=groups * (_COUNT + 1))
    return counts.reshape(groups, -1)


def bin_of(interval_ns: int) -> int:
    """Return the place of the bucket that an interval belongs to, as `bin_counts` has it."""
    return int(np.searchsorted(BOUNDS_NS, interval_ns, side="left"))


def bucket_around(seconds: float) -> tuple[float, float]:
    """Return the bounds, in seconds, of the bucket around `seconds`; 0 and inf at the ends."""
    index = int(np.searchsorted(BOUNDS_SECONDS, seconds, side="left"))
    lower = BOUNDS_SECONDS[index - 1] if index else 0.0
    upper = BOUNDS_SECONDS[index] if index < _COUNT else float("inf")
    return lower, upper
