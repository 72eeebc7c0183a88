"""How a figure goes along one axis of a matrix, and where adding to it stops helping."""

from collections.abc import Sequence
from itertools import pairwise
from math import log

#: Going on, throughput is to grow by at least this share of what the axis grows by (in logarithms).
WORTHWHILE = 0.5


def flattens_at(places: Sequence[float], values: Sequence[float]) -> float | None:
    """Return the place from which on going further brings less than half of what it adds.

    `places` ascend and are above 0, as `values` are. None while it still grows at the last place,
    or where there are fewer than two.
    """
    steps = list(zip(places, values, strict=True))
    flat = None
    for (x, y), (next_x, next_y) in reversed(list(pairwise(steps))):
        if log(next_y / y) >= WORTHWHILE * log(next_x / x):
            break
        flat = x
    return flat
