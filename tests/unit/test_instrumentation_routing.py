"""Which queue a Celery message came from."""

from functools import partial

import pytest
from celery import Celery
from kombu import Exchange, Queue

from instrumentation.celery import _queue_name
from instrumentation.routing import Queues


@pytest.fixture
def app() -> Celery:
    app = Celery("shop", set_as_current=False)
    media = Exchange("media", type="topic")
    app.conf.task_queues = [Queue("video", media, routing_key="media.video"), Queue("shop")]
    return app


@pytest.mark.parametrize(
    ("delivery", "name"),
    [
        ({"exchange": "", "routing_key": "shop"}, "shop"),
        ({"exchange": "media", "routing_key": "media.video"}, "video"),
        ({"exchange": "media", "routing_key": "media.other"}, "media.other"),
        ({"exchange": "", "routing_key": None}, "usual"),
        (None, "usual"),
        ("nonsense", "usual"),
    ],
)
def test_a_queue_is_found_by_its_binding(delivery: object, name: str, app: Celery) -> None:
    assert Queues("usual")({"delivery_info": delivery}, app) == name


def test_without_an_app_the_key_stands_for_it() -> None:
    message = {"delivery_info": {"exchange": "media", "routing_key": "media.video"}}
    assert Queues("usual")(message) == "media.video"


def test_the_keys_of_a_topic_are_few(app: Celery) -> None:
    queues = Queues("usual")
    seen = {
        queues({"delivery_info": {"exchange": "media", "routing_key": f"id.{n}"}}, app)
        for n in range(1000)
    }
    assert len(seen) == 101
    assert "unknown" in seen


def test_a_queue_that_is_declared_later_is_found_too(app: Celery) -> None:
    queues = Queues("usual")
    message = {"delivery_info": {"exchange": "media", "routing_key": "media.late"}}
    assert queues(message, app) == "media.late"
    late = Queue("late", Exchange("media", type="topic"), routing_key="media.late")
    app.amqp.queues.add(late)
    assert queues(message, app) == "late"


def test_a_sender_names_the_queue_that_the_worker_will(app: Celery) -> None:
    sent = partial(_queue_name, app_amqp=app.amqp)
    media = {"exchange": "media", "routing_key": "media.video", "queue": app.amqp.default_queue}
    assert sent(media) == "video"
    assert sent({**media, "exchange": Exchange("media")}) == "video"
    assert sent({"queue": "shop"}) == sent({"queue": app.amqp.queues["shop"]}) == "shop"
    # Without an exchange the key of a direct queue is not looked at.
    names = {sent({"routing_key": f"user.{n}"}) for n in range(300)}
    assert names == {app.amqp.default_queue.name}
    topics = {sent({"exchange": "media", "routing_key": f"user.{n}"}) for n in range(300)}
    assert len(topics) <= 101
