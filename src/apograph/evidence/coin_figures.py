"""Pictures of the coins: where they agree, and how their p-values lie against chance."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from statistics import median

from apograph.align.modules import FAMILIES
from apograph.evidence.coin_test import Coins, pooled
from apograph.findings import Exhibit, Json, Message

MAX_LAYERS = 400


def exhibits(coins: Sequence[Coins]) -> Iterator[Exhibit]:
    """A heat map of shares by module and family, and a table of all modules."""
    labels = list(dict.fromkeys(_short(c) for c in coins))[:MAX_LAYERS]
    shares = {(_short(c), c.module.family): c.share for c in coins}
    families = [f for f in FAMILIES if any(c.module.family == f for c in coins)]
    columns = [_key("family", family) for family in families]
    values = [[shares.get((label, family)) for family in families] for label in labels]
    data = {"rows": labels, "columns": columns, "values": values, "low": 0.5, "high": 1.0, "unit": "share"}
    yield Exhibit("heatmap", data, Message("weights.coins.heatmap"))
    rows = [
        [c.module.label, _key("family", c.module.family), _key("pairing", c.pairing), c.heads, c.n,
         round(c.cosine, 4), round(c.corrected, 2)]
        for c in coins
    ]  # fmt: skip
    names = ["module", "family", "pairing", "heads", "thrown", "cosine", "log10_p"]
    names = [f"coins_{name}" for name in names]
    yield Exhibit("table", {"columns": names, "rows": rows}, Message("weights.coins.table"))


def towers(coins: Sequence[Coins], beyond: Sequence[Coins]) -> Iterator[Exhibit]:
    """The towers apart, where there are several (modules that only names tell are named by their path)."""
    apart: dict[str, list[Coins]] = {}
    for c in coins:
        apart.setdefault(c.module.tower or c.module.label.split(".", 1)[0], []).append(c)
    if len(apart) > 1:
        kept = {c.module.place for c in beyond}
        rows = [
            [tower, len(own), sum(c.counts for c in own), sum(c.module.place in kept for c in own),
             round(pooled(own)[0] / max(pooled(own)[1], 1), 4), round(median(c.cosine for c in own), 4)]
            for tower, own in apart.items()
        ]  # fmt: skip
        names = ["tower", "tested", "agreeing", "beyond", "share", "cosine"]
        columns = [f"coins_{name}" for name in names]
        data = {"columns": columns, "rows": rows, "shares": ["coins_share"]}
        yield Exhibit("table", data, Message("weights.coins.towers"))


def _key(table: str, name: str) -> dict[str, Json]:
    return {"key": f"weights.coins.{table}.{name}", "params": {}}


def _short(coins: Coins) -> str:
    """The layer of a module: its path without the last segment where that only names MLP or attention."""
    parent, _, last = coins.module.label.rpartition(".")
    return coins.module.label if last.isdigit() or not parent else parent
