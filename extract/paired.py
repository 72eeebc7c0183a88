"""The deciding analysis: challenger against baseline, block by block.

A block is one repetition of every variant, measured close together in time, so what the machine
did to a block it did to both sides, and the ratio of the two is free of it. Logarithms of ratios
are averaged, and Student's t gives the interval: exact for normal and log-normal noise, and on the
careful side for heavy tails, at any number of blocks. A bootstrap of five blocks is neither.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from extract.statistics import LEVEL, Array, Figure, Sample

FEWEST_BLOCKS = 3
POWER = 0.8
MOST_BLOCKS = 1_000
_NOTHING = 1e-12  # a spread of logarithms that comes of rounding alone

type Scale = Literal["ratio", "difference"]


@dataclass(frozen=True, slots=True)
class Paired:
    """Mean and standard deviation (n - 1) over the blocks of what each block says.

    On the scale "ratio" that is ln(challenger / baseline); on the scale "difference", where a
    value is 0 or negative and has no logarithm, challenger - baseline in the metric's unit.
    """

    scale: Scale
    blocks: int
    centre: float
    spread: float

    @property
    def testable(self) -> bool:
        """Whether there is spread, and enough blocks to judge it by."""
        return self.blocks >= FEWEST_BLOCKS and self.spread > 0

    @property
    def error(self) -> float:
        """Return the standard error of the centre."""
        return self.spread / math.sqrt(self.blocks)


def pair_up(challenger: Sample, baseline: Sample) -> Paired | None:
    """Analyse the blocks, position i of both samples being one; None where there is none."""
    if not challenger:
        return None
    first, second = np.array(challenger), np.array(baseline)
    if min(first.min(), second.min()) > 0:
        return _over_blocks("ratio", np.log(first) - np.log(second), _NOTHING)
    return differences(challenger, baseline)


def differences(challenger: Sample, baseline: Sample) -> Paired:
    """Analyse the blocks on the scale "difference", whatever the values. Needs one block."""
    first, second = np.array(challenger), np.array(baseline)
    nothing = _NOTHING * float(np.abs([first, second]).max())
    return _over_blocks("difference", first - second, nothing)


def _over_blocks(scale: Scale, each: Array, nothing: float) -> Paired:
    spread = float(np.std(each, ddof=1)) if len(each) > 1 else 0.0
    return Paired(scale, len(each), float(each.mean()), spread if spread > nothing else 0.0)


def figure(paired: Paired) -> Figure:
    """Return the ratio (e to the centre) or the difference, with its 95 % t interval.

    Interval: centre ± t(0.975, n - 1) s / sqrt(n), of the logarithms on the scale "ratio".
    """
    back = math.exp if paired.scale == "ratio" else float
    value = back(paired.centre)
    if paired.blocks == 1:
        return Figure(value, reason="one block has no spread")
    if paired.spread == 0:
        return Figure(value, value, value, "the same in every block")
    half = _half(paired)
    low, high = back(paired.centre - half), back(paired.centre + half)
    return Figure(value, low, high, "t interval over the blocks")


def furthest(paired: Paired) -> float:
    """Return how far from 0 the interval reaches, on the scale of `paired`."""
    return abs(paired.centre) + (_half(paired) if paired.blocks > 1 else 0.0)


def _half(paired: Paired) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, paired.blocks - 1)) * paired.error


def p_difference(paired: Paired) -> float:
    """Return the two-sided p of "no difference": Student's paired t-test. Needs `testable`."""
    return float(2 * stats.t.sf(abs(paired.centre) / paired.error, paired.blocks - 1))


def p_equivalence(paired: Paired, margin: float) -> float:
    """Return the p of "further apart than the margin": two one-sided t-tests. Needs `testable`.

    Bounds are -ln(1 + margin) and ln(1 + margin), so that swapping the sides changes nothing.
    Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987).
    """
    room = math.log1p(margin) - abs(paired.centre)  # the nearer bound has the larger p
    return float(stats.t.sf(room / paired.error, paired.blocks - 1))


def smallest_effect(paired: Paired, level: float) -> float:
    """Return the smallest difference that these blocks would have shown in four of five runs.

    Given the spread found: (t(1 - level/2) + t(0.8)) s / sqrt(n), each t with n - 1 degrees of
    freedom (Bloom, Evaluation Review 19, 1995). On the scale of `paired`. Needs `testable`.
    """
    return float(_reach(paired.blocks, level / 2, POWER)) * paired.spread


def blocks_needed(
    paired: Paired, margin: float | None, difference_level: float, equivalence_level: float
) -> int | None:
    """Return how many blocks settle an open question in four of five runs; None beyond 1,000.

    It takes centre and spread as found for the truth, and asks when either the difference or,
    where there is a margin, the equivalence would show. Needs `testable`.
    """
    sizes = np.arange(FEWEST_BLOCKS, MOST_BLOCKS + 1)
    distance = abs(paired.centre)
    settled = _reach(sizes, difference_level / 2, POWER) * paired.spread <= distance
    if margin is not None:
        # At the middle of the margin both tests can fail, so each may fail half as often.
        reach = _reach(sizes, equivalence_level, (1 + POWER) / 2) * paired.spread
        settled |= reach <= math.log1p(margin) - distance
    return int(sizes[settled.argmax()]) if settled.any() else None


def _reach(blocks: int | NDArray[np.int64], tail: float, power: float) -> Array:
    """Return (t(1 - tail) + t(power)) / sqrt(n): what can be seen, in standard deviations."""
    freedom = np.subtract(blocks, 1)
    quantiles = stats.t.ppf(1 - tail, freedom) + stats.t.ppf(power, freedom)
    return np.asarray(quantiles / np.sqrt(blocks))
