"""Where in a matrix a point is, in words: by itself, so that nobody waits for scipy who asks."""

from collections.abc import Mapping


def written(point: Mapping[str, float]) -> str:
    """Write a point's axes and values: concurrency 10, workers 2."""
    return ", ".join(f"{axis.replace('_', ' ')} {value:g}" for axis, value in point.items())
