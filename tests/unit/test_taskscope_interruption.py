"""A signal is never lost, and leaves no lock behind."""

import os
import signal
import subprocess
import sys
import threading
import time
import weakref
from collections.abc import Iterator
from contextlib import suppress

import pytest

from taskscope import interruption


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interruption, "_state", interruption._State())
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGALRM)
    before = {number: signal.getsignal(number) for number in numbers}
    interruption.install()
    yield
    signal.setitimer(signal.ITIMER_REAL, 0)
    for number, handler in before.items():
        signal.signal(number, handler)


def strike() -> None:
    os.kill(os.getpid(), signal.SIGTERM)


class StruckWhileDying:
    def __del__(self) -> None:
        strike()


class Held:
    """What a finalizer may be attached to."""


@pytest.mark.parametrize("how", ["destructor", "finalizer"])
def test_a_signal_inside_a_finalizer_is_not_dropped_there(how: str) -> None:
    interruption.check()
    held: object = StruckWhileDying() if how == "destructor" else Held()
    if how == "finalizer":
        weakref.finalize(held, strike)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        del held
        wait_for_the_signal()
    assert interruption.exit_code() == 143


def test_a_signal_that_was_dropped_all_the_same_is_noticed_at_the_next_poll() -> None:
    with suppress(KeyboardInterrupt):
        strike()
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
    assert interruption.exit_code() == 143


def test_a_signal_elsewhere_is_raised_at_once_and_the_second_leaves_the_clean_up_alone() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert interruption.exit_code() == 130


def wait_for_the_signal() -> None:
    while True:
        time.sleep(0.001)


class StruckOnceTaken:
    """A lock of which a signal comes at the worst moment: it is taken, and no block knows yet."""

    def __init__(self) -> None:
        self.lock = threading.Lock()

    def __enter__(self) -> None:
        self.lock.acquire()
        signal.raise_signal(signal.SIGTERM)

    def __exit__(self, *_: object) -> None:
        self.lock.release()


def test_a_signal_that_comes_as_a_lock_is_taken_waits_and_leaves_it_free() -> None:
    struck = StruckOnceTaken()
    with pytest.raises(KeyboardInterrupt), struck:
        wait_for_the_signal()
    assert not struck.lock.locked()
    time.sleep(3 * interruption._AGAIN_SECONDS)  # it is not raised again while all is stopped
    assert interruption.exit_code() == 143


def test_a_signal_that_a_poll_has_noticed_is_not_raised_again() -> None:
    with pytest.raises(KeyboardInterrupt), StruckOnceTaken():
        interruption.check()
    time.sleep(3 * interruption._AGAIN_SECONDS)


def test_waiting_for_a_lock_is_interrupted_all_the_same() -> None:
    later = threading.Timer(0.1, strike)
    with pytest.raises(KeyboardInterrupt):  # noqa: PT012
        later.start()
        threading.Event().wait(30)
    later.join()


def test_the_third_signal_ends_what_cannot_be_stopped_in_order() -> None:
    code = """
import os, signal, time
from taskscope import interruption
interruption.install()
for _ in range(3):
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        print("stopping", flush=True)
time.sleep(60)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "stopping\n")
