"""Ctrl-C and SIGTERM: raised at once, or where nothing is left half done.

Python raises what a signal handler raises between any two instructions: also after a lock was taken
and before the block that gives it back has begun, so that the next to take it waits for ever. It
drops it inside a `__del__` or another callback. So whatever waits asks, at each poll, whether a
signal came, and while processes run nothing but that is interrupted.
"""

import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType

_POLL_SECONDS = 0.2


@dataclass(slots=True)
class _State:
    received: int = 0
    deferring: bool = False
    raised: bool = False


_state = _State()


def install() -> None:
    """Handle both signals. Once raised, more are ignored: what is being stopped ends in order."""
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)


def _interrupt(number: int, _frame: FrameType | None) -> None:
    left_to_check = _state.deferring and not _state.received
    _state.received = _state.received or number
    if not (left_to_check or _state.raised):
        _raise()


def _raise() -> None:
    _state.raised = True
    raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if a signal came."""
    if _state.received:
        _raise()


@contextmanager
def deferred() -> Iterator[None]:
    """Leave a signal to `check` while the block lasts; at its end at the latest, it is raised.

    A second signal is raised at once, where the first was not noticed yet.
    """
    before, _state.deferring = _state.deferring, True
    try:
        yield
    finally:
        _state.deferring = before
    check()


def exit_code() -> int:
    """Return 130 after Ctrl-C, 143 after SIGTERM, as shells have it; 0 when neither came."""
    return 128 + _state.received if _state.received else 0


def wait() -> None:
    """Wait for a signal; raises KeyboardInterrupt."""
    while True:
        check()
        time.sleep(_POLL_SECONDS)
