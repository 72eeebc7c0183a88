"""What the mock API's items are, as numbers: latencies follow their distribution and the seed."""

import msgspec
import numpy as np
import pytest

from tasks.mock_items import Settings, items, latencies_seconds, read_settings


def test_a_fixed_latency_is_that_of_every_item() -> None:
    assert set(latencies_seconds(Settings(latency_seconds=0.2)).tolist()) == {0.2}


def test_a_log_normal_latency_has_its_median_and_spread() -> None:
    found = np.log(latencies_seconds(Settings(latency="log-normal", sigma=0.5)))
    assert np.median(found) == pytest.approx(np.log(0.1), abs=0.02)
    assert found.std() == pytest.approx(0.5, rel=0.02)


def test_a_tail_is_as_frequent_as_asked() -> None:
    found = latencies_seconds(Settings(latency="tail", tail_share=0.05, tail_seconds=2))
    assert set(found.tolist()) == {0.1, 2.0}
    assert (found == 2).mean() == pytest.approx(0.05, rel=0.1)


def test_the_seed_decides_and_errors_do_not_change_latencies() -> None:
    one, same = Settings(latency="log-normal", error_share=0.5), Settings(latency="log-normal")
    assert (latencies_seconds(one) == latencies_seconds(same)).all()
    other = Settings(latency="log-normal", seed=2)
    assert (latencies_seconds(one) != latencies_seconds(other)).any()
    fails = [items(one)(n).fails for n in range(500)]
    assert fails == [items(one)(n).fails for n in range(500)]
    assert 150 < sum(fails) < 350
    assert not any(items(same)(n).fails for n in range(500))


def test_a_body_has_its_size_and_tells_its_item() -> None:
    item = items(Settings(response_bytes=100))
    assert len(item(5).body) == 100
    assert item(5).body != item(6).body
    assert item(5) == item(5)
    assert items(Settings(response_bytes=0))(1).body == b""


@pytest.mark.parametrize(
    "text", ['{"latency": "slow"}', '{"error_share": 2}', '{"latency_secs": 1}', '{"seed": -1}']
)
def test_settings_that_do_not_fit_are_refused(text: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        read_settings({"TASKSCOPE_MOCK_API": text})
    assert read_settings({}) == Settings()
