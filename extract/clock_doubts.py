"""Doubts about intervals between hosts: apart from `clocks`, as doubts bring scipy with them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import pandas as pd

from extract.clocks import of_cell, sentence
from extract.doubts import Doubt


def doubts(clocks: pd.DataFrame, scenario: str, variants: Sequence[str]) -> Iterator[Doubt]:
    """Yield a doubt for each host whose clock the variants' cross-host intervals contain.

    Of several repetitions, the one whose clock was furthest off speaks.
    """
    for variant in variants:
        rows = of_cell(clocks, scenario, variant)
        for host in dict.fromkeys(row["host"] for row in rows):
            furthest = max((r for r in rows if r["host"] == host), key=_worst)
            yield Doubt(
                "clocks",
                f"{variant}: {sentence(furthest)}",
                "Synchronise the clocks (chrony, NTP), or measure on one host.",
            )


def _worst(row: Mapping[str, Any]) -> float:
    if pd.isna(row["offset_ns"]):
        return float("inf")
    return float(abs(row["offset_ns"]) + row["uncertainty_ns"])
