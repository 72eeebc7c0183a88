"""What the orchestrator must know while a cell runs, asked of Prometheus: never of the workers.

None of it is a result. Results are derived afterwards, at the marks.
"""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

from compose.errors import ServiceError
from extract.promql import selector
from taskscope import prometheus_api

_POLL_SECONDS: Final = 0.1

type Check = Callable[[], None]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long, in seconds, each kind of waiting may last without any progress."""

    up_seconds: float = 45.0
    stall_seconds: float = 60.0
    settle_seconds: float = 30.0
    silence_seconds: int = 10


class Observer:
    """Watches one cell through Prometheus. `check` is called between polls and may raise."""

    def __init__(
        self, url: str, labels: Mapping[str, str], check: Check, patience: Patience | None = None
    ) -> None:
        self._url = url
        self._prometheus = prometheus_api.connect(url)
        self._cell = selector(labels)
        self._check = check
        self._patience = patience or Patience()
        self._ended_before = 0.0

    def ask(self, query: str) -> float | None:
        """Evaluate a query now, with `$cell` filled in; None when nothing answers."""
        with prometheus_api.explained(self._url):
            answer = self._prometheus.custom_query(query.replace("$cell", self._cell))
        return float(answer[0]["value"][1]) if answer else None

    def wait_up(self, components: int) -> None:
        """Wait until Prometheus has scraped that many targets of the cell."""
        seconds = self._patience.up_seconds
        deadline = time.monotonic() + seconds
        while self.ask("sum(up{$cell})") != components:
            self._check()
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"Prometheus did not see all {components} targets of the cell up within "
                    f"{seconds:g} s.",
                    "With --prometheus-url, it must read the targets folder with file_sd: "
                    "see docs/remote.md. Else see the logs of worker, generator and exporters.",
                )
            time.sleep(_POLL_SECONDS)
        # Workers that run already have ended tasks of others before.
        self._ended_before = self.ask(_ENDED) or 0.0

    def wait_sent(self, sent: Callable[[], bool]) -> None:
        """Wait until `sent`. However slow the schedule, the broker must answer meanwhile."""
        seconds = self._patience.silence_seconds
        asked = time.monotonic()
        while not sent():
            self._check()
            if time.monotonic() - asked >= 1:
                asked = time.monotonic()
                if not self.ask(f"sum(sum_over_time({_BROKER_READ}[{seconds}s]))"):
                    raise ServiceError(
                        f"The exporters could not read from Redis for {seconds} s.",
                        "Is it overloaded, or stopped? See the exporters' log.",
                    )
            time.sleep(_POLL_SECONDS / 2)

    def wait_drained(self, tasks: int) -> None:
        """Wait until `tasks` were completed for good, all told, and the broker holds none.

        ServiceError when no further task completes for a minute.
        """
        seconds = self._patience.stall_seconds
        ended, changed = -1.0, time.monotonic()
        while True:
            self._check()
            now_ended = (self.ask(_ENDED) or 0.0) - self._ended_before
            if now_ended >= tasks and self.ask("sum(taskqueue_queue_depth{$cell})") == 0:
                return
            if now_ended != ended:
                ended, changed = now_ended, time.monotonic()
            if time.monotonic() - changed > seconds:
                raise ServiceError(
                    f"No task completed for {seconds:g} s: {now_ended:.0f} of {tasks} are done.",
                    "See the worker's log; a task may hang, or have been lost by the broker.",
                )
            time.sleep(_POLL_SECONDS)

    def settle(self) -> None:
        """Wait until every target has been scraped once more from now on."""
        now, deadline = time.time(), time.monotonic() + self._patience.settle_seconds
        while (self.ask("min(timestamp(up{$cell}))") or 0.0) <= now:
            self._check()
            if time.monotonic() > deadline:
                raise ServiceError(
                    "Prometheus stopped scraping the cell's targets.",
                    "See logs/prometheus.log; do its clock and this machine's agree?",
                )
            time.sleep(_POLL_SECONDS)


_ENDED: Final = 'sum(taskqueue_execution_seconds_count{$cell, outcome!="retry"})'
_BROKER_READ: Final = 'taskscope_exporter_read_success{$cell, source="broker"}'
