"""Print the catalogue as Markdown: `python -m queries > docs/queries.md`."""

import sys
from collections.abc import Iterable

from queries import catalogue, timelines
from queries.rules import Recorded, alerts, known, recorded
from queries.watching import live, searches

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

_WATCHED = """
## For people who watch

These, in `queries/live/` and `queries/traces/`, are what [the dashboards](grafana.md) ask.
Rates extrapolate, and quantiles are those of the last seconds: no result comes from here.

| query | unit | meaning |
|---|---|---|
"""

_RECORDED = """
## Recorded

Prometheus records these by itself (`queries/recorded/`), so that the queries above cost little.

| series | every | unit | meaning |
|---|---|---|---|
"""

_KNOWN = """
The same facts under names that people know from elsewhere (`queries/known/`):

| series | every | unit | meaning |
|---|---|---|---|
"""

_ALERTS = """
## Alerts

In `queries/alerts/`; they fire while it is so.

| alert | for | severity | says | remedy |
|---|---|---|---|---|
"""


def markdown() -> str:
    """Return the page."""
    figures = [f"| {q.name} | {q.unit} | {q.better} | {q.meaning} |" for q in catalogue().values()]
    followed = [f"| {t.name} | {t.unit} | {t.kind} | {t.meaning} |" for t in timelines().values()]
    watched = [
        f"| {q.name} | {q.unit} | {q.meaning} |" for q in [*live().values(), *searches().values()]
    ]
    fired = [
        f"| {a.name} | {a.lasting} | {a.severity} | {_escaped(a.summary)} | {a.remedy} |"
        for a in alerts()
    ]
    parts = [
        (_HEAD, figures),
        (_OVER_TIME, followed),
        (_WATCHED, watched),
        (_RECORDED, _rules(recorded())),
        (_KNOWN, _rules(known())),
        (_ALERTS, fired),
    ]
    return "".join(head + "\n".join(lines) + "\n" for head, lines in parts)


def _rules(rules: Iterable[Recorded]) -> list[str]:
    """Return a line for each series; labels that a rule adds are in its name."""
    return [
        f"| `{rule.record}{_labels(rule)}` | {rule.interval} | {rule.unit} | {rule.meaning} |"
        for rule in rules
    ]


def _escaped(template: str) -> str:
    """Return a template of Prometheus' so that its pipes end no cell of the table."""
    return template.replace("|", r"\|")


def _labels(rule: Recorded) -> str:
    labels = ", ".join(f'{name}="{value}"' for name, value in rule.labels.items())
    return f"{{{labels}}}" if labels else ""


if __name__ == "__main__":
    sys.stdout.write(markdown())
