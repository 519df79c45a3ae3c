"""What was concluded about the even and about the odd seeds' pairs, apart.

No constant of the examination was chosen on pairs of the lab's set, and the threshold of the scores on the
even seeds alone: the odd ones are held out from everything.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from apograph.lab.measure.results import Result
from apograph.lab.measure.tables import share_of, table

DESCENT = "weights.descent"
GRADES = ("child", "parent", "same", "more", "scaled", "apart", "unclear")
"""What the tail slopes say, by the last part of the finding's message."""
TRAINED = ("fine-tuned", "generation", "LoRA", "continued")


def halves(some: Sequence[Result]) -> str:
    """Shares of right conclusions, by half."""
    rows: list[tuple[str, str, str]] = []

    def row(name: str, chosen: Callable[[Result], bool], good: Callable[[Result], bool]) -> None:
        shares = [share_of([good(r) for r in some if r.half == half and chosen(r)]) for half in (0, 1)]
        rows.append((name, *shares))  # type: ignore[arg-type]

    def told(*verdicts: str) -> Callable[[Result], bool]:
        return lambda r: r.verdict in verdicts

    row("strangers: no false accusation", lambda r: r.stranger, lambda r: r.verdict != "accused")
    row("copies, no base: right", lambda r: r.positive, told("right"))
    row("copies, with a base: right", _child, told("right"))
    row("copies, with a base: right or less than could be said", _child, told("right", "less"))
    row("common ancestor, given as base: right", _sibling, told("right"))
    row("common ancestor, given as base: no false accusation", _sibling, lambda r: r.verdict != "accused")
    return table(("", "even seeds", "odd seeds"), rows)


def descent(some: Sequence[Result]) -> str:
    """What the tail slopes said of pairs with a base, by what is true."""
    rows = []
    for name, chosen in (("trained on from the other", _trained), ("siblings", _sibling)):
        for half, word in ((0, "even"), (1, "odd")):
            own = [r for r in some if chosen(r) and r.half == half and DESCENT in r.row["findings"]]
            told = Counter(r.row["findings"][DESCENT][1].rpartition(".")[2] for r in own)
            rows.append([name, word, len(own), *(told[grade] for grade in GRADES)])
    return table(("pairs", "seeds", "n", *GRADES), rows)


def _child(r: Result) -> bool:
    return r.base and r.truth.source is not None


def _trained(r: Result) -> bool:
    return (
        _child(r) and r.row["group"].split(",")[0].startswith(TRAINED) and "disguised" not in r.row["group"]
    )


def _sibling(r: Result) -> bool:
    return r.base and r.truth.relation == "common ancestor"
