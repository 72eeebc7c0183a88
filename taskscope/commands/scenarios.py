"""`taskscope scenarios`: those that come with taskscope."""

import typer

from taskscope import listing
from taskscope.commands.options import Json
from taskscope.commands.output import print_result
from taskscope.scenario import builtin_scenarios


def scenarios(*, as_json: Json = False) -> None:
    """List the scenarios that come with taskscope."""
    known = builtin_scenarios()
    print_result(as_json, [listing.as_json(s) for s in known],
                 lambda: typer.echo("\n\n".join(listing.describe(s) for s in known)))  # fmt: skip
