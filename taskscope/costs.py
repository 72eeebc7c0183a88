"""What instrumentation costs the variants of a run, where a ledger of it lies in the dataset.

The ledger is `dataset/overhead.parquet`: `scenario, variant, mode, repetition, metric, value`, one
row a timing, of which `mode` "bare" is without instrumentation and "default" as runs have it.
"""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from extract.contrast import figure
from extract.paired import pair_up
from extract.statistics import Figure

_FILE = "overhead.parquet"
_METRICS = {"throughput": "throughput", "cpu_per_task": "CPU per task"}


def line(dataset: Path, scenario: str, variants: Sequence[str]) -> str:
    """Say in a line what it costs each of the variants; "" where nobody measured it."""
    try:
        rows = pd.read_parquet(dataset / _FILE)
    except FileNotFoundError:
        return ""
    chosen = rows[rows["scenario"] == scenario]
    parts = [part for variant in variants if variant for part in _parts(chosen, variant)]
    return f"Instrumentation changes {'; '.join(parts)}." if parts else ""


def _parts(rows: pd.DataFrame, variant: str) -> Iterator[str]:
    wide = rows[rows["variant"] == variant].pivot_table(
        index=["metric", "repetition"], columns="mode", values="value"
    )
    if not {"bare", "default"} <= set(wide.columns):
        return
    both = wide.dropna(subset=["bare", "default"])
    for metric, words in _METRICS.items():
        blocks = both[both.index.get_level_values("metric") == metric]
        with_it, without = (tuple(blocks[mode].tolist()) for mode in ("default", "bare"))
        found = pair_up(with_it, without)
        if found and found.scale == "ratio":
            yield f"{variant}'s {words} by {_percent(figure(found))}"


def _percent(ratio: Figure) -> str:
    ends = [f"{100 * (x - 1):+.1f}" for x in (ratio.value, ratio.lower, ratio.upper) if x]
    return f"{ends[0]} % ({' to '.join(ends[1:])})" if ends[1:] else f"{ends[0]} %"
