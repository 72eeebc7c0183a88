"""What a report looks at: a run, and of each scenario the cells that passed their audit."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pandas as pd

from extract.dataset import Dataset, valid_cells
from extract.flames import Stacks
from extract.manifest import CellRecord, Manifest, ProfileRecord
from extract.traces import attempt_stages

type Settings = Mapping[str, Mapping[str, Any]]

#: Where a task's time goes, in order; together they are the end-to-end time.
PARTS = ("schedule_lag", "delay", "broker_wait", "prefetch_wait", "execution")
#: And where it goes once a worker has the task.
WORKER_PARTS = ("prefetch_wait", "execution", "ack")


@dataclass(frozen=True)
class Run:
    """All that a report is written from. `settings` are by scenario, then by variant.

    `overhead` are the figures of the ledger, where there is one, and `costs` what they amount to,
    a sentence a scenario.
    `profiles` are those that were taken, with their stacks: they are no part of the dataset.
    """

    manifest: Manifest
    data: Dataset
    settings: Mapping[str, Settings]
    overhead: pd.DataFrame | None = None
    costs: Sequence[str] = ()
    profiles: Sequence[tuple[ProfileRecord, Stacks]] = ()


@dataclass(frozen=True)
class View:
    """One scenario: what was asked, and the results, tasks and timelines of its valid cells.

    `variants` are in the order of the headline, then of the scenario.
    """

    scenario: Mapping[str, Any]
    variants: tuple[str, ...]
    settings: Settings
    cells: tuple[CellRecord, ...]
    results: pd.DataFrame
    tasks: pd.DataFrame
    timeline: pd.DataFrame
    classes: pd.DataFrame

    @property
    def name(self) -> str:
        """Return the scenario's name."""
        return str(self.scenario["name"])

    @property
    def scheduled(self) -> bool:
        """Whether tasks were sent on a schedule, and not as fast as the generator can."""
        return bool(self.scenario["load"]["arrivals"]["kind"] != "asap")

    def values(self, metric: str, variant: str, source: str = "promql") -> list[float]:
        """Return a variant's values of a metric, in the order of the repetitions."""
        return list(self._values.get((metric, variant, source), ()))

    @cached_property
    def _values(self) -> Mapping[tuple[str, str, str], list[float]]:
        table = self.results.sort_values("repetition")
        groups = table.groupby(["metric", "variant", "source"])["value"]
        return {(str(m), str(v), str(s)): values.tolist() for (m, v, s), values in groups}

    @cached_property
    def stages(self) -> Mapping[str, pd.DataFrame]:
        """Each variant's intervals in seconds: a row an attempt, a column a stage; NaN unknown."""
        return {variant: _stages(self.tasks, variant) for variant in self.variants}


def _stages(tasks: pd.DataFrame, variant: str) -> pd.DataFrame:
    chosen = tasks[tasks["variant"] == variant]
    found = attempt_stages(chosen)
    found.insert(0, "schedule_lag", chosen["sent_ns"] - chosen["scheduled_ns"])
    found["end_to_end"] = found["end_to_end"].mask(chosen["outcome"] == "retry")
    return found.astype("Float64") / 1e9


def views(run: Run) -> Iterator[View]:
    """Yield every scenario of the run."""
    valid = valid_cells(run.data.audit, run.manifest.cells)
    for scenario in run.manifest.scenarios:
        cells = tuple(c for c in valid if c.scenario == scenario["name"] and c.measured)
        variants = dict.fromkeys(
            [*scenario["headline"], *(v["name"] for v in scenario["variants"])]
        )
        yield View(
            scenario=scenario,
            variants=tuple(variants),
            settings=run.settings[scenario["name"]],
            cells=cells,
            results=_of(cells, run.data.results),
            tasks=_of(cells, run.data.tasks),
            timeline=_of(cells, run.data.timeline),
            classes=_of(cells, run.data.classes),
        )


def _of(cells: tuple[CellRecord, ...], table: pd.DataFrame) -> pd.DataFrame:
    columns = ["scenario", "variant", "repetition"]
    wanted = pd.DataFrame(
        [(c.scenario, c.variant, c.repetition) for c in cells], columns=columns
    ).astype({"repetition": "int64"})
    index = pd.MultiIndex.from_frame(wanted)
    return table[pd.MultiIndex.from_frame(table[columns]).isin(index)]
