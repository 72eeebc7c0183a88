"""Print the catalogue as Markdown: `python -m queries > docs/queries.md`."""

import sys

from queries import catalogue, timelines

_HEAD = """# Queries

Every figure that taskscope reports comes from one of these; the PromQL is in the file of the same
name in `queries/` (a family of queries shares one file). This page is generated from them:
`python -m queries > docs/queries.md`.

| query | unit | better | meaning |
|---|---|---|---|
"""

_OVER_TIME = """
## Over time

These, in `queries/timeline/`, select every scrape; `dataset/timeline.parquet` has them.

| query | unit | kind | meaning |
|---|---|---|---|
"""


def markdown() -> str:
    """Return the page."""
    figures = [f"| {q.name} | {q.unit} | {q.better} | {q.meaning} |" for q in catalogue().values()]
    followed = [f"| {t.name} | {t.unit} | {t.kind} | {t.meaning} |" for t in timelines().values()]
    return _HEAD + "\n".join(figures) + "\n" + _OVER_TIME + "\n".join(followed) + "\n"


if __name__ == "__main__":
    sys.stdout.write(markdown())
