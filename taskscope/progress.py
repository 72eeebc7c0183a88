"""What every view of a long command shares: how it stays on the screen, and the time left."""

import time
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager, nullcontext

from rich.console import Console, RenderableType
from rich.live import Live


def display(
    console: Console, render: Callable[[], RenderableType]
) -> AbstractContextManager[object]:
    """Draw what `render` returns again and again while the block lasts; nothing off a terminal."""
    if not console.is_terminal:
        return nullcontext()
    return Live(get_renderable=render, console=console, refresh_per_second=4, transient=True)


def time_left(durations: Sequence[float], steps: int, began: float) -> str:
    """Say how long `steps` take, the present one included, which began at that monotonic instant.

    `durations` are those of the steps so far, of which there is at least one.
    """
    mean = sum(durations) / len(durations)
    minutes, seconds = divmod(max(0, round(mean * steps - (time.monotonic() - began))), 60)
    return f"about {minutes}:{seconds:02d} left"
