"""What the blocks of a whole family of comparisons prove, each beside all the others.

Two claims can be wrong: that the sides differ, and that they are equivalent. Each kind is tested
over the family by Holm's procedure at half of 5 %, so that the chance that the family holds any
wrong claim is at most 5 %, and that a null comparison by itself shows a difference 2.5 %.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from extract.blocks import Bound
from extract.contrast import FEWEST_BLOCKS, Contrast, p_difference, p_equivalence
from extract.statistics import LEVEL
from extract.two_samples import holm

CLAIM_LEVEL = (1 - LEVEL) / 2


@dataclass(frozen=True, slots=True)
class Claim:
    """One claim: whether it is proven, its p by itself, Holm's, and the p that it had to reach.

    The p values are None where nothing was tested: too few blocks, or no spread between them.
    """

    proven: bool
    p: float | None = None
    adjusted_p: float | None = None
    level: float = CLAIM_LEVEL
    family: int = 0


@dataclass(frozen=True, slots=True)
class Evidence:
    """Whether challenger and baseline differ, and whether they are equivalent within the margin."""

    difference: Claim
    equivalence: Claim


def weigh(pairs: Sequence[tuple[Contrast | None, Bound]], margin: float) -> list[Evidence]:
    """Weigh one family: the blocks of every comparison in it, and what its ratio is."""
    differ = [_plain_difference(*pair) for pair in pairs]
    same = [_plain_equivalence(*pair, margin) for pair in pairs]
    return [Evidence(*both) for both in zip(_corrected(differ), _corrected(same), strict=True)]


def weigh_again(contrast: Contrast, bound: Bound, margin: float, weighed: Evidence) -> Evidence:
    """Weigh other blocks of a comparison by what its family asked of it before."""
    difference = _plain_difference(contrast, bound)
    equivalence = _plain_equivalence(contrast, bound, margin)
    return Evidence(
        _at(difference, weighed.difference.level), _at(equivalence, weighed.equivalence.level)
    )


def _at(claim: Claim, level: float) -> Claim:
    return claim if claim.p is None else replace(claim, proven=claim.p <= level, level=level)


def _plain_difference(contrast: Contrast | None, bound: Bound) -> Claim:
    if contrast is None or contrast.blocks < FEWEST_BLOCKS or _against(bound, contrast.centre):
        return Claim(proven=False)
    if not contrast.testable:
        return Claim(proven=contrast.centre != 0)
    return Claim(proven=False, p=p_difference(contrast))


def _plain_equivalence(contrast: Contrast | None, bound: Bound, margin: float) -> Claim:
    """Without a ratio there is no relative margin: then only what is identical is equivalent."""
    if contrast is None or contrast.blocks < FEWEST_BLOCKS or bound:
        return Claim(proven=False)
    if contrast.scale == "difference":
        return Claim(proven=not contrast.testable and contrast.centre == 0)
    if not contrast.testable:
        return Claim(proven=abs(contrast.centre) < math.log1p(margin))
    return Claim(proven=False, p=p_equivalence(contrast, margin))


def _against(bound: Bound, centre: float) -> bool:
    """Whether a bound says nothing: a ratio of at most 2 may be any, and so one of at least 0.5."""
    return (bound == "at most" and centre > 0) or (bound == "at least" and centre < 0)


def _corrected(claims: Sequence[Claim]) -> list[Claim]:
    """Correct the claims with a p for each other, by Holm's procedure; leave the others."""
    p_values = [claim.p for claim in claims if claim.p is not None]
    adjusted = iter(holm(p_values))
    family = len(p_values)
    proven = sum(p <= CLAIM_LEVEL for p in holm(p_values))
    level = CLAIM_LEVEL / max(1, family - proven)  # of the step at which the procedure stopped
    return [
        claim if claim.p is None else _of_family(claim.p, next(adjusted), level, family)
        for claim in claims
    ]


def _of_family(p: float, adjusted: float, level: float, family: int) -> Claim:
    return Claim(adjusted <= CLAIM_LEVEL, p, adjusted, level, family)
