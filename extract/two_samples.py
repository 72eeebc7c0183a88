"""Two samples beside each other: tests and effect sizes that describe, none of which decides.

The deciding analysis is by block: `extract/paired.py`.
"""

import math
import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy import stats

from extract.statistics import Array, Figure, Sample, bootstrap


@dataclass(frozen=True, slots=True)
class Unpaired:
    """Both samples as if they were not paired; p values are two-sided and not corrected."""

    welch_p: Figure
    mann_whitney_p: Figure
    cohens_d: Figure
    cliffs_delta: Figure


def unpaired(first: Sample, second: Sample) -> Unpaired:
    """Return all tests and effect sizes of the first sample against the second."""
    functions = (welch, mann_whitney, cohens_d, cliffs_delta)
    return Unpaired(*(function(first, second) for function in functions))


def ratio_of_medians(first: Sample, second: Sample, *, paired: bool = True) -> Figure:
    """Return median(first) / median(second) with its interval; blocks are resampled whole.

    Position i of both samples belongs to one block, unless they are not `paired`. See
    `extract.statistics.bootstrap`.
    """
    if not first or not second:
        return Figure(None, reason="no block has both" if paired else "one side is empty")
    if np.median(second) == 0:
        return Figure(None, reason="there is no ratio to 0")
    return bootstrap((first, second), _median_ratio, paired=paired)


def _median_ratio(first: Array, second: Array, axis: int = -1) -> object:
    return np.median(first, axis=axis) / np.median(second, axis=axis)


def welch(first: Sample, second: Sample) -> Figure:
    """Return the two-sided p of Welch's t-test, unequal variances (Biometrika 34, 1947)."""
    if reason := _too_little(first, second):
        return Figure(None, reason=reason)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # equal values beside a spread lose digits, that is all
        p = float(stats.ttest_ind(first, second, equal_var=False).pvalue)
    return Figure(p) if math.isfinite(p) else Figure(None, reason="neither sample has spread")


def mann_whitney(first: Sample, second: Sample) -> Figure:
    """Return the two-sided p of the U test (Mann and Whitney, 1947): exact where it can be."""
    if not first or not second:
        return Figure(None, reason="one side is empty")
    if len({*first, *second}) == 1:
        return Figure(None, reason="all values are equal")
    return Figure(float(stats.mannwhitneyu(first, second).pvalue))


def cohens_d(first: Sample, second: Sample) -> Figure:
    """Return the difference of means by the pooled standard deviation (Cohen, 1988)."""
    if reason := _too_little(first, second):
        return Figure(None, reason=reason)
    squares = sum((len(s) - 1) * float(np.var(s, ddof=1)) for s in (first, second))
    pooled = math.sqrt(squares / (len(first) + len(second) - 2))
    if pooled == 0:
        return Figure(None, reason="the spread is too small for a number")
    return Figure(float(np.mean(first) - np.mean(second)) / pooled)


def cliffs_delta(first: Sample, second: Sample) -> Figure:
    """Return P(first > second) - P(first < second) over all pairs (Cliff, 1993); -1 to 1."""
    if not first or not second:
        return Figure(None, reason="one side is empty")
    return Figure(float(np.sign(np.subtract.outer(first, second)).mean()))


def _too_little(first: Sample, second: Sample) -> str:
    if min(len(first), len(second)) < 2:  # noqa: PLR2004 - one value has no spread
        return "one side has fewer than two values"
    if len(set(first)) == len(set(second)) == 1:
        return "neither sample has spread"
    return ""


def holm(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p values: the largest (m - j + 1) p(j) so far, at most 1 (Holm, 1979).

    A family tested so has a chance of any false rejection of at most the level.
    """
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for rank, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, (len(p_values) - rank) * p_values[index]))
        adjusted[index] = highest
    return adjusted
