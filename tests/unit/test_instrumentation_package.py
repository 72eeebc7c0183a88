"""The instrumentation as a distribution: what is in it, what it needs, what it does without."""

import email
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from pathlib import Path

import pytest

FOLDER = Path(__file__).parents[2] / "instrumentation"
MODULES = sorted(path.name for path in FOLDER.glob("*.py"))
ALLOWED = {"numpy", "prometheus-client"}
OURS = "opentelemetry-"
FRAMEWORKS = ("celery", "asynctasq")


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Build the wheel and the source distribution, as `hatchling` does for anybody."""
    directory = tmp_path_factory.mktemp("dist")
    done = subprocess.run(
        [sys.executable, "-P", "-m", "hatchling", "build", "-d", directory],
        cwd=FOLDER,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return directory


def wheel(built: Path) -> zipfile.ZipFile:
    (path,) = built.glob("*.whl")
    return zipfile.ZipFile(path)


def test_the_wheel_holds_the_package_and_nothing_else(built: Path) -> None:
    names = [name for name in wheel(built).namelist() if ".dist-info/" not in name]
    assert sorted(names) == sorted(f"instrumentation/{n}" for n in [*MODULES, "py.typed"])


def test_the_source_distribution_is_enough_to_build_it(built: Path) -> None:
    (path,) = built.glob("*.tar.gz")
    with tarfile.open(path) as archive:
        names = {name.split("/", 1)[1] for name in archive.getnames()}
    assert names >= {*MODULES, "py.typed", "README.md", "pyproject.toml"}
    assert names <= {*MODULES, "py.typed", "README.md", "pyproject.toml", "PKG-INFO", ".gitignore"}


def test_it_requires_what_it_may_and_no_more(built: Path) -> None:
    archive = wheel(built)
    (name,) = [n for n in archive.namelist() if n.endswith("METADATA")]
    metadata = email.message_from_bytes(archive.read(name))
    required: dict[str, set[str]] = {extra: set() for extra in ("", *FRAMEWORKS)}
    for line in metadata.get_all("Requires-Dist", []):
        extra = re.search(r"extra == '(\w+)'", line)
        required[extra[1] if extra else ""].add(re.split(r"[^\w-]", line)[0])
    assert {name for name in required[""] if not name.startswith(OURS)} == ALLOWED
    assert [required[extra] for extra in FRAMEWORKS] == [{extra} for extra in FRAMEWORKS]
    assert metadata.get_payload(decode=True) == (FOLDER / "README.md").read_bytes()


def run_without(wheel_path: Path, blocked: set[str], code: str) -> str:
    """Run code on the wheel alone, where the blocked packages are not installed."""
    program = f"""
import sys
class Blocked:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {blocked!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Blocked())
sys.path[:0] = [{str(wheel_path)!r}]
sys.path[:] = [p for p in sys.path if p != {str(FOLDER.parent)!r}]
{code}
"""
    done = subprocess.run(
        [sys.executable, "-P", "-c", program],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def everything_else() -> set[str]:
    """Return what the project has installed and the instrumentation does not ask for."""
    project = tomllib.loads((FOLDER.parent / "pyproject.toml").read_text())["project"]
    names = {re.split(r"[^\w-]", line)[0].replace("-", "_") for line in project["dependencies"]}
    # The OTLP exporter of OpenTelemetry, which live spans are sent by, brings requests itself.
    return (names | {"kombu", "billiard", "yaml"}) - {
        "taskscope_instrumentation", "numpy", "prometheus_client", "requests",
    }  # fmt: skip


def test_it_works_with_no_more_than_it_requires(built: Path) -> None:
    (path,) = built.glob("*.whl")
    adapters = {f"{name}.py" for name in FRAMEWORKS}
    modules = [n.removesuffix(".py") for n in MODULES if n not in {*adapters, "__main__.py"}]
    code = f"""
import importlib
for module in {modules!r}:
    found = importlib.import_module("instrumentation" if module == "__init__" else
                                    f"instrumentation.{{module}}")
    assert found.__file__.startswith({str(path)!r}), found.__file__
from instrumentation.telemetry import Telemetry
telemetry = Telemetry("x", {{}})
telemetry.serve()
telemetry.close()
print(*sorted({{name.split(".")[0] for name in sys.modules}}))
"""
    blocked = everything_else()
    assert {"celery", "asynctasq", "redis", "pandas", "msgspec", "uvloop"} <= blocked
    assert "instrumentation" in run_without(path, blocked, code).split()


def test_what_a_worker_loads_does_without_requests(built: Path) -> None:
    (path,) = built.glob("*.whl")
    code = "import instrumentation.telemetry, instrumentation.otlp; print('well')"
    assert run_without(path, {"requests", "urllib3"}, code) == "well\n"


@pytest.mark.parametrize("framework", FRAMEWORKS)
def test_without_its_framework_an_adapter_says_how_to_get_it(framework: str, built: Path) -> None:
    (path,) = built.glob("*.whl")
    code = f"""
try:
    import instrumentation.{framework}
except ModuleNotFoundError as error:
    print(error.name, error, sep=": ")
"""
    said = run_without(path, {framework, "billiard", "kombu"}, code)
    assert said == (f"{framework}: {framework} is not installed: pip install {framework}\n")


def test_the_extras_and_the_instrumentors_ask_for_the_same_versions() -> None:
    import importlib

    project = tomllib.loads((FOLDER / "pyproject.toml").read_text())["project"]
    for framework in FRAMEWORKS:
        (extra,) = project["optional-dependencies"][framework]
        kind = importlib.import_module(f"instrumentation.{framework}").Instrumentor
        assert kind.requirement.replace(" ", "") == extra
