"""However a run is cut short: what was measured is kept, and nothing is left running."""

import json
import os
import signal
import socket
from pathlib import Path

import psutil
from pipeline import Run, assert_nothing_left, manifest, started, table, taskscope

from compose import guardian

SHORT = ("throughput", "--variant", "asynctasq", "--tasks", "50", "--quick", "--repetitions", "2")


def interrupted_in_second_cell(directory: Path, number: int) -> Run:
    with started(directory, *SHORT) as run:
        run.wait_measuring(1)
        run._eventually(lambda: len(run.manifest["cells"]) == 1, "the first cell")
        run.wait_worker()
        os.kill(run.process.pid, number)
        run.end()
        assert not guardian.marked(run.manifest["session"])
        return run


def test_ctrl_c_keeps_the_cells_so_far(tmp_path: Path) -> None:
    run = interrupted_in_second_cell(tmp_path / "run", signal.SIGINT)
    assert run.process.returncode == 130, run.output
    assert run.manifest["status"] == "interrupted"
    assert "taskscope extract" in run.output
    assert "Traceback" not in run.output

    done = taskscope("extract", run.directory, "--json")
    assert json.loads(done.stdout)["status"] == "interrupted", done.stderr
    audit = table(run.directory, "audit")
    assert audit["ok"].all()
    assert set(audit["repetition"]) == {1}
    assert len(table(run.directory, "tasks")) == 50


def test_sigterm_in_the_first_cell(tmp_path: Path) -> None:
    with started(tmp_path / "run", "known-answer") as run:
        run.wait_worker()
        run.process.terminate()
        assert run.end() == 143, run.output
        assert not guardian.marked(run.manifest["session"])
    assert run.manifest["status"] == "interrupted"
    assert "Traceback" not in run.output
    # Nothing was measured; extracting it says so instead of breaking.
    done = taskscope("extract", run.directory)
    assert done.returncode == 4, done.stderr
    assert len(table(run.directory, "results")) == 0


#: Imported at the start of every Python below: the run's own gets SIGTERM once, just when its HTTP
#: client has taken a lock and before the block that gives it back has begun.
STRIKE = """
import os, signal, sys, threading
from pathlib import Path

run = Path(os.environ["STRUCK_RUN"])
struck = []

def due():
    roles = [file.read_text() for file in run.glob("stack/roles*.json")]
    asking = sys._getframe(2).f_code.co_qualname == "Queue.get"
    return asking and not struck and any('"worker"' in found for found in roles)

def strike():
    struck.append(True)
    (run / "struck").touch()

WITHIN = {**vars(threading), "due": due, "strike": strike, "signal": signal}  # seen as that module
exec('''
def __enter__(self):
    entered = self._lock.__enter__()
    if due():
        strike()
        signal.raise_signal(signal.SIGTERM)
    return entered
''', WITHIN)
if "taskscope.cli" in sys.orig_argv:
    threading.Condition.__enter__ = WITHIN["__enter__"]
"""


def test_sigterm_between_taking_a_lock_and_giving_it_back(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(STRIKE)
    directory = tmp_path / "run"
    environ = {"PYTHONPATH": str(tmp_path), "STRUCK_RUN": str(directory)}
    with started(directory, "known-answer", **environ) as run:
        assert run.end() == 143, run.output
        assert not guardian.marked(run.manifest["session"])
    assert (directory / "struck").exists()
    assert run.manifest["status"] == "interrupted"
    assert "Traceback" not in run.output


def test_sigterm_while_the_users_prometheus_does_not_answer_leaves_nothing(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        with started(tmp_path / "run", "known-answer", "--prometheus-url", url) as run:
            silent.settimeout(60)
            connection, _ = silent.accept()
            with connection:
                run.process.terminate()
                assert run.end() == 143, run.output
    assert run.output == ""
    assert not run.directory.exists()


LOADING = """
import os, signal, sys

class Strike:
    def find_spec(self, name, *_):
        if name == "pandas":
            os.kill(os.getpid(), signal.SIGTERM)

sys.meta_path.insert(0, Strike())
"""


def test_sigterm_while_the_commands_are_loaded(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(LOADING)
    done = taskscope("scenarios", PYTHONPATH=str(tmp_path))
    assert (done.returncode, done.stdout, done.stderr) == (143, "", "")


def test_kill_9_leaves_no_process(tmp_path: Path) -> None:
    with started(tmp_path / "run", "known-answer") as run:
        run.wait_worker()
        session = run.manifest["session"]
        broker = psutil.Process(run.roles()["broker"][0])
        assert broker in guardian.marked(session)  # Redis likes to write over its environment
        run.process.kill()
        run.end()
        assert_nothing_left(session)
        assert not broker.is_running() or broker.status() == psutil.STATUS_ZOMBIE
    assert manifest(run.directory)["status"] == "running"


def test_a_redis_that_dies_ends_the_run_and_keeps_its_cells(tmp_path: Path) -> None:
    with started(tmp_path / "run", *SHORT) as run:
        run.wait_measuring(1)
        run._eventually(lambda: len(run.manifest["cells"]) == 1, "the first cell")
        run.wait_worker()
        os.kill(run.roles()["broker"][0], signal.SIGKILL)
        assert run.end() == 3, run.output
    _check_failed(run, "redis-server")
    assert len(run.manifest["cells"]) == 1
    assert not run.manifest["cells"][0]["problems"]


def test_a_prometheus_that_dies_ends_the_run(tmp_path: Path) -> None:
    with started(tmp_path / "run", *SHORT) as run:
        run.wait_worker()
        os.kill(run.roles()["monitoring"][0], signal.SIGKILL)
        assert run.end() == 3, run.output
    _check_failed(run, "prometheus")


def _check_failed(run: Run, culprit: str) -> None:
    assert f"{culprit} was killed by SIGKILL" in run.output
    assert "Traceback" not in run.output
    assert not guardian.marked(run.manifest["session"])
    assert run.manifest["status"] == "failed"
