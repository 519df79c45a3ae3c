"""Pictures of the coins: where they agree, and how their p-values lie against chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from apograph.align.modules import FAMILIES
from apograph.evidence.coin_test import Coins
from apograph.findings import Exhibit, Message

MAX_LAYERS = 400


def exhibits(coins: Sequence[Coins]) -> Iterator[Exhibit]:
    """A heat map of shares by module and family, and a table of all modules."""
    labels = list(dict.fromkeys(_short(c) for c in coins))[:MAX_LAYERS]
    shares = {(_short(c), c.module.family): c.share for c in coins}
    families = [f for f in FAMILIES if any(c.module.family == f for c in coins)]
    columns = [{"key": f"weights.coins.family.{family}", "params": {}} for family in families]
    values = [[shares.get((label, family)) for family in families] for label in labels]
    data = {"rows": labels, "columns": columns, "values": values, "low": 0.5, "high": 1.0}
    yield Exhibit("heatmap", data, Message("weights.coins.heatmap"))
    rows = [
        [c.module.label, {"key": f"weights.coins.family.{c.module.family}", "params": {}}, c.heads, c.n,
         round(c.cosine, 4), round(c.corrected, 2)]
        for c in coins
    ]  # fmt: skip
    names = ["coins_module", "coins_family", "coins_heads", "coins_thrown", "coins_cosine", "coins_log10_p"]
    yield Exhibit("table", {"columns": names, "rows": rows}, Message("weights.coins.table"))


def _short(coins: Coins) -> str:
    """The layer of a module: its path without the last segment where that only names MLP or attention."""
    parent, _, last = coins.module.label.rpartition(".")
    return coins.module.label if last.isdigit() or not parent else parent
