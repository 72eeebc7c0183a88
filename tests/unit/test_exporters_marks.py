"""Marks of a cell, from a file that somebody else writes."""

from pathlib import Path

import msgspec
import pytest

from exporters.marks import Mark, Marks, MarksSource


def samples(path: Path) -> dict[tuple[str, str], float]:
    return {
        (sample.name, sample.labels.get("mark", "")): sample.value
        for metric in MarksSource(path).collect()
        for sample in metric.samples
    }


def test_every_mark_is_an_instant(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    Marks((Mark("run", 1.5), Mark("start", 2.25))).store(path)
    assert samples(path) == {
        ("taskscope_mark_timestamp_seconds", "run"): 1.5,
        ("taskscope_mark_timestamp_seconds", "start"): 2.25,
        ("taskscope_cell_together", ""): 0.0,
    }


def test_the_file_is_read_again_at_every_scrape(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    Marks().store(path)
    assert ("taskscope_mark_timestamp_seconds", "run") not in samples(path)
    Marks((Mark("run", 7.0),), together=True).store(path)
    found = samples(path)
    assert found["taskscope_mark_timestamp_seconds", "run"] == 7.0
    assert found["taskscope_cell_together", ""] == 1.0


def test_a_mark_that_is_reached_again_moves(tmp_path: Path) -> None:
    path = tmp_path / "marks.json"
    Marks((Mark("start", 1.0), Mark("start", 2.0))).store(path)
    assert samples(path)["taskscope_mark_timestamp_seconds", "start"] == 2.0


@pytest.mark.parametrize("content", ["", "[]", '{"marks": [{"mark": 1}]}', '{"mark": []}'])
def test_a_file_that_is_none_is_a_failed_read_and_not_an_empty_one(
    tmp_path: Path, content: str
) -> None:
    path = tmp_path / "marks.json"
    path.write_text(content)
    with pytest.raises(msgspec.DecodeError):
        samples(path)


def test_no_file_is_a_failed_read(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        samples(tmp_path / "marks.json")
