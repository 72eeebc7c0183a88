"""Writes the report: the page with its script and style inside, the summary, and chart files."""

import base64
import hashlib
import shlex
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jinja2
import vl_convert

import queries
from extract import capacity_words
from extract.doubts import Doubt
from extract.report import background, by_class, figures
from extract.report.answers import Answer, answer, clocks
from extract.report.charts import charts
from extract.report.families import Family, families
from extract.report.flame import Flame, profiles
from extract.report.spec import Chart, colours
from extract.report.view import Run, View, views
from extract.report.waterfalls import Slowest, waterfalls

_TEMPLATES = Path(__file__).parent / "templates"
_VEGA_LITE = "6.4"
_FILE_WIDTH, _FILE_SCALE = 640, 2
_FILE_CONFIG = {
    "background": "white", "font": "sans-serif", "legend": {"orient": "top", "symbolOpacity": 1},
    "padding": 12, "view": {"stroke": None},
}  # fmt: skip


@dataclass(frozen=True)
class Section:
    """A scenario as the page shows it."""

    view: View
    answer: Answer
    charts: tuple[Chart, ...]
    colours: dict[str, str]
    rows: list[figures.Row]
    parts: list[figures.Part]
    classes: list[by_class.Row]
    settings: list[background.Setting]
    slowest: list[Slowest]
    profiles: list[Flame]
    #: How far clocks of other hosts are off, by variant.
    clocks: dict[str, list[Doubt]]

    @property
    def stages(self) -> dict[str, str]:
        """Return title and colour of the stages that the slowest tasks have."""
        bars = (bar for side in self.slowest for fall in side.falls for bar in fall.bars)
        return {bar.title: bar.colour for bar in bars}


def write(folder: Path, run: Run) -> list[Path]:
    """Write report.html, summary.md and charts/ into a folder; return the paths, the page first.

    OSError where that cannot be written.
    """
    sections = [_section(run, view) for view in views(run)]
    together = list(families(run, [section.view for section in sections]))
    context = {**_context(run, sections), "families": together}
    (folder / "charts").mkdir(parents=True, exist_ok=True)
    page, summary = folder / "report.html", folder / "summary.md"
    page.write_text(_html(context), encoding="utf-8")
    summary.write_text(_render("summary.md.j2", context), encoding="utf-8")
    files = [
        path
        for name, chart in _drawn(sections, together)
        for path in _files(folder / "charts" / name, chart)
    ]
    return [page, summary, *files]


def _drawn(sections: Iterable[Section], together: Iterable[Family]) -> Iterator[tuple[str, Chart]]:
    """Yield every chart that there is something to draw of, by the name that it has everywhere."""
    named = [
        *((family.name, chart) for family in together for chart in family.charts),
        *((section.view.name, chart) for section in sections for chart in section.charts),
    ]
    yield from ((f"{name}-{chart.name}", chart) for name, chart in named if chart.spec)


def _section(run: Run, view: View) -> Section:
    return Section(
        view,
        answer(run, view),
        tuple(charts(view)),
        colours(view.variants),
        figures.rows(view),
        figures.parts(view),
        by_class.rows(view),
        background.settings(view),
        list(waterfalls(view)),
        list(profiles(run, view)),
        clocks(run, view),
    )


def _context(run: Run, sections: list[Section]) -> dict[str, Any]:
    return {
        "manifest": run.manifest,
        "sections": sections,
        "capacity": list(capacity_words.of_run(run.manifest, run.data)),
        "audit": background.audit(run),
        "agreement": background.agreement(run),
        "costs": run.costs,
        "overhead": background.overhead(run),
        "machine": list(background.machine(run)),
        "doubts": run.manifest.machine.get("doubts", []),
        "sources": background.sources([section.view for section in sections]),
        "timelines": list(queries.timelines().values()),
    }


def _html(context: dict[str, Any]) -> str:
    """Render the page; its policy lets its own script run, and nothing be loaded from anywhere."""
    own = (_TEMPLATES / "report.js").read_text()
    script = vl_convert.javascript_bundle(own, vl_version=_VEGA_LITE)
    script = script.replace("</script", "<\\/script")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    style = (_TEMPLATES / "report.css").read_text()
    drawn = _drawn(context["sections"], context["families"])
    specs = {name: chart.spec for name, chart in drawn}
    return _render(
        "report.html.j2",
        {**context, "script": script, "digest": digest, "style": style, "specs": specs},
    )


def _render(template: str, context: dict[str, Any]) -> str:
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_TEMPLATES),
        autoescape=jinja2.select_autoescape(["html.j2"]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"cell": _markdown_cell, "shell": shlex.quote}
    return environment.get_template(template).render(context)


def _markdown_cell(text: object) -> str:
    """Escape what would end a cell of a Markdown table, or be markup."""
    plain = " ".join(str(text).split())
    for mark in ("\\", "|", "`", "*", "_", "<", "["):
        plain = plain.replace(mark, f"\\{mark}")
    return plain


def _files(stem: Path, chart: Chart) -> list[Path]:
    spec = {**(chart.spec or {}), "width": _FILE_WIDTH, "title": chart.title}
    svg, png = stem.with_name(f"{stem.name}.svg"), stem.with_name(f"{stem.name}.png")
    drawn = vl_convert.vegalite_to_svg(spec, vl_version=_VEGA_LITE, config=_FILE_CONFIG)
    svg.write_text(drawn, encoding="utf-8")
    png.write_bytes(vl_convert.svg_to_png(drawn, scale=_FILE_SCALE))
    return [svg, png]
