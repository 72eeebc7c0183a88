"""A run on a Redis and a Prometheus that the user runs already."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest
import redis
import requests
from pipeline import eventually, failed_checks, manifest, table, taskscope
from real_redis import RedisServer, running_redis

import prometheus
from compose.ports import free_port

USER = "bench:s3cret%3D@"


@pytest.fixture(scope="module")
def broker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with running_redis(tmp_path_factory.mktemp("redis")) as server:
        with redis.Redis.from_url(server.url) as client:
            client.acl_setuser("bench", enabled=True, passwords=["+s3cret="], keys="*",
                               channels="*", categories=["+@all"])  # fmt: skip
        yield server


@pytest.fixture(scope="module")
def runs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs")


@pytest.fixture(scope="module")
def prometheus_url(runs: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Run Prometheus on the committed configuration, which reads targets/ beside it."""
    (runs / "prometheus.yml").write_text(prometheus.CONFIG.read_text())
    (runs / "rules").symlink_to(prometheus.RULES)
    (runs / "targets").mkdir()
    (runs / "targets" / "theirs.json").write_text("[]")
    url = f"http://127.0.0.1:{free_port()}"
    process = subprocess.Popen(
        [str(shutil.which("prometheus")), f"--config.file={runs / 'prometheus.yml'}",
         f"--storage.tsdb.path={tmp_path_factory.mktemp('tsdb')}", "--log.level=error",
         f"--web.listen-address={url.removeprefix('http://')}"],
    )  # fmt: skip
    try:
        eventually(lambda: _ready(url), "Prometheus")
        yield url
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


def _ready(url: str) -> bool:
    try:
        return requests.get(f"{url}/-/ready", timeout=1).ok
    except requests.RequestException:
        return False


@pytest.fixture(scope="module")
def run(broker: RedisServer, prometheus_url: str, runs: Path) -> Path:
    done = taskscope(
        "run", "throughput", "--quick", "--variant", "asynctasq", "--tasks", "200",
        "--repetitions", "1", "--out", runs / "mine",
        "--redis-url", broker.url.replace("//", f"//{USER}") + "/0",
        f"--prometheus-url={prometheus_url.replace('//', '//me:secret@')}/",
        "--listen", "127.0.0.2",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return runs / "mine"


def test_it_is_measured_as_exactly(run: Path) -> None:
    assert not failed_checks(run, "asynctasq")
    assert len(table(run, "tasks")) == 200


def test_the_run_started_neither_of_them(run: Path, broker: RedisServer) -> None:
    assert not list((run / "prometheus").iterdir())
    assert psutil.Process(broker.pid).is_running()


def test_no_credentials_are_stored(run: Path) -> None:
    text = (run / "manifest.json").read_text()
    assert manifest(run)["redis"].startswith("redis://***@127.0.0.1:")
    assert manifest(run)["prometheus"].startswith("http://***@127.0.0.1:")
    assert "s3cret" not in text
    assert "secret@" not in text
    for log in (run / "logs").iterdir():
        assert "s3cret" not in log.read_text(errors="replace"), log


def test_redis_is_left_empty_and_other_targets_alone(
    run: Path, broker: RedisServer, runs: Path
) -> None:
    assert run.exists()
    for database in range(3):
        with redis.Redis.from_url(broker.url, db=database) as client:
            assert client.keys() == []
    assert [path.name for path in (runs / "targets").iterdir()] == ["theirs.json"]


def test_its_processes_listen_where_they_were_told(run: Path, prometheus_url: str) -> None:
    (cell,) = manifest(run)["cells"]
    answer = requests.get(f"{prometheus_url}/api/v1/query", timeout=5, params={
        "query": "up", "time": cell["end"] - 0.5,
    })  # fmt: skip
    found = {s["metric"]["component"]: s["metric"]["instance"].split(":")[0]
             for s in answer.json()["data"]["result"]}  # fmt: skip
    assert found == dict.fromkeys(("worker", "generator", "exporters"), "127.0.0.2")


def test_extract_asks_the_same_prometheus_again(run: Path, prometheus_url: str) -> None:
    before = table(run, "results")
    done = taskscope("extract", run, "--prometheus-url", prometheus_url)
    assert done.returncode == 0, done.stderr
    assert table(run, "results").equals(before)


def test_extract_without_it_says_what_is_missing(run: Path) -> None:
    done = taskscope("extract", run)
    assert done.returncode == 2
    assert "recorded by the Prometheus at http://***@127.0.0.1" in done.stderr
    assert "--prometheus-url" in done.stderr
