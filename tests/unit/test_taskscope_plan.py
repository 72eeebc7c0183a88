"""The order of cells, what may be run, where, and what is written about it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest

from extract.manifest import Manifest
from taskscope import rundir
from taskscope.checks import check_scenarios
from taskscope.errors import UsageError
from taskscope.plan import plan
from taskscope.scenario import Part, load_scenario
from taskscope.session import redacted

SCENARIO = load_scenario("throughput")


def order(seed: int, repetitions: int = 8) -> list[tuple[str, int]]:
    cells = plan([SCENARIO.override(seed=seed, repetitions=repetitions)])
    return [(cell.variant.name, cell.repetition) for cell in cells]


def test_each_block_has_every_variant_once() -> None:
    names = {variant.name for variant in SCENARIO.variants}
    cells = order(1)
    for block in range(8):
        part = cells[block * len(names) : (block + 1) * len(names)]
        assert {name for name, _ in part} == names
        assert {repetition for _, repetition in part} == {block + 1}


def test_the_order_is_seeded_and_varies() -> None:
    assert order(1) == order(1)
    assert order(1) != order(2)
    blocks = {tuple(name for name, r in order(1) if r == n) for n in range(1, 9)}
    assert len(blocks) > 1


def test_longer_runs_begin_like_shorter_ones() -> None:
    assert order(1, 8)[:8] == order(1, 2)


def test_unknown_task_names_the_place() -> None:
    wrong = replace(SCENARIO, workload=replace(SCENARIO.workload, parts=(Part("nope", 1.0, {}),)))
    with pytest.raises(UsageError, match=r"workload.task 'nope' .*tasks/workloads.py"):
        check_scenarios([wrong])


@pytest.mark.parametrize(("setting", "nearest"), [("task_ack_late", "task_acks_late"),
                                                  ("prefetch", "prefetch")])  # fmt: skip
def test_unknown_setting_names_the_nearest(setting: str, nearest: str) -> None:
    celery = replace(SCENARIO.variant("celery-prefork"), settings={setting: 1})
    with pytest.raises(UsageError, match=rf"settings\.{setting} is no setting .*{nearest}"):
        check_scenarios([replace(SCENARIO, variants=(celery,))])


def test_two_scenarios_of_one_name_are_refused() -> None:
    with pytest.raises(UsageError, match="called throughput"):
        check_scenarios([SCENARIO, replace(SCENARIO, title="another")])


@pytest.mark.parametrize(
    ("word", "kept"),
    [
        ("--redis-url=redis://u:p=w@h:1", "--redis-url=redis://***@h:1"),
        ("redis://u:p=w@h:1", "redis://***@h:1"),
        ("--tasks=5", "--tasks=5"),
        ("runs/a=b", "runs/a=b"),
    ],
)
def test_no_password_is_stored_in_the_command(word: str, kept: str) -> None:
    assert redacted(word) == kept


def test_a_run_directory_is_named_and_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    made = rundir.create(None, "throughput")
    assert made.is_absolute()
    assert made.parent == tmp_path / "runs"
    assert made.name.endswith("-throughput")
    assert list(made.iterdir()) == []


MANIFEST = Manifest(
    session="s", created="", status="complete", command=(), prometheus="native", redis="native",
    machine={}, versions={}, scenarios=(), order=(),
)  # fmt: skip


def test_a_manifest_is_read_back(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path)
    assert rundir.open_run(tmp_path) == MANIFEST
    assert [path.name for path in tmp_path.iterdir()] == ["manifest.json"]


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b'{"session": 5}', b"{}"])
def test_a_damaged_manifest_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "manifest.json").write_bytes(content)
    with pytest.raises(UsageError, match=r"manifest.json is damaged"):
        rundir.open_run(tmp_path)


def test_a_manifest_of_another_format_is_refused(tmp_path: Path) -> None:
    MANIFEST.write(tmp_path)
    document = json.loads((tmp_path / "manifest.json").read_text())
    (tmp_path / "manifest.json").write_text(json.dumps({**document, "format": 9}))
    with pytest.raises(UsageError, match="has format 9"):
        rundir.open_run(tmp_path)


def test_what_is_no_run_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "dir" / "manifest.json").mkdir(parents=True)
    for path, words in (
        (tmp_path, "has no manifest.json"),
        (tmp_path / "none", "does not exist"),
        (tmp_path / "file", "is a file"),
        (tmp_path / "dir", "cannot be read"),
    ):
        with pytest.raises(UsageError, match=words):
            rundir.open_run(path)
