"""Which rate to try next: doubling, then halving the gap, then confirming both of its ends.

It only chooses. What the trials amount to is derived from the dataset afterwards, by
`extract.capacity`, whose verdicts and rules these are.
"""

from collections import defaultdict
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from math import floor, log10, sqrt

from extract.capacity import Verdict, mostly_not

_SLOWEST = 1.0
_MORE = 3  # trials of an upper end that is sometimes sustained
_DIGITS = 3


@dataclass(frozen=True, slots=True)
class Limits:
    """When to stop: at ends closer than `precision` (0.1: 10 %), or after so many `trials`.

    The lower end must be sustained `confirmations` times more.
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
    return (yield from _confirm(low, limits, tried))


def rounded(rate: float) -> float:
    """Return a rate to three digits, as it is named."""
    return round(rate, _DIGITS - 1 - floor(log10(rate)))


class _Tried:
    """Counts the trials, repeats one that says nothing, and remembers what the others said."""

    def __init__(self, most: int) -> None:
        self.left = most
        self.heard: defaultdict[float, list[Verdict]] = defaultdict(list)

    def ask(self, rate: float) -> Generator[float, Verdict, Verdict]:
        verdict: Verdict = "says nothing"
        for _ in range(2):
            if self.left and verdict == "says nothing":
                self.left -= 1
                verdict = yield rate
        if verdict != "says nothing":
            self.heard[rate].append(verdict)
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
    low: float | None, limits: Limits, tried: _Tried
) -> Generator[float, Verdict, tuple[float | None, float | None]]:
    """Try the lower end again, and go down where it fails once; then what is above it."""
    while low and (yield from _ask_until(_failed_once, low, limits.confirmations + 1, tried)):
        low = rounded(low / (1 + limits.precision))
        low = low if low >= _SLOWEST else None
    return low, (yield from _upper_end(low, limits, tried))


def _upper_end(
    low: float | None, limits: Limits, tried: _Tried
) -> Generator[float, Verdict, float | None]:
    """Find the slowest rate above `low` that mostly fails; None without any that ever failed.

    One that failed may have been sustained at another time: then the next is asked, of those that
    failed or, when they are spent, a step further.
    """
    above = (rate for rate, heard in tried.heard.items() if _failed_once(heard))
    failed = sorted(rate for rate in above if low is None or rate > low)
    rate = 0.0
    while tried.left and (failed or rate):
        rate = failed.pop(0) if failed else rounded(rate * (1 + limits.precision))
        if (yield from _ask_until(mostly_not, rate, limits.confirmations + _MORE, tried)):
            return rate
        if not tried.heard[rate]:  # the generator cannot go as fast as that
            break
    return None


def _ask_until(
    settled: Callable[[Sequence[Verdict]], bool], rate: float, most: int, tried: _Tried
) -> Generator[float, Verdict, bool]:
    """Try a rate until what was heard of it settles the matter, or it was heard of so many times.

    Return whether the matter is settled.
    """
    heard = tried.heard[rate]
    while not settled(heard) and len(heard) < most and tried.left:
        if (yield from tried.ask(rate)) == "says nothing":
            break
    return settled(heard)


def _failed_once(verdicts: Sequence[Verdict]) -> bool:
    return "not sustained" in verdicts
