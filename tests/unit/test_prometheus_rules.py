"""The rules are generated, complete, and do what they say, by Prometheus' own tool."""

import re
from pathlib import Path

import pytest
from promtool import promtool

import prometheus
from instrumentation.buckets import LABELS
from prometheus.__main__ import files
from queries.rules import Alert, alerts, known, recorded

ROOT = Path(__file__).parents[2]
RULES = sorted(path.name for path in prometheus.RULES.glob("*.yml"))
TESTS = sorted((ROOT / "tests" / "rules").glob("*.yml"))


def test_the_committed_files_are_what_the_catalogue_says() -> None:
    committed = {name: (prometheus.RULES / name).read_text() for name in RULES}
    assert committed == files(), "run: make generated"


@pytest.mark.parametrize("name", RULES)
def test_promtool_accepts_the_rules(name: str) -> None:
    said = promtool("check", "rules", "--lint=all", "--lint-fatal", prometheus.RULES / name)
    assert said.returncode == 0, said.stderr
    rules = {"live.yml": recorded(), "known_names.yml": known(), "alerts.yml": alerts()}[name]
    assert f"{len(rules)} rules found" in said.stdout


@pytest.mark.parametrize("path", TESTS, ids=lambda path: path.stem)
def test_the_rules_do_what_they_say(path: Path) -> None:
    said = promtool("test", "rules", path)
    assert said.returncode == 0, said.stdout + said.stderr


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert.name)
def test_each_alert_is_shown_to_fire_and_not_to(alert: Alert) -> None:
    text = (ROOT / "tests" / "rules" / "alerts.yml").read_text()
    mine = "".join(case for case in text.split("\n  - name: ") if alert.name in case)
    fired = set(re.findall(r"exp_labels: .*variant: ([\w ]+)", mine))
    given = set(re.findall(r'variant="([^"]+)"', mine))
    assert fired, "never shown to fire"
    assert given - fired, "never shown not to fire"


def test_the_heat_map_has_bounds_that_the_histogram_has() -> None:
    rule = next(rule for rule in recorded() if rule.record.endswith("octaves:rate10s"))
    found = re.search(r'le=~"([^"]+)"', rule.text)
    assert found
    bounds = found[1].replace("[.]", ".").replace("[+]", "+").split("|")
    assert bounds == [*LABELS[::8], "+Inf"]


def test_the_objective_of_latency_is_a_bound_of_the_histogram() -> None:
    (alert,) = (alert for alert in alerts() if alert.name == "LatencySLOBurn")
    assert set(re.findall(r'le="([^"]+)"', alert.text)) == {"0.8192"} <= set(LABELS)


def test_recorded_names_are_unique() -> None:
    for rules in (recorded(), known()):
        names = [(rule.record, tuple(rule.labels.items())) for rule in rules]
        assert len(set(names)) == len(names)
        assert all(rule.meaning.endswith(".") and rule.unit for rule in rules)
