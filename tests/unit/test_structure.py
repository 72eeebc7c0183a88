"""The tree keeps the shape that docs/architecture.md says it has."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = ("taskscope", "tasks", "loadgen", "instrumentation", "exporters", "prometheus",
            "queries", "compose", "extract", "grafana")  # fmt: skip
APART = {
    "instrumentation": set(PACKAGES) - {"instrumentation"},
    "loadgen": {"exporters", "tasks", "extract", "taskscope", "compose"},
    "exporters": {"loadgen", "tasks", "extract", "taskscope", "compose"},
    "tasks": {"loadgen", "exporters", "extract", "taskscope", "compose"},
    "extract": {"loadgen", "exporters", "tasks", "taskscope", "compose"},
    "queries": set(PACKAGES) - {"queries"},
    "prometheus": set(PACKAGES) - {"prometheus", "queries"},
    "grafana": set(PACKAGES) - {"grafana", "queries"},
    "compose": {"taskscope", "extract", "tasks", "loadgen"},
}
ADAPTERS = {"celery.py", "asynctasq.py"}


def imported(path: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module.split(".")[0])
    return found


@pytest.mark.parametrize("package", APART)
def test_dependencies_point_one_way(package: str) -> None:
    for path in (ROOT / package).rglob("*.py"):
        assert not imported(path) & APART[package], path


def test_only_adapters_import_a_framework() -> None:
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            if path.name not in ADAPTERS:
                assert not imported(path) & {"celery", "asynctasq", "kombu", "billiard"}, path


def code_names(path: Path) -> set[str]:
    """Names and strings of the code, without comments and docstrings."""
    tree = ast.parse(path.read_text())
    docstrings = {
        id(node.body[0].value)
        for node in ast.walk(tree)
        if isinstance(node, (ast.Module, ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef))
        and node.body and isinstance(node.body[0], ast.Expr)
    }  # fmt: skip
    return {
        node.value if isinstance(node, ast.Constant) else node.id
        for node in ast.walk(tree)
        if (isinstance(node, ast.Constant) and isinstance(node.value, str)
            and id(node) not in docstrings) or isinstance(node, ast.Name)
    }  # fmt: skip


def test_a_frameworks_name_stays_in_its_adapters() -> None:
    known = {
        "taskscope/scenario.py",  # the list of frameworks
        "taskscope/platform_facts.py",  # whose versions are noted
        "taskscope/doctor.py", "taskscope/machine.py",  # whose workers may disturb
        "compose/broker.py",  # says why the oldest Redis is what it is
    }  # fmt: skip
    for package in PACKAGES:
        for path in (ROOT / package).rglob("*.py"):
            where = str(path.relative_to(ROOT))
            examples = path.parent.name == "commands"  # in --help
            if path.name in ADAPTERS or where in known or examples:
                continue
            named = [n for n in code_names(path) if re.search("celery|asynctasq", n, re.IGNORECASE)]
            assert not named, (where, named)


@pytest.mark.parametrize(
    "package", ["instrumentation", "loadgen", "exporters", "compose", "tasks", "grafana"]
)
def test_both_frameworks_have_the_same_files(package: str) -> None:
    assert {p.name for p in (ROOT / package).glob("*.py")} >= ADAPTERS
