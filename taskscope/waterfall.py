"""Attempts as pictures in the terminal: a bar for each stage, and why it took that long."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple

from rich import box
from rich.console import Console, Group, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from extract.causes import write
from extract.life import Stage
from extract.telling import NS_PER_MS, TITLES, Record, disagreements, surroundings, took

_BAR, _NARROWEST_BAR = 24, 16
_MESSAGE = 120


class _Look(NamedTuple):
    """How a stage is drawn: told apart without colours too."""

    mark: str
    style: str


_LOOKS: Final[Mapping[Stage, _Look]] = {
    "schedule_lag": _Look("·", "yellow"),
    "earlier_attempts": _Look("╌", "dim"),
    "delay": _Look("-", "dim"),
    "broker_wait": _Look("░", "blue"),
    "wait": _Look("▒", "blue"),
    "prefetch_wait": _Look("▒", "magenta"),
    "execution": _Look("█", "green"),
    "ack": _Look("▪", "cyan"),
}


def show_table(console: Console, records: Sequence[Record]) -> None:
    """Print one line an attempt: how long, which stages made it so long, and why."""
    if not records:
        console.print("No such task.")
        return
    table = Table(title="Tasks by end-to-end time", title_justify="left", box=box.SIMPLE_HEAD,
                  pad_edge=False, padding=(0, 1, 0, 0))  # fmt: skip
    table.add_column("task", overflow="fold", min_width=36)
    table.add_column("time", justify="right", no_wrap=True)
    table.add_column("stages", no_wrap=True)
    table.add_column("cause", min_width=18)
    for record in records:
        table.add_row(_name(record), took(record["end_to_end_ms"]),
                      _stacked(record), _causes(record))  # fmt: skip
    console.print(table)
    console.print(_legend(records))
    for said in dict.fromkeys(r["clock"]["found"] for r in records if r["clock"]):
        console.print(Text(f"Between hosts: {printable(said, 400)}.", style="yellow"))
    for address in _addresses(records):
        console.print(address, soft_wrap=True)


def show_attempts(console: Console, records: Sequence[Record]) -> None:
    """Print the stages of each attempt on one axis of time, and the evidence."""
    origin = min(record["begin_ns"] for record in records)
    end = max(record["begin_ns"] + record["total_ms"] * NS_PER_MS for record in records)
    width = max(console.width - 40, _NARROWEST_BAR)
    for record in records:
        console.print(_heading(record))
        console.print(_waterfall(record, origin, max(end - origin, 1.0), width))
        console.print(Padding(Group(*_reasons(record)), (0, 0, 1, 0)))
    for address in _addresses(records):
        console.print(address, soft_wrap=True)


def printable(text: str, most: int = _MESSAGE) -> str:
    """Return text from a task as one line that does nothing to a terminal."""
    one_line = " ".join(text.split())
    shown = "".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in one_line)
    return shown if len(shown) <= most else f"{shown[: most - 1]}…"


def allot(shares: Sequence[float], cells: int) -> list[int]:
    """Divide cells in proportion, by largest remainder: they add up to all of them."""
    exact = [share * cells for share in shares]
    whole = [int(e) for e in exact]
    by_remainder = sorted(range(len(exact)), key=lambda i: whole[i] - exact[i])
    for i in by_remainder[: max(min(round(sum(exact)), cells) - sum(whole), 0)]:
        whole[i] += 1
    return whole


def _name(record: Record) -> Text:
    about = f"{record['task']}, {record['variant']} {record['repetition']}, {record['outcome']}"
    text = Text(printable(str(record["task_id"])))
    text.append(f"\n{printable(about)}", style="dim")
    if record["error"]:
        text.append(f"\n{_error(record)}", style="red")
    return text


def _error(record: Record) -> str:
    return printable(f"{record['error']['type']}: {record['error']['message']}")


def _stacked(record: Record) -> Text:
    stages = record["stages"]
    cells = allot([stage["share"] for stage in stages], _BAR)
    looks = (_LOOKS[stage["stage"]] for stage in stages)
    return Text.assemble(
        *((look.mark * n, look.style) for look, n in zip(looks, cells, strict=True))
    )


def _causes(record: Record) -> Text:
    text = Text(record["cause"]["kind"], style="bold")
    if record["second"]:
        text.append(f"; also {record['second']['kind']}", style="not bold")
    return text


def _legend(records: Sequence[Record]) -> Text:
    used = {stage["stage"] for record in records for stage in record["stages"]}
    looks = [(TITLES[stage], look) for stage, look in _LOOKS.items() if stage in used]
    return Text("  ").join(Text(f"{x.mark * 2} {title}", style=x.style) for title, x in looks)


def _heading(record: Record) -> Text:
    text = Text(printable(f"{record['task']} {record['task_id']}"), style="bold")
    about = (f"attempt {record['attempt']}: {record['outcome']}, by {record['worker']}, "
             f"{record['scenario']}, {record['variant']} {record['repetition']}")  # fmt: skip
    text.append(f"\n{printable(about)}", style="not bold dim")
    return text


def _waterfall(record: Record, origin: int, whole_ns: float, width: int) -> Table:
    table = Table(box=None, show_header=False, pad_edge=False, padding=(0, 1, 0, 0))
    for justify in ("left", "right", "right", "left"):
        table.add_column(justify=justify, no_wrap=True)
    for stage in record["stages"]:
        look = _LOOKS[stage["stage"]]
        begin_ns = record["begin_ns"] - origin + stage["start_ms"] * NS_PER_MS
        length_ns = stage["duration_ms"] * NS_PER_MS
        first = min(int(begin_ns / whole_ns * width), width - 1)
        last = max(round((begin_ns + length_ns) / whole_ns * width), first + 1)
        table.add_row(TITLES[stage["stage"]], write(length_ns), f"{stage['share']:.0%}",
                      Text(" " * first + look.mark * (last - first), style=look.style))  # fmt: skip
    table.add_row("total", took(record["total_ms"]), "", "")
    return table


def _reasons(record: Record) -> Iterator[RenderableType]:
    yield from _cause("Cause", record["cause"])
    if record["second"]:
        yield from _cause("Also", record["second"])
    yield from _facts(record)
    if record["error"]:
        yield Text(f"Failed of {_error(record)}", style="red")
    elif record["outcome"] not in {"success", "retry"}:
        yield Text("Its exception is not in traces/.", style="dim")


def _cause(title: str, cause: Mapping[str, Any]) -> Iterator[RenderableType]:
    yield Text.assemble(f"{title}: ", (cause["kind"], "bold"))
    for sentence in cause["evidence"]:
        yield Padding(Text(printable(sentence, 400)), (0, 0, 0, 2))
    yield Padding(Text(f"Remedy: {cause['remedy']}", style="italic"), (0, 0, 0, 2))


def _facts(record: Record) -> Iterator[RenderableType]:
    for line, others in surroundings(record):
        yield Text(line)
        yield from (Padding(Text(printable(other, 400)), (0, 0, 0, 2)) for other in others)
    if record["clock"]:
        yield Text(f"Between hosts: {printable(record['clock']['found'], 400)}.", style="yellow")
    for line in disagreements(record):
        yield Text(line, style="red")


def _addresses(records: Sequence[Record]) -> Iterator[Text]:
    seen = {record["trace_id"]: record["trace_url"] for record in records if "trace_url" in record}
    yield from (Text(address) for address in seen.values())
