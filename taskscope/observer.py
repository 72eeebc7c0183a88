"""What the orchestrator must know while a cell runs, asked of Prometheus: never of the workers.

None of it is a result. Results are derived afterwards, at the marks.
"""

import time
from collections.abc import Callable, Mapping

import requests
from prometheus_api_client import PrometheusConnect
from prometheus_api_client.exceptions import PrometheusApiClientException

from compose.errors import ServiceError
from extract.promql import selector

_POLL_SECONDS = 0.1
_UP_SECONDS = 45.0
_STALL_SECONDS = 60.0

type Check = Callable[[], None]


class Observer:
    """Watches one cell through Prometheus. `check` is called between polls and may raise."""

    def __init__(self, url: str, labels: Mapping[str, str], check: Check) -> None:
        self._prometheus = PrometheusConnect(url=url)
        self._cell = selector(labels)
        self._check = check

    def ask(self, query: str) -> float | None:
        """Evaluate a query now, with `$cell` filled in; None when nothing answers."""
        try:
            answer = self._prometheus.custom_query(query.replace("$cell", self._cell))
        except (requests.RequestException, PrometheusApiClientException) as error:
            raise ServiceError(f"Prometheus did not answer: {error}", "See logs/prometheus.log.") \
                from None  # fmt: skip
        return float(answer[0]["value"][1]) if answer else None

    def wait_up(self, components: int) -> None:
        """Wait until Prometheus has scraped that many targets of the cell."""
        deadline = time.monotonic() + _UP_SECONDS
        while self.ask("sum(up{$cell})") != components:
            self._check()
            if time.monotonic() > deadline:
                raise ServiceError(
                    f"Prometheus did not see all {components} targets of the cell up within "
                    f"{_UP_SECONDS:g} s.",
                    "With --prometheus-url, it must read the targets folder with file_sd: "
                    "see docs/remote.md. Else see the logs of worker, generator and exporters.",
                )
            time.sleep(_POLL_SECONDS)

    def wait_drained(self, tasks: int) -> None:
        """Wait until `tasks` were completed for good, all told, and the broker holds none.

        ServiceError when no further task completes for a minute.
        """
        ended, changed = -1.0, time.monotonic()
        while True:
            self._check()
            now_ended = self.ask(_ENDED) or 0.0
            if now_ended >= tasks and self.ask("sum(taskqueue_queue_depth{$cell})") == 0:
                return
            if now_ended != ended:
                ended, changed = now_ended, time.monotonic()
            if time.monotonic() - changed > _STALL_SECONDS:
                raise ServiceError(
                    f"No task completed for {_STALL_SECONDS:g} s: {now_ended:.0f} of {tasks} are "
                    "done.",
                    "See the worker's log; a task may hang, or have been lost by the broker.",
                )
            time.sleep(_POLL_SECONDS)

    def settle(self) -> None:
        """Wait until every target has been scraped once more from now on."""
        now = time.time()
        while (self.ask("min(timestamp(up{$cell}))") or 0.0) <= now:
            self._check()
            time.sleep(_POLL_SECONDS)


_ENDED = 'sum(taskqueue_execution_seconds_count{$cell, outcome!="retry"})'
