"""What the deciding analysis finds, and what it proves: on blocks and on separate runs alike.

Logarithms of ratios are compared, and Student's t gives the interval: exact for normal and
log-normal noise, and on the careful side for heavy tails, at any number of values. A bootstrap of
five values is neither.
"""

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from extract.statistics import LEVEL, Array, Figure

FEWEST_BLOCKS = 3
POWER = 0.8
MOST_BLOCKS = 1_000
NOTHING = 1e-12  # a spread of logarithms that comes of rounding alone

type Scale = Literal["ratio", "difference"]


@dataclass(frozen=True, slots=True)
class Contrast:
    """How far challenger and baseline are apart, and how sure that is.

    On the scale "ratio" `centre` is the mean of ln(challenger) less that of ln(baseline); on the
    scale "difference", where a value is 0 or negative and has no logarithm, the same of the values
    themselves, in the metric's unit. `blocks` is how many values each side has (the fewer, where
    they are not paired), `spread` is such that spread / sqrt(blocks) is the standard error of the
    centre, and `freedom` are its degrees of freedom.
    """

    scale: Scale
    blocks: int
    centre: float
    spread: float
    freedom: float

    @property
    def testable(self) -> bool:
        """Whether there is spread, and enough values to judge it by."""
        return self.blocks >= FEWEST_BLOCKS and self.spread > 0

    @property
    def error(self) -> float:
        """Return the standard error of the centre."""
        return self.spread / math.sqrt(self.blocks)


def figure(found: Contrast) -> Figure:
    """Return the ratio (e to the centre) or the difference, with its 95 % t interval.

    Interval: centre ± t(0.975, freedom) error, of the logarithms on the scale "ratio".
    """
    back = math.exp if found.scale == "ratio" else float
    value = back(found.centre)
    if found.blocks == 1:
        return Figure(value, reason="one value has no spread")
    if found.spread == 0:
        return Figure(value, value, value, "the same throughout")
    half = _half(found)
    low, high = back(found.centre - half), back(found.centre + half)
    return Figure(value, low, high, "t interval")


def furthest(found: Contrast) -> float:
    """Return how far from 0 the interval reaches, on the scale of `found`."""
    return abs(found.centre) + (_half(found) if found.blocks > 1 else 0.0)


def _half(found: Contrast) -> float:
    return float(stats.t.ppf((1 + LEVEL) / 2, found.freedom)) * found.error


def p_difference(found: Contrast) -> float:
    """Return the two-sided p of "no difference" by Student's t. Needs `testable`."""
    return float(2 * stats.t.sf(abs(found.centre) / found.error, found.freedom))


def p_equivalence(found: Contrast, margin: float) -> float:
    """Return the p of "further apart than the margin": two one-sided t-tests. Needs `testable`.

    Bounds are -ln(1 + margin) and ln(1 + margin), so that swapping the sides changes nothing.
    Schuirmann, J. Pharmacokinetics and Biopharmaceutics 15 (1987).
    """
    room = math.log1p(margin) - abs(found.centre)  # the nearer bound has the larger p
    return float(stats.t.sf(room / found.error, found.freedom))


def smallest_effect(found: Contrast, level: float) -> float:
    """Return the smallest difference that these blocks would have shown in four of five runs.

    Given the spread found: (t(1 - level/2) + t(0.8)) s / sqrt(n), each t with the degrees of
    freedom of `found` (Bloom, Evaluation Review 19, 1995).
    On the scale of `found`. Needs `testable`.
    """
    return float(_reach(found, found.blocks, level / 2, POWER)) * found.spread


def blocks_needed(
    found: Contrast, margin: float | None, difference_level: float, equivalence_level: float
) -> int | None:
    """Return how many blocks settle an open question in four of five runs; None beyond 1,000.

    It takes centre and spread as found for the truth, and asks when either the difference or,
    where there is a margin, the equivalence would show. Needs `testable`.
    """
    sizes = np.arange(FEWEST_BLOCKS, MOST_BLOCKS + 1)
    distance = abs(found.centre)
    settled = _reach(found, sizes, difference_level / 2, POWER) * found.spread <= distance
    if margin is not None:
        # At the middle of the margin both tests can fail, so each may fail half as often.
        reach = _reach(found, sizes, equivalence_level, (1 + POWER) / 2) * found.spread
        settled |= reach <= math.log1p(margin) - distance
    return int(sizes[settled.argmax()]) if settled.any() else None


def _reach(found: Contrast, blocks: int | NDArray[np.int64], tail: float, power: float) -> Array:
    """Return (t(1 - tail) + t(power)) / sqrt(n): what can be seen, in standard deviations."""
    freedom = found.freedom * np.subtract(blocks, 1) / (found.blocks - 1)
    quantiles = stats.t.ppf(1 - tail, freedom) + stats.t.ppf(power, freedom)
    return np.asarray(quantiles / np.sqrt(blocks))
