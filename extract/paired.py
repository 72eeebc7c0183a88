"""The analysis within one run: challenger against baseline, block by block.

A block is one repetition of every variant, measured close together in time, so what the machine
did to a block it did to both sides, and the ratio of the two is free of it.
"""

import numpy as np

from extract.contrast import NOTHING, Contrast, Scale
from extract.statistics import Array, Sample


def pair_up(challenger: Sample, baseline: Sample) -> Contrast | None:
    """Analyse the blocks, position i of both samples being one; None where there is none."""
    if not challenger:
        return None
    first, second = np.array(challenger), np.array(baseline)
    if min(first.min(), second.min()) > 0:
        return _over_blocks("ratio", np.log(first) - np.log(second), NOTHING)
    return differences(challenger, baseline)


def differences(challenger: Sample, baseline: Sample) -> Contrast:
    """Analyse the blocks on the scale "difference", whatever the values. Needs one block."""
    first, second = np.array(challenger), np.array(baseline)
    nothing = NOTHING * float(np.abs([first, second]).max())
    return _over_blocks("difference", first - second, nothing)


def _over_blocks(scale: Scale, each: Array, nothing: float) -> Contrast:
    size = len(each)
    spread = float(np.std(each, ddof=1)) if size > 1 else 0.0
    spread = spread if spread > nothing else 0.0
    return Contrast(scale, size, float(each.mean()), spread, freedom=max(1, size - 1))
