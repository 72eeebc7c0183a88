"""Which cells a run has, and in which order."""

import random
from dataclasses import dataclass

from extract.manifest import CellRecord
from taskscope.scenario import Scenario, Variant


@dataclass(frozen=True, slots=True)
class PlannedCell:
    """One repetition of one variant of one scenario."""

    scenario: Scenario
    variant: Variant
    repetition: int

    def record(self) -> CellRecord:
        """Return the cell as the manifest knows it before it is measured."""
        return CellRecord(
            scenario=self.scenario.name,
            framework=self.variant.framework,
            variant=self.variant.name,
            repetition=self.repetition,
            planned=self.scenario.workload.count,
        )


def plan(scenarios: list[Scenario]) -> list[PlannedCell]:
    """Order the cells in blocks: each repetition has every variant once, in a seeded shuffle.

    So a machine that grows slower, or warmer, during a run does so for all variants alike.
    """
    return [cell for scenario in scenarios for cell in _blocks(scenario)]


def _blocks(scenario: Scenario) -> list[PlannedCell]:
    order = random.Random(scenario.run.seed)  # noqa: S311 - an order, not a secret
    cells = []
    for repetition in range(1, scenario.run.repetitions + 1):
        block = list(scenario.variants)
        order.shuffle(block)
        cells += [PlannedCell(scenario, variant, repetition) for variant in block]
    return cells
