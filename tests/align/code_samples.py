"""Small sources for tests of code matching, made for them."""

from __future__ import annotations

from apograph.align.code_trees import CodeTree, own_attributes, trees
from apograph.release.code import module_of

POOL = '''
import numpy as np
import torch
from torch import nn


def ring_positions(length, channels, base=730.0):
    """Angles of positions on a ring."""
    assert channels % 2 == 0
    rates = np.arange(channels // 2, dtype=np.float32)
    rates = 1.0 / base ** (rates / channels * 2)
    turns = np.arange(length)
    angles = np.einsum("t,c->tc", turns, rates)
    waves = np.concatenate([np.cos(angles), np.sin(angles)], axis=-1)
    return waves


class RingPool(nn.Module):
    def __init__(self, channels, slots=12, heads=3):
        super().__init__()
        self.slots = slots
        self.seeds = nn.Parameter(torch.randn(slots, channels) * channels**-0.5)
        self.mixer = nn.MultiheadAttention(channels, heads, batch_first=True)
        self.gate = nn.Linear(channels, 1, bias=False)
        self.tail = nn.Sequential(nn.LayerNorm(channels, eps=3e-6), nn.Linear(channels, channels * 2))

    def forward(self, states, lengths):
        batch, longest, channels = states.shape
        hidden = torch.arange(longest, device=states.device)[None] >= lengths[:, None]
        places = torch.from_numpy(ring_positions(longest, channels)).to(states)
        weights = torch.sigmoid(self.gate(states + places)).masked_fill(hidden[..., None], 0.0)
        seeds = self.seeds[None].expand(batch, -1, -1)
        pooled, _ = self.mixer(seeds, states + places, states * weights, key_padding_mask=hidden)
        return self.tail(pooled[:, : self.slots // 2])

    def trim(self, states, budget):
        kept = []
        for row in states:
            order = row.norm(dim=-1).argsort(descending=True)
            kept.append(row[order[: max(budget, self.slots)]])
        return torch.stack(kept)
'''

OTHER = """
import csv
import json
from pathlib import Path


def load_ledger(folder, currency="EUR"):
    entries = {}
    for path in sorted(Path(folder).glob("*.csv")):
        with path.open(newline="") as stream:
            for row in csv.DictReader(stream, delimiter=";"):
                if row["currency"] != currency or not row["amount"]:
                    continue
                amount = float(row["amount"].replace(",", "."))
                entries.setdefault(row["account"], []).append((row["date"], amount))
    return entries


def balance(entries, account, until=None):
    total = 0.0
    for date, amount in entries.get(account, []):
        if until is not None and date > until:
            break
        total += amount
    return round(total, 2)


def export(entries, target):
    summary = {name: balance(entries, name) for name in sorted(entries)}
    Path(target).write_text(json.dumps(summary, indent=2) + "\\n")
"""


def units(source: str, path: str = "m.py", others: tuple[str, ...] = ()) -> list[CodeTree]:
    """The trees of a source; ``others`` are sources compared with it, whose attributes count too."""
    module = module_of(source.encode(), path)
    return trees(module, own_attributes([module, *(module_of(o.encode(), "o.py") for o in others)]))


def unit(source: str, name: str, others: tuple[str, ...] = ()) -> CodeTree:
    """One tree by the name of its unit."""
    return next(t for t in units(source, "m.py", others) if t.unit.name == name)


def pair(one: str, other: str, name: str = "f") -> tuple[CodeTree, CodeTree]:
    """The function ``name`` of each of two sources."""
    return unit(one, name, (other,)), unit(other, name, (one,))
