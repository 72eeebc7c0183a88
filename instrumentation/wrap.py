"""Replace a function and remember how to put it back."""

from collections.abc import Callable, Iterable
from typing import Any

type Undo = Callable[[], None]
#: Makes what stands in a function's place.
type Wrapper = Callable[[Callable[..., Any]], Callable[..., Any]]


def wrap(owner: Any, name: str, make: Wrapper) -> Undo:
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


def wrap_all(undo: list[Undo], wrappers: Iterable[tuple[Any, str, Wrapper]]) -> Undo:
    """Wrap them all, or none where one is missing: AttributeError.

    Each step back joins `undo`, where more may follow; the result takes all of these back.
    """
    try:
        for owner, name, make in wrappers:
            undo.append(wrap(owner, name, make))
    except BaseException:
        undo_all(undo)()
        raise
    return undo_all(undo)


def undo_all(steps: list[Undo]) -> Undo:
    """Return what takes all the steps back, the last first."""

    def undo() -> None:
        while steps:
            steps.pop()()

    return undo
