"""Profiles as stacks: read from a flame graph, written folded, and put together again."""

from pathlib import Path

import pytest

from extract import flames
from extract.flames import CHILDREN, WORKER

HEAD = (
    '<?xml version="1.0"?><svg xmlns="http://www.w3.org/2000/svg" '
    'xmlns:fg="http://github.com/jonhoo/inferno"><g><rect width="9"/></g><svg id="frames">'
)


def frame(name: str, row: int, start: int, width: int) -> str:
    title = f"{name} ({width:,} samples, {width / 10:.2f}%)"
    return (f'<g><title>{title}</title><rect y="{50 + 16 * row}" fg:x="{start}" fg:w="{width}"/>'
            f"<text>{name}</text></g>")  # fmt: skip


#: A worker that calls f and g, and two children: one in f, one in f, called by g.
SVG = (
    HEAD
    + "".join([
        frame("all", 0, 0, 1000),
        frame("process 7:&quot;python -m worker&quot;", 1, 0, 1000),
        frame("main (a.py:1)", 2, 0, 500), frame("f (b.py:2)", 3, 0, 200),
        frame("g (b.py:9)", 3, 200, 250),
        frame("process 8:&quot;python -m worker\n&quot;", 2, 500, 300),
        frame("f (b.py:2)", 3, 500, 300),
        frame("process 9:&quot;python -m worker&quot;", 2, 800, 200),
        frame("g (b.py:9)", 3, 800, 200), frame("f (b.py:2)", 4, 850, 150),
    ])
    + "</svg></svg>"
)  # fmt: skip
STACKS = {
    (WORKER, "main (a.py:1)"): 50,
    (WORKER, "main (a.py:1)", "f (b.py:2)"): 200,
    (WORKER, "main (a.py:1)", "g (b.py:9)"): 250,
    (CHILDREN, "f (b.py:2)"): 300,
    (CHILDREN, "g (b.py:9)"): 50,
    (CHILDREN, "g (b.py:9)", "f (b.py:2)"): 150,
}


def test_a_flame_graph_is_read_to_the_last_sample() -> None:
    assert flames.read_svg(SVG) == STACKS


@pytest.mark.parametrize("text", ["", "<svg", "no xml"])
def test_what_is_no_flame_graph_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no flame graph"):
        flames.read_svg(text)


def test_stacks_are_read_back_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "x.folded"
    flames.write(path, {**STACKS, (WORKER, "odd;name\nof a call"): 3})
    assert flames.read(path) == {**STACKS, (WORKER, "odd,name of a call"): 3}
    path.write_text("no number")
    with pytest.raises(ValueError, match="invalid literal"):
        flames.read(path)


def test_a_tree_has_what_lies_below_each_call_and_in_it() -> None:
    root = flames.tree(STACKS)
    assert (root.value, root.own) == (1000, 0)
    main = root.children[WORKER].children["main (a.py:1)"]
    assert (main.value, main.own) == (500, 50)
    assert sum(child.value for child in root.children.values()) == root.value


def test_the_hottest_are_counted_whoever_called_them() -> None:
    assert flames.hottest(STACKS, 2) == [("f (b.py:2)", 650), ("g (b.py:9)", 300)]
