"""The ledger, from hand-made timings: every figure here can be worked out on paper."""

from dataclasses import replace
from math import sqrt
from pathlib import Path

import msgspec
import pandas as pd
import pytest

from extract import overhead
from extract.dataset import Dataset
from extract.manifest import Problem
from extract.overhead import CPU, THROUGHPUT, LedgerManifest, Mark, Marks, Timing, figures

#: 1,000 tasks: 900 of them in 3 s; 2 s of CPU until drained, 0.3 s after it, of which 0.06 idle.
MARKS = Marks(
    released=Mark(100.0, 1000, 5.0),
    steady=Mark(100.5, 950),
    last=Mark(103.5, 50),
    drained=Mark(104.0, 0, 7.0),
    settled=Mark(110.0, 0, 7.3),
    idle=Mark(113.0, 0, 7.33),
)


def test_a_timings_figures() -> None:
    found = figures(MARKS, 1000)
    assert {metric: unit for metric, (_, unit) in found.items()} == {
        THROUGHPUT: "tasks/s", CPU: "us/task", "cpu_per_task_until_drained": "us/task",
        "cpu_idle": "ms/s", "window": "s",
    }  # fmt: skip
    values = {metric: value for metric, (value, _) in found.items()}
    assert values == pytest.approx({
        THROUGHPUT: 300, CPU: 2240, "cpu_per_task_until_drained": 2000, "cpu_idle": 10, "window": 3,
    })  # fmt: skip


@pytest.mark.parametrize("last", [Mark(100.5, 950), Mark(103.5, 950), Mark(100.5, 50)])
def test_a_window_without_length_is_refused(last: Mark) -> None:
    with pytest.raises(ValueError, match="no two looks"):
        figures(msgspec.structs.replace(MARKS, last=last), 1000)


def differing(*extra: float) -> overhead.Estimate | None:
    """A mode that costs so much CPU more than bare, block by block."""
    made = pd.DataFrame(
        [("s", "throughput", "v", "v", mode, block, CPU, 100 + more, "us/task")
         for block, cost in enumerate(extra) for mode, more in (("bare", 0), ("default", cost))],
        columns=overhead._COLUMNS,
    )  # fmt: skip
    line = overhead.ledger(made, "throughput", ["v"]).line("v", "default", CPU)
    assert line is not None
    return line.difference


def test_a_t_interval_by_hand() -> None:
    # s = 1, t(0.975, 2) = 4.302653 by any table
    found = differing(1.0, 2.0, 3.0)
    assert found is not None
    assert (found.value, found.lower, found.upper) == pytest.approx(
        (2, 2 - 4.302653 / sqrt(3), 2 + 4.302653 / sqrt(3)), rel=1e-6
    )


def test_equal_differences_have_an_interval_of_no_width() -> None:
    assert differing(0.5, 0.5) == overhead.Estimate(0.5, 0.5, 0.5)


def test_one_difference_has_no_interval() -> None:
    assert differing(0.5) == overhead.Estimate(0.5, None, None)


def test_a_figure_of_nothing_has_no_relative_change() -> None:
    free = rows()
    free.loc[(free["metric"] == CPU) & (free["mode"] == "default"), "value"] = 0.0
    line = overhead.ledger(free, "throughput", ["fast"]).line("fast", "default", CPU)
    assert line is not None
    assert (line.change, line.difference is None) == (None, False)


#: Throughput and CPU of each mode. Bare differs between blocks by a factor: it must fall out.
BLOCKS = (1.0, 0.8, 1.3)
THROUGHPUTS = {
    ("fast", "bare"): 4000.0, ("fast", "default"): 3600.0, ("fast", "live"): 2000.0,
    ("slow", "bare"): 1000.0, ("slow", "default"): 950.0, ("slow", "live"): 500.0,
    ("slow", "stock"): 800.0,
}  # fmt: skip
CPU_EXTRA = {"bare": 0.0, "default": 20.0, "live": 90.0, "stock": 70.0}


def rows() -> pd.DataFrame:
    return pd.DataFrame(
        [
            ("s", "throughput", variant, variant, mode, block, metric, value, unit)
            for (variant, mode), rate in THROUGHPUTS.items()
            for block, factor in enumerate(BLOCKS, start=1)
            for metric, value, unit in (
                (THROUGHPUT, rate * factor, "tasks/s"),
                (CPU, 200 * block + CPU_EXTRA[mode], "us/task"),
            )
        ],
        columns=overhead._COLUMNS,
    )


def test_costs_are_taken_within_each_block() -> None:
    ledger = overhead.ledger(rows(), "throughput", ["fast", "slow"])
    rate = ledger.line("fast", "default", THROUGHPUT)
    assert rate is not None
    assert (rate.blocks, rate.median) == (3, 3600)
    assert rate.change is not None
    assert [rate.change.value, rate.change.lower, rate.change.upper] == pytest.approx([-0.1] * 3)
    cpu = ledger.line("slow", "stock", CPU)
    assert cpu is not None
    assert cpu.difference == overhead.Estimate(70, 70, 70)


def test_bare_is_compared_with_nothing() -> None:
    bare = overhead.ledger(rows(), "throughput", ["fast", "slow"]).line("fast", "bare", CPU)
    assert bare is not None
    assert (bare.median, bare.change, bare.difference) == (400, None, None)


def test_the_bias_is_what_one_side_loses_more() -> None:
    ledger = overhead.ledger(rows(), "throughput", ["fast", "slow"])
    shift = ledger.line("fast : slow", "default", THROUGHPUT)
    assert shift is not None
    assert shift.change is not None
    assert shift.median == pytest.approx(3600 / 950)
    assert shift.change.value == pytest.approx(0.9 / 0.95 - 1)
    halved = ledger.line("fast : slow", "live", THROUGHPUT)
    assert halved is not None
    assert halved.change is not None
    assert halved.change.value == pytest.approx(0)  # both lose half: nothing is shifted


def test_the_bias_needs_a_mode_that_both_have() -> None:
    ledger = overhead.ledger(rows(), "throughput", ["fast", "slow"])
    assert ledger.line("fast : slow", "stock", THROUGHPUT) is None


def test_a_block_counts_only_where_it_has_both() -> None:
    whole = rows()
    gone = (whole["variant"] == "fast") & (whole["mode"] == "bare") & (whole["repetition"] == 2)
    ledger = overhead.ledger(whole[~gone], "throughput", ["fast", "slow"])
    default = ledger.line("fast", "default", THROUGHPUT)
    shift = ledger.line("fast : slow", "default", THROUGHPUT)
    assert default is not None
    assert shift is not None
    assert (default.blocks, shift.blocks) == (2, 2)
    untouched = ledger.line("slow", "default", THROUGHPUT)
    assert untouched is not None
    assert untouched.blocks == 3


def test_without_bare_there_is_no_change() -> None:
    whole = rows()
    line = overhead.ledger(whole[whole["mode"] != "bare"], "throughput", ["fast"]).lines[0]
    assert (line.change, line.difference) == (None, None)


def test_another_scenarios_or_variants_ledger_is_none_of_ours() -> None:
    assert overhead.ledger(rows(), "other", ["fast", "slow"]) == overhead.Ledger((), ())
    assert overhead.ledger(rows(), "throughput", ["fast"]).bias == ()


def manifest(*timings: Timing) -> LedgerManifest:
    return LedgerManifest(
        session="s", created="", status="complete", command=(), machine={}, versions={},
        scenario={"name": "throughput"}, modes={"fast": {"bare": "", "live": ""}}, skipped={},
        seconds={}, timings=timings,
    )  # fmt: skip


def timing(mode: str, repetition: int, **facts: object) -> Timing:
    made = Timing("fast", "fast", mode, repetition, 1000, marks=MARKS)
    return msgspec.structs.replace(made, **facts)


def test_the_table_has_valid_timings_in_the_order_of_modes() -> None:
    bad = timing("bare", 2, problems=(Problem("a", "b", "c"),))
    found = overhead.table(
        manifest(timing("live", 1), timing("bare", 1), bad, timing("live", 2, marks=None))
    )
    assert list(dict.fromkeys(zip(found["mode"], found["repetition"], strict=True))) == [
        ("bare", 1), ("live", 1),
    ]  # fmt: skip


def test_a_ledger_without_any_timing_has_empty_tables(tmp_path: Path) -> None:
    empty = overhead.table(manifest())
    summed = overhead.summary("s", "throughput", overhead.ledger(empty, "throughput", ["fast"]))
    overhead.write(tmp_path / "dataset", empty, summed)
    found = overhead.read(tmp_path / "dataset")
    assert found is not None
    assert len(found) == 0


def test_the_summary_has_every_change() -> None:
    found = overhead.ledger(rows(), "throughput", ["fast", "slow"])
    summed = overhead.summary("s", "throughput", found)
    chosen = summed[(summed["subject"] == "fast : slow") & (summed["mode"] == "default")]
    relative = chosen[(chosen["metric"] == THROUGHPUT) & (chosen["unit"] == "relative")]
    assert relative["change"].tolist() == pytest.approx([0.9 / 0.95 - 1])
    assert relative["blocks"].tolist() == [3]


def test_a_manifest_is_read_back_and_told_from_a_runs(tmp_path: Path) -> None:
    written = manifest(timing("bare", 1))
    assert not overhead.is_ledger(tmp_path)
    written.write(tmp_path)
    assert overhead.is_ledger(tmp_path)
    assert overhead.read_manifest(tmp_path) == written
    (tmp_path / "manifest.json").write_text("[]")
    assert not overhead.is_ledger(tmp_path)


def test_deriving_a_runs_dataset_again_leaves_its_ledger(tmp_path: Path) -> None:
    overhead.write(tmp_path, rows(), pd.DataFrame())
    Dataset(*[pd.DataFrame()] * 4).write(tmp_path)
    found = overhead.read(tmp_path)
    assert found is not None
    pd.testing.assert_frame_equal(found, rows())


def test_no_ledger_is_none(tmp_path: Path) -> None:
    assert overhead.read(tmp_path) is None


def test_estimates_keep_their_order_on_another_scale() -> None:
    doubled = overhead.Estimate(1, 0, 2).mapped(lambda x: 2 * x)
    assert doubled == replace(doubled, value=2, lower=0, upper=4)
