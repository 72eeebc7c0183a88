"""The analysis across two runs: repetitions of one against repetitions of another.

Runs that were made at different times share no block: repetition 3 of one has nothing in common
with repetition 3 of the other, and pairing them would only make intervals too narrow or too wide.
So the sides are compared as independent samples of unequal spread: Welch's t, over the logarithms
where there are ratios (Biometrika 34, 1947), with Satterthwaite's degrees of freedom.
"""

import math

import numpy as np

from extract.contrast import NOTHING, Contrast, Scale
from extract.statistics import Array, Sample


def set_apart(challenger: Sample, baseline: Sample) -> Contrast | None:
    """Analyse two independent samples; None where one of them is empty."""
    if not challenger or not baseline:
        return None
    first, second = np.array(challenger), np.array(baseline)
    if min(first.min(), second.min()) > 0:
        return _welch("ratio", np.log(first), np.log(second), NOTHING)
    return differences(challenger, baseline)


def differences(challenger: Sample, baseline: Sample) -> Contrast:
    """Analyse them on the scale "difference", whatever the values. Neither may be empty."""
    first, second = np.array(challenger), np.array(baseline)
    nothing = NOTHING * float(max(np.abs(first).max(), np.abs(second).max()))
    return _welch("difference", first, second, nothing)


def _welch(scale: Scale, first: Array, second: Array, nothing: float) -> Contrast:
    size = min(len(first), len(second))
    centre = float(first.mean()) - float(second.mean())
    parts = [(_variance(sample, nothing) / len(sample), len(sample)) for sample in (first, second)]
    error = math.sqrt(sum(part for part, _ in parts))
    if size == 1 or error == 0:  # one value has no spread: nothing can be said of its side
        return Contrast(scale, size, centre, 0.0, freedom=max(1, size - 1))
    freedom = error**4 / sum(part**2 / (count - 1) for part, count in parts)
    return Contrast(scale, size, centre, error * math.sqrt(size), freedom)


def _variance(sample: Array, nothing: float) -> float:
    spread = float(np.std(sample, ddof=1)) if len(sample) > 1 else 0.0
    return spread**2 if spread > nothing else 0.0
