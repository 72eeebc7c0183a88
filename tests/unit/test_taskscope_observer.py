"""The observer waits as long as it should and no longer, and says what it waited for in vain."""

import http.server
import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from urllib.parse import parse_qs, urlsplit

import pytest

from compose.errors import ServiceError
from taskscope import prometheus_api
from taskscope.observer import Observer, Patience

HASTY = Patience(up_seconds=0.3, stall_seconds=0.3, settle_seconds=0.3, silence_seconds=1)


@contextmanager
def api(answer: Callable[[str], float | None], status: int = 200) -> Iterator[str]:
    """Serve Prometheus' query API: `answer` gives the value of a query, None for no series."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            value = answer(parse_qs(urlsplit(self.path).query)["query"][0])
            result = [] if value is None else [{"metric": {}, "value": [0, str(value)]}]
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps({"status": "success", "data": {"result": result}}).encode())

        def log_message(self, *_args: object) -> None:
            pass

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}"
        server.shutdown()


def observer(url: str, check: Callable[[], None] = lambda: None) -> Observer:
    return Observer(url, {"variant": "v"}, check, HASTY)


def test_it_asks_about_its_cell_only() -> None:
    asked = []
    with api(lambda query: asked.append(query) or 3.0) as url:  # type: ignore[func-returns-value]
        observer(url).wait_up(3)
    assert asked[0] == 'sum(up{variant="v"})'
    assert all('{variant="v"' in query for query in asked)


@pytest.mark.parametrize("up", [None, 2.0])
def test_targets_that_never_come_up(up: float | None) -> None:
    with api(lambda _: up) as url, pytest.raises(ServiceError, match="all 3 targets"):
        observer(url).wait_up(3)


def test_tasks_that_never_complete() -> None:
    with api(lambda _: 7.0) as url, pytest.raises(ServiceError, match="7 of 10 are done"):
        observer(url).wait_drained(10)


def test_a_queue_that_never_empties() -> None:
    answers = {"taskqueue_queue_depth": 1.0, "taskqueue_execution": 10.0}
    with (
        api(lambda q: next(v for k, v in answers.items() if k in q)) as url,
        pytest.raises(ServiceError, match="10 of 10 are done"),
    ):
        observer(url).wait_drained(10)


def test_a_task_now_and_then_is_waited_for() -> None:
    done = iter(range(10**6))
    with api(lambda q: 0.0 if "queue_depth" in q else next(done) * 1.0) as url:
        observer(url).wait_drained(8)  # 0.8 s, longer than its patience without progress
    assert next(done) >= 8


def test_scrapes_that_cease() -> None:
    with api(lambda _: 5.0) as url, pytest.raises(ServiceError, match="stopped scraping"):
        observer(url).settle()


@pytest.mark.parametrize("reads", [None, 0.0])
def test_a_broker_that_does_not_answer_while_tasks_are_sent(reads: float | None) -> None:
    with api(lambda _: reads) as url, pytest.raises(ServiceError, match="could not read from Red"):
        observer(url).wait_sent(lambda: False)


def test_a_slow_schedule_is_no_trouble() -> None:
    with api(lambda _: 1.0) as url:
        sent = iter([False] * 40 + [True])
        observer(url).wait_sent(lambda: next(sent))


def test_a_dead_process_ends_the_waiting() -> None:
    def dead() -> None:
        raise ServiceError("worker ended", "")

    waits: list[Callable[[Observer], None]] = [
        lambda o: o.wait_up(3), lambda o: o.wait_drained(3), lambda o: o.settle(),
        lambda o: o.wait_sent(lambda: False),
    ]  # fmt: skip
    with api(lambda _: 0.0) as url:
        for wait in waits:
            with pytest.raises(ServiceError, match="worker ended"):
                wait(observer(url, dead))


def test_a_prometheus_that_refuses_is_explained_without_its_password() -> None:
    with api(lambda _: 1.0, status=400) as url:
        secret = url.replace("//", "//me:secret@")
        with pytest.raises(
            ServiceError, match=r"http://\*\*\*@127.0.0.1.* did not answer"
        ) as error:
            prometheus_api.check(secret)
    assert "secret" not in error.value.cause
    with pytest.raises(ServiceError, match="no URL of a Prometheus"):
        prometheus_api.check("127.0.0.1:9090")


def test_no_proxy_leads_to_loopback(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with api(lambda _: 1.0) as url:
        prometheus_api.check(url)
