"""Capacities in words and a table, for the terminal and as plain data."""

from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extract.capacity import Capacity
from extract.capacity_words import named, sentences


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a search amounts to; `planned` counts its cells."""

    directory: str
    status: str
    capacities: tuple[Capacity, ...]
    invalid: tuple[str, ...]

    @property
    def trustworthy(self) -> bool:
        """Whether it was finished, and both ends of every variant's gap are known."""
        return self.status == "complete" and all(c.sustained and c.refuted for c in self.capacities)

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**asdict(self), "trustworthy": self.trustworthy}


def show(console: Console, found: Outcome) -> None:
    """Print what is known of each variant, then every trial."""
    for capacity in found.capacities:
        for sentence in sentences(capacity):
            console.print(Text(sentence), soft_wrap=True)
        console.print(_trials(capacity))
    for line in found.invalid:
        console.print(Text(line, style="red"), soft_wrap=True)
    console.print(Text(f"Run directory: {found.directory}"), soft_wrap=True)


def _trials(found: Capacity) -> Table:
    table = Table(title=f"Trials of {named(found)}: {found.valid} of {found.measured} cells valid",
                  title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)  # fmt: skip
    for name in ("rate, tasks/s", "p99, s", "backlog growth, tasks/s", "throughput, tasks/s"):
        table.add_column(name, justify="right")
    table.add_column("verdict")
    for trial in sorted(found.trials, key=lambda t: (t.rate, t.repetition)):
        grown = trial.growth.slope if trial.growth else None
        numbers = (trial.p99_seconds, grown, trial.throughput)
        table.add_row(
            f"{trial.rate:,.4g}",
            *("" if value is None else f"{value:,.3g}" for value in numbers),
            f"{trial.verdict}: {trial.why}" if trial.why else trial.verdict,
        )
    return table
