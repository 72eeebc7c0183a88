"""What `taskscope run --grafana-url` does: marks each cell, and says where to look.

Marks are made between cells, never while one is measured, and nothing that Grafana does or fails to
do reaches the run: the first failure is told once, and ends it.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlencode

from grafana_client import GrafanaApi

import grafana
from compose.broker import redacted
from extract.manifest import CellRecord, Manifest
from taskscope import grafana_api, together
from taskscope.errors import TaskscopeError
from taskscope.grafana_api import explained

_LIVE: Final = {"from": "now-15m", "to": "now", "refresh": "5s"}


class Marks:
    """Marks a run in a Grafana, for as long as that works; `tell` hears what people should know.

    `pairs` are the two sides of each scenario, by its name.
    """

    def __init__(
        self, base_url: str, pairs: Mapping[str, Sequence[str]], tell: Callable[[str], None]
    ) -> None:
        self._base_url = base_url
        self._pairs = pairs
        self._tell = tell
        self._api: GrafanaApi | None = None

    def begin(self, session: str, prometheus_url: str) -> None:
        """See whether there is a Grafana that lets us in, and tell where the run can be watched."""
        with _Harmless(self._give_up):
            api = grafana_api.connect(self._base_url, grafana_api.token())
            grafana_api.check(api, self._base_url)
            self._api = api
        for scenario, pair in self._pairs.items():
            self._tell(f"Watch it: {_address(self._base_url, session, scenario, pair, _LIVE)}")
        self._tell(f"Its Prometheus: {redacted(prometheus_url)}")

    def cells(self, session: str, records: Iterable[CellRecord]) -> None:
        """Mark cells that have ended, as regions; one with problems is tagged as a fault."""
        for record in records:
            for tags, text in _said(record):
                if record.start is not None:
                    self._mark([session, *tags], text, record.start, record.end)

    def end(self, manifest: Manifest) -> None:
        """Mark the whole run, and tell where exactly its time is shown."""
        if span := _span(manifest):
            names = ", ".join(dict.fromkeys(cell.scenario for cell in manifest.cells))
            text = f"run {manifest.session} of {names}: {manifest.status}"
            self._mark([manifest.session, "run"], text, *span)
        for scenario, pair in self._pairs.items():
            if span := _span(manifest, scenario):
                when = {"from": f"{math.floor(span[0])}000", "to": f"{math.ceil(span[1])}000"}
                address = _address(self._base_url, manifest.session, scenario, pair, when)
                self._tell(f"In Grafana: {address}")

    def _mark(self, tags: Sequence[str], text: str, begin: float, end: float | None) -> None:
        if self._api is None:
            return
        with _Harmless(self._give_up), explained(self._base_url, "write annotations"):
            self._api.annotations.add_annotation(
                time_from=round(begin * 1000),
                time_to=None if end is None else round(end * 1000),
                tags=[grafana.TAG, *tags],
                text=text,
            )

    def _give_up(self, why: str) -> None:
        self._api = None
        self._tell(f"The run is not marked in Grafana, and goes on: {why}")


class _Harmless:
    """A block whose failures are told and go no further; only an interruption passes."""

    def __init__(self, tell: Callable[[str], None]) -> None:
        self._tell = tell

    def __enter__(self) -> None:
        """Nothing is needed."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: object
    ) -> bool:
        if not isinstance(error, Exception):
            return False
        why = f"{error.cause} {error.remedy}" if isinstance(error, TaskscopeError) else repr(error)
        self._tell(why)
        return True


def _said(record: CellRecord) -> Iterator[tuple[list[str], str]]:
    where = f"{record.scenario}, {record.variant} repetition {record.repetition}"
    yield ["repetition", record.variant], where
    for problem in record.problems:
        if problem != together.PROBLEM:
            yield ["fault", record.variant], f"{where}: {problem.message}"


def _span(manifest: Manifest, scenario: str | None = None) -> tuple[float, float] | None:
    """Return when a scenario (or all) began and ended; the first begins with the run."""
    cells = [c for c in manifest.cells if c.measured and scenario in {None, c.scenario}]
    if not cells:
        return None
    begin = min(cell.start for cell in cells if cell.start is not None)
    if scenario in {None, manifest.cells[0].scenario}:
        begin = min(begin, datetime.fromisoformat(manifest.created).timestamp())
    return begin, max(cell.end for cell in cells if cell.end is not None)


def _address(
    base_url: str, session: str, scenario: str, pair: Sequence[str], when: Mapping[str, str]
) -> str:
    sides = dict(zip(("var-left", "var-right"), [name for name in pair if name], strict=False))
    chosen = {**when, "var-session": session, "var-scenario": scenario, **sides}
    return f"{base_url}/d/{grafana.COMPARISON_UID}?{urlencode(chosen)}"
