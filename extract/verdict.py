"""The verdict on one metric of two variants, with all that it rests on and all that is doubtful.

"Not significant" is never "the same": what is neither shown to differ nor shown to be equivalent
is inconclusive.
"""

from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from extract.blocks import Bound
from extract.doubts import Doubt
from extract.evidence import Evidence
from extract.statistics import Figure, Sample
from extract.two_samples import Unpaired


class Outcome(StrEnum):
    """What is shown of the challenger against the baseline.

    Higher and lower stand for better and worse where a metric has no better direction.
    """

    BETTER = "better"
    WORSE = "worse"
    HIGHER = "higher"
    LOWER = "lower"
    EQUIVALENT = "equivalent"
    INCONCLUSIVE = "inconclusive"


#: The outcomes that claim a difference.
DIFFERENT = frozenset({Outcome.BETTER, Outcome.WORSE, Outcome.HIGHER, Outcome.LOWER})


@dataclass(frozen=True, slots=True)
class Side:
    """One variant's valid repetitions: values, centre, spread, and the blocks of outliers.

    `variation` is the coefficient of variation, `stability` its band in a word.
    """

    variant: str
    blocks: tuple[str, ...]
    values: Sample
    median: Figure
    mean: Figure
    variation: Figure
    stability: str
    outliers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Comparison:
    """One metric of challenger and baseline, over the blocks that have a valid value of both.

    Where each side is a run of its own, no block has both, and `blocks` are those of either.
    `size` says how many there are: "10 blocks", or "5 and 5 repetitions" of two runs.
    `ratio` (challenger by baseline) decides, or `difference` (in `unit`) where a value of 0 has no
    ratio: `deciding` says which, and "" that nothing could. `without_outliers` is the same figure
    without the blocks that hold any. `smallest_effect` is a relative change, or in `unit` where the
    difference decides. `reason` is why there can be no verdict. No number is NaN: None has reasons.
    """

    scenario: str
    metric: str
    unit: str
    better: str
    margin: float
    challenger: Side
    baseline: Side
    blocks: tuple[str, ...]
    size: str
    deciding: str
    bound: Bound
    ratio: Figure
    difference: Figure
    without_outliers: Figure
    ratio_of_medians: Figure
    unpaired: Unpaired
    evidence: Evidence
    smallest_effect: Figure
    more_repetitions: Figure
    outcome: Outcome
    reason: str
    doubts: tuple[Doubt, ...]
    sentence: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data that JSON holds."""
        return asdict(self)


def decide(evidence: Evidence, centre: float, better: str) -> Outcome:
    """Return the outcome; a difference that is within the margin all the same is equivalence.

    `centre` is above 0 where the challenger has more, `better` is higher, lower or neither.
    """
    if evidence.equivalence.proven:
        return Outcome.EQUIVALENT
    if not evidence.difference.proven:
        return Outcome.INCONCLUSIVE
    more = centre > 0
    if better not in {"higher", "lower"}:
        return Outcome.HIGHER if more else Outcome.LOWER
    return Outcome.BETTER if more == (better == "higher") else Outcome.WORSE
