"""Both sides at once, each with half of the machine: for watching, and never for a verdict."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path
from typing import Any, Final

import msgspec

from compose.affinity import halves
from extract.dataset import Dataset
from extract.manifest import Manifest, Problem, Share
from taskscope.errors import UsageError
from taskscope.plan import PlannedCell, Step
from taskscope.scenario import Scenario

_SIDES: Final = 2
PROBLEM: Final = Problem(
    "measured alone",
    "both variants ran at once, each with half of the concurrency and of the cores",
    "This run is for watching. Measure without --together.",
)


def halve(scenario: Scenario, *, chosen: bool) -> Scenario:
    """Return the scenario with two sides and half of the concurrency.

    Without variants `chosen`, its headline pair. UsageError unless that leaves two variants, of
    two frameworks: two of one framework would share keys of the broker.
    """
    pair = scenario if chosen else scenario.override(variants=scenario.pair_unless())
    frameworks = [variant.framework for variant in pair.variants]
    if len(frameworks) != _SIDES or len(set(frameworks)) != _SIDES:
        names = ", ".join(variant.name for variant in pair.variants)
        raise UsageError(
            f"--together takes two variants of two frameworks; scenario {scenario.name} would run "
            f"{names}.",
            "Name one variant of each framework with --variant.",
        )
    variants = tuple(replace(v, concurrency=_half(v.concurrency)) for v in pair.variants)
    run = replace(pair.run, concurrency=_half(pair.run.concurrency) or 1)
    return replace(pair, variants=variants, run=run)


def _half(concurrency: int | None) -> int | None:
    return None if concurrency is None else max(1, concurrency // 2)


def steps(cells: Sequence[PlannedCell], *, together: bool) -> list[Step]:
    """Return what is measured one after another: single cells, or all cells of a repetition."""
    if not together:
        return [(cell,) for cell in cells]
    blocks = groupby(cells, lambda cell: (cell.scenario.name, cell.repetition))
    return [tuple(sorted(block, key=_place)) for _, block in blocks]


def shares(step: Step) -> list[Share]:
    """Return what each cell of a step gets, in their order."""
    return [
        Share(
            cell.scenario.name, cell.variant.name, cell.scenario.concurrency_of(cell.variant), cores
        )
        for cell, cores in zip(step, halves() or ((), ()), strict=True)
    ]


def stated(pairs: Iterable[Step]) -> Iterator[Share]:
    """Yield what each variant of each scenario gets, for the manifest."""
    for step in pairs:
        if step[0].repetition == 1:
            yield from shares(step)


def outcome(directory: Path, manifest: Manifest, data: Dataset) -> dict[str, Any]:
    """Return what there is to say of such a run: what each side had, and what went wrong."""
    audit = data.audit[data.audit["check"] != PROBLEM.check]
    failed = audit[~audit["ok"].astype(bool)].to_dict("records")
    return {
        "directory": str(directory),
        "session": manifest.session,
        "status": manifest.status,
        "together": [msgspec.to_builtins(share) for share in manifest.together],
        "problems": [
            f"{row['scenario']}, {row['variant']} repetition {row['repetition']}: {row['check']}: "
            f"{row['found']}. {row['remedy']}"
            for row in failed
        ],
    }


def described(outcome: Mapping[str, Any]) -> Iterator[str]:
    """Say the same in words."""
    yield "Both sides ran at once, to be watched: no verdict comes of it. Each had"
    for share in outcome["together"]:
        cores = ", ".join(map(str, share["cores"]))
        on = f"cores {cores}" if cores else "all cores, as they could not be divided"
        yield f"  {share['scenario']}, {share['variant']}: concurrency {share['concurrency']}, {on}"
    yield from outcome["problems"]
    yield f"Run directory: {outcome['directory']}"


def refuse(manifest: Manifest, directory: Path) -> None:
    """UsageError for a run that was made for watching."""
    if manifest.together:
        raise UsageError(
            f"{directory} was made with --together: both sides ran at once, so it has no results.",
            "Measure without --together. `taskscope trace` shows its single tasks.",
        )


def _place(cell: PlannedCell) -> int:
    """Keep each variant on its half of the cores, whatever the order of the block."""
    return cell.scenario.variants.index(cell.variant)
