"""Made-up datasets whose truth is known, in the shape of `extract.dataset`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

type Cell = tuple[str, int]  # variant, repetition

UNITS = {
    "throughput": "tasks/s",
    "end_to_end_p50": "s",
    "end_to_end_p99": "s",
    "tasks_failed": "attempts",
}


def dataset(
    values: Mapping[tuple[str, str], Sequence[float | None]],
    failed: Mapping[Cell, str] | None = None,
    *,
    scenario: str = "s",
    session: str = "x",
    bounds: Mapping[tuple[str, str], tuple[float, float]] | None = None,
) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Lay out values by (variant, metric), one a repetition; None where there is no row."""
    rows: list[dict[str, Any]] = []
    for (variant, metric), series in values.items():
        lower, upper = (bounds or {}).get((variant, metric), (None, None))
        rows += [
            {"session": session, "scenario": scenario, "framework": "f", "variant": variant,
             "repetition": repetition, "metric": metric, "value": value, "lower": lower,
             "upper": upper, "unit": UNITS.get(metric, "units"), "source": "promql",
             "query": metric}
            for repetition, value in enumerate(series, 1) if value is not None
        ]  # fmt: skip
    cells = {
        (variant, repetition)
        for (variant, _), series in values.items()
        for repetition in range(1, len(series) + 1)
    }
    audit = [
        {"session": session, "scenario": scenario, "framework": "f", "variant": variant,
         "repetition": repetition, "check": "no swapping",
         "ok": (variant, repetition) not in (failed or {}),
         "found": (failed or {}).get((variant, repetition), ""), "remedy": "Free memory."}
        for variant, repetition in sorted(cells)
    ]  # fmt: skip
    columns = ["session", "scenario", "framework", "variant", "repetition", "metric", "value",
               "lower", "upper", "unit", "source", "query"]  # fmt: skip
    return pd.DataFrame(rows, columns=columns), pd.DataFrame(audit)


type Noise = Callable[[np.random.Generator, int], tuple[np.ndarray[Any, Any], np.ndarray[Any, Any]]]


def normal(rng: np.random.Generator, blocks: int) -> tuple[Any, Any]:
    return rng.normal(1, 0.05, blocks), rng.normal(1, 0.05, blocks)


def log_normal(rng: np.random.Generator, blocks: int) -> tuple[Any, Any]:
    return np.exp(rng.normal(0, 0.2, blocks)), np.exp(rng.normal(0, 0.2, blocks))


def rough_blocks(rng: np.random.Generator, blocks: int) -> tuple[Any, Any]:
    """Blocks that differ wildly (t with two degrees of freedom), and noise within them."""
    shared = np.exp(0.2 * rng.standard_t(2, blocks))
    first, second = log_normal(rng, blocks)
    return shared * first**0.25, shared * second**0.25


def heavy_tails(rng: np.random.Generator, blocks: int) -> tuple[Any, Any]:
    return (np.exp(0.05 * rng.standard_t(3, blocks)), np.exp(0.05 * rng.standard_t(3, blocks)))


def two_modes(rng: np.random.Generator, blocks: int) -> tuple[Any, Any]:
    """Each cell runs in one of two modes, 30 % apart, whatever its variant."""
    fast = np.where(rng.random((2, blocks)) < 0.5, 1.3, 1.0)
    first, second = fast * np.exp(rng.normal(0, 0.01, (2, blocks)))
    return first, second


NOISES: dict[str, Noise] = {
    "normal": normal,
    "log-normal": log_normal,
    "rough blocks": rough_blocks,
    "heavy tails": heavy_tails,
    "two modes": two_modes,
}
