"""Scenarios as data: find one by name or by file, and parse it strictly."""

import os
from pathlib import Path
from typing import Final

from taskscope import toml_file
from taskscope.errors import UsageError
from taskscope.scenario_model import (
    Bound,
    Load,
    Part,
    Quick,
    RunSettings,
    Scenario,
    Slo,
    Variant,
    Workload,
)
from taskscope.scenario_parse import parse_scenario
from taskscope.strict import Table
from taskscope.values import nearest

__all__ = [
    "FRAMEWORKS",
    "Bound",
    "Load",
    "Part",
    "Quick",
    "RunSettings",
    "Scenario",
    "Slo",
    "Variant",
    "Workload",
    "builtin_scenarios",
    "load_scenario",
]

# The one list of frameworks: each has adapter modules of this name, and variants may name it.
FRAMEWORKS: Final = ("asynctasq", "celery")
_BUILTIN: Final = Path(__file__).parent / "scenarios"


def load_scenario(name_or_path: str) -> Scenario:
    """Return the built-in scenario of that name, or the one in that .toml file.

    UsageError where there is none, or where anything in the file does not fit.
    """
    if name_or_path.endswith(".toml") or os.sep in name_or_path:
        return _read(Path(name_or_path))
    known = _builtin_files()
    if name_or_path not in known:
        raise UsageError(
            f"unknown scenario {name_or_path!r}; the nearest known is "
            f"{nearest(name_or_path, known)}",
            f"Choose among: {', '.join(known)}; or give the path of a .toml file.",
        )
    return _read(known[name_or_path])


def builtin_scenarios() -> list[Scenario]:
    """Return every scenario that comes with taskscope, by name."""
    return [_read(path) for path in _builtin_files().values()]


def _builtin_files() -> dict[str, Path]:
    return {path.stem: path for path in sorted(_BUILTIN.glob("*.toml"))}


def _read(path: Path) -> Scenario:
    return parse_scenario(Table(str(path), (), toml_file.load(path)), FRAMEWORKS)
