"""Print the catalogue as Markdown: `python -m queries > docs/queries.md`."""

import sys

from queries import catalogue

_HEAD = """# Queries

Every figure that taskscope reports comes from one of these; the PromQL is in the file of the same
name in `queries/` (a family of queries shares one file). This page is generated from them:
`python -m queries > docs/queries.md`.

| query | unit | better | meaning |
|---|---|---|---|
"""


def markdown() -> str:
    """Return the page."""
    rows = (f"| {q.name} | {q.unit} | {q.better} | {q.meaning} |" for q in catalogue().values())
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
