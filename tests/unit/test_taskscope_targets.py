"""Targets for a Prometheus that cannot read the folder."""

import json
import os
import shutil
import signal
import subprocess
from pathlib import Path

import pytest
import requests
from pipeline import TASKSCOPE, eventually, taskscope

from compose.ports import free_port
from instrumentation.server import Announcement
from taskscope import targets
from taskscope.errors import UsageError


def test_all_that_is_announced_is_collected(tmp_path: Path) -> None:
    Announcement.publish(tmp_path / "b.json", "10.0.0.6:1", {"variant": "x"})
    withdrawn = Announcement.publish(tmp_path / "c.json", "10.0.0.7:1", {})
    Announcement.publish(tmp_path / "a.json", "10.0.0.5:1", {"repetition": 2})
    withdrawn.withdraw()
    (tmp_path / "half.tmp").write_text("[")
    assert targets.collect(tmp_path) == [
        {"targets": ["10.0.0.5:1"], "labels": {"repetition": "2"}},
        {"targets": ["10.0.0.6:1"], "labels": {"variant": "x"}},
    ]


def test_a_folder_that_is_not_there_is_said(tmp_path: Path) -> None:
    done = taskscope("targets", tmp_path / "none")
    assert done.returncode == 2
    assert "is no folder of targets" in done.stderr
    assert "--prometheus-url" in done.stderr


def test_a_damaged_file_is_named(tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text("[")
    with pytest.raises(UsageError, match=r"bad\.json is no file of targets"):
        targets.collect(tmp_path)


@pytest.mark.parametrize("text", ["9465", ":9465", "host:", "host:x", "host:99999"])
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="is no address"):
        targets.address(text)


def test_an_address_that_is_taken_is_said(tmp_path: Path) -> None:
    with (
        targets.serving(tmp_path, "127.0.0.1:0") as url,
        pytest.raises(UsageError, match="cannot be listened on"),
        targets.serving(tmp_path, url.split("/")[2]),
    ):
        pass


def test_a_real_prometheus_finds_them_by_http_sd(tmp_path: Path) -> None:
    folder = tmp_path / "targets"
    folder.mkdir()
    Announcement.publish(folder / "a.json", "127.0.0.1:9", {"session": "far"})
    listen, port = f"127.0.0.1:{free_port()}", free_port()
    (tmp_path / "prometheus.yml").write_text(
        "scrape_configs: [{job_name: taskscope, http_sd_configs: "
        f"[{{url: 'http://{listen}/targets', refresh_interval: 1s}}]}}]"
    )
    serving = subprocess.Popen([*TASKSCOPE, "targets", folder, "--serve", listen],
                               stderr=subprocess.PIPE)  # fmt: skip
    prometheus = subprocess.Popen(
        [str(shutil.which("prometheus")), f"--config.file={tmp_path / 'prometheus.yml'}",
         f"--storage.tsdb.path={tmp_path / 'tsdb'}", "--log.level=error",
         f"--web.listen-address=127.0.0.1:{port}"],
    )  # fmt: skip
    try:
        found = eventually(lambda: active(port), "the target", 90)
        assert found[0]["labels"]["session"] == "far"
        assert found[0]["discoveredLabels"]["__address__"] == "127.0.0.1:9"
        assert requests.get(f"http://{listen}/etc/passwd", timeout=5).status_code == 404
        (folder / "a.json").write_text("[")
        assert requests.get(f"http://{listen}/targets", timeout=5).status_code == 500
        os.kill(serving.pid, signal.SIGINT)
        assert serving.wait(20) == 130
    finally:
        for process in (serving, prometheus):
            process.kill()
            process.wait()


def active(port: int) -> list[dict[str, dict[str, str]]]:
    try:
        answer = requests.get(f"http://127.0.0.1:{port}/api/v1/targets", timeout=2)
    except requests.ConnectionError:
        return []
    return list(json.loads(answer.text)["data"]["activeTargets"]) if answer.ok else []
