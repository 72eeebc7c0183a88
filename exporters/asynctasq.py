"""Queue depth of AsyncTasQ over Redis, by the layout of its Redis driver (1.7).

A delayed task whose time has come stays in the sorted set until a worker moves it to the list: it
is due, and counts as ready.
"""

from collections.abc import Iterable, Sequence
from itertools import batched

import redis

from exporters.queues import Depth

DATABASE = 0


def read_depths(client: redis.Redis, queues: Sequence[str], now: float) -> dict[str, Depth]:
    """Read the depth of each queue at ``now`` (Unix seconds) in one round trip.

    Raises redis.RedisError.
    """
    # A transaction: a task that moves from key to key is seen in one of them, once.
    with client.pipeline(transaction=True) as pipeline:
        for queue in queues:
            pipeline.llen(f"queue:{queue}")
            # The score is the Unix time from which on the task may run.
            pipeline.zcount(f"queue:{queue}:delayed", "-inf", now)
            pipeline.zcount(f"queue:{queue}:delayed", f"({now!r}", "+inf")
            pipeline.llen(f"queue:{queue}:processing")
        return parse(queues, pipeline.execute())


def parse(queues: Sequence[str], counts: Iterable[int]) -> dict[str, Depth]:
    """Turn four counts a queue (waiting, due, not yet due, processing) into depths."""
    return {
        queue: Depth(ready=waiting + due, delayed=not_due, in_flight=processing)
        for queue, (waiting, due, not_due, processing) in zip(
            queues, batched(counts, 4), strict=True
        )
    }
