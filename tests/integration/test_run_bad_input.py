"""What a user may get wrong: each ends with its cause, a remedy, an exit code, and no traceback."""

import http.server
import shutil
import socketserver
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import redis
from pipeline import taskscope
from real_redis import RedisServer

from compose.ports import free_port

PASSWORD = "pa55=word"  # noqa: S105
SCENARIO = (Path(__file__).parents[2] / "taskscope" / "scenarios" / "throughput.toml").read_text()


def refused(tmp_path: Path, *arguments: object, code: int, **environ: str) -> str:
    """Run; return what it says, having seen that it fails early and leaves nothing behind."""
    out = tmp_path / "run"
    done = taskscope("run", *arguments, "--out", out, seconds=30, **environ)
    assert done.returncode == code, done.stderr
    assert done.stdout == ""
    assert "Traceback" not in done.stderr
    assert "taskscope: " in done.stderr
    assert not out.exists()
    return done.stderr


def test_unknown_scenario(tmp_path: Path) -> None:
    said = refused(tmp_path, "througput", code=2)
    assert "unknown scenario 'througput'" in said
    assert "throughput" in said.replace("througput", "")


@pytest.mark.parametrize(
    ("find", "put", "words"),
    [
        ("repetitions = 10", "repetitons = 10", ("repetitons", "repetitions")),
        ('task = "noop"', 'task = "nope"', ("workload.task", "nope", "tasks/workloads.py")),
        ("task_acks_late", "task_ack_late", ("settings.task_ack_late", "task_acks_late")),
    ],
)
def test_a_scenario_file_that_does_not_fit(
    tmp_path: Path, find: str, put: str, words: tuple[str, ...]
) -> None:
    file = tmp_path / "my.toml"
    assert find in SCENARIO
    file.write_text(SCENARIO.replace(find, put))
    said = refused(tmp_path, file, code=2)
    assert all(word in said for word in words), said


def test_a_tempo_to_read_from_and_no_spans_sent_there(tmp_path: Path) -> None:
    said = refused(tmp_path, "throughput", "--tempo-url", "http://127.0.0.1:1", code=3)
    assert "--tempo-url says where to read spans, and none would go there." in said
    assert "Send them there with --otlp-endpoint" in said


def test_the_same_scenario_twice(tmp_path: Path) -> None:
    said = refused(tmp_path, "throughput", "throughput", code=2)
    assert "called throughput" in said


@pytest.mark.parametrize("missing", ["redis-server", "prometheus"])
def test_a_service_that_is_not_installed(tmp_path: Path, missing: str) -> None:
    path = tmp_path / "bin"
    path.mkdir()
    for program in {"redis-server", "prometheus"} - {missing}:
        (path / program).symlink_to(str(shutil.which(program)))
    said = refused(tmp_path, "throughput", code=3, PATH=str(path))
    assert f"{missing} is not installed, or not on PATH" in said
    assert "make setup" in said


@pytest.mark.parametrize("option", ["--redis-url", "--prometheus-url"])
def test_nothing_listens_there(tmp_path: Path, option: str) -> None:
    scheme = "redis" if option == "--redis-url" else "http"
    said = refused(
        tmp_path, "throughput", option, f"{scheme}://u:{PASSWORD}@127.0.0.1:{free_port()}", code=3
    )
    assert "cannot be reached" in said or "did not answer" in said
    assert "***@127.0.0.1" in said
    assert PASSWORD not in said


class Hello(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response(200)
        self.end_headers()
        self.wfile.write(b"<html>Hello</html>")

    def log_message(self, *_args: object) -> None:
        pass


class OldRedis(socketserver.StreamRequestHandler):
    """Speaks enough of Redis' protocol to say that it is 6.0."""

    def handle(self) -> None:
        while line := self.rfile.readline():
            words = [self._word() for _ in range(int(line[1:]))]
            self.wfile.write(self._answer(words))

    def _word(self) -> bytes:
        return self.rfile.read(int(self.rfile.readline()[1:]) + 2)[:-2]

    def _answer(self, words: list[bytes]) -> bytes:
        if words[0].upper() == b"INFO":
            info = b"# Server\r\nredis_version:6.0.16\r\n"
            return b"$%d\r\n%s\r\n" % (len(info), info)
        return b"+PONG\r\n" if words[0].upper() == b"PING" else b"-ERR unknown command\r\n"


@contextmanager
def serving(handler: type[socketserver.BaseRequestHandler]) -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_what_answers_is_no_redis(tmp_path: Path) -> None:
    with serving(Hello) as address:
        said = refused(tmp_path, "throughput", "--redis-url", f"redis://{address}", code=3)
    assert "is no Redis" in said


def test_what_answers_is_no_prometheus(tmp_path: Path) -> None:
    with serving(Hello) as address:
        said = refused(tmp_path, "throughput", "--prometheus-url", f"http://{address}", code=3)
    assert "did not answer" in said


def test_a_redis_that_is_too_old(tmp_path: Path) -> None:
    with serving(OldRedis) as address:
        said = refused(tmp_path, "throughput", "--redis-url", f"redis://{address}", code=3)
    assert "6.0.16: too old" in said
    assert "6.2 or newer" in said


def test_a_redis_that_needs_a_password(tmp_path: Path, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url) as client:
        client.config_set("requirepass", PASSWORD)
    said = refused(tmp_path, "throughput", "--redis-url", redis_server.url, code=3)
    assert "refused the credentials" in said
    wrong = f"redis://:wr0ng%3D@127.0.0.1:{redis_server.port}"
    said = refused(tmp_path, "throughput", f"--redis-url={wrong}", code=3)
    assert "refused the credentials" in said
    assert "wr0ng" not in said


def test_a_redis_with_data_of_others(tmp_path: Path, redis_server: RedisServer) -> None:
    with redis.Redis.from_url(redis_server.url, db=1) as client:
        client.hset("unacked", "tag", "another Celery's task")
        said = refused(tmp_path, "throughput", "--redis-url", redis_server.url, code=3)
        assert "key 'unacked' in database 1" in said
        assert "use an empty Redis" in said
        assert client.hget("unacked", "tag") == b"another Celery's task"
        assert client.dbsize() == 1


def test_an_existing_directory_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine").write_text("precious")
    done = taskscope("run", "throughput", "--out", tmp_path / "run")
    assert done.returncode == 2
    assert "exists already; a run is never overwritten" in done.stderr
    assert (tmp_path / "run" / "mine").read_text() == "precious"


def test_a_disk_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for out in (Path("/proc/runs/run"), tmp_path / "file" / "run"):
        done = taskscope("run", "throughput", "--out", out)
        assert done.returncode == 2
        assert f"{out} cannot be made or written" in done.stderr
        assert "writable disk" in done.stderr


def test_a_directory_that_is_no_run(tmp_path: Path) -> None:
    done = taskscope("extract", tmp_path)
    assert done.returncode == 2
    assert "is not a run directory: it has no manifest.json" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_damaged_manifest(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_bytes(b'{"session": "cut sho')
    done = taskscope("extract", tmp_path)
    assert done.returncode == 2
    assert "manifest.json is damaged" in done.stderr
    assert "Restore it from a copy" in done.stderr


def test_wrong_usage_is_explained_without_a_traceback() -> None:
    done = taskscope("run", "--tasks", "many")
    assert done.returncode == 2
    assert "--tasks" in done.stderr
    assert "Traceback" not in done.stderr
