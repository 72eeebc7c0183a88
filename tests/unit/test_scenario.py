"""Scenario files: what a good one means, and what every bad one is told."""

import dataclasses
import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from loadgen.schedule import ArrivalSpec
from taskscope import scenario as scenario_module
from taskscope.errors import UsageError
from taskscope.scenario import FRAMEWORKS, Quick, Scenario, builtin_scenarios, load_scenario
from taskscope.scenario_parse import parse_scenario
from taskscope.strict import Table
from taskscope.values import NAME

GOOD = """\
name = "mine"
title = "Mine"
description = "Words."
tags = ["baseline"]
headline = ["one", "two"]

[workload]
task = "sleep"
count = 100
arguments = { seconds = 0.05, deep = [{ a = 1 }, "b", true] }

[load]
arrivals = "constant"
rate = 40
in_flight = 10

[run]
repetitions = 4
warmup = 0
concurrency = 10
seed = 1
queue = "mine"

[quick]
count = 20
repetitions = 2

[variants.one]
framework = "asynctasq"
description = "One."

[variants.two]
framework = "celery"
description = "Two."
settings.pool = "prefork"

[variants.three]
framework = "celery"
description = "Three."
"""

type Loader = Callable[[str], Scenario]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "mine.toml"


@pytest.fixture
def load(file: Path) -> Loader:
    def load(text: str) -> Scenario:
        file.write_text(text)
        return load_scenario(str(file))

    return load


def refusal(act: Callable[[], object]) -> tuple[str, str]:
    with pytest.raises(UsageError) as caught:
        act()
    return caught.value.cause, caught.value.remedy


def test_a_good_file_becomes_records(load: Loader) -> None:
    found = load(GOOD)
    assert (found.name, found.title, found.description) == ("mine", "Mine", "Words.")
    assert found.headline == ("one", "two")
    assert found.workload.parts[0].arguments == {"seconds": 0.05, "deep": [{"a": 1}, "b", True]}
    assert found.load.arrivals == ArrivalSpec("constant", {"rate": 40.0})
    assert dataclasses.astuple(found.run) == (4, 0, 10, 1, "mine", 1)
    assert found.quick == Quick(count=20, repetitions=2, warmup=None)
    assert [variant.name for variant in found.variants] == ["one", "two", "three"]
    assert found.variant("two").settings == {"pool": "prefork"}
    json.dumps(dataclasses.asdict(found))  # as the manifest will store it
    with pytest.raises(dataclasses.FrozenInstanceError):
        found.name = "other"  # type: ignore[misc]


@pytest.mark.parametrize(
    ("numbers", "spec"),
    [
        ('arrivals = "asap"', ArrivalSpec("asap")),
        ('arrivals = "poisson"\nrate = 0.5', ArrivalSpec("poisson", {"rate": 0.5})),
        (
            'arrivals = "ramp"\nrate_from = 1\nrate_to = 9.5',
            ArrivalSpec("ramp", {"rate_from": 1, "rate_to": 9.5}),
        ),
        (
            'arrivals = "burst"\nburst_size = 5\nburst_interval_seconds = 0.5',
            ArrivalSpec("burst", {"burst_size": 5, "burst_interval_seconds": 0.5}),
        ),
    ],
)
def test_every_kind_of_arrivals_is_read(load: Loader, numbers: str, spec: ArrivalSpec) -> None:
    assert load(GOOD.replace('arrivals = "constant"\nrate = 40', numbers)).load.arrivals == spec


def test_what_decides_no_measurement_may_be_left_out(load: Loader) -> None:
    text = GOOD.replace('tags = ["baseline"]\n', "").partition("[variants.two]")[0]
    text = text.replace('headline = ["one", "two"]\n', "")
    text = text.replace("[quick]\ncount = 20\nrepetitions = 2\n", "")
    text = text.replace('arguments = { seconds = 0.05, deep = [{ a = 1 }, "b", true] }\n', "")
    found = load(text)
    assert (found.tags, found.headline, found.quick) == ((), (), Quick())
    assert found.workload.parts[0].arguments == {}
    assert found.override(quick=True) == found


BIG = 2**63
BAD = [  # what to replace, by what, what the cause says, what the remedy says
    ("in_flight", "in_fligt", "load.in_fligt is an unknown key; the nearest known key is load.in_f",
     "Rename or remove it. Known under [load]: arrivals, in_flight, seconds, rate"),
    ("[load]", "[laod]", "laod is an unknown key; the nearest known key is load", "at the top of"),
    ("[variants.one]", "[variants.one]\nFrame.work = 1", ("variants.one.Frame is an unknown key; "
     "the nearest known key is variants.one.framework"), "Known under [variants.one]"),
    ("[run]", '[run]\n"a b" = 1', 'run."a b" is an unknown key', "Known under [run]"),
    ("count = 20\n", "cuont = 20\n", "nearest known key is quick.count", "count, repetitions, war"),
    ("seed = 1\n", "", "run.seed is missing", "Add `seed = ...` under [run]: a whole number of at"),
    ('title = "Mine"\n', "", "title is missing", "Add `title = ...` at the top of the file: text"),
    ('task = "sleep"\n', "", "workload.task is missing", "Add `task = ...` under [workload]: text"),
    ("count = 100", "count = true", ("workload.count must be a whole number of at least 1; "
     "found true"), "Set workload.count to a whole number of at least 1."),
    ("count = 100", "count = 10.0", "found the number 10.0", "a whole number of at least 1"),
    ("count = 100", 'count = "all"', "found the text 'all'", "workload.count"),
    ("count = 100", "count = 0", "at least 1; found the number 0", "workload.count"),
    ("count = 100", f"count = {BIG}", "found a whole number beyond 64 bits", "workload.count"),
    ("count = 100", "count = 1979-05-27", "found the date or time 1979-05-27", "workload.count"),
    ("count = 20\n", "count = 0\n", "quick.count must be", "at least 1"),
    ("warmup = 0", "warmup = -1", "run.warmup must be a whole number of at least 0", "run.warmup"),
    ("repetitions = 4", "repetitions = 0", "run.repetitions must", "at least 1"),
    ("concurrency = 10", "concurrency = 0", "run.concurrency must", "at least 1"),
    ("in_flight = 10", "in_flight = 0", "load.in_flight must", "at least 1"),
    ("seed = 1", "seed = -1", "run.seed must", "at least 0"),
    ("rate = 40", "rate = 0", "load.rate must be a number above 0", "Set load.rate to a number"),
    ("rate = 40", "rate = nan", "found the number nan", "load.rate"),
    ("rate = 40", "rate = inf", "found the number inf", "load.rate"),
    ("rate = 40", "rate = true", "found true", "load.rate"),
    ("rate = 40", 'rate = "fast"', "found the text 'fast'", "load.rate"),
    ("rate = 40", "rate = 1e-9", "load is too slow: sending 100 tasks would", "raise the rate"),
    ("rate = 40\n", "", 'load.rate is missing, and load.arrivals = "constant" needs it',
     "Add `rate = ...` under [load]: a number above 0"),
    ('"constant"', '"asap"', 'load.rate does not fit load.arrivals = "asap", which takes no number',
     "Remove it, or set load.arrivals to constant or poisson or pulse."),
    ('"constant"', '"ramp"', 'does not fit load.arrivals = "ramp", which takes rate_from and rate_',
     "Remove it, or set load.arrivals to constant or poisson or pulse."),
    ('"constant"\nrate = 40', '"burst"\nburst_size = 1.5\nburst_interval_seconds = 1',
     "load.burst_size must be a whole number of at least 1; found the number 1.5", "burst_size"),
    ('"constant"', '"konstant"', ("load.arrivals must be one of asap, constant, poisson, ramp, "
     "burst, pulse; found the text 'konstant'; the nearest is constant"), "Set load.arrivals to"),
    ('"constant"', "[1]", "ramp, burst, pulse; found a list", "Set load.arrivals to one of"),
    ('framework = "asynctasq"', 'framework = "asynctask"', ("variants.one.framework must be "
     "one of asynctasq, celery; found the text 'asynctask'; the nearest is asynctasq"), "Set"),
    ('["one", "two"]', '["one", "tow"]', ("headline must be a list of exactly two different "
     "variants; found the text 'tow', no variant; the nearest is two"), "Set headline to a list"),
    ('["one", "two"]', '["one"]', "exactly two different variants; found [one]", "Set headline"),
    ('["one", "two"]', '["one", "one"]', "different variants; found [one, one]", "Set headline"),
    ('["one", "two"]', '["one", "two", "three"]', "found [one, two, three]", "Set headline"),
    ('["one", "two"]', "[1, 2]", "headline must be a list of names", "Set headline"),
    ('headline = ["one", "two"]\n', "", "headline is missing", "Add `headline = ...` at the top"),
    ('tags = ["baseline"]', 'tags = "baseline"', "tags must be a list of names", "Set tags"),
    ('tags = ["baseline"]', 'tags = ["Base Line"]', "found the text 'Base Line'", "Set tags"),
    ('name = "mine"', 'name = "my_own"', ("name must be a name (1 to 64 of a-z, 0-9 and '-', the "
     "first not '-'); found the text 'my_own'"), "Set name to a name"),
    ('name = "mine"', 'name = "../up"', "found the text '../up'", "Set name"),
    ('queue = "mine"', 'queue = "a b"', "run.queue must be a name", "Set run.queue"),
    ("[variants.three]", "[variants.Three]", "variants.Three must have a name of 1 to 64",
     "Rename the variant"),
    ('title = "Mine"', 'title = " "', "title must be text in quotes, not blank", "Set title"),
    ("seconds = 0.05", "at = 1979-05-27", ("workload.arguments holds the date or time 1979-05-27 "
     "at at"), "Keep to text, true, false, finite 64-bit numbers"),
    ("a = 1 }", "a = inf }", "holds the number inf at deep.0.a", "finite"),
    ("a = 1 }", f"a = {BIG} }}", "holds a whole number beyond 64 bits at deep.0.a", "64-bit"),
    ("a = 1 }", f"a.{'a.' * 400}a = 1 }}", "holds a value nested more than 16 deep at", "Keep to"),
    ("[load]", "[[load]]", "load must be a table; found a list", "Set load to a table"),
    ('settings.pool = "prefork"', "settings = 3", "variants.two.settings must be a table", "table"),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "cause", "remedy"), BAD)
def test_every_misfit_names_the_file_the_key_and_the_way_out(  # noqa: PLR0913, PLR0917
    load: Loader, file: Path, old: str, new: str, cause: str, remedy: str
) -> None:
    assert old in GOOD
    said, advised = refusal(lambda: load(GOOD.replace(old, new, 1)))
    assert said.startswith(f"{file}: ")
    assert cause in said
    assert remedy in advised


def test_no_variant_is_a_misfit(load: Loader, file: Path) -> None:
    text = GOOD.partition("[variants.one]")[0]
    said, advised = refusal(lambda: load(text + "[variants]\n"))
    assert said == f"{file}: variants holds no variant"
    assert "Add at least one table [variants.some-name]" in advised
    said, advised = refusal(lambda: load(text))
    assert said == f"{file}: variants is missing"
    assert "Add [variants]" in advised


@pytest.mark.parametrize(
    ("content", "cause"),
    [
        (b"name = 'x'\ntitle = = 2\n", "not valid TOML: Invalid value (at line 2, column 9)"),
        (b"name = 'x'\ntitle = [1,\n", "(at line 3, the end of the file)"),
        (b"name = 'x'\n# caf\xe9\n", "not UTF-8 text (line 2)"),
        (b"name = " + b"[" * 5000, "not valid TOML"),
        (b"name = " + b"9" * 5000, "not valid TOML"),
    ],
)
def test_a_file_that_is_no_toml_is_told_where(file: Path, content: bytes, cause: str) -> None:
    file.write_bytes(content)
    said, advised = refusal(lambda: load_scenario(str(file)))
    assert said.startswith(f"{file}: ")
    assert cause in said
    assert advised


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    said, advised = refusal(lambda: load_scenario(str(tmp_path / "absent.toml")))
    assert said == f"{tmp_path}/absent.toml: cannot be read: No such file or directory"
    assert "Check the path" in advised
    said, _ = refusal(lambda: load_scenario(f"{tmp_path}/"))
    assert "Is a directory" in said
    said, _ = refusal(lambda: load_scenario("\0.toml"))
    assert "cannot be read" in said


def test_an_unknown_scenario_lists_the_known_and_the_nearest() -> None:
    said, advised = refusal(lambda: load_scenario("thruput"))
    assert said == "unknown scenario 'thruput'; the nearest known is throughput"
    assert ", ".join(scenario.name for scenario in builtin_scenarios()) in advised
    assert "path of a .toml file" in advised


def test_the_built_in_scenarios_are_whole_and_named_after_their_files() -> None:
    found = builtin_scenarios()
    files = sorted((Path(scenario_module.__file__).parent / "scenarios").glob("*.toml"))
    assert [scenario.name for scenario in found] == [file.stem for file in files]
    for scenario in found:
        assert load_scenario(scenario.name) == scenario
        assert len(scenario.headline) == 2
        pair = {scenario.variant(name).framework for name in scenario.headline}
        assert pair == set(FRAMEWORKS)
        assert all(NAME.fullmatch(variant.name) for variant in scenario.variants)


def test_headlines_pair_equal_guarantees() -> None:
    for scenario in builtin_scenarios():
        (celery,) = (v for v in map(scenario.variant, scenario.headline) if v.framework == "celery")
        assert celery.settings["task_acks_late"] is True, scenario.name
        assert celery.settings["task_ignore_result"] is True, scenario.name


def test_what_differs_in_its_guarantees_from_asynctasq_says_so() -> None:
    for scenario in builtin_scenarios():
        for variant in scenario.variants:
            if variant.framework == "celery" and not variant.settings.get("task_acks_late"):
                assert "guarantees of AsyncTasQ" in " ".join(variant.description.split()), (
                    variant.name
                )


def test_the_known_answer_leaves_room_to_spare() -> None:
    known = load_scenario("known-answer")
    rate, busy = known.load.arrivals.numbers["rate"], known.workload.parts[0].arguments["seconds"]
    assert isinstance(busy, float)
    assert rate * busy < known.run.concurrency / 2  # else waiting would belong to the answer


def test_nothing_given_changes_nothing(load: Loader) -> None:
    found = load(GOOD)
    assert found.override() == found
    assert found.override(quick=False) == found


def test_what_is_given_replaces_what_is_there(load: Loader) -> None:
    found = load(GOOD).override(count=7, repetitions=8, concurrency=9, seed=10)
    assert found.workload.count == 7
    assert dataclasses.astuple(found.run) == (8, 0, 9, 10, "mine", 1)
    assert load(GOOD).override(seed=0).run.seed == 0  # a zero is given too


def test_quick_is_short_and_runs_the_headline(load: Loader) -> None:
    found = load(
        GOOD.replace("repetitions = 2", "warmup = 0").replace("warmup = 0", "warmup = 5", 1)
    )
    quick = found.override(quick=True)
    assert (quick.workload.count, quick.run.repetitions, quick.run.warmup) == (20, 4, 0)
    assert [variant.name for variant in quick.variants] == ["one", "two"]
    assert quick.override(quick=True) == quick


def test_what_is_given_wins_over_quick(load: Loader) -> None:
    found = load(GOOD).override(quick=True, count=33, variants=["three"])
    assert (found.workload.count, found.run.repetitions) == (33, 2)
    assert [variant.name for variant in found.variants] == ["three"]
    assert found.headline == ()


@pytest.mark.parametrize(
    ("chosen", "headline"),
    [
        (["two", "one", "three"], ("one", "two")),
        (["three", "two"], ("three", "two")),
        (["two", "two"], ()),
    ],
)
def test_chosen_variants_keep_their_order(
    load: Loader, chosen: list[str], headline: tuple[str, ...]
) -> None:
    found = load(GOOD).override(variants=chosen)
    assert [variant.name for variant in found.variants] == list(dict.fromkeys(chosen))
    assert found.headline == headline


@pytest.mark.parametrize(
    ("arrivals", "kind"),
    [
        ('"constant"\nrate = 40', "constant"),
        ('"poisson"\nrate = 40', "poisson"),
        ('"asap"', "constant"),
        ('"ramp"\nrate_from = 1\nrate_to = 2', "constant"),
    ],
)
def test_a_rate_keeps_poisson_and_makes_the_rest_constant(
    load: Loader, arrivals: str, kind: str
) -> None:
    found = load(GOOD.replace('"constant"\nrate = 40', arrivals)).override(rate=8)
    assert found.load.arrivals == ArrivalSpec(kind, {"rate": 8.0})
    assert found.load.in_flight == 10


@pytest.mark.parametrize(
    ("given_", "cause", "remedy"),
    [
        ({"variants": ["tow"]}, "scenario mine has no variant 'tow'; the nearest known is two",
         "Choose among: one, two, three."),
        ({"variants": []}, "no variant is chosen", "at least one of: one, two, three"),
        ({"count": 0}, "count must be a whole number of at least 1; found the number 0", "count"),
        ({"repetitions": 0}, "repetitions must be", "at least 1"),
        ({"concurrency": -2}, "concurrency must be", "at least 1"),
        ({"seed": -1}, "seed must be", "at least 0"),
        ({"rate": 0}, "rate must be above 0", "tasks per second"),
        ({"rate": float("nan")}, "found nan", "tasks per second"),
        ({"rate": 1e-7}, "scenario mine: sending 100 tasks would take", "raise the rate"),
        ({"count": 10**12}, "scenario mine: sending 1000000000000 tasks", "Lower the count"),
    ],
)  # fmt: skip
def test_an_override_that_does_not_fit_is_refused(
    load: Loader, given_: dict[str, Any], cause: str, remedy: str
) -> None:
    scenario = load(GOOD)
    said, advised = refusal(lambda: scenario.override(**given_))
    assert cause in said
    assert remedy in advised


@st.composite
def mutated_bytes(draw: st.DrawFn) -> bytes:
    """Cut pieces out of a good file, and put pieces of it, or anything, in their place."""
    content = GOOD.encode()
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(content)))
        end = draw(st.integers(start, min(len(content), start + 30)))
        source = draw(st.integers(0, len(content)))
        copied = content[source : source + draw(st.integers(0, 30))]
        piece = draw(st.one_of(st.binary(max_size=8), st.just(copied)))
        content = content[:start] + piece + content[end:]
    return content


def accepted_or_refused(read: Callable[[], Scenario]) -> None:
    """Whatever is accepted must be fit to run; whatever is not must be a UsageError in full."""
    try:
        found = read()
    except UsageError as error:
        said = (error.cause.strip(), error.remedy.strip())
    else:
        json.dumps(dataclasses.asdict(found), allow_nan=False)
        said = (found.override(count=3, rate=2, quick=True).name, found.title)
    assert all(said)


@given(mutated_bytes())
def test_no_mutation_of_a_file_raises_anything_else(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    file = tmp_path_factory.getbasetemp() / "mutated.toml"
    file.write_bytes(content)
    accepted_or_refused(lambda: load_scenario(str(file)))


# Few characters: the first draw from all of Unicode takes seconds on a fresh machine.
short_text = st.text('aZ0-_. \n"\\\0é', max_size=5)
toml_values = st.recursive(
    st.one_of(
        *(st.booleans(), st.integers(), st.integers(-2, 9), st.floats(), st.dates(), st.times()),
        *(short_text, st.sampled_from(["one", "asap", "burst", "celery"])),
    ),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3), st.dictionaries(short_text, inner, max_size=3)
    ),
    max_leaves=6,
)


def every_table(table: dict[str, Any]) -> list[dict[str, Any]]:
    inner = [value for value in table.values() if isinstance(value, dict)]
    return [table, *(found for value in inner for found in every_table(value))]


@given(st.data())
def test_no_value_at_any_key_raises_anything_else(data: st.DataObject) -> None:
    content = tomllib.loads(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        table = data.draw(st.sampled_from(every_table(content)))
        key = data.draw(st.sampled_from([*table, "rate_from", "burst_size", "odd.key"]))
        if data.draw(st.booleans()):
            table[key] = data.draw(toml_values)
        else:
            table.pop(key, None)
    accepted_or_refused(lambda: parse_scenario(Table("mine.toml", (), content), FRAMEWORKS))
