"""Ctrl-C and SIGTERM: raised at once, and remembered in case the raising goes unnoticed.

Python drops an exception that a signal raises inside a `__del__` or another callback. So whatever
waits also asks, at each poll, whether a signal came.
"""

import signal
import time
from types import FrameType

_received: list[int] = []
_POLL_SECONDS = 0.2


def install() -> None:
    """Handle both signals. Only the first counts: what is being stopped is stopped in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    if not _received:
        _received.append(number)
        raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if a signal came."""
    if _received:
        raise KeyboardInterrupt


def exit_code() -> int:
    """Return 130 after Ctrl-C, 143 after SIGTERM, as shells have it; 0 when neither came."""
    return 128 + _received[0] if _received else 0


def wait() -> None:
    """Wait for a signal; raises KeyboardInterrupt."""
    while True:
        check()
        time.sleep(_POLL_SECONDS)
