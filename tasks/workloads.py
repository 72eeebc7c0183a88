"""What tasks do, as plain functions that know no framework.

Where waiting is the work, there is a coroutine too, since that is how each side's users write it.
"""

import asyncio
import time


def noop() -> None:
    """Do nothing: what remains is the cost of the queue itself."""


def sleep(seconds: float) -> None:
    """Wait, blocking the thread."""
    time.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """Wait, leaving the event loop to others."""
    await asyncio.sleep(seconds)
