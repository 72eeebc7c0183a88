"""Profiles as stacks: how much of what was sampled or allocated lies under each call.

They are stored folded, the common form: a line a stack, `outermost;…;innermost NUMBER`. Numbers
are samples (CPU) or bytes (memory).
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from xml.etree import ElementTree as ET

type Stack = tuple[str, ...]
type Stacks = Mapping[Stack, int]

WORKER: Final = "worker process"
CHILDREN: Final = "its child processes"
_TOTAL: Final = re.compile(r" \([\d,]+ samples?, [\d.]+%\)$")
_PROCESS: Final = re.compile(r"^process \d+:", re.DOTALL)
_SVG: Final = "{http://www.w3.org/2000/svg}"
_FG: Final = "{http://github.com/jonhoo/inferno}"


@dataclass
class Node:
    """A call, with all that was called from there; `value` includes that."""

    name: str
    value: int = 0
    children: dict[str, "Node"] = field(default_factory=dict)

    @property
    def own(self) -> int:
        """What lies in the call itself."""
        return self.value - sum(child.value for child in self.children.values())


def read_svg(svg: str) -> Stacks:
    """Read a flame graph as py-spy writes it. ValueError if it is none.

    Each frame is a rectangle: `fg:x` and `fg:w` say, in samples, where it begins and how wide it
    is, and `y` how deep it lies. Below the root are processes, children within their parents.
    """
    try:
        root = ET.fromstring(svg)  # noqa: S314 - what py-spy wrote just now, on this machine
    except ET.ParseError as error:
        raise ValueError(f"it is no flame graph: {error}") from None
    frames = list(_frames(root))
    rows = {depth: row for row, depth in enumerate(sorted({frame.depth for frame in frames}))}
    stacks: Counter[Stack] = Counter()
    path: Stack = ()
    for frame in sorted(frames, key=lambda f: (f.start, f.depth)):  # callers before the called
        path = (*path[: rows[frame.depth]], frame.name)
        stacks[path] += frame.width
        stacks[path[:-1]] -= frame.width  # a caller keeps what nothing below it took
    return _plain(stacks)


def _plain(stacks: Stacks) -> Stacks:
    """Leave out the root, and name processes by their role: all children are one."""
    found: Counter[Stack] = Counter()
    for stack, samples in stacks.items():
        depth = sum(bool(_PROCESS.match(name)) for name in stack)
        calls = tuple(name for name in stack[1:] if not _PROCESS.match(name))
        if samples > 0 and calls:
            found[(CHILDREN if depth > 1 else WORKER, *calls)] += samples
    return found


@dataclass(frozen=True, slots=True)
class _Frame:
    depth: float
    start: int
    width: int
    name: str


def _frames(root: ET.Element) -> Iterator[_Frame]:
    for group in root.iter(f"{_SVG}g"):
        title, rectangle = group.find(f"{_SVG}title"), group.find(f"{_SVG}rect")
        if title is not None and rectangle is not None and rectangle.get(f"{_FG}w"):
            start, width = (int(rectangle.get(f"{_FG}{name}", "0")) for name in "xw")
            name = _TOTAL.sub("", title.text or "")
            yield _Frame(float(rectangle.get("y", "0")), start, width, name)


def write(path: Path, stacks: Stacks) -> None:
    """Write stacks folded."""
    lines = (f"{';'.join(map(_safe, stack))} {value}\n" for stack, value in stacks.items())
    path.write_text("".join(lines), encoding="utf-8")


def _safe(name: str) -> str:
    return " ".join(name.replace(";", ",").split())


def read(path: Path) -> Stacks:
    """Read stacks. OSError where there is no such file, ValueError where it is damaged."""
    stacks: Counter[Stack] = Counter()
    for line in path.read_text(encoding="utf-8").splitlines():
        names, _, value = line.rpartition(" ")
        stacks[tuple(names.split(";"))] += int(value)
    return stacks


def tree(stacks: Stacks) -> Node:
    """Return the root of all stacks; children in order of their name, as in any flame graph."""
    root = Node("all")
    for stack, value in sorted(stacks.items()):
        root.value += value
        node = root
        for name in stack:
            node = node.children.setdefault(name, Node(name))
            node.value += value
    return root


def hottest(stacks: Stacks, count: int) -> list[tuple[str, int]]:
    """Return the calls with most in themselves, whoever called them, the largest first."""
    own: Counter[str] = Counter()
    for stack, value in stacks.items():
        own[stack[-1]] += value
    return own.most_common(count)
