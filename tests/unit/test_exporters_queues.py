"""The queue adapters' pure parse steps, on what the frameworks really wrote."""

from datetime import UTC, datetime, timedelta

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from exporters import asynctasq, celery
from exporters.queues import Depth, emit, load_adapters

# Recorded from the hash `unacked`: Celery 5.7.0, kombu's Redis transport, countdown=3600.
UNACKED_WITH_ETA = (
    b'[{"body": "W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbn'
    b'VsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", '
    b'"content-type": "application/json", '
    b'"headers": {"lang": "py", "task": "shop.add", "id": "27a481aa-125b-4c26-9cea-07b1b999527e", '
    b'"shadow": null, "eta": "2026-11-22T00:49:56.184857+00:00", "expires": null, "group": null, '
    b'"group_index": null, "retries": 0, "timelimit": [null, null], '
    b'"root_id": "27a481aa-125b-4c26-9cea-07b1b999527e", "parent_id": null, "argsrepr": "(1, 2)", '
    b'"kwargsrepr": "{}", "origin": "gen4446@vm", "ignore_result": false, '
    b'"replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}}, '
    b'"properties": {"correlation_id": "27a481aa-125b-4c26-9cea-07b1b999527e", '
    b'"reply_to": "5101e3e9-1281-3dec-af4b-06811045525e", "delivery_mode": 2, '
    b'"delivery_info": {"exchange": "", "routing_key": "orders"}, "priority": 0, '
    b'"body_encoding": "base64", "delivery_tag": "52d5c981-fd77-47f1-899d-cc5175613a4a"}}, '
    b'"", "orders"]'
)
ETA = datetime(2026, 11, 22, 0, 49, 56, 184857, tzinfo=UTC).timestamp()
# Recorded beside it: the same task without a countdown.
UNACKED_WITHOUT_ETA = (
    b'[{"body": "W1sxLCAyXSwge30sIHsiY2FsbGJhY2tzIjogbnVsbCwgImVycmJhY2tzIjogbnVsbCwgImNoYWluIjogbn'
    b'VsbCwgImNob3JkIjogbnVsbH1d", "content-encoding": "utf-8", '
    b'"content-type": "application/json", '
    b'"headers": {"lang": "py", "task": "shop.add", "id": "331c3abb-a27b-48ae-b73c-b29f86242e70", '
    b'"shadow": null, "eta": null, "expires": null, "group": null, '
    b'"group_index": null, "retries": 0, "timelimit": [null, null], '
    b'"root_id": "331c3abb-a27b-48ae-b73c-b29f86242e70", "parent_id": null, "argsrepr": "(1, 2)", '
    b'"kwargsrepr": "{}", "origin": "gen4446@vm", "ignore_result": false, '
    b'"replaced_task_nesting": 0, "stamped_headers": null, "stamps": {}}, '
    b'"properties": {"correlation_id": "331c3abb-a27b-48ae-b73c-b29f86242e70", '
    b'"reply_to": "5101e3e9-1281-3dec-af4b-06811045525e", "delivery_mode": 2, '
    b'"delivery_info": {"exchange": "", "routing_key": "orders"}, "priority": 0, '
    b'"body_encoding": "base64", "delivery_tag": "5a0a16de-47ce-4610-951f-4a91b58bd36b"}}, '
    b'"", "orders"]'
)
NO_LENGTHS = dict.fromkeys(celery.list_keys(["orders", "other"]), 0)


def unacked(queue: str, eta: str | None) -> bytes:
    return msgspec.json.encode([{"headers": {"eta": eta}}, "", queue])


def celery_depth(*values: bytes, now: float) -> Depth:
    return celery.parse(["orders"], NO_LENGTHS, values, now)["orders"]


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (ETA - 0.001, Depth(ready=0, delayed=1, in_flight=1)),
        (ETA, Depth(ready=0, delayed=0, in_flight=2)),
    ],
)
def test_a_fetched_celery_message_is_delayed_until_its_eta_then_in_flight(
    now: float, expected: Depth
) -> None:
    assert celery_depth(UNACKED_WITH_ETA, UNACKED_WITHOUT_ETA, now=now) == expected


@pytest.mark.parametrize(
    "eta", ["2026-11-22T00:49:56.184857", "2026-11-22T01:49:56.184857+01:00"], ids=["naive", "zone"]
)
def test_an_eta_without_a_zone_is_utc_and_any_zone_is_understood(eta: str) -> None:
    assert celery_depth(unacked("orders", eta), now=ETA - 1).delayed == 1
    assert celery_depth(unacked("orders", eta), now=ETA + 1).delayed == 0


def test_all_priority_lists_of_a_celery_queue_are_ready_and_only_its_own() -> None:
    lengths = {
        "orders": 1, "orders\x06\x163": 20, "orders\x06\x166": 300, "orders\x06\x169": 4000,
        "other": 7, "other\x06\x163": 0, "other\x06\x166": 0, "other\x06\x169": 0,
    }  # fmt: skip

    depths = celery.parse(["orders", "other"], lengths, [UNACKED_WITHOUT_ETA], now=ETA)

    assert depths["orders"] == Depth(ready=4321, delayed=0, in_flight=1)
    assert depths["other"] == Depth(ready=7, delayed=0, in_flight=0)


@pytest.mark.parametrize(
    "value", [b"", b"null", b"[{}, '', 'orders']", b'[{"headers": {"eta": "soon"}}, "", "orders"]']
)
def test_a_malformed_unacked_value_is_an_error_not_a_smaller_number(value: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        celery_depth(UNACKED_WITHOUT_ETA, value, now=ETA)


@given(
    st.lists(
        st.tuples(
            st.sampled_from(["orders", "other", "elsewhere"]),
            st.one_of(st.none(), st.integers(-1000, 1000)),
        )
    )
)
def test_every_fetched_celery_message_is_counted_once_in_its_own_queue(
    messages: list[tuple[str, int | None]],
) -> None:
    moment = datetime.fromtimestamp(ETA, UTC)
    values = [
        unacked(queue, None if offset is None else (moment + timedelta(seconds=offset)).isoformat())
        for queue, offset in messages
    ]

    depths = celery.parse(["orders", "other"], NO_LENGTHS, values, now=ETA)

    for queue, depth in depths.items():
        offsets = [offset for name, offset in messages if name == queue]
        assert depth.delayed == sum(offset is not None and offset > 0 for offset in offsets)
        assert depth.delayed + depth.in_flight == len(offsets)


def test_a_due_asynctasq_task_in_the_delayed_set_is_ready() -> None:
    depths = asynctasq.parse(["a", "b"], [10, 2, 3, 4, 0, 0, 0, 5])

    assert depths == {
        "a": Depth(ready=12, delayed=3, in_flight=4),
        "b": Depth(ready=0, delayed=0, in_flight=5),
    }


def test_a_missing_asynctasq_count_is_an_error() -> None:
    with pytest.raises(ValueError, match="not enough values"):
        asynctasq.parse(["a", "b"], [10, 2, 3, 4, 0, 0, 0])


def test_every_queue_has_all_three_states_even_when_empty() -> None:
    [family] = emit({"a": Depth(1, 2, 3), "b": Depth(0, 0, 0)})

    assert family.name == "taskqueue_queue_depth"
    assert {(s.labels["queue"], s.labels["state"]): s.value for s in family.samples} == {
        ("a", "ready"): 1, ("a", "delayed"): 2, ("a", "in_flight"): 3,
        ("b", "ready"): 0, ("b", "delayed"): 0, ("b", "in_flight"): 0,
    }  # fmt: skip


def test_adapters_are_found_by_shape_and_have_databases_of_their_own() -> None:
    adapters = load_adapters()

    assert set(adapters) == {"asynctasq", "celery"}
    assert (adapters["asynctasq"].DATABASE, adapters["celery"].DATABASE) == (0, 1)
