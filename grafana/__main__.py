"""Write the dashboards: `python -m grafana`."""

import json

from grafana import FOLDER, asynctasq, celery, comparison, slow_tasks, system

_DASHBOARDS = {
    "comparison": comparison.dashboard,
    "asynctasq": asynctasq.dashboard,
    "celery": celery.dashboard,
    "system": system.dashboard,
    "slow-tasks": slow_tasks.dashboard,
}


def files() -> dict[str, str]:
    """Return the content of every dashboard's file by its name."""
    return {
        f"{name}.json": json.dumps(build(), indent=2, ensure_ascii=False) + "\n"
        for name, build in _DASHBOARDS.items()
    }


def main() -> None:
    """Write all files, and remove those of dashboards that are no more."""
    current = files()
    for path in FOLDER.glob("*.json"):
        if path.name not in current:
            path.unlink()
    for name, content in current.items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
