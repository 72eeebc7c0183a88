"""The ledger in words and tables."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from extract.overhead import (
    CPU,
    DEFAULT,
    THROUGHPUT,
    Estimate,
    Ledger,
    LedgerManifest,
    bias,
    ledger,
    table,
)

_EXPLAINED = (
    "Medians, and the mean change against bare in the same block (95 % t-interval).\n"
    "CPU is that of the worker's whole process tree, until its telemetry has settled."
)


@dataclass(frozen=True)
class Outcome:
    """What a ledger amounts to, for the tables and for --json alike."""

    directory: str
    session: str
    status: str
    title: str
    modes: Mapping[str, Mapping[str, str]]
    skipped: Mapping[str, str]
    found: Ledger
    planned: int
    taken: int
    invalid: tuple[str, ...]

    @property
    def trustworthy(self) -> bool:
        """Whether all that was planned was timed, without a doubt."""
        return self.status == "complete" and self.taken == self.planned and not self.invalid

    def as_json(self) -> dict[str, Any]:
        """Return everything as plain data."""
        return {**asdict(self), "trustworthy": self.trustworthy}


def outcome(directory: str, manifest: LedgerManifest) -> Outcome:
    """Derive the ledger of a manifest."""
    variants = [v["name"] for v in manifest.scenario["variants"]]
    return Outcome(
        directory=directory,
        session=manifest.session,
        status=manifest.status,
        title=manifest.scenario["title"],
        modes=manifest.modes,
        skipped=manifest.skipped,
        found=ledger(table(manifest), manifest.scenario["name"], variants),
        planned=len(manifest.order),
        taken=len(manifest.timings),
        invalid=tuple(
            f"{t.name}: {problem.message.rstrip('.')}. {problem.remedy}"
            for t in manifest.timings
            for problem in t.problems
        ),
    )


def show(console: Console, what: Outcome) -> None:
    """Print the ledger, the bias, what was skipped or invalid, and where it lies."""
    console.print(Text(f"{what.title}: what watching costs\n{_EXPLAINED}"))
    for variant in what.modes:
        console.print(_costs(what, variant))
    if what.found.bias:
        console.print(_bias(what.found))
    if words := sentence(what.found, list(what.modes)):
        console.print(Text(words), soft_wrap=True)
    for name, reason in what.skipped.items():
        console.print(Text(f"Skipped: {name}: {reason}.", style="yellow"), soft_wrap=True)
    console.print(_validity(what), soft_wrap=True)
    console.print(Text(f"Directory: {what.directory}"), soft_wrap=True)


def _costs(what: Outcome, variant: str) -> Table:
    grid = _grid(variant, "", "tasks/s", "change", "CPU,\nµs/task", "change")
    for mode in what.modes[variant]:
        rate, cpu = (what.found.line(variant, mode, metric) for metric in (THROUGHPUT, CPU))
        if rate and cpu:
            grid.add_row(mode, f"{rate.median:,.0f}", _percent(rate.change),
                         f"{cpu.median:,.1f}", _number(cpu.difference))  # fmt: skip
    return grid


def _bias(found: Ledger) -> Table:
    title = f"Differential bias: how far the ratio {found.bias[0].subject} is shifted"
    grid = _grid(title, "", "throughput", "shift", "CPU", "shift")
    for rate in found.bias:
        cpu = found.line(rate.subject, rate.mode, CPU)
        if rate.metric == THROUGHPUT and cpu:
            grid.add_row(rate.mode, f"{rate.median:.3g}", _percent(rate.change),
                         f"{cpu.median:.3g}", _percent(cpu.change))  # fmt: skip
    return grid


def _grid(title: str, *columns: str) -> Table:
    grid = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, pad_edge=False)
    grid.padding = (0, 1, 0, 0)
    for column in columns:
        grid.add_column(column, justify="right" if column else "left", no_wrap=not column)
    return grid


def _percent(estimate: Estimate | None) -> str:
    return estimate.percent() if estimate else ""


def _number(estimate: Estimate | None) -> str:
    return estimate.written(lambda x: f"{x:+,.1f}", "") if estimate else ""


def _validity(what: Outcome) -> Text:
    if what.trustworthy:
        return Text(f"All {what.taken} timings are complete and exact.", style="green")
    count = f"{what.taken} of {what.planned} timings were taken"
    lines = [f"{count}; {len(what.invalid)} are invalid and left out.", *what.invalid]
    return Text("\n".join(lines), style="red")


def sentence(found: Ledger, variants: Sequence[str], mode: str = DEFAULT) -> str:
    """Say in a line what the mode of every run costs each variant; "" where it is not known."""
    parts = list(_shares(found, variants, mode))
    if not parts:
        return ""
    text = f"Instrumentation costs {', '.join(parts)}"
    if shift := bias(found, variants[:2], THROUGHPUT, mode):
        text += f"; differential bias {shift.percent()}"
    return text + "."


def _shares(found: Ledger, variants: Sequence[str], mode: str) -> Iterator[str]:
    for variant in variants:
        rate, cpu = (found.line(variant, mode, metric) for metric in (THROUGHPUT, CPU))
        if rate and cpu and rate.change and cpu.difference:
            lost = _negative(rate.change).written(lambda x: f"{x * 100:.1f}", " %")
            used = cpu.difference.written(lambda x: f"{x:.1f}", " µs/task")
            yield f"{variant} {lost} of throughput and {used} of CPU"


def _negative(change: Estimate) -> Estimate:
    """Turn a change into a cost: the bounds change places."""
    upper, lower = (None if b is None else -b for b in (change.lower, change.upper))
    return Estimate(-change.value, lower, upper)
