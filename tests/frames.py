"""Hand-made attempts for tests: milliseconds after a base, as a frame of the dataset's tasks."""

from collections.abc import Sequence
from typing import Any

import pandas as pd

BASE = 1_795_308_000_000_000_001  # odd: a float holds such a number only to the next 256
MS = 1_000_000
INSTANTS = ("scheduled", "sent", "due", "received", "started", "completed", "acked")


def attempt(task_id: str, sent: float | None, received: float | None, started: float,
            completed: float, **more: Any) -> dict[str, Any]:  # fmt: skip
    """Lay out one attempt; instants are milliseconds after BASE, None where there is none."""
    instants = {"sent": sent, "received": received, "started": started, "completed": completed}
    instants |= {name: more.pop(name, None) for name in ("scheduled", "due", "acked")}
    facts = {"task_id": task_id, "trace_id": f"{abs(hash(task_id)):032x}"[:32],
             "span_id": f"{abs(hash((task_id, started))):016x}"[:16], "scenario": "s",
             "framework": "f", "variant": "v", "repetition": 1, "task": "job", "queue": "q",
             "outcome": "success", "attempt": 1, "worker": "host:1/1"}  # fmt: skip
    return {**facts, **more, **{
        f"{name}_ns": None if ms is None else BASE + round(ms * MS)
        for name, ms in instants.items()}}  # fmt: skip


def frame(rows: Sequence[dict[str, Any]]) -> pd.DataFrame:
    """Lay out attempts as the dataset has them."""
    kinds = {f"{name}_ns": "Int64" for name in INSTANTS} | {"repetition": "int64",
                                                            "attempt": "int64"}  # fmt: skip
    table = pd.DataFrame(rows, dtype=object)
    return table.astype({name: kinds.get(name, "string") for name in table.columns})


def calm(count: int = 20, *, every: float = 100.0, first: float = 0.0, execution: float = 10.0,
         **more: Any) -> list[dict[str, Any]]:  # fmt: skip
    """Attempts that nothing disturbed, one after the other."""
    return [
        attempt(f"calm-{first}-{n}", at, at + 1, at + 2, at + 2 + execution, **more)
        for n, at in ((n, first + n * every) for n in range(count))
    ]
