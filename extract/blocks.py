"""From the dataset's long form to blocks: which values stand beside each other.

A block is one repetition, in which every variant was measured once. Cells that fail their audit,
or have none, have no part in it.
"""

import math
from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pandas as pd

from extract.statistics import Sample

type Block = tuple[str, int]
type Bound = Literal["", "at most", "at least"]
_CELL = ["session", "scenario", "variant", "repetition"]
_SMALLEST, _LARGEST = 1e-100, 1e100
_NEVER_AUDITED = ("audited", "there is no audit of it", "Extract the run again.")


@dataclass(frozen=True, slots=True)
class Failure:
    """A check that a cell failed, so that its values are left out."""

    block: Block
    check: str
    found: str
    remedy: str


@dataclass(frozen=True, slots=True)
class Cells:
    """All cells of one variant in one scenario: the valid ones, and why the others are not."""

    valid: frozenset[Block] = frozenset()
    failures: tuple[Failure, ...] = ()


@dataclass(frozen=True, slots=True)
class Values:
    """One variant's values of one metric, of valid cells only, in the order of the blocks.

    `below` are those in the lowest bucket of a histogram, where only the upper bound is known and
    stands for them; `resolution` is the relative width of the widest other bucket, 0 where exact.
    """

    variant: str
    cells: Cells
    unit: str = ""
    by_block: Mapping[Block, float] = field(default_factory=dict)
    below: frozenset[Block] = frozenset()
    resolution: float = 0.0


@dataclass(frozen=True, slots=True)
class Pair:
    """One metric of two variants; `separate` where each was measured in a run of its own."""

    scenario: str
    metric: str
    challenger: Values
    baseline: Values
    separate: bool = False

    @property
    def blocks(self) -> tuple[Block, ...]:
        """Return the blocks that have a value of both, in order; all, of separate runs."""
        first, second = self.challenger.by_block.keys(), self.baseline.by_block.keys()
        return tuple(sorted(first | second if self.separate else first & second))

    @property
    def unresolved(self) -> bool:
        """Whether both have values in the lowest bucket: then nothing is known of their ratio."""
        return bool(self.challenger.below and self.baseline.below)

    @property
    def bound(self) -> Bound:
        """Say what a ratio is when one side is only known to be small."""
        if self.challenger.below:
            return "at most"
        return "at least" if self.baseline.below else ""

    @property
    def size(self) -> str:
        """Say how many blocks there are, or repetitions of each run where these are separate."""
        sizes = [len(sample) for sample in self.samples()]
        if not self.separate:
            return "1 block" if sizes[0] == 1 else f"{sizes[0]} blocks"
        return f"{sizes[0]} and {sizes[1]} repetitions"

    def samples(self, without: frozenset[Block] = frozenset()) -> tuple[Sample, Sample]:
        """Return the values of both; unless separate, position i of each is one block."""
        blocks = [block for block in self.blocks if block not in without]
        first, second = self.challenger.by_block, self.baseline.by_block
        return (
            tuple(first[b] for b in blocks if b in first),
            tuple(second[b] for b in blocks if b in second),
        )


def audited(results: pd.DataFrame, audit: pd.DataFrame) -> Mapping[tuple[str, str], Cells]:
    """Return the cells of every scenario and variant that either table knows."""
    known = _keys(results) | _keys(audit)
    failed = audit[~audit["ok"].astype(bool)]
    failures: dict[tuple[str, str], list[Failure]] = defaultdict(list)
    for row in failed.to_dict("records"):
        why = (str(row["check"]), str(row["found"]), str(row["remedy"]))
        failures[row["scenario"], row["variant"]].append(Failure(_block(row), *why))
    for session, scenario, variant, repetition in sorted(known - _keys(audit)):
        failures[scenario, variant].append(Failure((session, repetition), *_NEVER_AUDITED))
    blocks: dict[tuple[str, str], set[Block]] = defaultdict(set)
    for session, scenario, variant, repetition in known:
        blocks[scenario, variant].add((session, repetition))
    return {key: _cells(found, failures[key]) for key, found in blocks.items()}


def _cells(blocks: set[Block], failures: list[Failure]) -> Cells:
    return Cells(frozenset(blocks - {f.block for f in failures}), tuple(failures))


def _keys(table: pd.DataFrame) -> set[tuple[str, str, str, int]]:
    columns = (table[name].tolist() for name in _CELL)
    return {(s, c, v, int(r)) for s, c, v, r in zip(*columns, strict=True)}


def _block(row: Mapping[Any, Any]) -> Block:
    return (row["session"], int(row["repetition"]))


def read_values(
    results: pd.DataFrame, cells: Mapping[tuple[str, str], Cells]
) -> Mapping[tuple[str, str, str], Values]:
    """Return every variant's values by (scenario, metric, variant), in the table's order."""
    grouped = results.groupby(["scenario", "metric", "variant"], sort=False)
    return {
        (str(scenario), str(metric), str(variant)): _values(
            str(variant), cells[str(scenario), str(variant)], rows
        )
        for (scenario, metric, variant), rows in grouped
    }


def _values(variant: str, cells: Cells, rows: pd.DataFrame) -> Values:
    values: dict[Block, float] = {}
    below, widths = set(), [0.0]
    for row in sorted(rows.to_dict("records"), key=_block):
        block, value = _block(row), float(row["value"])
        if block not in cells.valid or not _measurable(value):
            continue
        lower, upper = _number(row["lower"]), _number(row["upper"])
        if lower == 0 and math.isfinite(upper):
            below.add(block)
            value = upper
        elif math.isfinite(upper / lower if lower else math.nan):
            widths.append(upper / lower - 1)
        values[block] = value
    unit = str(rows["unit"].iloc[0])
    return Values(variant, cells, unit, values, frozenset(below), max(widths))


def _measurable(value: float) -> bool:
    """Whether anything could measure so; beyond that, squares and ratios leave their range."""
    return value == 0 or _SMALLEST < abs(value) < _LARGEST


def _number(cell: float | None) -> float:
    return math.nan if cell is None else float(cell)
