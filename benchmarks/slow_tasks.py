"""How long it takes to explain the slowest tasks of a large run: .venv/bin/python -m benchmarks.slow_tasks."""  # noqa: E501

import sys
from time import perf_counter

import numpy as np
import pandas as pd

from extract.slow import slowest


def overloaded(count: int, workers: int = 8) -> pd.DataFrame:
    """Make attempts of one cell: sent faster than the workers execute them, one at a time each."""
    rng = np.random.default_rng(1)
    execution = rng.exponential(1e6, count).astype(np.int64) + 1
    worker = np.arange(count) % workers
    base = 1_795_308_000_000_000_001
    sent = base + np.arange(count) * 100_000
    ended = np.zeros(count, dtype=np.int64)
    for each in range(workers):
        mine = worker == each
        ended[mine] = base + np.cumsum(execution[mine] + 50_000) + 10**7
    completed = np.maximum(ended, sent + execution + 3000)
    started = completed - execution
    ids = pd.Series(np.arange(count)).astype("string")
    text = {"scenario": "s", "framework": "f", "variant": "v", "task": "job", "queue": "q",
            "outcome": "success"}  # fmt: skip
    frame = pd.DataFrame({
        "task_id": ids, "trace_id": ids, "span_id": ids, "repetition": 1, "attempt": 1,
        "worker": ("host:1/" + pd.Series(worker).astype("string")),
        "scheduled_ns": pd.NA, "sent_ns": sent, "due_ns": pd.NA,
        "received_ns": np.maximum(started - 2_000_000, sent + 1), "started_ns": started,
        "completed_ns": completed, "acked_ns": completed + 1000,
    })  # fmt: skip
    instants = {name: "Int64" for name in frame.columns if str(name).endswith("_ns")}
    return frame.assign(**{k: pd.Series([v], dtype="string").repeat(count).to_numpy()
                           for k, v in text.items()}).astype(
        instants | dict.fromkeys(text, "string"))  # fmt: skip


def main() -> None:
    """Print one line."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    tasks = overloaded(count)
    begin = perf_counter()
    records = slowest(tasks, 20)
    seconds = perf_counter() - begin
    print(f"{count:,} tasks: the {len(records)} slowest explained in {seconds:.2f} s, "  # noqa: T201
          f"the first: {records[0]['cause']['kind']}")  # fmt: skip


if __name__ == "__main__":
    main()
