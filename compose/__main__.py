"""Write `compose.yaml` and the targets of its Prometheus: `python -m compose`.

They are committed, so that containers need nothing of Python's on the host; a test compares.
"""

import json
from pathlib import Path

import yaml

from compose import containers

_HEAD = """\
# Written by `python -m compose` from compose/containers.py: change it there.
# `make up`, `make down`, `make logs`; docs/containers.md has the rest.
"""
_HERE = Path(__file__).parent


def files() -> dict[Path, str]:
    """Return the content of every file that is written."""
    return {
        _HERE / "compose.yaml": _HEAD + _yaml(containers.document()),
        _HERE / "mounted" / "targets.json": json.dumps(containers.targets(), indent=2) + "\n",
    }


def _yaml(document: object) -> str:
    text = yaml.safe_dump(document, sort_keys=False, width=100, allow_unicode=True)
    return text.replace("\n  worker-", "\n\n  worker-")  # one block for each framework


if __name__ == "__main__":
    for path, content in files().items():
        path.write_text(content)
