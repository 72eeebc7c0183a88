"""Memray's record as stacks: where the memory was allocated that a process had at its peak."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

from compose.errors import ServiceError
from extract.flames import CHILDREN, WORKER, Stack, Stacks

_IMPORTS = "<frozen importlib"
_SHOWN_PARTS = 2  # of a path: its folder and name


def read(output: Path) -> Stacks:
    """Read OUTPUT and OUTPUT.PID of each forked child: bytes, at each process's own peak.

    ServiceError where the worker's own record is missing or cut short. A child that was killed
    may leave none that can be read: it is left out.
    """
    stacks: Counter[Stack] = Counter()
    try:
        stacks.update(_of(output, WORKER))
    except OSError as error:
        raise ServiceError(
            f"memray's record cannot be read: {error}", "See the worker's log: was it killed?"
        ) from None
    for child in sorted(output.parent.glob(f"{output.name}.*")):
        try:
            stacks.update(_of(child, CHILDREN))
        except OSError:
            continue
    return stacks


def _of(file: Path, process: str) -> Stacks:
    from memray import FileReader  # noqa: PLC0415 - it need not be installed

    stacks: Counter[Stack] = Counter()
    with FileReader(file) as reader:
        for record in reader.get_high_watermark_allocation_records(merge_threads=True):
            calls = [(function, path) for function, path, _ in reversed(record.stack_trace())]
            stacks[(process, *_named(calls))] += record.size
    return stacks


def _named(calls: Sequence[tuple[str, str]]) -> Iterator[str]:
    """Name each call; of the import system's own, only the last, if it is the last of all."""
    for number, (function, path) in enumerate(calls, start=1):
        if not path.startswith(_IMPORTS):
            yield _name(function, path)
        elif number == len(calls):
            yield "import"


def _name(function: str, path: str) -> str:
    """Name a call as py-spy does: by function and file, with a little of its path."""
    return f"{function} ({'/'.join(Path(path).parts[-_SHOWN_PARTS:])})"
