"""`taskscope compare`: what it prints of made-up runs, and what it says to a wrong question."""

import json
import re
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from made_runs import made_run

from extract import overhead
from taskscope import cli, show

type Values = dict[tuple[str, str], Sequence[float | None]]


def noisy(level: float, count: int = 6) -> list[float]:
    rng = np.random.default_rng(round(1e6 * level))  # the same whatever else is tested
    return [float(x) for x in level * np.exp(rng.normal(0, 0.02, count))]


def values(factor: float = 1.0, count: int = 6, **more: float) -> Values:
    return {
        ("a", "throughput"): noisy(400 * factor, count),
        ("b", "throughput"): noisy(100, count),
        ("a", "end_to_end_p99"): noisy(0.05, count),
        ("b", "end_to_end_p99"): noisy(0.2, count),
        ("a", "tasks_failed"): [0.0] * count,
        ("b", "tasks_failed"): [0.0] * count,
        ("a", "ack_p50"): noisy(0.001, count),
        ("b", "ack_p50"): noisy(0.001, count),
        **{("c", metric): noisy(level, count) for metric, level in more.items()},
    }


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return made_run(tmp_path / "new", values(throughput=50), session="new")


def compare(*arguments: object) -> tuple[int, str, str]:
    """Run the command line in this process; return exit code, stdout and stderr."""
    done = subprocess.run(
        [sys.executable, "-m", "taskscope.cli", "compare", *map(str, arguments)],
        env={"COLUMNS": "300", "NO_COLOR": "1", "PATH": ""},
        capture_output=True, text=True, check=False, timeout=60,
    )  # fmt: skip
    assert "Traceback" not in done.stderr, done.stderr
    return done.returncode, done.stdout, done.stderr


def direct(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    """Do the same without a process of its own, which takes seconds."""
    code = 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "argv", ["taskscope", "compare", *map(str, arguments)])
        patch.setattr(cli.interruption, "install", lambda: None)
        patch.setenv("COLUMNS", "300")
        patch.setenv("NO_COLOR", "1")
        try:
            cli.main()
        except SystemExit as exit_:
            code = int(exit_.code or 0)
    out, err = capsys.readouterr()
    return code, out, err


def test_settings_then_figures_doubts_and_the_answer_last(run: Path) -> None:
    code, out, _ = compare(run)
    assert code == 0
    lines = out.splitlines()
    rows = {line.split(",")[0].strip(): line for line in lines if line.startswith((" ↑", " ↓"))}
    assert rows["↑ throughput"].rstrip().endswith("better")
    assert "199.5 ±1.5%" in rows["↓ end to end p99"]
    assert rows["↓ tasks failed"].rstrip().endswith("equivalent")
    assert "↓ ack p50" not in rows
    assert "6 valid" in out
    parts = ("Settings", "What decides", "Further figures", "Made up: Choose a.",
             "Audit: all 18 cells are exact.")  # fmt: skip
    order = [out.index(part) for part in parts]
    assert order == sorted(order)
    at = lines.index("Made up: Choose a.")
    assert lines[at + 1].startswith("The throughput of a is 4.0")
    assert "× as high as that of b: " in lines[at + 1]
    assert lines[at + 1].endswith(", 6 blocks).")
    assert lines[at + 2] == (
        "How sure: proven: the chance that any verdict on what decides is wrong is at most 5 %."
    )
    assert lines[at + 3] == "a is better in throughput and end-to-end time of the slowest 1 %."


def test_in_a_narrow_terminal_no_number_is_broken(
    run: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    wide = direct(capsys, run)[1]
    monkeypatch.setattr(show, "_NARROW", 1000)
    narrow = direct(capsys, run)[1]
    for out, spread in ((wide, True), (narrow, False)):
        row = next(line for line in out.splitlines() if line.startswith(" ↑ throughput, tasks/s"))
        assert ("±" in row) is spread
        assert re.search(r" \d+(±| |\.).* \d\.\d+ \(\d\.\d+ to \d\.\d+\)  better", row)


def test_what_decides_is_a_family_by_itself(run: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (found,) = json.loads(direct(capsys, run, "--json")[1])["comparisons"]
    assert found["deciding"] == 2
    sizes = [v["evidence"]["difference"]["family"] for v in found["verdicts"]]
    assert [v["metric"] for v in found["verdicts"]] == [
        "throughput", "end_to_end_p99", "tasks_failed",
    ]  # fmt: skip
    assert sizes == [2, 2, 0]  # that no task failed has no spread, and is no claim
    assert found["answer"]["choice"] == "Choose a."
    (asked,) = json.loads(direct(capsys, run, "--metric", "throughput", "--json")[1])["comparisons"]
    assert (asked["deciding"], asked["answer"]) == (0, None)


def test_the_pair_the_metric_and_the_margin_are_as_asked(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = direct(capsys, run, "--variants", "b", "a", "--metric", "throughput",
                          "--metric", "ack_p50", "--margin", "10%", "--json")  # fmt: skip
    assert code == 0
    (comparison,) = json.loads(out)["comparisons"]
    assert (comparison["first"], comparison["second"]) == ("b", "a")
    assert [v["metric"] for v in comparison["verdicts"]] == ["throughput", "ack_p50"]
    worse, same = comparison["verdicts"]
    assert (worse["outcome"], same["outcome"], same["margin"]) == ("worse", "equivalent", 0.1)


@pytest.mark.parametrize(
    ("condition", "code", "said"),
    [
        ("throughput < -5%", 0, "✓ s: throughput < -5% has held"),
        ("throughput > 5%", 5, "✗ s: throughput > +5% has fired"),
        ("throughput > 300%", 0, "? s: throughput > +300% is undecided"),
        ("ack_p50 > 10%", 0, "✓ s: ack_p50 > +10% has held"),
        ("queue_depth_max > 10%", 0, "? queue_depth_max > +10%: undecided, since no comparison"),
    ],
)
def test_a_condition_fires_on_a_verdict_only(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], condition: str, code: int, said: str
) -> None:
    given = {**values(), ("a", "throughput"): [390.0, 410, 400, 395, 405, 400],
             ("b", "throughput"): [100.0, 99, 101, 100, 100, 100]}  # fmt: skip
    run = made_run(tmp_path / "run", given)
    found, out, _ = direct(capsys, run, "--fail-if", condition)
    assert said in out
    assert found == code


def test_undecided_fails_where_that_is_asked(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one = made_run(tmp_path / "one", values(count=1), session="one")
    for directory, condition in ((one, "throughput < -5%"), (run, "queue_depth_max > 10%")):
        assert direct(capsys, directory, "--fail-if", condition)[0] == 0
        assert direct(capsys, directory, "--fail-if", condition, "--undecided-fails")[0] == 5


def test_a_fired_condition_counts_more_than_an_invalid_cell(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_run(tmp_path / "run", values(), failed={("b", 2): "swap_bytes 1"})
    code, out, _ = direct(capsys, run, "--fail-if", "throughput > 50%")
    assert code == 5
    assert "Audit: 1 of 12 cells are invalid and left out:" in out
    assert "Doubt: invalid cells (all): b: left out repetition 2: no swapping" in out
    assert direct(capsys, run)[0] == 4


def test_a_single_repetition_is_no_verdict_in_plain_words(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_run(tmp_path / "run", values(count=1))
    code, out, _ = direct(capsys, run)
    assert code == 0
    assert "No verdict on the throughput of a and b: 1 block is too few, a verdict takes 3" in out
    assert "few blocks (all): 1 block: too few to see how regular the noise is" in out


def test_one_variant_is_shown_without_a_verdict(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    run = made_run(tmp_path / "run", {("a", "throughput"): [10.0, 11.0, 12.0]})
    code, out, _ = direct(capsys, run)
    assert code == 0
    assert "11 ±9.1%" in out
    assert "verdict" not in out
    assert direct(capsys, run, "--markdown")[0] == 0


def test_markdown_is_a_table_that_github_reads(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code, out, _ = direct(capsys, run, "--markdown", "--fail-if", "throughput > 5%")
    assert code == 5
    assert out.startswith("### Conditions\n\n- ✗ s: throughput \\> +5% has fired")
    lines = out.splitlines()
    head = lines.index("|  | a (6 valid) | b (6 valid) | ratio | verdict |")
    assert lines[head + 1] == "| --- | --: | --: | --: | --: |"
    assert lines[head - 1] == ""
    assert lines[head + 2].startswith("| ↑ throughput, tasks/s | ")
    body = [line for line in lines if line.startswith("|")]
    assert all(line.count(" | ") in {4, 2} for line in body)
    assert "Audit: all 18 cells are exact." in out


def older(tmp_path: Path, **more: Any) -> Path:
    return made_run(tmp_path / "old", values(0.8), **{
        "session": "old", "created": "2026-11-19T10:00:00+00:00", **more,
    })  # fmt: skip


def test_an_older_run_is_compared_variant_by_variant(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    old = older(tmp_path, versions={"python": "3.11"}, machine={"cpu": "another"}, count=100)
    code, out, _ = direct(capsys, run, "--baseline", old, "--fail-if", "throughput < -5%")
    assert code == 0
    assert f"made at different times: {run} (2026-11-21T12:00:00+00:00) against {old}" in out
    assert "Machine: cpu a CPU, another in the baseline." in out
    assert "Versions: python 3.12, 3.11 in the baseline." in out
    assert "Settings: a: workload.count 200, 100 in the baseline;" in out
    assert "times the throughput of a (baseline) (95 % interval " in out
    assert "6 and 6 repetitions). That is better. Doubts: different times, different" in out
    assert "Doubt: different times (all): made 2 days after the baseline" in out
    assert "✓ s: throughput < -5% has held: a against a (baseline)" in out
    assert "Audit of the baseline" in out
    code, out, _ = direct(capsys, old, "--baseline", run, "--fail-if", "throughput < -5%", "--json")
    assert code == 5
    found = json.loads(out)
    assert [(c["challenger"], c["state"]) for c in found["conditions"]] == [
        ("a", "fired"), ("b", "held"),
    ]  # fmt: skip
    assert found["baseline"]["session"] == "new"


def test_of_equal_settings_that_is_said(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    _, out, _ = direct(capsys, run, "--baseline", older(tmp_path))
    for what in ("Machine", "Versions", "Settings"):
        assert f"{what}: the same." in out
    assert "Doubts: different times." in out
    assert "different versions" not in out


def put_ledger(run: Path, blocks: int) -> None:
    rows = [
        ("s", variant, mode, block, metric, value * (1 + block / 100), "unit")
        for variant, share in (("a", 0.98), ("b", 0.9))
        for metric, bare, default in (("throughput", 100, 100 * share), ("cpu_per_task", 50, 60))
        for mode, value in (("bare", bare), ("default", default))
        for block in range(1, blocks + 1)
    ]
    columns = ["scenario", "variant", "mode", "repetition", "metric", "value", "unit"]
    overhead.write(run / "dataset", pd.DataFrame(rows, columns=columns), pd.DataFrame())


def test_what_instrumentation_costs_is_said_where_it_was_measured(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert "Instrumentation" not in direct(capsys, run)[1]
    put_ledger(run, blocks=3)
    for arguments in ([], ["--markdown"]):
        out = direct(capsys, run, *arguments)[1]
        assert "Instrumentation costs a 2.0 % (2.0 to 2.0) of throughput and 10.2 " in out
        assert "; differential bias +8.9 % (+8.9 to +8.9)." in out
    (comparison,) = json.loads(direct(capsys, run, "--json")[1])["comparisons"]
    assert comparison["overhead"]["lines"]


def test_a_bias_is_a_doubt_where_it_is_of_the_size_of_the_difference(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for factor, doubted in ((1.0, False), (0.25 * 1.12, True)):  # four times as fast, 12 % faster
        run = made_run(tmp_path / f"at-{factor}", values(factor))
        put_ledger(run, blocks=3)
        out = direct(capsys, run)[1]
        shift = "instrumentation shifts the ratio of their throughput by +8.9 % (+8.9 to +8.9)"
        assert (f"Doubt: ledger (throughput): {shift}, which could be " in out) is doubted
        assert ("of the difference found. Measure a ledger" in out) is doubted


WRONG: dict[str, tuple[list[str], str, str]] = {
    "unknown variant": (["--variants", "a", "bb"], "unknown variant 'bb'; the nearest known is 'b'",
                        "Choose among: a, b, c."),
    "the same variant": (["--variants", "a", "a"], "Both variants are a.", "two different ones"),
    "one variant": (["--variants", "a"], "--variants", ""),
    "unknown metric": (["--metric", "througput"],
                       "unknown metric 'througput'; the nearest known is 'throughput'",
                       "Choose among: "),
    "malformed condition": (["--fail-if", "throughput -5%"],
                            "condition 'throughput -5%' compares with nothing", "throughput < -5%"),
    "condition on nothing": (["--fail-if", "trough < -5%"], "unknown metric 'trough'", "Choose"),
    "condition without %": (["--fail-if", "throughput < -5"], "-5 lacks its %", "in percent"),
    "no margin": (["--margin", "5"], "a margin of '5' is none", "Write a percentage above 0: 5%."),
    "empty margin": (["--margin", "0%"], "a margin of '0%' is none", "5%"),
    "two forms": (["--json", "--markdown"], "--markdown and --json exclude each other", "Leave"),
    "no run": (["--baseline", "nowhere"], "nowhere is not a run directory", "taskscope run"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_question_is_answered_with_cause_and_remedy(
    run: Path, capsys: pytest.CaptureFixture[str], case: str
) -> None:
    arguments, cause, remedy = WRONG[case]
    code, out, err = direct(capsys, run, *arguments)
    assert code == 2
    assert out == ""
    assert cause in err
    assert remedy in err


def test_runs_that_cannot_be_compared(
    run: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    def said(*arguments: object) -> str:
        code, _, err = direct(capsys, *arguments)
        assert code == 2
        return err

    assert "are the same run" in said(run, "--baseline", run)
    assert "exclude each other" in said(run, "--baseline", older(tmp_path), "--variants", "a", "b")
    other = made_run(tmp_path / "other", values(), scenario="t", session="other")
    err = said(run, "--baseline", other)
    assert "no scenario in common: one measured s, the baseline t" in err
    assert "Compare two runs of the same scenario." in err
    strange = made_run(tmp_path / "strange", {("z", "throughput"): [1.0, 2, 3]}, session="strange")
    assert "no variant of scenario s is in both runs" in said(run, "--baseline", strange)


def test_a_run_without_dataset_whose_telemetry_is_missing_too(
    run: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for file in (run / "dataset").iterdir():
        file.unlink()
    code, _, err = direct(capsys, run)
    assert code == 2
    assert "has no traces/ folder: the spans it was measured by are missing" in err
    assert "Copy the whole run directory" in err


def test_nothing_but_a_verdict_waits_for_scipy() -> None:
    code = "import sys, taskscope.commands.app; sys.exit('scipy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False, timeout=60).returncode == 0
