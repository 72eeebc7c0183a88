"""Which modes a ledger has, in which order, how many tasks, where it may go, and what it says."""

import json
import re
from io import StringIO
from pathlib import Path

import msgspec
import pytest
from rich.console import Console
from test_extract_traces import line, span
from test_overhead import manifest, rows, timing
from test_taskscope_plan import MANIFEST

from compose import modes
from compose.command import WorkerSettings
from extract import overhead as ledgers
from taskscope import overhead, overhead_show, rundir
from taskscope.errors import UsageError
from taskscope.overhead_show import Outcome, sentence
from taskscope.scenario import FRAMEWORKS, load_scenario
from taskscope.timing import PlannedTiming
from taskscope.timing import _doubts as doubts
from taskscope.timing import _spans as count_spans

SCENARIO = load_scenario("throughput")
PAIR = SCENARIO.override(variants=list(SCENARIO.headline), repetitions=4)
OURS = {"bare", "metrics", "default", "live"}


def test_every_framework_has_the_common_modes_and_its_own() -> None:
    chosen, skipped = overhead.choose_modes(PAIR, None)
    assert set(chosen["asynctasq"]) == OURS
    assert set(chosen["celery-prefork-cores"]) == OURS | {"stock", "events"}
    assert skipped == {}


def test_bare_is_always_among_them() -> None:
    chosen, _ = overhead.choose_modes(PAIR, ["stock"])
    assert chosen == {"asynctasq": ("bare",), "celery-prefork-cores": ("bare", "stock")}


def test_an_unknown_mode_names_the_nearest() -> None:
    with pytest.raises(UsageError, match="'lives'; the nearest is live"):
        overhead.choose_modes(PAIR, ["lives"])
    only = SCENARIO.override(variants=["asynctasq"])
    with pytest.raises(UsageError, match="none of the variants has a mode 'stock'"):
        overhead.choose_modes(only, ["stock"])


def test_a_mode_whose_package_is_missing_is_skipped(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> None:
        raise modes.PackageNotFoundError(name)

    monkeypatch.setattr(modes, "distribution", missing)
    chosen, skipped = overhead.choose_modes(PAIR, None)
    assert "stock" not in chosen["celery-prefork-cores"]
    assert "events" in chosen["celery-prefork-cores"]
    (reason,) = skipped.items()
    assert reason == (
        "celery-prefork-cores/stock", "opentelemetry-instrumentation-celery is not installed",
    )  # fmt: skip


def test_each_block_has_every_mode_of_every_variant_once() -> None:
    chosen, _ = overhead.choose_modes(PAIR, None)
    planned = overhead.plan(PAIR, chosen, {"asynctasq": 5, "celery-prefork-cores": 3})
    blocks = [planned[i : i + 10] for i in range(0, 40, 10)]
    every = {(variant, mode) for variant, of in chosen.items() for mode in of}
    for number, block in enumerate(blocks, start=1):
        assert {(p.variant.name, p.mode) for p in block} == every
        assert {p.repetition for p in block} == {number}
    assert len({tuple((p.variant.name, p.mode) for p in block) for block in blocks}) > 1
    assert {p.tasks for p in planned if p.variant.name == "asynctasq"} == {5}
    again = overhead.plan(PAIR, chosen, {"asynctasq": 5, "celery-prefork-cores": 3})
    assert again == planned


@pytest.mark.parametrize(
    ("rate", "seconds", "tasks"), [(4321.0, 4.0, 17_300), (1.0, 2.0, 500), (1e9, 4.0, 500_000)]
)
def test_so_many_tasks_fill_the_window(rate: float, seconds: float, tasks: int) -> None:
    assert overhead.tasks_for(rate, seconds) == tasks


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_bare_is_the_instrumented_command_without_the_instrumentation(framework: str) -> None:
    what = WorkerSettings({}, concurrency=3, queue="q", redis_url="redis://h:1")
    telemetry = {"TASKQUEUE_TRACES_DIR": "t"}

    def command(mode: str) -> tuple[str, ...]:
        return modes.worker(framework, mode, what, telemetry, "").argv

    bare, ours = command("bare"), command("default")
    assert [word for word in ours if word != "instrumentation"] == list(bare)
    assert "instrumentation" not in bare
    assert command("live") == command("metrics") == ours
    environ = modes.worker(framework, "bare", what, telemetry, "").environ
    assert not any(name.startswith(("OTEL_", "TASKQUEUE_")) for name in environ)


def test_only_metrics_are_without_spans() -> None:
    what = WorkerSettings({}, concurrency=3, queue="q", redis_url="redis://h:1")
    silent = {m: "OTEL_TRACES_EXPORTER" in modes.worker(FRAMEWORKS[0], m, what, {}, "").environ
              for m in OURS}  # fmt: skip
    assert [mode for mode, without in silent.items() if without] == ["metrics"]
    assert modes.live_share("live") == 1
    assert modes.live_share("default") == 0.01


def run_of(tmp_path: Path, **changes: object) -> Path:
    run = {"concurrency": PAIR.run.concurrency}
    variants = [
        {"name": v.name, "settings": dict(v.settings), "concurrency": v.concurrency}
        for v in PAIR.variants
    ]
    scenario = {"name": "throughput", "run": run, "variants": variants, **changes}
    MANIFEST.write(tmp_path)
    document = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**document, "scenarios": [scenario]}))
    return tmp_path


def test_a_ledger_may_go_into_a_run_of_the_same_settings(tmp_path: Path) -> None:
    overhead.check_into(run_of(tmp_path), PAIR)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"name": "other"}, "has no scenario throughput"),
        ({"run": {"concurrency": 4}}, "measured with concurrency 4, .* 10"),
        ({"variants": [{"name": "asynctasq", "settings": {}}]}, "no variant celery-prefork-cores"),
    ],
)
def test_a_ledger_of_something_else_may_not(
    tmp_path: Path, changes: dict[str, object], words: str
) -> None:
    with pytest.raises(UsageError, match=words):
        overhead.check_into(run_of(tmp_path, **changes), PAIR)


def test_a_ledger_is_never_overwritten(tmp_path: Path) -> None:
    (run_of(tmp_path) / overhead.FOLDER).mkdir()
    with pytest.raises(UsageError, match="has a ledger already"):
        overhead.check_into(tmp_path, PAIR)


def test_a_ledger_is_not_taken_for_a_run(tmp_path: Path) -> None:
    manifest(timing("bare", 1)).write(tmp_path)
    assert overhead.taken(tmp_path) == 1
    with pytest.raises(UsageError, match="holds a ledger of `taskscope overhead`, not a run"):
        rundir.open_run(tmp_path)


def test_the_sentence() -> None:
    ledger = ledgers.ledger(rows(), "throughput", ["fast", "slow"])
    assert sentence(ledger, ["fast", "slow"]) == (
        "Instrumentation costs fast 10.0 % (10.0 to 10.0) of throughput and 20.0 µs/task "
        "(20.0 to 20.0) of CPU, slow 5.0 % (5.0 to 5.0) of throughput and 20.0 µs/task "
        "(20.0 to 20.0) of CPU; differential bias -5.3 % (-5.3 to -5.3)."
    )


def test_the_sentence_of_one_block_has_no_interval() -> None:
    one = rows()[rows()["repetition"] == 1]
    assert sentence(ledgers.ledger(one, "throughput", ["slow"]), ["slow"]) == (
        "Instrumentation costs slow 5.0 % of throughput and 20.0 µs/task of CPU."
    )


def test_the_bounds_of_a_cost_are_in_order() -> None:
    noisy = rows()
    default = (noisy["mode"] == "default") & (noisy["repetition"] == 2)
    noisy.loc[default, "value"] *= 0.9
    said = sentence(ledgers.ledger(noisy, "throughput", ["fast"]), ["fast"])
    lower, upper = re.findall(r"% \((\S+) to (\S+)\)", said)[0]
    assert float(lower) < float(upper)


def test_nothing_is_said_of_what_is_not_known() -> None:
    assert sentence(ledgers.ledger(rows(), "throughput", ["other"]), ["other"]) == ""
    bare = rows()[rows()["mode"] == "bare"]
    assert sentence(ledgers.ledger(bare, "throughput", ["fast"]), ["fast"]) == ""


def test_the_tables_fit_a_terminal_of_80_columns() -> None:
    modes_of = {"fast": {"bare": "", "default": "", "live": ""},
                "slow": {"bare": "", "default": "", "live": "", "stock": ""}}  # fmt: skip
    found = ledgers.ledger(rows(), "throughput", ["fast", "slow"])
    what = Outcome("/d", "s", "complete", "Title", modes_of, {"slow/events": "no"}, found, 21, 21,
                   ())  # fmt: skip
    console = Console(file=StringIO(), width=80)
    overhead_show.show(console, what)
    shown = console.file.getvalue()  # type: ignore[attr-defined]
    assert "…" not in shown
    for words in ("-10.0 % (-10.0 to -10.0)", "+20.0 (+20.0 to +20.0)", "fast : slow",
                  "Skipped: slow/events: no", "All 21 timings"):  # fmt: skip
        assert words in shown, words


def test_a_ledger_that_ended_early_or_has_doubts_is_not_trustworthy() -> None:
    whole = {**manifest(timing("bare", 1)).scenario, "title": "T", "variants": [{"name": "fast"}]}
    made = manifest(timing("bare", 1))
    good = ledgers.msgspec.structs.replace(made, scenario=whole, order=("fast/bare/1",))
    assert overhead_show.outcome("d", good).trustworthy
    for wrong in ({"status": "interrupted"}, {"order": ("a", "b")}):
        assert not overhead_show.outcome(
            "d", ledgers.msgspec.structs.replace(good, **wrong)
        ).trustworthy


@pytest.mark.parametrize(
    ("mode", "told", "doubted"),
    [
        ("bare", None, False), ("default", 1100, False), ("default", 1099, True), ("live", 0, True),
        ("stock", 1100, False), ("stock", 1101, True), ("events", 1, False), ("events", 0, True),
    ],
)  # fmt: skip
def test_a_mode_is_charged_only_for_what_it_did(mode: str, told: int | None, doubted: bool) -> None:  # noqa: FBT001
    planned = PlannedTiming(PAIR, PAIR.variants[1], mode, 1, 1100 - PAIR.run.warmup)
    assert planned.variant.framework == "celery"
    assert bool(list(doubts(planned, told))) == doubted


def test_spans_are_counted_as_far_as_lines_are_whole(tmp_path: Path) -> None:
    live = {**span(2, 1, 0, 1), "name": "run noop"}
    stage = {**span(3, 1, 0, 1), "name": "broker wait"}
    whole = line(span(1, 5, 0, 1), live, stage) + line(span(4, 5, 0, 1), span(5, 4, 0, 1))
    (tmp_path / "a.jsonl").write_text(whole + line(span(6, 5, 0, 1))[:-30])
    assert count_spans(tmp_path, live=False) == 2
    assert count_spans(tmp_path, live=True) == 1
    (tmp_path / "a.jsonl").write_text(whole + "{\n")
    with pytest.raises(msgspec.DecodeError, match=r"a\.jsonl, line 3: "):
        count_spans(tmp_path, live=False)
