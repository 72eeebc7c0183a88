"""Profiles as pictures: a flame graph, the root on top, of plain boxes that need no script."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Final
from urllib.parse import quote

from extract import flames, words
from extract.flames import CHILDREN, WORKER, Node, Stacks
from extract.manifest import Problem, ProfileRecord
from extract.report.view import Run, View

_LEAST: Final = 0.004  # of the whole: what is narrower would not be seen
_DEEPEST: Final = 40
_HOTTEST: Final = 6
_TITLES: Final = {
    "cpu": "where its worker's running time goes",
    "memory": "where its worker's peak memory was allocated",
}
_BY: Final = {"cpu": "py-spy", "memory": "memray"}


@dataclass(frozen=True, slots=True)
class Box:
    """A call; `left` and `width` are percentages of the picture, `row` counts from 0."""

    name: str
    title: str
    row: int
    left: float
    width: float
    hue: int


@dataclass(frozen=True, slots=True)
class Flame:
    """A profile of a variant's worker."""

    variant: str
    kind: str
    title: str
    by: str
    whole: str
    about: str
    boxes: tuple[Box, ...]
    hottest: tuple[tuple[str, str], ...]
    source: str
    page: str
    problems: tuple[Problem, ...]

    @property
    def rows(self) -> int:
        """Return how many rows the picture has."""
        return max((box.row for box in self.boxes), default=-1) + 1


def profiles(run: Run, view: View) -> Iterator[Flame]:
    """Yield the profiles of a scenario, in the order of its variants."""
    for variant in view.variants:
        for record, stacks in run.profiles:
            if (record.scenario, record.variant) == (view.name, variant):
                yield _flame(record, stacks)


def _flame(record: ProfileRecord, stacks: Stacks) -> Flame:
    root = flames.tree(stacks)
    hottest = (
        (name, f"{value / root.value:.1%}") for name, value in flames.hottest(stacks, _HOTTEST)
    )
    return Flame(
        variant=record.variant,
        kind=record.kind,
        title=_TITLES[record.kind],
        by=_BY[record.kind],
        whole=_amount(record.kind, root.value),
        about=_about(record),
        boxes=tuple(_boxes(root, root, record.kind)) if root.value else (),
        hottest=tuple(hottest),
        source=record.stacks,
        page=quote(str(PurePosixPath("..", record.page))) if record.page else "",
        problems=record.problems,
    )


def _about(record: ProfileRecord) -> str:
    tasks = f"over {record.tasks:,} tasks"
    if record.kind == "memory":
        return f"{tasks}, of each process at its own peak"
    used = record.cpu_seconds
    cpu = "" if used is None else f", for which it used {words.quantity(used, 's')} of CPU time"
    return f"{tasks}{cpu}. A thread that waits for a free core counts as running"


def _amount(kind: str, value: int) -> str:
    return words.quantity(value, "bytes") if kind == "memory" else f"{value:,} samples"


def _boxes(root: Node, node: Node, kind: str, row: int = 0, left: int = 0) -> Iterator[Box]:
    """Yield the boxes below a node. Calls that only pass on to one other share that one's box."""
    for child in node.children.values():
        if child.value >= _LEAST * root.value and row < _DEEPEST:
            passed, shown = _passed(child)
            share = f"{_amount(kind, child.value)}, {child.value / root.value:.1%}"
            through = f" (through {len(passed)} more: {', '.join(passed[-3:])})" if passed else ""
            yield Box(
                shown.name,
                f"{shown.name}: {share}{through}",
                row,
                100 * left / root.value,
                100 * child.value / root.value,
                zlib.crc32(shown.name.encode()) % 360,
            )
            yield from _boxes(root, shown, kind, row + 1, left)
        left += child.value


def _passed(node: Node) -> tuple[list[str], Node]:
    passed = []
    while node.name not in {WORKER, CHILDREN} and len(node.children) == 1 and not node.own:
        passed.append(node.name)
        (node,) = node.children.values()
    return passed, node
