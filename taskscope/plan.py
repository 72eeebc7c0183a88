"""Which cells a run has, and in which order."""

import random
from dataclasses import dataclass

from extract.manifest import CellRecord
from taskscope.matrix import families
from taskscope.scenario import Scenario, Variant


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One repetition of one variant of one scenario."""

    scenario: Scenario
    variant: Variant
    repetition: int

    @property
    def place(self) -> str:
        """How the manifest's order names it."""
        return f"{self.scenario.name}/{self.variant.name}/{self.repetition}"

    def record(self) -> CellRecord:
        """Return the cell as the manifest knows it before it is measured."""
        return CellRecord(
            scenario=self.scenario.name,
            framework=self.variant.framework,
            variant=self.variant.name,
            repetition=self.repetition,
            planned=self.scenario.workload.count,
        )


#: What is measured at a time: one cell, or two that go together.
type Step = tuple[PlannedCell, ...]


def plan(scenarios: list[Scenario]) -> list[PlannedCell]:
    """Order the cells in blocks: each repetition has every variant once, in a seeded shuffle.

    So a machine that grows slower, or warmer, during a run does so for all variants alike. Of a
    matrix, a block has all points in a shuffle, and the variants of each beside each other.
    """
    return [cell for family in families(scenarios) for cell in _blocks(family)]


def _blocks(family: list[Scenario]) -> list[PlannedCell]:
    order = random.Random(family[0].run.seed)  # noqa: S311 - an order, not a secret
    cells = []
    for repetition in range(1, family[0].run.repetitions + 1):
        points = list(family)
        order.shuffle(points)
        for scenario in points:
            block = list(scenario.variants)
            order.shuffle(block)
            cells += [PlannedCell(scenario, variant, repetition) for variant in block]
    return cells
