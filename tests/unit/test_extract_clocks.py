"""What is known of another host's clock, from pings and from causality."""

import http.server
import json
import socket
import threading
from collections.abc import Iterator

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from compose.errors import ServiceError
from extract import clock_doubts, clocks
from extract.manifest import CellRecord, ClockReading, Manifest
from extract.traces import TASK_COLUMNS
from instrumentation.server import MetricsServer
from taskscope import clocks as asking

MS = 1_000_000


def reading(lower: int, upper: int, host: str = "b") -> ClockReading:
    return ClockReading(host, "a", 0.0, lower, upper, 20)


def tasks(*rows: tuple[str, int, int]) -> pd.DataFrame:
    """Return attempts as (worker, sent, received)."""
    full = [{**dict.fromkeys(TASK_COLUMNS), "scenario": "s", "variant": "v", "repetition": 1,
             "framework": "f", "worker": worker, "sent_ns": sent, "received_ns": received,
             "attempt": 1} for worker, sent, received in rows]  # fmt: skip
    return pd.DataFrame(full, columns=pd.Index(TASK_COLUMNS)).astype(TASK_COLUMNS)


def manifest(*readings: ClockReading) -> Manifest:
    cell = CellRecord("s", "f", "v", 1, 1, start=0.0, end=1.0, clocks=readings)
    return Manifest("x", "", "complete", (), "native", "native", {}, {}, (), (), (cell,))


@given(
    st.integers(-(10**12), 10**12),
    st.lists(st.tuples(st.integers(0, 10**9), st.integers(0, 10**9)), min_size=1),
)
def test_the_truth_is_always_within_the_bounds(offset: int, delays: list[tuple[int, int]]) -> None:
    """However long each way took, and however unequal they were."""
    lower = max(-back for _, back in delays) + offset
    upper = min(there for there, _ in delays) + offset
    bounds = clocks.combined([reading(lower, upper)], None)
    assert bounds
    assert bounds[0] <= offset <= bounds[1]


def test_readings_before_and_after_bound_what_drifted_between() -> None:
    assert clocks.combined([reading(1, 3), reading(7, 9)], None) == (1, 9)


def test_no_task_is_received_before_it_is_sent() -> None:
    assert clocks.combined([reading(1, 9)], 4) == (1, 4)
    assert clocks.combined([reading(1, 9)], 40) == (1, 9)


def test_what_contradicts_itself_is_unknown_and_not_made_up() -> None:
    assert clocks.combined([reading(5, 4)], None) is None
    assert clocks.combined([reading(5, 9)], 4) is None
    found = clocks.table(manifest(reading(5, 4)), tasks(("b:1/1", 1, 2)))
    assert pd.isna(found["offset_ns"].iloc[0])
    (doubt,) = clock_doubts.doubts(found, "s", ["v"])
    assert "the clock of b was stepped" in doubt.found


def test_a_cell_on_one_host_has_no_row_and_no_doubt() -> None:
    found = clocks.table(manifest(), tasks(("a:1/1", 1, 2)))
    assert found.empty
    assert list(found.columns) == list(clocks.COLUMNS)
    assert not list(clock_doubts.doubts(found, "s", ["v"]))


def test_only_tasks_of_that_host_bound_its_clock() -> None:
    attempts = tasks(("a:1/1", 0, 2), ("b:7/8", 0, 60 * MS), ("b:7/9", 0, 52 * MS))
    found = clocks.table(manifest(reading(49 * MS, 53 * MS)), attempts)
    row = found.iloc[0]
    assert (row["least_wait_ns"], row["offset_ns"]) == (52 * MS, 50_500_000)
    assert row["uncertainty_ns"] == 1_500_000
    record = {"worker": "b:7/8", "scenario": "s", "variant": "v", "repetition": 1}
    shown = clocks.of_record(found, record)
    assert shown
    assert shown["offset_ms"] == 50.5
    assert shown["found"] == (
        "the clock of b is 50.5 ms ahead of that of a, give or take 1.5 ms, and intervals between "
        "the two contain that"
    )
    assert clocks.of_record(found, {**record, "worker": "a:1/1"}) is None


def test_of_several_repetitions_the_furthest_off_speaks() -> None:
    rows = [clocks.table(manifest(reading(low, low + 2 * MS)), tasks()).assign(repetition=number)
            for number, low in enumerate((-3 * MS, -90 * MS, MS), start=1)]  # fmt: skip
    (doubt,) = clock_doubts.doubts(pd.concat(rows), "s", ["v"])
    assert doubt.found.startswith("v: the clock of b is 89 ms behind that of a")


@pytest.fixture
def worker() -> Iterator[str]:
    server = MetricsServer(lambda *, openmetrics: "", "127.0.0.1", 0)  # noqa: ARG005
    yield server.address
    server.close()


def test_a_worker_tells_its_clock(worker: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "gethostname", lambda: "b")
    before, there, after, host = asking._ping(worker)
    assert before <= there <= after
    assert host == "b"


def test_ones_own_clock_is_not_in_doubt(worker: str) -> None:
    assert asking.read(worker) is None


def test_nobody_there_is_said() -> None:
    with pytest.raises(ServiceError, match=r"No worker answers at 127\.0\.0\.1:9") as error:
        asking.read("127.0.0.1:9")
    assert "OTEL_EXPORTER_PROMETHEUS_HOST" in error.value.remedy


def test_something_else_there_is_said() -> None:
    class Other(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            body = json.dumps({"hello": 1}).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Other)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.raises(ServiceError, match="does not tell its clock"):
        asking.read(f"127.0.0.1:{server.server_port}")
    server.shutdown()
    server.server_close()
