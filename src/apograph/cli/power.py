"""``apograph power``: how many items are needed, before anyone is asked."""

from __future__ import annotations

from typing import Annotated

import typer

from apograph.findings import Message, Refusal
from apograph.report.words import say


def power(
    panel: Annotated[list[float], typer.Option("--panel-rate", help=say("cli.power.panel_rate"))] = [],  # noqa: B006
    candidate: Annotated[
        list[float], typer.Option("--candidate-rate", help=say("cli.power.candidate_rate"))
    ] = [],  # noqa: B006
    alpha: Annotated[float, typer.Option("--alpha", help=say("cli.power.alpha"))] = 1e-6,
    least: Annotated[float, typer.Option("--power", help=say("cli.power.power"))] = 0.95,
    most: Annotated[int, typer.Option("--most", help=say("cli.power.most"))] = 2000,
) -> int:
    """Print the table of items needed: a row per rate of the panel, a column per rate of the candidate."""
    from apograph.behaviour.power import CANDIDATE_RATES, PANEL_RATES, items_needed

    if not all(0 < value < 1 for value in (*panel, *candidate, alpha, least)) or not 1 <= most <= 100_000:
        raise Refusal(4, Message("answers.error.rates"))
    columns = tuple(candidate) or CANDIDATE_RATES
    print(say("answers.power.title", alpha=alpha, power=least))
    print(f"{say('answers.power.corner'):>12}" + "".join(f"{rate:>8.3g}" for rate in columns))
    for rate in tuple(panel) or PANEL_RATES:
        needed = (items_needed(rate, other, alpha, least, most) for other in columns)
        print(f"{rate:>12.3g}" + "".join(f"{'–' if n is None else n:>8}" for n in needed))
    print(say("answers.power.note", most=most))
    return 0
