"""Write the dashboards: `python -m grafana`."""

import json
import pkgutil
from importlib import import_module

import grafana


def files() -> dict[str, str]:
    """Return the content of every dashboard's file by its name.

    Dashboards are found by their shape: a module with a function `build_dashboard` is one.
    """
    names = [found.name for found in pkgutil.iter_modules(grafana.__path__)]
    modules = {name: import_module(f"grafana.{name}") for name in names if name != "__main__"}
    return {
        f"{name.replace('_', '-')}.json": json.dumps(module.build_dashboard(), indent=2) + "\n"
        for name, module in modules.items()
        if hasattr(module, "build_dashboard")
    }


def main() -> None:
    """Write all files, and remove those of dashboards that are no more."""
    current = files()
    for path in grafana.FOLDER.glob("*.json"):
        if path.name not in current:
            path.unlink()
    for name, content in current.items():
        (grafana.FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
