"""Process trees, the roles file, and a CPU counter that never steps back."""

import json
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import psutil
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters.processes import CpuLedger, ProcessSource, Usage, read
from exporters.roles import RolesError, parse_roles, roots_by_pid, with_monitor


class FakeProcess:
    """A process table entry: own CPU, reaped children's CPU, memory."""

    def __init__(
        self, pid: int, ppid: int, user: float = 1.0, *, reaped: float = 0.0, state: str = "running"
    ) -> None:
        self.pid = pid
        self.info: Mapping[str, Any] = {"ppid": ppid}
        self._cpu = SimpleNamespace(
            user=user, system=user / 2, children_user=reaped, children_system=reaped / 2
        )
        self._state = state

    def create_time(self) -> float:
        return 1000.0 + self.pid

    def oneshot(self) -> AbstractContextManager[None]:
        return nullcontext()

    def cpu_times(self) -> SimpleNamespace:
        if self._state == "gone":
            raise psutil.NoSuchProcess(self.pid)
        return self._cpu

    def memory_full_info(self) -> SimpleNamespace:
        return SimpleNamespace(pss=100)

    def status(self) -> str:
        return self._state


def total(reading: Mapping[Any, Usage]) -> Usage:
    return sum(reading.values(), Usage())


def test_a_tree_is_the_root_with_all_descendants_and_nothing_else() -> None:
    table = [FakeProcess(2, 1), FakeProcess(3, 2), FakeProcess(4, 3), FakeProcess(5, 1)]

    reading = read({"worker": (2,)}, table)

    assert total(reading["worker"]) == Usage(3.0, 1.5, tuple(table[:3]))


def test_a_listed_descendant_counts_in_its_own_role_only() -> None:
    table = [FakeProcess(2, 1), FakeProcess(3, 2), FakeProcess(4, 3), FakeProcess(5, 2)]

    reading = read({"generator": (2,), "worker": (3,)}, table)

    assert len(total(reading["generator"]).live) == 2
    assert len(total(reading["worker"]).live) == 2


def test_reaped_children_count_and_the_dead_are_not_live() -> None:
    table = [
        FakeProcess(2, 1, reaped=10.0),
        FakeProcess(3, 2, 5.0, state=psutil.STATUS_ZOMBIE),
        FakeProcess(4, 2, 99.0, state="gone"),
    ]

    assert total(read({"worker": (2,)}, table)["worker"]) == Usage(16.0, 8.0, (table[0],))


def test_parents_are_read_before_their_children_even_with_higher_ids() -> None:
    order: list[int] = []

    class Watched(FakeProcess):
        def cpu_times(self) -> SimpleNamespace:
            order.append(self.pid)
            return super().cpu_times()

    read({"worker": (30,)}, [Watched(5, 9), Watched(9, 30), Watched(30, 1)])

    assert order == [30, 9, 5]


def test_a_root_that_vanishes_keeps_its_cpu_and_its_successor_adds_to_it() -> None:
    ledger = CpuLedger()

    ledger.update({"worker": {(2, 0.0): Usage(10.0, 4.0)}})
    assert ledger.update({"worker": {}}) == {"worker": (10.0, 4.0)}
    # The same process id, started later, is another process.
    assert ledger.update({"worker": {(2, 5.0): Usage(1.0, 0.5)}}) == {"worker": (11.0, 4.5)}
    assert ledger.update({}) == {"worker": (11.0, 4.5)}


@given(
    st.lists(
        st.dictionaries(
            st.tuples(st.integers(1, 3), st.just(0.0)),
            st.builds(Usage, st.floats(0, 1e6), st.floats(0, 1e6)),
        )
    )
)
def test_the_cpu_counter_never_steps_back_and_is_never_below_what_is_seen(
    readings: list[dict[tuple[int, float], Usage]],
) -> None:
    ledger = CpuLedger()
    previous = (0.0, 0.0)
    for roots in readings:
        counter = ledger.update({"worker": roots})["worker"]
        assert counter[0] >= previous[0]
        assert counter[1] >= previous[1]
        assert counter[0] >= max((usage.user_seconds for usage in roots.values()), default=0.0)
        previous = counter


def test_the_roles_file_is_parsed() -> None:
    text = '{"worker": [2, 3], "broker": [], "generator": [4]}'

    assert parse_roles(text) == {"worker": (2, 3), "broker": (), "generator": (4,)}


@pytest.mark.parametrize(
    "text",
    ["", "[1]", '{"worker": 2}', '{"worker": ["2"]}', '{"worker": [true]}', '{"worker": [2.0]}'],
)
def test_a_wrong_roles_file_is_refused(text: str) -> None:
    with pytest.raises(RolesError, match="roles file"):
        parse_roles(text)


def test_a_process_in_two_roles_is_refused_and_one_listed_twice_counts_once() -> None:
    assert roots_by_pid({"worker": (2, 2)}) == {2: "worker"}
    with pytest.raises(RolesError, match="process 2 is both worker and broker"):
        roots_by_pid({"worker": (2,), "broker": (2,)})


@pytest.mark.parametrize("roles", [{}, {"monitoring": (7,)}, {"generator": (7,)}])
def test_the_exporter_itself_is_monitoring_whatever_the_file_says(
    roles: dict[str, tuple[int, ...]],
) -> None:
    assert roots_by_pid(with_monitor(roles, 7)) == {7: "monitoring"}


def test_a_role_without_processes_has_zeros_and_the_file_is_read_at_every_scrape(
    tmp_path: Path,
) -> None:
    roles_file = tmp_path / "roles.json"

    def table(_attributes: list[str]) -> Iterator[FakeProcess]:
        return iter([FakeProcess(2, 1, 4.0), FakeProcess(9, 1, 0.5)])

    source = ProcessSource(roles_file, table, own_pid=9)

    def scrape(roles: dict[str, list[int]]) -> dict[tuple[str, ...], float]:
        roles_file.write_text(json.dumps(roles), encoding="utf-8")
        return {
            (sample.name, *sample.labels.values()): sample.value
            for family in source.collect()
            for sample in family.samples
        }

    with_worker = scrape({"worker": [2]})
    without = scrape({"worker": []})

    assert with_worker["taskqueue_process_cpu_seconds_total", "worker", "user"] == 4.0
    assert with_worker["taskqueue_process_memory_bytes", "worker"] == 100
    assert with_worker["taskqueue_processes", "monitoring"] == 1
    assert without["taskqueue_process_cpu_seconds_total", "worker", "user"] == 4.0
    assert without["taskqueue_process_cpu_seconds_total", "worker", "system"] == 2.0
    assert without["taskqueue_process_memory_bytes", "worker"] == 0
    assert without["taskqueue_processes", "worker"] == 0


def test_a_missing_roles_file_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        ProcessSource(tmp_path / "absent.json").collect()
