"""Replace a function and remember how to put it back."""

import weakref
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


class Instances:
    """Instances of which some methods are wrapped: none twice, and none is kept alive."""

    def __init__(self) -> None:
        self._wrapped: dict[tuple[int, str], weakref.ref[Any]] = {}

    def wrap(self, owner: Any, name: str, make: Wrapper) -> None:
        """Set `owner.name` to `make(original)`, unless that was done already."""
        key = id(owner), name
        if key in self._wrapped:
            return
        inherited, original = name not in vars(owner), getattr(owner, name)
        replacement: Any = make(original)
        replacement.inherited, replacement.original = inherited, original
        setattr(owner, name, replacement)
        self._wrapped[key] = weakref.ref(owner, lambda _: self._wrapped.pop(key, None))

    def undo(self) -> None:
        """Restore the originals of those that there still are."""
        while self._wrapped:
            (_, name), there = self._wrapped.popitem()
            if (owner := there()) is not None:
                replacement = vars(owner).pop(name)
                if not replacement.inherited:
                    setattr(owner, name, replacement.original)


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
