"""Rows: what goes well is kept as bytes of one length, at the end of one buffer.

An object that waits to be read is memory that the task after it cannot use: by the time that it is
read, it has left the processor's caches, and the garbage collector has looked at it. A few may, so
that rows are made of several at once (`recorder`). A row is some 200 bytes, and numpy reads
thousands of them without touching each. Names stand in rows as numbers.
"""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import count
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from instrumentation.carrier import each

#: A task and its queue.
type Kind = tuple[str, str]
#: What number stands in rows for a kind: its place among all kinds.
type Numbers = defaultdict[Kind, int]
#: Rows as numpy reads them, with a field for each column.
type Table = NDArray[Any]

#: How long the ids are that frameworks give to tasks, in the text of a UUID.
UUID = 36
NINETEEN_DIGITS = 10**18  # what an instant has from 2001 to 2286
_PLAIN = np.zeros(256, dtype=np.bool_)
_PLAIN[0x20:0x80] = True
_PLAIN[list(b'"\\\x7f')] = False


@dataclass(frozen=True, eq=False)
class Rows:
    """Some rows, as numpy reads them."""

    table: Table
    #: What their numbers stand for.
    kinds: Sequence[Kind]

    def __len__(self) -> int:
        return len(self.table)

    def where(self, selected: Any) -> Self:
        """Return some of them."""
        return replace(self, table=self.table[selected])

    def instants(self, name: str) -> NDArray[np.int64]:
        """Return one instant of each."""
        return np.ascontiguousarray(self.table[name])


def numbers() -> Numbers:
    """Return numbers for kinds to come. One C call makes a new one: no lock is needed."""
    return defaultdict(count().__next__)


def distinct(keys: NDArray[Any]) -> tuple[list[int], NDArray[np.int64]]:
    """Return the different keys, and which of them stands in each place."""
    if not keys.size or (keys == keys[0]).all():  # as is usual, and quicker
        return keys[:1].tolist(), np.zeros(len(keys), dtype=np.int64)
    found, codes = np.unique(keys, return_inverse=True)
    return found.tolist(), codes


def groups(keys: NDArray[Any]) -> Iterator[tuple[int, Any]]:
    """Yield each different key, and an index that selects its members from an array."""
    found, codes = distinct(keys)
    for place, key in enumerate(found):
        yield key, codes == place if len(found) > 1 else slice(None)


def are_plain(texts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell of each row of characters whether JSON writes it as it is."""
    return each(_PLAIN[texts])


def text(characters: NDArray[np.uint8]) -> str:
    """Return the text in characters."""
    return str(characters.tobytes(), "ascii")


def texts(characters: NDArray[np.uint8]) -> list[str]:
    """Return the text in each row of characters."""
    every, length = text(characters), characters.shape[1]
    return [every[at : at + length] for at in range(0, len(every), length)]
