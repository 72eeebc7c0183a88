"""Replace a function and remember how to put it back."""

from collections.abc import Callable
from typing import Any

type Undo = Callable[[], None]


def wrap(owner: Any, name: str, make: Callable[[Callable[..., Any]], Callable[..., Any]]) -> Undo:
    """Set `owner.name` to `make(original)`; the result restores the original exactly."""
    inherited = name not in vars(owner)
    original = getattr(owner, name)
    setattr(owner, name, make(original))

    def undo() -> None:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)

    return undo


def undo_all(steps: list[Undo]) -> Undo:
    """Return what takes all the steps back, the last first."""

    def undo() -> None:
        while steps:
            steps.pop()()

    return undo
