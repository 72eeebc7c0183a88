"""Strict reading of a TOML table: every misfit names the file, the dotted key and what fits."""

import json
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Final, NoReturn

from loadgen.schedule import LARGEST_NUMBER
from taskscope.errors import UsageError
from taskscope.values import INT64, NAME, NAME_RULE, describe, json_misfit, nearest

_BARE_KEY: Final = re.compile(r"[A-Za-z0-9_-]+")


@dataclass(frozen=True, slots=True)
class Table:
    """A table that knows its file and its path in it, to say where a misfit is.

    Every reading method raises UsageError where the key is missing or its value does not fit.
    """

    source: str
    path: tuple[str, ...]
    values: Mapping[str, object]

    def only(self, known: Collection[str]) -> None:
        """Refuse every key that is not among `known`."""
        for key in self.values:
            if key not in known:
                likely = dotted(*self.path, nearest(key, known))
                raise self.problem(
                    key,
                    f"is an unknown key; the nearest known key is {likely}",
                    f"Rename or remove it. Known {self._place()}: {', '.join(known)}.",
                )

    def table(self, key: str) -> "Table":
        """Read a table."""
        value = self.required(key, "a table")
        if not isinstance(value, dict):
            self.refuse(key, "a table")
        return Table(self.source, (*self.path, key), value)

    def optional_table(self, key: str) -> "Table":
        """Read a table, empty where it is missing."""
        return self.table(key) if key in self.values else Table(self.source, (*self.path, key), {})

    def integer(self, key: str, minimum: int, why: str = "") -> int:
        """Read a whole number of at least `minimum`; `why` says what asks for it."""
        expected = f"a whole number of at least {minimum}"
        value = self.required(key, expected, why)
        if type(value) is not int or value < minimum or value not in INT64:  # a bool is no number
            self.refuse(key, expected)
        return value

    def number(self, key: str, maximum: float, why: str = "") -> float:
        """Read a number above 0 and at most `maximum`; `why` says what asks for it."""
        expected = f"a number above 0 and at most {maximum}"
        value = self.required(key, expected, why)
        if isinstance(value, bool) or not isinstance(value, int | float):
            self.refuse(key, expected)
        if not 0 < value <= maximum:
            self.refuse(key, expected)
        return float(value)

    def text(self, key: str) -> str:
        """Read text that is more than blanks, without the blanks around it."""
        expected = "text in quotes, not blank"
        value = self.required(key, expected)
        if not isinstance(value, str) or not value.strip():
            self.refuse(key, expected)
        return value.strip()

    def name(self, key: str) -> str:
        """Read text that follows NAME_RULE."""
        expected = f"a name ({NAME_RULE})"
        value = self.required(key, expected)
        if not isinstance(value, str) or not NAME.fullmatch(value):
            self.refuse(key, expected)
        return value

    def names(self, key: str) -> tuple[str, ...]:
        """Read a list of names that follow NAME_RULE."""
        expected = f"a list of names ({NAME_RULE})"
        value = self.required(key, expected)
        if not isinstance(value, list):
            self.refuse(key, expected)
        for item in value:
            if not isinstance(item, str) or not NAME.fullmatch(item):
                self.refuse(key, expected, describe(item))
        return tuple(value)

    def texts(self, key: str) -> tuple[str, ...]:
        """Read a list of texts, none of them blank."""
        expected = "a list of texts in quotes, none of them blank"
        value = self.required(key, expected)
        if not isinstance(value, list):
            self.refuse(key, expected)
        for item in value:
            if not isinstance(item, str) or not item.strip():
                self.refuse(key, expected, describe(item))
        return tuple(" ".join(item.split()) for item in value)

    def tables(self, key: str) -> "tuple[Table, ...]":
        """Read a list of tables, empty where it is missing."""
        expected = "a list of tables"
        value = self.values.get(key, [])
        if not isinstance(value, list):
            self.refuse(key, expected)
        for item in value:
            if not isinstance(item, dict):
                self.refuse(key, expected, describe(item))
        return tuple(
            Table(self.source, (*self.path, key, str(number)), item)
            for number, item in enumerate(value, start=1)
        )

    def axis(self, key: str, minimum: float, *, whole: bool) -> tuple[float, ...]:
        """Read a list of different numbers of at least `minimum` (above it, if not whole)."""
        kind = f"whole numbers of at least {minimum:g}" if whole else f"numbers above {minimum:g}"
        expected = f"a list of different {kind}"
        value = self.required(key, expected)
        if not isinstance(value, list) or not value:
            self.refuse(key, expected)
        for item in value:
            fits = type(item) is int or (type(item) is float and not whole)
            if (
                not fits
                or not (minimum <= item <= LARGEST_NUMBER)
                or (not whole and item == minimum)
            ):
                self.refuse(key, expected, describe(item))
        if len(set(value)) < len(value):
            self.refuse(key, expected, "the same number twice")
        return tuple(value)

    def choice(self, key: str, known: Collection[str]) -> str:
        """Read text that is one of `known`."""
        expected = f"one of {', '.join(known)}"
        value = self.required(key, expected)
        if not isinstance(value, str):
            self.refuse(key, expected)
        if value not in known:
            self.refuse(key, expected, f"{describe(value)}; the nearest is {nearest(value, known)}")
        return value

    def free(self, key: str) -> dict[str, object]:
        """Read a table of any keys whose values JSON can hold, empty where it is missing."""
        values = dict(self.optional_table(key).values)
        if misfit := json_misfit(values):
            path, found = misfit
            raise self.problem(
                key,
                f"holds {found} at {dotted(*path)}",
                "Keep to text, true, false, finite 64-bit numbers, and lists and tables of them.",
            )
        return values

    def required(self, key: str, expected: str, why: str = "") -> object:
        """Return the raw value of `key`, or say that what was `expected` is missing, and `why`."""
        if key not in self.values:
            section = f"[{dotted(*self.path, key)}]"
            sample = section if expected == "a table" else f"`{dotted(key)} = ...`"
            remedy = f"Add {sample} {self._place()}: {expected}."
            raise self.problem(key, f"is missing{why}", remedy)
        return self.values[key]

    def refuse(self, key: str, expected: str, found: str = "") -> NoReturn:
        """Say that `key` does not hold what was `expected`, but what was `found`."""
        what = f"must be {expected}; found {found or describe(self.values[key])}"
        raise self.problem(key, what, f"Set {dotted(*self.path, key)} to {expected}.")

    def problem(self, key: str, what: str, remedy: str) -> UsageError:
        """Return the error that says `what` is wrong with `key`."""
        return UsageError(f"{self.source}: {dotted(*self.path, key)} {what}", remedy)

    def _place(self) -> str:
        return f"under [{dotted(*self.path)}]" if self.path else "at the top of the file"


def dotted(*path: str) -> str:
    """Write a path of keys as TOML does: joined by dots, quoted where they are not bare."""
    return ".".join(part if _BARE_KEY.fullmatch(part) else json.dumps(part) for part in path)
