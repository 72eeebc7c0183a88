"""References such as $concurrency in settings and arguments: what stands there is put in later."""

import re
from collections.abc import Collection, Mapping
from typing import Any, Final

from taskscope.errors import UsageError
from taskscope.values import nearest

_REFERENCE: Final = re.compile(r"\$([a-z_]+)")
#: What the generator puts in, another value for each task: its number, and text of the payload.
PER_TASK: Final = ("number", "payload")


def fill(
    values: Mapping[str, object], known: Mapping[str, object], later: Collection[str] = ()
) -> dict[str, object]:
    """Return the values with what is known put in; those of `later` are left as they stand.

    A text that is nothing but a reference becomes the value itself, so that a number stays one.
    UsageError for a reference to neither.
    """
    return {name: _filled(value, known, later) for name, value in values.items()}


def _filled(value: object, known: Mapping[str, object], later: Collection[str]) -> Any:
    if isinstance(value, dict):
        return fill(value, known, later)
    if isinstance(value, list):
        return [_filled(item, known, later) for item in value]
    if not isinstance(value, str):
        return value
    whole = _REFERENCE.fullmatch(value)
    if whole and whole[1] in known:
        return known[whole[1]]
    return _REFERENCE.sub(lambda found: _text(found, known, later), value)


def _text(found: re.Match[str], known: Mapping[str, object], later: Collection[str]) -> str:
    name = found[1]
    if name in known:
        return str(known[name])
    if name in later:
        return found[0]
    every = [*known, *later]
    raise UsageError(
        f"{found[0]} refers to nothing; the nearest is ${nearest(name, every)}",
        f"What may be referred to here: {', '.join(f'${each}' for each in every)}.",
    )
