"""Writes docs/fairness.md from the scenarios: `python -m taskscope.fairness_page`."""

import sys
from collections.abc import Iterator

from taskscope.fairness import Card
from taskscope.scenario import Scenario, builtin_scenarios

_HEAD = """# Fairness

Why each side is set as it is, what no setting can mend, and which settings were tried and
rejected, with their numbers. All of it is data in `taskscope/scenarios/*.toml`, beside the
settings; this page is made of that by `.venv/bin/python -m taskscope.fairness_page`, and the report
of a run shows it too.
"""


def page() -> str:
    """Return the page as Markdown."""
    sections = (_section(s) for s in builtin_scenarios() if s.fairness)
    return "\n".join([_HEAD, *(line for section in sections for line in section)])


def _section(scenario: Scenario) -> Iterator[str]:
    yield f"## {scenario.name}: {scenario.title}\n"
    variants = {variant.name for variant in scenario.variants}
    for card in scenario.fairness:
        yield f"### {card.variant if card.variant in variants else f'all of {card.variant}'}\n"
        yield from _card(card)


def _card(card: Card) -> Iterator[str]:
    if card.reasons:
        yield "| setting | why |\n|---|---|"
        yield from (f"| `{reason.setting}` | {_plain(reason.why)} |" for reason in card.reasons)
        yield ""
    if card.handicaps:
        yield "Handicaps:\n"
        yield from (f"- {_plain(handicap)}" for handicap in card.handicaps)
        yield ""
    if card.rejected:
        yield "Tried and rejected:\n"
        for tried in card.rejected:
            yield (f"- `{tried.setting}`: {_plain(tried.because)} Measured: "
                   f"{_plain(tried.measured)}; instead: {_plain(tried.instead)}. "
                   f"{_plain(tried.how)}")  # fmt: skip
        yield ""


def _plain(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


if __name__ == "__main__":
    sys.stdout.write(page())
