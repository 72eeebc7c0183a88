"""Where spans go: the standard variables, in their order, before and after the application's."""

import json
import os
import re
import threading
from collections.abc import Iterable
from itertools import chain
from pathlib import Path

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider

from instrumentation import destination, provider, sdk, settings
from instrumentation.destination import choose, otlp_endpoint
from instrumentation.otlp import HttpSink, Transport
from instrumentation.provider import ProviderSink
from instrumentation.sinks import FileSink, Line, LineSink, NullSink
from instrumentation.telemetry import Telemetry

BASE, OWN = "OTEL_EXPORTER_OTLP_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT"
PROTOCOL = "OTEL_EXPORTER_OTLP_PROTOCOL"
ANY = {BASE: "http://127.0.0.1:1", "TASKQUEUE_TRACES_DIR": "somewhere"}


def chosen(environ: dict[str, str], given: trace.TracerProvider | None = None) -> LineSink:
    sink = choose(environ, given, "x.jsonl")
    sink.close()
    return sink


@pytest.mark.parametrize(
    ("environ", "kind"),
    [
        ({**ANY, "OTEL_SDK_DISABLED": "True"}, NullSink),
        ({**ANY, "OTEL_TRACES_EXPORTER": "none"}, NullSink),
        ({**ANY, "OTEL_SDK_DISABLED": "false"}, HttpSink),
        (ANY, HttpSink),
        ({**ANY, "OTEL_TRACES_EXPORTER": "otlp"}, HttpSink),
        ({**ANY, PROTOCOL: "http/protobuf"}, HttpSink),
        ({**ANY, PROTOCOL: "grpc"}, FileSink),
        ({**ANY, "OTEL_TRACES_EXPORTER": "console"}, FileSink),
        ({BASE: "", "TASKQUEUE_TRACES_DIR": "somewhere"}, FileSink),
        ({BASE: "http://x", PROTOCOL: "grpc"}, ProviderSink),
        ({"TASKQUEUE_TRACES_DIR": ""}, ProviderSink),
        ({}, ProviderSink),
    ],
)
def test_the_first_of_these_that_there_is(environ: dict[str, str], kind: type) -> None:
    assert type(chosen(environ)) is kind


def test_a_given_provider_goes_before_the_environment() -> None:
    given = TracerProvider(shutdown_on_exit=False)
    assert isinstance(chosen(ANY, given), ProviderSink)
    assert isinstance(chosen({**ANY, "OTEL_TRACES_EXPORTER": "none"}, given), NullSink)


def test_the_endpoint_follows_the_standard_variables() -> None:
    assert otlp_endpoint({}) is None
    assert otlp_endpoint({BASE: "http://x:1/"}) == "http://x:1/v1/traces"
    assert otlp_endpoint({BASE: "http://x:1", OWN: "http://y/z"}) == "http://y/z"
    both = {OWN: "http://y/z", PROTOCOL: "grpc"}
    assert otlp_endpoint(both) is None
    assert otlp_endpoint({**both, "OTEL_TRACES_EXPORTER": "otlp_proto_http"}) == "http://y/z"
    assert otlp_endpoint({**both, "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL": "http/json"}) is not None


def test_what_is_for_traces_goes_before_what_is_for_all() -> None:
    prefix = "OTEL_EXPORTER_OTLP_"
    assert destination._transport({}) == Transport()
    assert destination._transport({
        f"{prefix}HEADERS": "a=1",
        f"{prefix}TRACES_HEADERS": "api-key=x%20y,b=2",
        f"{prefix}TIMEOUT": "3",
        f"{prefix}TRACES_TIMEOUT": "2.5",
        f"{prefix}COMPRESSION": "gzip",
        f"{prefix}CERTIFICATE": "ca.pem",
        f"{prefix}TRACES_CLIENT_CERTIFICATE": "me.pem",
        f"{prefix}CLIENT_KEY": "me.key",
    }) == Transport(
        {"api-key": "x y", "b": "2"}, 2.5, compressed=True, certificate="ca.pem",
        client_certificate="me.pem", client_key="me.key",
    )  # fmt: skip


@pytest.mark.parametrize("text", ["soon", "-1", "0", "inf", "nan"])
def test_a_timeout_that_makes_no_sense_is_said(text: str, caplog: pytest.LogCaptureFixture) -> None:
    transport = destination._transport({"OTEL_EXPORTER_OTLP_TIMEOUT": text})
    assert transport.timeout_seconds == 10
    assert len(caplog.records) == 1


def test_a_provider_that_is_none_of_the_sdks_is_not_the_applications(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(provider.trace, "get_tracer_provider", trace.NoOpTracerProvider)
    assert provider.application_provider() is None


def test_live_spans_go_where_the_others_go(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made: list[trace.TracerProvider] = []
    monkeypatch.setattr(sdk.trace, "set_tracer_provider", made.append)
    sdk.configure("celery", {})
    sdk.configure("celery", {**ANY, "OTEL_SDK_DISABLED": "true"})
    assert not made
    sdk.configure("celery", {"TASKQUEUE_TRACES_DIR": "somewhere"})
    assert len(made) == 1
    assert not caplog.records
    sdk.configure("celery", {BASE: "http://x", PROTOCOL: "grpc"})
    assert len(made) == 1
    (record,) = caplog.records
    assert f"no spans are sent to {BASE}" in record.getMessage()


def test_pairs_are_percent_decoded() -> None:
    text = "a=1%2C2, b = x%20y ,junk,c=d=e,"
    assert settings.pairs(text) == {"a": "1,2", "b": "x y", "c": "d=e"}


@pytest.mark.parametrize(
    ("environ", "name"),
    [
        ({}, "celery"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a,x=y"}, "a"),
        ({"OTEL_RESOURCE_ATTRIBUTES": "service.name=a", "OTEL_SERVICE_NAME": "b"}, "b"),
        ({"OTEL_SERVICE_NAME": ""}, "celery"),
    ],
)
def test_the_service_name_goes_before_its_attribute(environ: dict[str, str], name: str) -> None:
    assert settings.resource(environ, "celery")["service.name"] == name


@pytest.mark.parametrize(
    ("sampler", "ratio"),
    [("always_on", 1), ("parentbased_always_off", 0), ("traceidratio", 0.5), ("", 0.5)],
)
def test_the_sampler_decides_the_share(sampler: str, ratio: float) -> None:
    environ = {"OTEL_TRACES_SAMPLER": sampler, "OTEL_TRACES_SAMPLER_ARG": "0.5"}
    assert settings.sample_ratio(environ) == ratio


def test_every_variable_that_is_read_is_in_the_readme() -> None:
    folder = Path(destination.__file__).parent
    code = "".join(path.read_text() for path in folder.glob("*.py") if path.name != "__init__.py")
    read = set(re.findall(r'"((?:OTEL|TASKQUEUE)_[A-Z_]*[A-Z])"', code))
    read |= {f"OTEL_EXPORTER_OTLP_{n}" for n in re.findall(r'_otlp\(environ, "([A-Z_]+)"', code)}
    table = (folder / "README.md").read_text().split("## Environment variables")[1]
    told = set(re.findall(r"^\|.*?\|", table.split("\n## ")[0], re.MULTILINE))
    documented = set(re.findall(r"`((?:OTEL|TASKQUEUE)_[A-Z_]+)`", "".join(told)))
    assert len(read) > 15
    assert documented == read


def test_an_endpoint_that_is_no_url_is_said_and_not_repeated(
    caplog: pytest.LogCaptureFixture,
) -> None:
    sink = choose({"OTEL_EXPORTER_OTLP_ENDPOINT": "http://me:secret@[::1:4318"}, None, "x")
    assert isinstance(sink, NullSink)
    assert caplog.messages == ["spans are not sent: the OTLP endpoint is no URL"]


def test_live_spans_are_written_with_the_task_spans_and_at_once_in_a_pool_child(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    made: list[TracerProvider] = []
    monkeypatch.setattr(sdk.trace, "set_tracer_provider", made.append)
    sdk.configure("celery", {"TASKQUEUE_TRACES_DIR": str(tmp_path)})
    (provider,) = made
    provider.get_tracer("a").start_span("before").end()
    if not (child := os.fork()):
        provider.get_tracer("a").start_span("in the child").end()
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert {"a": ["in the child"]} in map(names, written(tmp_path))
    for scope, name in (("a", "1"), ("b", "2"), ("a", "3")):
        provider.get_tracer(scope).start_span(name).end()
    telemetry = Telemetry("celery", {"OTEL_TRACES_EXPORTER": "none"})
    telemetry.start()
    telemetry.close()
    lines = written(tmp_path)
    assert sorted(chain.from_iterable(names(line).get("a", []) for line in lines)) == [
        "1", "3", "before", "in the child",
    ]  # fmt: skip
    assert [some["b"] for some in map(names, lines) if "b" in some] == [["2"]]
    provider.shutdown()
    assert written(tmp_path) == lines


def test_live_spans_that_wait_are_few_and_one_that_cannot_be_written_stops_no_task(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    made: list[TracerProvider] = []
    monkeypatch.setattr(sdk.trace, "set_tracer_provider", made.append)
    sdk.configure("celery", {"TASKQUEUE_TRACES_DIR": str(tmp_path)})
    tracer = made[0].get_tracer("a")
    for number in range(sdk._MOST_WAITING + 5):
        tracer.start_span(str(number)).end()
    assert sum(len(names(line)["a"]) for line in written(tmp_path)) >= sdk._MOST_WAITING
    monkeypatch.setattr(sdk, "_line", lambda _: 1 / 0)
    for _ in range(3):
        tracer.start_span("odd").end()
        made[0].force_flush()
    assert [record.getMessage() for record in caplog.records] == ["live spans are being dropped"]


def test_when_live_spans_are_flushed_no_other_thread_has_some_in_hand(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    processor = sdk._FileProcessor(tmp_path)
    provider = TracerProvider()
    provider.add_span_processor(processor)
    provider.get_tracer("a").start_span("1").end()
    writing, go_on, write = threading.Event(), threading.Event(), processor._sink.write

    def slowly(lines: Iterable[Line]) -> int:
        writing.set()
        assert go_on.wait(10)
        return write(lines)

    monkeypatch.setattr(processor._sink, "write", slowly)
    first, second = (threading.Thread(target=processor.force_flush) for _ in range(2))
    first.start()
    assert writing.wait(10)
    second.start()
    second.join(0.2)
    assert second.is_alive(), "it waits for the first"
    go_on.set()
    second.join(10)
    assert len(written(tmp_path)) == 1


def written(directory: Path) -> list[str]:
    return (directory / "live.jsonl").read_text().splitlines()


def names(line: str) -> dict[str, list[str]]:
    """The names of the spans in a line, by scope."""
    (resource,) = json.loads(line)["resourceSpans"]
    return {
        some["scope"]["name"]: [span["name"] for span in some["spans"]]
        for some in resource["scopeSpans"]
    }
