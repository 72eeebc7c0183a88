"""What speaks against taking a comparison at its word: each a typed value with a remedy."""

import math
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Literal

from extract.blocks import Block, Pair, Values
from extract.contrast import Contrast
from extract.overhead import CPU, DEFAULT, THROUGHPUT, Estimate, Ledger, bias
from extract.statistics import Sample, coefficient_of_variation, stability, two_modes

_FEW = 5
#: What a ledger times of a metric. Of what instrumentation does to any other, nothing is known.
_TIMED = {"throughput": THROUGHPUT, "worker_cpu_per_1000": CPU}
#: A shift matters that could be this share of what is found.
_MATTERS = 0.5
_LEAST = -0.999  # no shift takes away everything
#: A worker that gets through so much of what its client sends had to wait for it.
_STARVED = 0.95

type Kind = Literal[
    "invalid cells", "incomplete blocks", "few blocks", "noisy", "two modes", "outliers",
    "below resolution", "within resolution", "ledger", "clocks", "client bound",
    "different times", "different machines", "different versions", "different settings",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class Doubt:
    """A doubt about a comparison: of what kind, what was found, and what to do about it."""

    kind: Kind
    found: str
    remedy: str


def name(blocks: Iterable[Block]) -> tuple[str, ...]:
    """Name blocks by their repetition, and by the session too where there are several."""
    ordered = sorted(blocks)
    several = len({session for session, _ in ordered}) > 1
    return tuple(f"{s}/{r}" if several else str(r) for s, r in ordered)


def of_cells(pair: Pair) -> Iterator[Doubt]:
    """Yield one doubt for each side and check that invalid cells failed, and one for the gaps."""
    for side in (pair.challenger, pair.baseline):
        yield from _invalid(side)
    gaps = (pair.challenger.cells.valid | pair.baseline.cells.valid) - set(pair.blocks)
    failed = {f.block for side in (pair.challenger, pair.baseline) for f in side.cells.failures}
    if gaps - failed:
        yield Doubt(
            "incomplete blocks",
            f"{_many('block', name(gaps - failed))} without {pair.metric} of one or both variants",
            "Run to the end; see the cells' logs for why a figure is missing.",
        )


def _invalid(side: Values) -> Iterator[Doubt]:
    by_check: dict[str, list[tuple[Block, str, str]]] = defaultdict(list)
    for failure in side.cells.failures:
        by_check[failure.check].append((failure.block, failure.found, failure.remedy))
    for check, cells in by_check.items():
        blocks = name({block for block, _, _ in cells})
        found = "; ".join(dict.fromkeys(found for _, found, _ in cells))
        yield Doubt(
            "invalid cells",
            f"{side.variant}: left out {_many('repetition', blocks)}: {check}: {found}",
            next((remedy for _, _, remedy in cells if remedy), "See the audit."),
        )


def of_spread(pair: Pair) -> Iterator[Doubt]:
    """Yield doubts about how the values lie: few, noisy, or in two groups."""
    sizes = [len(sample) for sample in pair.samples()]
    if 0 < min(sizes) < _FEW:
        # All cells of one side in one mode, all of the other in the other: 2 x (1/2)^n x (1/2)^n.
        chance = 2 * 2.0 ** -sum(sizes)
        yield Doubt(
            "few blocks",
            f"{pair.size}: too few to see how regular the noise is; a machine with "
            f"two modes would show a difference in {chance:.2g} of all comparisons",
            f"Measure {_FEW} repetitions or more.",
        )
    for side in (pair.challenger, pair.baseline):
        yield from _of_values(side, tuple(side.by_block.values()))


def _of_values(side: Values, values: Sample) -> Iterator[Doubt]:
    variation = coefficient_of_variation(values)
    if variation.value is not None and (band := stability(variation)) in {
        "doubtful",
        "unreliable",
    }:
        yield Doubt(
            "noisy",
            f"{side.variant}: coefficient of variation {variation.value:.2f}, which is {band}",
            "Measure on an idle machine, or let each repetition last longer.",
        )
    if modes := two_modes(values):
        yield Doubt(
            "two modes",
            f"{side.variant}: {modes.low_count} values around {modes.low_mean:.4g} and "
            f"{modes.high_count} around {modes.high_mean:.4g}: a mean describes neither",
            "Look for what differs between the two groups, and compare each by itself.",
        )


def of_resolution(pair: Pair, found: Contrast | None) -> Iterator[Doubt]:
    """Yield a doubt where buckets are too wide for what is said of their quantiles."""
    for side in (pair.challenger, pair.baseline):
        if side.below:
            bound = max(side.by_block[block] for block in side.below)
            yield Doubt(
                "below resolution",
                f"{side.variant}: {len(side.below)} of {_count('value', len(side.by_block))} lie "
                f"in the lowest bucket and are taken as its bound, {bound:g} {side.unit}",
                _EXACT,
            )
    width = max(pair.challenger.resolution, pair.baseline.resolution)
    if found and width and abs(found.centre) < math.log1p(width):
        yield Doubt(
            "within resolution",
            f"each value is known to within its bucket, {width:.1%} wide, and the two sides are "
            "no further apart",
            _EXACT,
        )


_EXACT = "Compare the figures of the traces, which are exact (--source traces)."


def of_client(throughput: Values, sent: Values | None, late: Values | None) -> Iterator[Doubt]:
    """Yield a doubt where a worker was no slower than the client, so that its own rate is unknown.

    `sent` is the enqueue rate and `late` the lateness of the same variant: with a schedule to be
    late for, the worker is meant to keep up with the client.
    """
    if sent is None or late is not None:
        return
    both = [(throughput.by_block[b], sent.by_block[b]) for b in throughput.by_block
            if sent.by_block.get(b)]  # fmt: skip
    if both and median(done / given for done, given in both) >= _STARVED:
        done, given = (median(rates) for rates in zip(*both, strict=True))
        yield Doubt(
            "client bound",
            f"{throughput.variant}: {done:,.0f} tasks/s were completed, and {given:,.0f} sent: its "
            "worker waited for its client",
            "Compare the CPU time for each task, or send the tasks before a worker starts.",
        )


def of_outliers(names: Sequence[str], outcome: str, without: str) -> Iterator[Doubt]:
    """Yield a doubt where the outcome is another one without the blocks that hold outliers."""
    if names and outcome != without:
        yield Doubt(
            "outliers",
            f"with all blocks the outcome is {outcome}; without {_many('block', names)}, outside "
            f"Tukey's fences, it is {without}",
            "Look into the logs of those repetitions, and measure more of them.",
        )


def of_ledger(
    pair: Pair, found: Contrast | None, margin: float | None, ledger: Ledger | None
) -> Iterator[Doubt]:
    """Yield a doubt where instrumentation could be a good part of what is found.

    That is the difference, or, for a verdict that shows none, the `margin` where that is larger.
    Shifts are taken at the far end of their interval, and compared as logarithms of ratios.
    """
    timed = _TIMED.get(pair.metric)
    if ledger is None or timed is None or found is None or found.scale != "ratio" or pair.separate:
        return
    size = max(abs(found.centre), 0.0 if margin is None else math.log1p(margin))
    for what, shift in _shifts(pair, timed, ledger):
        if (most := _furthest(shift)) >= _MATTERS * size:
            part = "all" if most >= size else f"{most / size:.0%}"
            of = "the margin" if size > abs(found.centre) else "the difference found"
            yield Doubt(
                "ledger",
                f"instrumentation {what} by {shift.percent()}, which could be {part} of {of}",
                "Measure a ledger of more blocks into the run (taskscope overhead --repetitions "
                "20 --into DIR); what of the shift remains, the ratio is wrong by.",
            )


def _shifts(pair: Pair, timed: str, ledger: Ledger) -> Iterator[tuple[str, Estimate]]:
    """Yield the differential bias; where it is not known, what it costs either side."""
    sides = (pair.challenger.variant, pair.baseline.variant)
    named = pair.metric.replace("_", " ")
    if shift := bias(ledger, sides, timed):
        yield f"shifts the ratio of their {named}", shift
        return
    for side in sides:
        line = ledger.line(side, DEFAULT, timed)
        if line and line.change:
            yield f"changes the {named} of {side}, and of it alone as far as is known,", line.change


def _furthest(shift: Estimate) -> float:
    ends = (shift.value, shift.lower, shift.upper)
    return max(abs(math.log1p(max(end, _LEAST))) for end in ends if end is not None)


def _count(noun: str, number: int) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _many(noun: str, names: Sequence[str]) -> str:
    return f"{noun}{'s' if len(names) > 1 else ''} {', '.join(names)}"
