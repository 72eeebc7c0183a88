"""Questions to the dataset that it cannot answer: an unknown variant, metric or condition."""

import difflib
from collections.abc import Iterable

_SHOWN = 8  # a remedy is read, not searched


class QuestionError(ValueError):
    """What was asked cannot be answered as asked. Says why, and what to do about it."""

    def __init__(self, cause: str, remedy: str) -> None:
        super().__init__(f"{cause}. {remedy}")
        self.cause = cause
        self.remedy = remedy


def require(kind: str, word: str, known: Iterable[str]) -> None:
    """Raise QuestionError unless `word` is one of the known, naming the nearest one."""
    ordered = sorted(known)
    if word in ordered:
        return
    near = difflib.get_close_matches(word.lower(), ordered, n=_SHOWN, cutoff=0.0)
    if not near:
        raise QuestionError(f"unknown {kind} {word!r}, and there is none at all", "Run it first.")
    some = ordered if len(ordered) <= _SHOWN else [*near, f"{len(ordered) - _SHOWN} others"]
    raise QuestionError(
        f"unknown {kind} {word!r}; the nearest known is {near[0]!r}",
        f"Choose among: {', '.join(some)}.",
    )
