"""Numbers for people: rounded, with a unit, and each with where it came from."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from extract.wording import form_of

_SECONDS = ((1.0, 1.0, "s"), (1e-3, 1e3, "ms"), (0.0, 1e6, "µs"))
_BYTES = ((1e9, 1e-9, "GB"), (1e6, 1e-6, "MB"), (1e3, 1e-3, "kB"), (0.0, 1.0, "bytes"))
_LARGE, _TWICE = 1000, 2.0


@dataclass(frozen=True, slots=True)
class Number:
    """A number as it is written, its value in the dataset, and the query or trace statistic."""

    text: str
    value: float
    metric: str
    origin: str
    variant: str = ""


def quantity(value: float, unit: str) -> str:
    """Write a value with three digits and a unit of a fitting size."""
    scales = {"s": _SECONDS, "bytes": _BYTES}.get(unit, ((0.0, 1.0, unit),))
    _, factor, name = next((s for s in scales if abs(value) >= s[0]), scales[-1])
    if value == 0:
        name = unit
    return f"{digits(value * factor)} {name}"


def digits(value: float) -> str:
    """Write three digits, or all of a whole number's, and never an exponent."""
    if abs(value) >= _LARGE or value == int(value):
        return f"{value:,.0f}"
    text = f"{value:.3g}"
    if "e" not in text:
        return text
    places = 2 - math.floor(math.log10(abs(value)))  # of almost 1,000, the logarithm may be 3
    return f"{value:,.{max(places, 0)}f}"


def ratio(value: float, ends: tuple[float, ...] = ()) -> str:
    """Write how much more or less a ratio stands for: 4.1× as high, 5× lower, 12 % higher."""
    if value >= _TWICE:
        return f"{value:{_form(value, ends)}}× as high"
    if 0 < value <= 1 / _TWICE:
        return f"{1 / value:{_form(1 / value, [1 / end for end in ends if end])}}× lower"
    change = 100 * (value - 1)
    write = _percent(change, [100 * (end - 1) for end in ends])
    return f"{write(abs(change))} {'higher' if change >= 0 else 'lower'}"


def interval(value: float, low: float | None, high: float | None) -> str:
    """Write the interval of a ratio in the words of `ratio`; a bound has one end only."""
    ends = [end for end in (low, high) if end is not None]
    if value >= _TWICE and min(ends) >= 1:
        form = _form(value, ends)
        return _range([f"{end:{form}}×" for end in ends], low, high)
    if 0 < value <= 1 / _TWICE and 0 < min(ends) <= max(ends) <= 1:
        inverted = [1 / end for end in ends]
        form = _form(1 / value, inverted)
        texts = [f"{end:{form}}×" for end in reversed(inverted)]
        return _range(texts, high, low) + " lower"
    if (value >= _TWICE or 0 < value <= 1 / _TWICE) and min(ends) > 0:
        return _range([ratio(end) for end in ends], low, high)
    changes = [100 * (end - 1) for end in ends]
    write = _percent(100 * (value - 1), changes)
    words = [f"{write(abs(c))} {'higher' if c >= 0 else 'lower'}" for c in changes]
    return _range(words, low, high)


def _range(texts: list[str], low: float | None, high: float | None) -> str:
    if low is None:
        return f"up to {texts[0]}"
    return f"{texts[0]} or more" if high is None else " to ".join(texts)


def _form(value: float, ends: tuple[float, ...] | list[float]) -> str:
    """Return a format with at least one decimal for small numbers, so that 5 is not 4.5 to 5.5."""
    form = form_of(value, ends, 1.0) if ends else ".3g"
    return ",.1f" if form == ",.0f" and value < 10 else form  # noqa: PLR2004 - two digits


def _percent(value: float, ends: list[float]) -> Callable[[float], str]:
    form = form_of(value, ends, 0.0) if ends else ".2g"
    return lambda share: f"{share:{form}} %"
