"""What to send: which task with which arguments, for each task of a phase.

The order and the arguments follow from the seed alone, so that both frameworks get the same.
"""

import itertools
import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from loadgen.plan import Part

#: Arguments that are these texts are put in here, another value for each task.
NUMBER: Final = "$number"
PAYLOAD: Final = "$payload"


@dataclass(frozen=True, slots=True)
class Call:
    """The number of a task among those of the plan, and its keyword arguments."""

    task: int
    arguments: Mapping[str, Any]


def calls(parts: Sequence[Part], count: int, seed: int, payload_bytes: int = 0) -> Iterator[Call]:
    """Yield `count` calls; each part has its share of them, to the nearest whole number."""
    fixed = [Call(place, part.arguments) for place, part in enumerate(parts)]
    varying = [any(v in {NUMBER, PAYLOAD} for v in _texts(part.arguments)) for part in parts]
    if len(parts) == 1 and not varying[0]:
        yield from itertools.repeat(fixed[0], count)
        return
    for number, place in enumerate(order([part.weight for part in parts], count, seed).tolist()):
        if varying[place]:
            yield Call(place, _filled(parts[place].arguments, number, seed, payload_bytes))
        else:
            yield fixed[place]


def order(weights: Sequence[float], count: int, seed: int) -> NDArray[np.int64]:
    """Return which part each of `count` tasks is of: exact shares, in a seeded shuffle.

    What is left after rounding down goes to the largest remainders (Hamilton's method).
    """
    exact = np.asarray(weights) / sum(weights) * count
    shares = np.floor(exact).astype(np.int64)
    left = count - int(shares.sum())
    shares[np.argsort(shares - exact, kind="stable")[:left]] += 1
    return np.random.default_rng(seed).permutation(np.repeat(np.arange(len(weights)), shares))


def payload(seed: int, number: int, size: int) -> str:
    """Return text of `size` characters that no other task of the phase has."""
    made = random.Random(f"{seed}:{number}")  # noqa: S311 - data, not a secret
    return made.randbytes((size + 1) // 2).hex()[:size]


def _texts(arguments: Mapping[str, Any]) -> list[str]:
    return [value for value in arguments.values() if isinstance(value, str)]


def _filled(arguments: Mapping[str, Any], number: int, seed: int, size: int) -> dict[str, Any]:
    return {
        name: number if value == NUMBER else payload(seed, number, size) if value == PAYLOAD
        else value
        for name, value in arguments.items()
    }  # fmt: skip
