"""How a file of the catalogue is read: comment lines as its head, then the query.

A head that names values for parameters (`stage: execution, ack`) makes the file a family: one query
for each combination, with `${stage}` filled in everywhere.
"""

import itertools
from collections.abc import Iterator, Mapping
from pathlib import Path
from string import Template
from typing import Final

FOLDER: Final = Path(__file__).parent
_PARAMETERS: Final[tuple[str, ...]] = ("framework", "role", "stage", "quantile")


def family(path: Path) -> Iterator[tuple[dict[str, str], str]]:
    """Yield head and text of each query of a file; a head always has a `name`."""
    head, text = split(path.read_text())
    parameters = {name: head[name].split(", ") for name in _PARAMETERS if name in head}
    for combination in itertools.product(*parameters.values()):
        values = dict(zip(parameters, combination, strict=True))
        if "quantile" in values:
            values["percent"] = f"{float(values['quantile']) * 100:g}".replace(".", "")
        named = {"name": path.stem, **head, **values}
        yield {key: _fill(value, values) for key, value in named.items()}, _fill(text, values)


def split(content: str) -> tuple[dict[str, str], str]:
    """Return the head of a file, by key, and what follows it."""
    lines = content.splitlines()
    comments = list(itertools.takewhile(lambda line: line.startswith("#"), lines))
    pairs = (line.removeprefix("#").split(":", 1) for line in comments)
    head = {key.strip(): value.strip() for key, value in pairs}
    return head, "\n".join(lines[len(comments) :])


def _fill(text: str, values: Mapping[str, str]) -> str:
    return Template(text).safe_substitute(values)
