"""Write the rule files from the catalogue: `python -m prometheus`.

They are committed, so that a Prometheus of anybody's can read them; a test compares.
"""

import json
import textwrap
from collections.abc import Iterable
from itertools import groupby

from prometheus import RULES
from queries import rules

_HEAD = "# Generated from queries/{folder}/ by `python -m prometheus`: change it there.\n"
_ABOUT = {
    "recorded": "# What people watch while a run goes on. Results never come from here: rate()\n"
    "# extrapolates, so results are differences of samples instead.\n",
    "known": "# The same facts under the names that people know from elsewhere.\n",
    "alerts": "# Made for a scrape each second, as taskscope's own Prometheus does.\n",
}


def files() -> dict[str, str]:
    """Return the content of every rule file by its name."""
    return {
        "live.yml": _recording("recorded", "taskscope-live", rules.recorded()),
        "known_names.yml": _recording("known", "taskscope-known-names", rules.known()),
        "alerts.yml": _alerting(rules.alerts()),
    }


def _recording(folder: str, group: str, recorded: Iterable[rules.Recorded]) -> str:
    text = _begin(folder)
    by_interval = sorted(recorded, key=lambda rule: rule.interval)
    for interval, some in groupby(by_interval, key=lambda rule: rule.interval):
        text += f"  - name: {group}-{interval}\n    interval: {interval}\n    rules:\n"
        text += "".join(_record(rule) for rule in some)
    return text


def _record(rule: rules.Recorded) -> str:
    text = f"      - record: {rule.record}\n" + _expression(rule.text)
    if rule.labels:
        labels = (f"{key}: {json.dumps(value)}" for key, value in rule.labels.items())
        text += f"        labels: {{{', '.join(labels)}}}\n"
    return text


def _alerting(alerts: Iterable[rules.Alert]) -> str:
    text = _begin("alerts") + "  - name: taskscope-alerts\n    rules:\n"
    for alert in alerts:
        text += f"      - alert: {alert.name}\n" + _expression(alert.text)
        text += f"        for: {alert.lasting}\n"
        text += f"        labels: {{severity: {alert.severity}}}\n"
        text += f"        annotations:\n          summary: {json.dumps(alert.summary)}\n"
        text += f"          remedy: {json.dumps(alert.remedy)}\n"
    return text


def _begin(folder: str) -> str:
    return _HEAD.format(folder=folder) + _ABOUT[folder] + "groups:\n"


def _expression(text: str) -> str:
    return "        expr: |\n" + textwrap.indent(text, " " * 10) + "\n"


def main() -> None:
    """Write all files, and remove rule files that nothing stands for any more."""
    current = files()
    for path in RULES.glob("*.yml"):
        if path.name not in current:
            path.unlink()
    for name, content in current.items():
        (RULES / name).write_text(content)


if __name__ == "__main__":
    main()
