"""Which rate to try next: doubling, then halving the gap, then confirming both of its ends.

It only chooses. What the trials amount to is derived from the dataset afterwards, by
`extract.capacity`, whose verdicts these are.
"""

from collections.abc import Generator
from dataclasses import dataclass
from math import floor, log10, sqrt

from extract.capacity import Verdict

_SLOWEST = 1.0
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: at ends closer than `precision` (0.1: 10 %), or after so many `trials`.

    Each end is tried `confirmations` times more.
    """

    precision: float
    confirmations: int
    trials: int


type Search = Generator[float, Verdict, tuple[float | None, float | None]]


def search(first: float, limits: Limits) -> Search:
    """Yield rates in tasks/s and take each trial's verdict; return the ends of the gap.

    A trial that says nothing is repeated once. If it says nothing again, the generator cannot go as
    fast as that: nothing faster is tried.
    """
    tried = _Tried(limits.trials)
    low, high = yield from _bracket(first, tried)
    while low and high and high / low > 1 + limits.precision and tried.left:
        middle = rounded(sqrt(low * high))
        if middle in {low, high}:
            break
        verdict = yield from tried.ask(middle)
        low, high = (middle, high) if verdict == "sustained" else (low, middle)
    return (yield from _confirm(low, high, limits, tried))


def rounded(rate: float) -> float:
    """Return a rate to three digits, as it is named."""
    return round(rate, _DIGITS - 1 - floor(log10(rate)))


class _Tried:
    """Counts the trials, and repeats one that says nothing."""

    def __init__(self, most: int) -> None:
        self.left = most

    def ask(self, rate: float) -> Generator[float, Verdict, Verdict]:
        verdict: Verdict = "says nothing"
        for _ in range(2):
            if self.left and verdict == "says nothing":
                self.left -= 1
                verdict = yield rate
        return verdict


def _bracket(
    first: float, tried: _Tried
) -> Generator[float, Verdict, tuple[float | None, float | None]]:
    """Double a rate that is sustained and halve one that is not, until there is one of each."""
    low = high = None
    rate = rounded(first)
    while tried.left and rate >= _SLOWEST and not (low and high):
        verdict = yield from tried.ask(rate)
        if verdict == "sustained":
            low, rate = rate, rounded(rate * 2)
        elif verdict == "says nothing" and low:
            break
        else:
            high, rate = (rate if verdict == "not sustained" else high), rounded(rate / 2)
    return low, high


def _confirm(
    low: float | None, high: float | None, limits: Limits, tried: _Tried
) -> Generator[float, Verdict, tuple[float | None, float | None]]:
    """Try the lower end again, and go down where it fails once; then the upper end."""
    times = limits.confirmations
    while low and tried.left:
        verdicts = yield from _again(low, times, tried)
        if "not sustained" not in verdicts:
            break
        low, high = rounded(low / (1 + limits.precision)), low
        low = low if low >= _SLOWEST else None
        times = limits.confirmations + 1  # this one was never tried before
    if high:
        yield from _again(high, limits.confirmations, tried)
    return low, high


def _again(rate: float, times: int, tried: _Tried) -> Generator[float, Verdict, list[Verdict]]:
    """Try a rate so many times, or until it is not sustained."""
    verdicts: list[Verdict] = []
    while len(verdicts) < times and tried.left and "not sustained" not in verdicts[-1:]:
        verdicts.append((yield from tried.ask(rate)))
    return verdicts
