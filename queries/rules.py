"""What Prometheus evaluates by itself: series that it records, and alerts.

`python -m prometheus` writes them as the files that Prometheus reads. In the text, `$by` stands for
the labels of a cell.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from string import Template
from typing import Final

from queries.files import FOLDER, family

CELL: Final = "session, scenario, framework, variant, repetition"
_LABELS: Final[tuple[str, ...]] = ("stage", "quantile")


@dataclass(frozen=True, slots=True)
class Recorded:
    """A series that is recorded, how often, and the labels that it gets besides its query's."""

    record: str
    interval: str
    unit: str
    meaning: str
    labels: Mapping[str, str]
    text: str


@dataclass(frozen=True, slots=True)
class Alert:
    """What deserves attention: `text` has an answer while it is so, for at least `lasting`."""

    name: str
    lasting: str
    severity: str
    summary: str
    remedy: str
    text: str


@cache
def recorded() -> tuple[Recorded, ...]:
    """Return what the dashboards and the live view need, so that watching costs little."""
    return tuple(_recorded("recorded"))


@cache
def known() -> tuple[Recorded, ...]:
    """Return the same facts under the names that people know from elsewhere."""
    return tuple(_recorded("known"))


@cache
def alerts() -> tuple[Alert, ...]:
    """Return all alerts."""
    return tuple(
        Alert(head["name"], head["for"], head["severity"], head["summary"], head["remedy"],
              _fill(text))
        for path in _files("alerts")
        for head, text in family(path)
    )  # fmt: skip


def _recorded(folder: str) -> Iterator[Recorded]:
    for path in _files(folder):
        for head, text in family(path):
            labels = {name: head[name] for name in _LABELS if name in head}
            yield Recorded(head["record"], head["interval"], head["unit"], head["meaning"], labels,
                           _fill(text))  # fmt: skip


def _files(folder: str) -> list[Path]:
    return sorted((FOLDER / folder).glob("*.promql"))


def _fill(text: str) -> str:
    return Template(text).substitute(by=CELL).strip()
