"""A matrix in words: its points one below the other, a section for each figure that decides."""

from collections.abc import Iterator, Sequence

from extract.place import written
from taskscope import rows
from taskscope.rows import Row
from taskscope.summary import Comparison


def groups(comparisons: Sequence[Comparison]) -> Iterator[list[Comparison]]:
    """Yield the points of each matrix that compare the same two together, all others alone."""
    found: dict[tuple[str, str, str], list[Comparison]] = {}
    for one in comparisons:
        name = one.family if one.family and one.second else f"alone: {len(found)}"
        found.setdefault((name, one.first, one.second), []).append(one)
    yield from found.values()


def title(group: Sequence[Comparison]) -> str:
    """Return what the points are points of."""
    return group[0].title.partition(f": {place(group[0])}")[0]


def place(comparison: Comparison) -> str:
    """Say where a point is."""
    return written(comparison.point)


def varying(group: Sequence[Comparison]) -> set[str]:
    """Return the settings that differ from point to point."""
    known = [dict(rows.settings(point)) for point in group]
    return {key for one in known for key in one if any(each.get(key) != one[key] for each in known)}


def repetitions(group: Sequence[Comparison]) -> list[str]:
    """Return how many valid repetitions each side has, or at the points the fewest to the most."""
    counts = zip(*(rows.repetitions(point) for point in group), strict=True)
    return [f"{min(c)} to {max(c)}" if min(c) < max(c) else str(min(c)) for c in counts]


def sections(group: Sequence[Comparison]) -> Iterator[tuple[str, list[Row]]]:
    """Yield each figure that decides, with a row for each point: one unit for all of them."""
    decided = [(point, found) for point in group for found in rows.deciding(point)]
    for metric in dict.fromkeys(found.metric for _, found in decided):
        some = [(point, found) for point, found in decided if found.metric == metric]
        label, write = rows.scaled([found for _, found in some])
        yield label, [rows.row(place(point), found, write) for point, found in some]


def doubts(group: Sequence[Comparison]) -> Iterator[str]:
    """Yield each kind of doubt once: at how many points it was found, an example, the remedy."""
    found = [(point, doubt) for point in group for one in rows.deciding(point)
             for doubt in one.doubts]  # fmt: skip
    for kind in dict.fromkeys(doubt.kind for _, doubt in found):
        points = len({place(point) for point, doubt in found if doubt.kind == kind})
        point, first = next((p, doubt) for p, doubt in found if doubt.kind == kind)
        yield (f"{kind} (at {points} of {len(group)} points): {place(point)}: {first.found}. "
               f"{first.remedy}")  # fmt: skip


def answers(group: Sequence[Comparison]) -> Iterator[str]:
    """Say of each point whom to choose there, and by how much."""
    for point in group:
        if point.answer:
            yield f"{place(point)}: {point.answer.choice} {point.answer.how_much}"
            yield f"  {point.answer.sure}"
        else:
            yield from (f"{place(point)}: {sentence}" for sentence in rows.sentences(point))
