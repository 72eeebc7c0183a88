"""Fills a Vega-Lite specification of `charts/` with rows, colours, a source and a height."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_FOLDER = Path(__file__).parent / "charts"
#: Okabe and Ito's, in tones that stand out from white and from black; then again.
_PALETTE = ("#0b7cc1", "#d55e00", "#009e73", "#c46ba0", "#b58900", "#7a6ff0", "#56a0a8", "#8f8f8f")
_STAGES = {
    "schedule lag": "#8c8c8c", "delay": "#b8860b", "broker wait": "#7b6fb0",
    "prefetch wait": "#c46b9b", "execution": "#3a9e8f", "ack": "#7d9a3c",
    "wait": "#7b6fb0", "earlier attempts": "#8c8c8c",
}  # fmt: skip

type Row = dict[str, Any]
type Spec = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Chart:
    """A chart: what it shows, from where, and its specification; None where there is nothing."""

    name: str
    title: str
    caption: str
    origin: str = ""
    spec: Spec | None = None


def colours(variants: Sequence[str]) -> dict[str, str]:
    """Return each variant's colour, which it has in every chart and table of its scenario."""
    return {name: _PALETTE[i % len(_PALETTE)] for i, name in enumerate(variants)}


def stage_colour(stage: str) -> str:
    """Return the colour that a stage has in every chart."""
    return _STAGES[stage.replace("_", " ")]


def fill(
    template: str, rows: Sequence[Row], variants: Sequence[str], origin: str, unit: str = ""
) -> Spec | None:
    """Return a specification of these rows, each of which has a variant; None without rows.

    `from` in a tooltip is the origin, and `unit` the title of the axis of a value over time.
    """
    if not rows:
        return None
    spec: Spec = json.loads((_FOLDER / f"{template}.json").read_text())
    spec["data"] = {"values": [_short(row) for row in rows]}
    spec["transform"] = [{"calculate": json.dumps(origin), "as": "from"}]
    spec["height"] = _height(spec, rows)
    for channel, known in (("variant", colours(variants)), ("stage", _STAGES)):
        _colour(spec, channel, known, {row.get(channel) for row in rows})
    if unit:
        spec["encoding"]["y"]["title"] = unit
    return spec


def _short(row: Row) -> Row:
    """Keep six digits, which is more than a chart shows."""
    return {k: float(f"{v:.6g}") if isinstance(v, float) else v for k, v in row.items()}


def _height(spec: Spec, rows: Sequence[Row]) -> int:
    """Return the height in pixels; a template may give that of each bar instead."""
    height: int | dict[str, int] = spec["height"]
    if isinstance(height, int):
        return height
    by_stage = "yOffset" in spec["encoding"]
    bars = {(row["variant"], row["stage"] if by_stage else "") for row in rows}
    return height["step"] * len(bars)


def _colour(spec: Spec, field: str, known: Mapping[str, str], shown: set[str | None]) -> None:
    chosen = {name: colour for name, colour in known.items() if name in shown}
    for encoding in _encodings(spec, "color"):
        if encoding["field"] == field:
            encoding["scale"] = {"domain": list(chosen), "range": list(chosen.values())}


def _encodings(spec: Spec, channel: str) -> Iterator[dict[str, Any]]:
    """Yield a channel of a specification and of its layers."""
    if channel in spec.get("encoding", {}):
        yield spec["encoding"][channel]
    for layer in spec.get("layer", ()):
        yield from _encodings(layer, channel)
