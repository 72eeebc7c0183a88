"""What charts show of many values: few points, each of which is exact."""

import numpy as np
from numpy.typing import NDArray

type Array = NDArray[np.float64]

#: Evenly spaced up to 0.98, then ever closer to the slowest tasks.
_SHARES = np.concatenate([np.linspace(0, 0.98, 150), 1 - np.geomspace(0.019, 1e-4, 60), [1.0]])
_STEPS = (0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 20.0, 60.0, 120.0, 300.0, 600.0)
_MOST_BINS = 60
BOX = {"p5": 0.05, "p25": 0.25, "p50": 0.5, "p75": 0.75, "p95": 0.95}


def quantiles(values: Array, shares: Array) -> Array:
    """Return quantiles by nearest rank: each is a value that really occurred. Needs a value."""
    return np.quantile(values, shares, method="inverted_cdf").astype(np.float64)


def cdf(values: Array) -> list[tuple[float, float]]:
    """Return (value, share of the values that are at most as large), a few hundred points."""
    if not len(values):
        return []
    found = np.unique(quantiles(values, _SHARES))
    ordered = np.sort(values)
    shares = np.searchsorted(ordered, found, side="right") / len(values)
    return list(zip(found.tolist(), shares.tolist(), strict=True))


def box(values: Array) -> dict[str, float]:
    """Return the five quantiles that a box is drawn from; none of no values."""
    if not len(values):
        return {}
    found = quantiles(values, np.array(list(BOX.values())))
    return dict(zip(BOX, found.tolist(), strict=True))


def step(longest: float) -> float:
    """Return a round width of bins, in seconds, of which 60 span the longest cell."""
    return next((s for s in _STEPS if longest <= s * _MOST_BINS), _STEPS[-1])


def rate(seconds: Array, width: float) -> list[tuple[float, float]]:
    """Return (middle of the bin, events a second) for bins from 0 to the last event."""
    if not len(seconds):
        return []
    bins = int(np.floor(seconds.max() / width)) + 1
    counts = np.bincount(np.floor(seconds / width).astype(np.int64), minlength=bins)
    middles = (np.arange(bins) + 0.5) * width
    return list(zip(middles.tolist(), (counts / width).tolist(), strict=True))
