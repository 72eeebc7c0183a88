"""Celery: which queue a message came from, as the message itself does not say."""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from instrumentation.unknown import Names, plain


class Queues:
    """Finds a queue by the exchange and the routing key that its messages were sent with.

    `default` stands for one of which a message says nothing at all.
    """

    def __init__(self, default: str) -> None:
        self._default = default
        self._by_binding: dict[tuple[str, str], str] = {}
        self._declared = 0
        self._others = Names()  # the keys of a topic may be any number

    def __call__(self, request: Mapping[str, Any], app: Any = None) -> str:
        """Return the name of the request's queue; where no such is declared, its routing key."""
        with suppress(AttributeError, TypeError):  # whoever sent it
            info = request.get("delivery_info") or {}
            key = plain(info.get("routing_key") or self._default)
            exchange = info.get("exchange")
            if not exchange:  # Celery's usual way: straight to a queue, by its name
                return key
            known = self._known(app).get((str(exchange), key)) if app else None
            return known or self._others(key)
        return self._default

    def _known(self, app: Any) -> Mapping[tuple[str, str], str]:
        declared = app.amqp.queues
        if len(declared) != self._declared:
            self._declared = len(declared)
            self._by_binding = {
                (getattr(queue.exchange, "name", ""), queue.routing_key): name
                for name, queue in declared.items()
            }
        return self._by_binding
