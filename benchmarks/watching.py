"""What it costs Prometheus to be watched: .venv/bin/python -m benchmarks.watching [minutes].

A run with both sides at once fills the range that the Comparison dashboard shows (15 minutes,
unless one says less). Then periods in which all its queries are polled each 5 seconds, as by
Grafana, alternate with periods in which nobody asks; Prometheus' own CPU clock times both.
"""

import json
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psutil
import requests

import grafana
from grafana.questions import Question, questions

_POLL_SECONDS = 5.0
_PERIOD_SECONDS = 25.0
_PAIRS = 4
_RATE = 40
_SIDES = ("asynctasq", "celery-prefork-late-ack")
_QUESTIONS = [q for q in questions() if q.dashboard == grafana.COMPARISON_UID]


@contextmanager
def running(seconds: float) -> Iterator[Path]:
    """Run known-answer, both sides at once, for at least so long; yield its directory."""
    with tempfile.TemporaryDirectory() as scratch:
        directory = Path(scratch) / "run"
        tasks = int((seconds + 60) * _RATE)
        process = subprocess.Popen(
            [Path(sys.executable).with_name("taskscope"), "run", "known-answer", "--together",
             "--repetitions", "1", "--tasks", str(tasks), "--out", str(directory)],
            stderr=subprocess.DEVNULL,
        )  # fmt: skip
        try:
            yield directory
        finally:
            process.terminate()
            process.wait()


def prometheus_of(directory: Path) -> tuple[psutil.Process, str]:
    """Wait for the run's Prometheus; return its process and its URL."""
    while not (roles := list((directory / "stack").glob("roles-*.json"))):
        time.sleep(0.1)
    process = psutil.Process(json.loads(roles[0].read_text())["monitoring"][0])
    address = next(w for w in process.cmdline() if w.startswith("--web.listen-address="))
    return process, f"http://{address.partition('=')[2]}/api/v1"


def cores(process: psutil.Process, period: float, poll: "Poll | None") -> float:
    """Return how many cores the process used in a period, polled or not."""
    began, used = time.monotonic(), sum(process.cpu_times()[:2])
    for turn in range(round(period / _POLL_SECONDS)):
        if poll:
            poll.once()
        time.sleep(max(0.0, began + (turn + 1) * _POLL_SECONDS - time.monotonic()))
    return (sum(process.cpu_times()[:2]) - used) / (time.monotonic() - began)


class Poll:
    """All queries of the dashboard, for a range up to now."""

    def __init__(self, url: str, range_seconds: float) -> None:
        self._url, self._range = url, range_seconds
        self._http = requests.Session()
        self._http.trust_env = False
        (session,) = self._get("label/session/values", {})
        self._chosen = {"session": session, "scenario": "known-answer", "left": _SIDES[0],
                        "right": _SIDES[1], "repetition": ".*"}  # fmt: skip
        self.bytes = 0

    def once(self) -> None:
        """Ask everything once."""
        end = time.time()
        self.bytes = sum(self._ask(question, end) for question in _QUESTIONS)

    def _ask(self, question: Question, end: float) -> int:
        path, parameters = question.request(self._chosen, end - self._range, end)
        return len(json.dumps(self._get(path, parameters)))

    def _get(self, path: str, parameters: dict[str, object]) -> list[str]:
        answer = self._http.get(f"{self._url}/{path}", params=parameters, timeout=30)
        answer.raise_for_status()
        found: list[str] = answer.json()["data"]
        return found


def main() -> None:
    """Print what was measured."""
    minutes = float(sys.argv[1]) if len(sys.argv) > 1 else 15.0
    measured = 2 * _PAIRS * _PERIOD_SECONDS
    with running(60 * minutes + measured + 30) as directory:
        process, url = prometheus_of(directory)
        time.sleep(60 * minutes + 20)
        poll = Poll(url, 60 * minutes)
        pairs = [(cores(process, _PERIOD_SECONDS, None), cores(process, _PERIOD_SECONDS, poll))
                 for _ in range(_PAIRS)]  # fmt: skip
    costs = [polled - alone for alone, polled in pairs]
    print(  # noqa: T201
        f"{len(_QUESTIONS)} queries each {_POLL_SECONDS:g} s over {minutes:g} minutes "
        f"({poll.bytes / 1e6:.1f} MB an answer of all): Prometheus used "
        f"{statistics.median(p for p, _ in pairs):.2%} of a core alone, "
        f"{statistics.median(p for _, p in pairs):.2%} polled; the difference of {_PAIRS} pairs: "
        f"median {statistics.median(costs):.2%}, {min(costs):.2%} to {max(costs):.2%}"
    )


if __name__ == "__main__":
    main()
