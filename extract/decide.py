"""Which cause comes first, and whether there is a second."""

from dataclasses import replace

from extract.causes import CLOSE, COUNTS, MAIN, NORMAL, REMEDIES, Case, Cause, Kind, write
from extract.rules import RULES


def decide(case: Case) -> tuple[Cause, Cause | None]:
    """Return the cause that explains most, and a second that counts too."""
    causes = [c for rule in RULES for c in rule(case)]
    causes = [c for c in causes if case.life.share(c.explains_ns) >= COUNTS]
    most = max((c.explains_ns for c in causes), default=0)
    causes.sort(key=lambda c: (not _explains_others(c, most), -c.explains_ns))
    usual, said = _usual(case)
    explained = case.life.share(sum(c.explains_ns for c in causes))
    if not causes or (usual and explained < MAIN):
        found = _no_rule(case, usual=usual)
        causes = [found, *causes]
    first = replace(causes[0], evidence=(*causes[0].evidence, *said))
    return first, causes[1] if len(causes) > 1 else None


def _explains_others(cause: Cause, most: int) -> bool:
    return cause.kind == "worker paused or starved" and cause.explains_ns >= CLOSE * most


def _usual(case: Case) -> tuple[bool, tuple[str, ...]]:
    """Tell whether its whole life is within the normal range of its cell, and say so."""
    typical = case.around.typical(case.row, "total")
    if typical is None:
        return False, ()
    median, whose = typical
    usual = case.life.ns <= NORMAL * median
    times = f"{case.life.ns / median:,.3g} times {whose} ({write(median)})"
    said = f"In all it took {write(case.life.ns)}, {times}"
    return usual, (f"{said}, as is usual here." if usual else f"{said}.",)


def _no_rule(case: Case, *, usual: bool) -> Cause:
    kind: Kind = "nothing unusual" if usual else "not explained"
    longest = case.life.longest()
    said = case.took(longest, longest.stage.replace("_", " ").capitalize())
    return Cause(kind, 0, (said,), REMEDIES[kind])
