"""Workers that run already, and where to listen: read strictly."""

from dataclasses import replace

import pytest

from taskscope.errors import UsageError
from taskscope.matrix import points
from taskscope.placement import Placement, placement, without_bounds
from taskscope.scenario import load_scenario

ALL = load_scenario("throughput")
PAIR = ALL.override(variants=list(ALL.headline))
URL = "redis://broker:6379"


def test_several_workers_of_a_variant() -> None:
    found = placement(None, ["asynctasq=b:9464", "asynctasq=c:9464"], [PAIR], URL)
    assert found == Placement(None, {"asynctasq": ("b:9464", "c:9464")})
    assert found.variables() == {}


def test_an_address_to_listen_on_reaches_every_process() -> None:
    assert placement("10.0.0.5", [], [PAIR], None).variables() == {
        "OTEL_EXPORTER_PROMETHEUS_HOST": "10.0.0.5"
    }


@pytest.mark.parametrize(("listen", "workers", "url", "cause", "remedy"), [
    ("0.0.0.0", [], None, "no address that Prometheus could scrape", "10.0.0.5"),  # noqa: S104
    ("::", [], None, "no address that Prometheus could scrape", "10.0.0.5"),
    (None, ["b:9464"], URL, "names no variant", "VARIANT=host:port"),
    (None, ["asynctasq=b"], URL, "b is no address", "Write host:port"),
    (None, ["asynctask=b:1"], URL, "the nearest is asynctasq", "--variant"),
    (None, ["asynctasq=b:1"], None, "start its own Redis", "--redis-url"),
])  # fmt: skip
def test_what_cannot_be_is_refused(
    listen: str | None, workers: list[str], url: str | None, cause: str, remedy: str
) -> None:
    with pytest.raises(UsageError) as error:
        placement(listen, workers, [PAIR], url)
    assert cause in error.value.cause
    assert remedy in error.value.remedy


def test_workers_that_would_take_another_variants_tasks_are_refused() -> None:
    with pytest.raises(UsageError, match="would also take the tasks of celery") as error:
        placement(None, ["celery-prefork=b:1"], [ALL], URL)
    assert "see --variant" in error.value.remedy


def test_workers_elsewhere_have_the_places_that_they_have() -> None:
    scenario = load_scenario("io-bound").override(variants=["asynctasq"], workers=1)
    with pytest.raises(UsageError, match="io-bound would be measured with more than one conc") as e:
        placement(None, ["asynctasq=b:1"], [PAIR, *points(scenario)], URL)
    assert e.value.remedy == "Choose the one that they have: --concurrency."
    chosen = points(scenario.override(concurrency=10))
    assert placement(None, ["asynctasq=b:1"], chosen, URL).workers
    one = points(replace(scenario, matrix={"concurrency": (10.0,)}))
    assert placement(None, ["asynctasq=b:1"], [PAIR, *one], URL).workers


def test_what_they_could_do_at_most_is_not_claimed() -> None:
    scenario = load_scenario("io-bound").override(concurrency=10, workers=1)
    assert all(point.bound for point in points(scenario))
    assert not any(point.bound for point in without_bounds(points(scenario)))
