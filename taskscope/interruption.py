"""Ctrl-C and SIGTERM: raised at once, but where that would do harm, and remembered.

Python raises what a signal's handler raises between any two instructions: also after a lock was
taken and before the block that gives it back has begun. Whatever takes it next, to clean up, would
wait for ever. An HTTP client does that at each request. And what is raised inside a `__del__`,
Python prints and drops. So the raising waits for a better moment.

There are callbacks that nothing can be seen of. So whatever waits also asks, at each poll, whether
a signal came.
"""

import os
import signal
import time
from dataclasses import dataclass, field
from types import FrameType
from typing import Final

#: Modules that take a lock, or hold what is to be given back, outside of a block that would.
_LOCKING: Final = frozenset({
    "concurrent.futures._base", "concurrent.futures.thread", "contextlib", "http.cookiejar",
    "importlib._bootstrap", "logging", "queue", "subprocess", "tempfile", "threading",
})  # fmt: skip
_ENTERING: Final = frozenset({"__enter__", "acquire"})
_AGAIN_SECONDS: Final = 0.005
#: After so many looks that found it there, it waits there.
_MOST_LOOKS: Final = 100
_MOST_SIGNALS: Final = 3
_POLL_SECONDS: Final = 0.2


@dataclass(slots=True)
class _State:
    received: list[int] = field(default_factory=list)
    looks: int = 0
    raised: bool = False


_state = _State()


def install() -> None:
    """Handle both signals.

    What the first stops is stopped in order, and the second leaves it alone; the third ends this
    process on the spot, and a guardian the others.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _interrupt)
    signal.signal(signal.SIGALRM, _look)


def _interrupt(number: int, frame: FrameType | None) -> None:
    _state.received.append(number)
    if len(_state.received) == _MOST_SIGNALS:
        os._exit(exit_code())
    if len(_state.received) == 1:
        _look(number, frame)


def _look(_number: int, frame: FrameType | None) -> None:
    """Raise, or look again in a moment."""
    _state.looks += 1
    if frame and _does_harm(frame) and _state.looks < _MOST_LOOKS:
        signal.setitimer(signal.ITIMER_REAL, _AGAIN_SECONDS, _AGAIN_SECONDS)
    elif not _state.raised:
        _raise()


def _does_harm(frame: FrameType) -> bool:
    """Whether the frame may have taken a lock just now, or is part of a finalizer."""
    within: FrameType | None = frame
    while within:
        if within.f_code.co_name == "__del__" or within.f_globals.get("__name__") == "weakref":
            return True
        within = within.f_back
    return frame.f_globals.get("__name__") in _LOCKING or frame.f_code.co_name in _ENTERING


def _raise() -> None:
    signal.setitimer(signal.ITIMER_REAL, 0)
    _state.raised = True
    raise KeyboardInterrupt


def check() -> None:
    """Raise KeyboardInterrupt if a signal came."""
    if _state.received:
        _raise()


def exit_code() -> int:
    """Return 130 after Ctrl-C, 143 after SIGTERM, as shells have it; 0 when neither came."""
    return 128 + _state.received[0] if _state.received else 0


def wait() -> None:
    """Wait for a signal; raises KeyboardInterrupt."""
    while True:
        check()
        time.sleep(_POLL_SECONDS)
