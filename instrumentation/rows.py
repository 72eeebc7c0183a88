"""Rows: what goes well is kept as bytes of one length, at the end of one buffer.

An object that waits to be read is memory that the task after it cannot use: by the time that it is
read, it has left the processor's caches, and the garbage collector has looked at it. A row is some
200 bytes, and numpy reads thousands of them without touching each. Names stand in rows as numbers.
"""

import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from instrumentation.carrier import each

#: Numbers of what rows name by a number.
type Numbers[Name] = dict[Name, int]
#: Rows as numpy reads them, with a field for each column.
type Table = NDArray[Any]

#: How long the ids are that frameworks give to tasks, in the text of a UUID.
UUID = 36
NINETEEN_DIGITS = 10**18  # what an instant has from 2001 to 2286
_numbering = threading.Lock()
_PLAIN = np.zeros(256, dtype=np.bool_)
_PLAIN[0x20:0x80] = True
_PLAIN[list(b'"\\\x7f')] = False


def number[Name](names: Numbers[Name], name: Name) -> int:
    """Return the number of a name, a new one where it is new: its place among all names."""
    known = names.get(name)
    if known is None:
        with _numbering:  # two names must not get one number
            known = names.setdefault(name, len(names))
    return known


def groups(keys: NDArray[Any]) -> Iterator[tuple[int, Any]]:
    """Yield each different key, and an index that selects its members from an array."""
    if not keys.size:
        return
    first = keys[0]
    if (keys == first).all():  # as is usual, and quicker
        yield int(first), slice(None)
        return
    for key in np.unique(keys).tolist():
        yield key, keys == key


def are_plain(texts: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Tell of each row of characters whether JSON writes it as it is."""
    return each(_PLAIN[texts])


def text(characters: Any) -> str:
    """Return the text in one row of characters."""
    return str(characters.tobytes().rstrip(b"\0"), "ascii")
