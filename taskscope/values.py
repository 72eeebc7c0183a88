"""What may stand in a scenario: names, JSON values, and words for what was found instead."""

import difflib
import math
import re
import reprlib
from collections.abc import Iterable
from typing import Final

NAME: Final = re.compile(r"[a-z0-9][a-z0-9-]{0,63}")
NAME_RULE: Final = "1 to 64 of a-z, 0-9 and '-', the first not '-'"
INT64: Final = range(-(2**63), 2**63)  # TOML promises no more, and JSON readers keep no more
DEEPEST: Final = 16

_WORDS: Final = {list: "a list", dict: "a table"}


def nearest(word: str, known: Iterable[str]) -> str:
    """Return the known word most like `word`, or '' where none is known."""
    return next(iter(difflib.get_close_matches(word.lower(), list(known), n=1, cutoff=0.0)), "")


def describe(value: object) -> str:
    """Say in a few words what a TOML value is: its type, and itself where it is short."""
    match value:
        case bool():
            return str(value).lower()
        case int() if value not in INT64:
            return "a whole number beyond 64 bits"
        case int() | float():
            return f"the number {value}"
        case str():
            return f"the text {reprlib.repr(value)}"
        case list() | dict():
            return _WORDS[type(value)]
        case _:
            return f"the date or time {value}"


def json_misfit(value: object) -> tuple[tuple[str, ...], str] | None:
    """Find what JSON cannot hold in a TOML value: the keys that lead to it, and what it is.

    A loop, since a dotted key may nest deeper than Python recurses.
    """
    todo: list[tuple[tuple[str, ...], object]] = [((), value)]
    while todo:
        path, inner = todo.pop()
        if len(path) > DEEPEST:
            return path, f"a value nested more than {DEEPEST} deep"
        if isinstance(inner, dict):
            todo += [((*path, key), item) for key, item in inner.items()]
        elif isinstance(inner, list):
            todo += [((*path, str(index)), item) for index, item in enumerate(inner)]
        elif not _is_json_scalar(inner):
            return path, describe(inner)
    return None


def _is_json_scalar(value: object) -> bool:
    match value:
        case str() | bool():
            return True
        case int():
            return value in INT64
        case float():
            return math.isfinite(value)
        case _:
            return False
