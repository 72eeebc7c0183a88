"""The figures of one comparison, each None with a reason where there is none."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from extract import contrast, doubts, evidence, independent, paired
from extract.blocks import Block, Pair, Values
from extract.contrast import Contrast
from extract.evidence import Evidence
from extract.statistics import (
    BEYOND,
    Figure,
    coefficient_of_variation,
    mean,
    median,
    outliers,
    stability,
)
from extract.verdict import Outcome, Side, decide

_LARGEST = 700.0  # e to that is near the largest number there is
_ZERO = "a value is 0 or negative, and has no ratio"


@dataclass(frozen=True, slots=True)
class Case:
    """One pair, its deciding analysis, and why there can be no verdict, if so."""

    pair: Pair
    contrast: Contrast | None
    reason: str = ""


def case(pair: Pair) -> Case:
    """Analyse a pair by block, or as independent samples where its runs are separate."""
    found = None if pair.unresolved else _analysis(pair, frozenset())
    return Case(pair, found, _why_not(pair, found))


def _analysis(pair: Pair, without: frozenset[Block]) -> Contrast | None:
    analyse = independent.set_apart if pair.separate else paired.pair_up
    return analyse(*pair.samples(without))


def _why_not(pair: Pair, found: Contrast | None) -> str:
    for values in (pair.challenger, pair.baseline):
        if not values.by_block:
            return f"{values.variant} has no valid value of it"
    if pair.unresolved:
        return "both have values below what the histogram resolves"
    if found is None:
        return "no block has a valid value of both"
    if found.blocks < contrast.FEWEST_BLOCKS:
        verb = "is" if pair.size.startswith("1 block") else "are"
        each = " of each" if pair.separate else ""
        fewest = f"{contrast.FEWEST_BLOCKS}{each}"
        return f"{pair.size} {verb} too few, a verdict takes {fewest} at the least"
    return ""


def side(values: Values) -> Side:
    """Describe all valid values of one side, whether or not the other has a value in the block."""
    sample = tuple(values.by_block.values())
    variation = coefficient_of_variation(sample)
    names = doubts.name(values.by_block)
    return Side(
        values.variant,
        names,
        sample,
        median(sample),
        mean(sample),
        variation,
        stability(variation),
        tuple(names[i] for i in outliers(sample)),
    )


def ratio(case: Case) -> Figure:
    """Return challenger by baseline; a bound has no interval on its open side."""
    if case.contrast is None:
        return Figure(None, reason=case.reason)
    if case.contrast.scale == "difference":
        return Figure(None, reason=_ZERO)
    found = _shown(case.contrast)
    if not case.pair.bound or found.value is None:
        return found
    lower, upper = (None, found.upper) if case.pair.bound == "at most" else (found.lower, None)
    return Figure(found.value, lower, upper, found.method, f"the ratio is {case.pair.bound} this")


def difference(case: Case) -> Figure:
    """Return challenger - baseline, in the metric's unit."""
    if case.contrast is None:
        return Figure(None, reason=case.reason)
    analyse = independent if case.pair.separate else paired
    return _shown(analyse.differences(*case.pair.samples()))


def _shown(found: Contrast) -> Figure:
    """Return a figure for what can be written as a number: e to the 1,000 cannot."""
    if found.scale == "ratio" and contrast.furthest(found) > _LARGEST:
        return Figure(None, reason=BEYOND)
    return contrast.figure(found)


def without_outliers(
    case: Case, weighed: Evidence, margin: float, better: str
) -> tuple[Figure, Outcome, Sequence[str]]:
    """Return the deciding figure, the outcome, and the blocks that are left out for it."""
    odd = {block for v in (case.pair.challenger, case.pair.baseline) for block in _odd(v)}
    odd &= set(case.pair.blocks)
    names = doubts.name(odd)
    if case.reason or case.contrast is None:
        return Figure(None, reason=case.reason), Outcome.INCONCLUSIVE, names
    rest = _analysis(case.pair, frozenset(odd))
    if rest is None:
        return Figure(None, reason="every block holds an outlier"), Outcome.INCONCLUSIVE, names
    again = evidence.weigh_again(rest, case.pair.bound, margin, weighed)
    return _shown(rest), decide(again, rest.centre, better), names


def _odd(values: Values) -> list[Block]:
    blocks = list(values.by_block)
    return [blocks[i] for i in outliers(tuple(values.by_block.values()))]


def smallest_effect(case: Case, weighed: Evidence) -> Figure:
    """Return the smallest effect these blocks would have shown: relative, or in the unit."""
    if case.contrast is None or not case.contrast.testable:
        return Figure(None, reason=case.reason or "there is no spread between the blocks")
    effect = contrast.smallest_effect(case.contrast, weighed.difference.level)
    if case.contrast.scale == "difference":
        return Figure(effect)
    if effect > _LARGEST:
        return Figure(None, reason="none: the spread hides an effect of any size")
    return Figure(math.expm1(effect))


def more_repetitions(case: Case, weighed: Evidence, outcome: Outcome, margin: float) -> Figure:
    """Return how many more repetitions would settle an open question."""
    if case.contrast is None or not case.contrast.testable:
        return Figure(None, reason=case.reason or "there is no spread between the blocks")
    if outcome is not Outcome.INCONCLUSIVE:
        return Figure(0)
    if case.pair.bound:
        return Figure(None, reason="the histogram does not resolve it, however many there are")
    room = margin if case.contrast.scale == "ratio" else None
    levels = (weighed.difference.level, weighed.equivalence.level)
    needed = contrast.blocks_needed(case.contrast, room, *levels)
    if needed is None:
        return Figure(None, reason=f"more than {contrast.MOST_BLOCKS:,} would not settle it")
    return Figure(max(1, needed - case.contrast.blocks))
