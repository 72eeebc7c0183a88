"""What tasks do, as plain functions that know no framework.

Where waiting is the work, there is a coroutine too, since that is how each side's users write it;
both come to the same result. Data that a task works on follows from its number, so that a large
payload need not go through the broker, and every result can be checked.
"""

import asyncio
import hashlib
import json
import math
import random
import time

from tasks import http


def noop() -> None:
    """Do nothing: what remains is the cost of the queue itself."""


def sleep(seconds: float) -> None:
    """Wait, blocking the thread."""
    time.sleep(seconds)


async def sleep_async(seconds: float) -> None:
    """Wait, leaving the event loop to others."""
    await asyncio.sleep(seconds)


def fetch(url: str, number: int) -> str:
    """GET a resource, blocking the thread; return the SHA-256 of its body."""
    return _digest(http.get(f"{url}/items/{number}"))


async def fetch_async(url: str, number: int) -> str:
    """GET a resource, leaving the event loop to others; return the SHA-256 of its body."""
    return _digest(await http.get_async(f"{url}/items/{number}"))


def derive_key(number: int, rounds: int, payload_bytes: int = 32, payload: str = "") -> str:
    """Derive a key from a payload with PBKDF2-HMAC-SHA256, which lets go of the interpreter lock.

    The payload is made from the number, unless it came with the message.
    """
    secret = payload or random.Random(number).randbytes((payload_bytes + 1) // 2).hex()  # noqa: S311
    return hashlib.pbkdf2_hmac("sha256", secret.encode(), b"%d" % number, rounds).hex()


def factorial(of: int) -> int:
    """Return the number of bits of a factorial, which holds the interpreter lock throughout."""
    return math.factorial(of).bit_length()


def validate(number: int, items: int) -> int:
    """Parse a JSON document of so many items and validate it; return the sum of its prices.

    ValueError for an item that is not as it should be.
    """
    document = json.loads(_order(number, items))
    return sum(_checked(item) for item in document["items"])


def hash_chain(number: int, links: int) -> str:
    """Hash a number over and over: short calls, which hold the interpreter lock."""
    digest = b"%d" % number
    for _ in range(links):
        digest = hashlib.sha256(digest).digest()
    return digest.hex()


def _digest(body: bytes) -> str:
    return hashlib.sha256(body).hexdigest()


def _order(number: int, items: int) -> str:
    """Write an order as a client would send it."""
    lines = [
        {"sku": f"{number}-{i}", "quantity": 1 + (number + i) % 9, "price": 100 + (7 * i) % 900,
         "tags": ["new", "sale"][: i % 3]}
        for i in range(items)
    ]  # fmt: skip
    return json.dumps({"order": number, "items": lines})


def _checked(item: dict[str, object]) -> int:
    sku, quantity, price, tags = (item[key] for key in ("sku", "quantity", "price", "tags"))
    if not (
        isinstance(sku, str)
        and isinstance(quantity, int)
        and isinstance(price, int)
        and isinstance(tags, list)
        and quantity > 0
        and price >= 0
    ):
        raise ValueError(f"an item is not as it should be: {item}")
    return quantity * price
