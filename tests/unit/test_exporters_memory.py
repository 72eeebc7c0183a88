"""Memory without counting shared pages twice, and without reading it too often."""

from types import SimpleNamespace

import psutil

from exporters.memory import ProportionalMemory


class FakeProcess:
    """A process whose memory costs some time to know."""

    def __init__(self, clock: list[float], pss: int, cost: float) -> None:
        self._clock = clock
        self.pss = pss
        self._cost = cost

    def memory_full_info(self) -> SimpleNamespace:
        self._clock[0] += self._cost
        return SimpleNamespace(pss=self.pss)


class Ended:
    def memory_full_info(self) -> SimpleNamespace:
        raise psutil.NoSuchProcess(9)


def test_it_is_read_again_only_when_a_hundred_times_its_cost_has_gone_by() -> None:
    clock = [1000.0]
    process = FakeProcess(clock, 100, cost=0.05)
    memory = ProportionalMemory(lambda: clock[0])

    assert memory.update([process, Ended()]) == 100
    process.pss = 200
    clock[0] += 4.9
    assert memory.update([process, Ended()]) == 100
    clock[0] += 0.2
    assert memory.update([process, Ended()]) == 200


def test_a_change_of_their_number_is_noticed_ten_times_sooner() -> None:
    clock = [1000.0]
    memory = ProportionalMemory(lambda: clock[0])
    processes = [FakeProcess(clock, 100, cost=0.05) for _ in range(4)]

    assert memory.update(processes[:2]) == 200
    clock[0] += 0.5
    assert memory.update(processes) == 200
    clock[0] += 0.6
    assert memory.update(processes) == 400
    clock[0] += 10
    assert memory.update(processes) == 400


def test_no_process_uses_no_memory() -> None:
    clock = [1000.0]
    memory = ProportionalMemory(lambda: clock[0])

    memory.update([FakeProcess(clock, 100, cost=0.05)])

    assert memory.update([]) == 0
