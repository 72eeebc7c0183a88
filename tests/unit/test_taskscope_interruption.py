"""A signal is never lost, even where Python drops the exception that it raises."""

import os
import signal
from collections.abc import Iterator

import pytest

from taskscope import interruption


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    interruption.install()
    yield
    interruption._received.clear()
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
