"""A signal is never lost, and leaves nothing half done where that would do harm."""

import os
import signal
import threading
from collections.abc import Iterator

import pytest

from compose import interruption


@pytest.fixture(autouse=True)
def handlers(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(interruption, "_state", interruption._State())
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interruption.install()
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


class StruckWhileDying:
    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGTERM)


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_a_signal_inside_a_destructor_is_noticed_at_the_next_poll() -> None:
    interruption.check()
    struck = StruckWhileDying()
    del struck  # Python prints the KeyboardInterrupt and goes on
    with pytest.raises(KeyboardInterrupt):
        interruption.check()
    assert interruption.exit_code() == 143


def test_a_signal_elsewhere_is_raised_at_once_and_the_second_leaves_the_clean_up_alone() -> None:
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
    signal.raise_signal(signal.SIGTERM)
    assert interruption.exit_code() == 130


class StruckOnceTaken:
    """A lock of which a signal comes at the worst moment: it is taken, and nobody knows yet."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self.locked = self._lock.locked
        self.release = self._lock.release

    def acquire(self) -> None:
        self._lock.acquire()

    def __enter__(self) -> None:
        self._lock.acquire()
        signal.raise_signal(signal.SIGTERM)

    def __exit__(self, *_: object) -> None:
        self._lock.release()


def test_a_deferred_signal_leaves_no_lock_behind_and_is_raised_where_it_is_asked_for() -> None:
    lock = StruckOnceTaken()
    condition = threading.Condition(lock)  # type: ignore[arg-type]
    seen = []
    with pytest.raises(KeyboardInterrupt), interruption.deferred():  # noqa: PT012
        with condition:
            seen.append("goes on")
        assert not lock.locked()
        interruption.check()
        seen.append("never")
    assert seen == ["goes on"]
    signal.raise_signal(signal.SIGINT)  # while what was interrupted is being stopped
    assert interruption.exit_code() == 143


def test_a_deferred_signal_is_raised_at_the_end_at_the_latest() -> None:
    seen = []
    with pytest.raises(KeyboardInterrupt), interruption.deferred():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        seen.append("goes on")
    assert seen == ["goes on"]


def test_an_error_that_ends_the_block_is_not_hidden_by_a_signal() -> None:
    with pytest.raises(ValueError, match="its own"), interruption.deferred():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        raise ValueError("its own")
    assert interruption.exit_code() == 130


def test_the_second_signal_is_raised_at_once_where_nobody_noticed_the_first() -> None:
    with pytest.raises(KeyboardInterrupt), interruption.deferred():  # noqa: PT012
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        pytest.fail("it was deferred")


def test_after_the_block_signals_are_raised_at_once_again() -> None:
    with interruption.deferred():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)
