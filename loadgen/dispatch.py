"""What a dispatcher is: the seam between the generator and a framework."""

from typing import Protocol

from loadgen.pacer import Pacer
from loadgen.plan import Plan, Sent


class Dispatcher(Protocol):
    """Sends one framework's tasks. Built once, used for every phase, then closed."""

    def __init__(self, plan: Plan) -> None: ...

    def dispatch(self, pacer: Pacer) -> Sent:
        """Make each call that the pacer hands out, when it is due; return when all are sent.

        At most `plan.in_flight` publishes are under way at once. A failed publish is counted and
        the next task is sent all the same.
        """

    def close(self) -> None:
        """Give connections back."""


class Tally:
    """Counts publishes of one phase and keeps the first error, for the answer."""

    def __init__(self) -> None:
        self.sent = 0
        self.failed = 0
        self.error = ""

    def failure(self, error: Exception) -> None:
        """Count a failed publish."""
        self.failed += 1
        self.error = self.error or f"{type(error).__name__}: {error}"

    def answer(self) -> Sent:
        """Write the phase's answer."""
        return Sent(sent=self.sent, failed=self.failed, error=self.error)
