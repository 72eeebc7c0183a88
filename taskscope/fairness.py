"""The fairness card of a scenario: why each side is set as it is, and what was tried instead.

It is data in the scenario's file, beside the settings that it gives reasons for.
"""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Final

from taskscope.strict import Table

_CARD: Final = ("reasons", "handicaps", "rejected")
_REJECTED: Final = ("setting", "because", "measured", "instead", "how")


@dataclass(frozen=True, slots=True)
class Reason:
    """A setting of a variant, and why it is as it is."""

    setting: str
    why: str


@dataclass(frozen=True, slots=True)
class Rejected:
    """A setting that was tried, why it was rejected, and the numbers of both.

    `measured` is what came out with it, `instead` with the setting that was kept, and `how` says
    where and when, so that whoever doubts it can measure again.
    """

    setting: str
    because: str
    measured: str
    instead: str
    how: str


@dataclass(frozen=True, slots=True)
class Card:
    """What holds for a variant, or for all of a framework where `variant` has its name.

    `handicaps` are what no setting can mend.
    """

    variant: str
    reasons: tuple[Reason, ...]
    handicaps: tuple[str, ...]
    rejected: tuple[Rejected, ...]


def cards(table: Table, names: Collection[str]) -> tuple[Card, ...]:
    """Read `[fairness.<name>]`, of variants and frameworks. UsageError for every misfit."""
    table.only(tuple(names))
    return tuple(_card(table.table(name), name) for name in table.values)


def _card(table: Table, name: str) -> Card:
    table.only(_CARD)
    reasons = table.optional_table("reasons")
    return Card(
        name,
        tuple(Reason(setting, reasons.text(setting)) for setting in reasons.values),
        table.texts("handicaps") if "handicaps" in table.values else (),
        tuple(_rejected(each) for each in table.tables("rejected")),
    )


def _rejected(table: Table) -> Rejected:
    table.only(_REJECTED)
    return Rejected(**{name: table.text(name) for name in _REJECTED})
