"""The mock API as tasks meet it: what each item does, and what its metrics tell."""

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest
import requests
from pipeline import eventually
from prometheus_client.parser import text_string_to_metric_families
from promtool import promtool
from real_http import running_mock_api

from compose.ports import free_port


@pytest.fixture(scope="module")
def api() -> Iterator[str]:
    settings = {"latency_seconds": 0.05, "error_share": 0.3, "response_bytes": 300, "seed": 4}
    with running_mock_api(settings) as url:
        yield url


def metrics(url: str) -> dict[str, float]:
    text = requests.get(f"{url}/metrics", timeout=5).text
    return {
        s.name + (s.labels.get("status") or s.labels.get("le") or ""): s.value
        for family in text_string_to_metric_families(text)
        for s in family.samples
    }


def test_promtool_finds_nothing_to_say_of_its_metrics(api: str) -> None:
    requests.get(f"{api}/items/1", timeout=5)
    said = promtool("check", "metrics", stdin=requests.get(f"{api}/metrics", timeout=5).text)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_an_item_takes_its_time_and_is_always_the_same(api: str) -> None:
    began = time.perf_counter()
    first = requests.get(f"{api}/items/7", timeout=5)
    assert time.perf_counter() - began >= 0.05
    again = requests.get(f"{api}/items/7", timeout=5)
    assert (first.status_code, first.content) == (again.status_code, again.content)


def test_items_fail_as_often_as_asked_and_metrics_count_them(api: str) -> None:
    before = metrics(api)
    answers = [requests.get(f"{api}/items/{n}", timeout=5) for n in range(30)]
    failed = sum(answer.status_code == 503 for answer in answers)
    assert 0 < failed < 30
    assert all(len(a.content) == (0 if a.status_code == 503 else 300) for a in answers)
    after = metrics(api)
    assert after["mock_api_requests_total503"] - before["mock_api_requests_total503"] == failed
    asked = after["mock_api_asked_seconds_total"] - before["mock_api_asked_seconds_total"]
    assert asked == pytest.approx(30 * 0.05)
    assert after["mock_api_late_seconds_count"] - before["mock_api_late_seconds_count"] == 30
    assert after["mock_api_late_seconds_sum"] >= before["mock_api_late_seconds_sum"] >= 0
    assert after["mock_api_cpu_seconds_total"] > 0
    assert after["mock_api_loop_lag_seconds_count"] > 0
    assert after["mock_api_requests_in_flight"] == 0


def test_what_is_no_item_is_not_found(api: str) -> None:
    for path in ("items/", "items/x", "items/-1", "none"):
        assert requests.get(f"{api}/{path}", timeout=5).status_code == 404
    assert requests.get(f"{api}/settings", timeout=5).json()["seed"] == 4


def test_bandwidth_holds_a_body_back() -> None:
    with running_mock_api(
        {"latency_seconds": 0, "response_bytes": 20_000, "bandwidth_bytes": 100_000}
    ) as url:
        began = time.perf_counter()
        body = requests.get(f"{url}/items/1", timeout=5).content
        assert time.perf_counter() - began >= 0.2
        assert len(body) == 20_000
        told = metrics(url)
        assert told["mock_api_asked_seconds_total"] == pytest.approx(0.2)  # the body's time counts
        assert told["mock_api_late_seconds_count"] == 1


def test_uvicorn_serves_it_as_documented() -> None:
    port = free_port()
    with subprocess.Popen(
        [sys.executable, "-m", "uvicorn", "tasks.mock_api:app", "--port", str(port),
         "--log-level", "critical"],
        env={**os.environ, "TASKSCOPE_MOCK_API": json.dumps({"latency_seconds": 0.0})},
    ) as process:  # fmt: skip
        try:

            def healthy() -> bool:
                try:
                    return requests.get(f"http://127.0.0.1:{port}/health", timeout=1).ok
                except requests.RequestException:
                    return False

            assert eventually(healthy, "its health")
            assert requests.get(f"http://127.0.0.1:{port}/items/3", timeout=5).ok
        finally:
            process.terminate()
