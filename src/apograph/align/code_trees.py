"""Units of code as labelled trees: what two of them share is found by equal labels.

Every node gets the label of its whole subtree (a Merkle hash, as in Baxter et al. 1998, "Clone detection
using abstract syntax trees") and labels of bounded depth in two readings: as written, and along the flow of
data, where a variable stands for the operation whose value it holds. The second reading does not see whether
a computation is spread over several statements or written as one, nor in which order independent statements
come (compare Weisfeiler and Lehman 1968 for labels by neighbourhood).

A node's weight is its share of the bits that are needed to write the tree down when common idioms are in a
code book (``code_background``): ``super().__init__()`` is cheap, an unusual formula is not.
"""

from __future__ import annotations

from collections.abc import Iterable, Set
from dataclasses import dataclass, field

from apograph.align.code_background import UNIT, code_book, leaf_key
from apograph.align.code_shape import FREE, Shape, Shaper
from apograph.release.code import Module, Unit

LEVELS = 3
SMALL = 3
"""Operations that a piece needs before it is matched wherever it stands."""


@dataclass(slots=True, eq=False)
class CodeTree:
    """A unit with labels and weights. ``full`` is the hash of each node's subtree; ``written`` and
    ``flowing`` hold labels of depth 0 to 3 in the two readings, ``reach`` how many operations the latter
    take in; ``weight`` is in 1/16 bit; ``features`` are labels by which similar units are looked up."""

    path: str
    unit: Unit
    shape: Shape
    parent: list[int]
    full: list[int]
    written: list[list[int]]
    flowing: list[list[int]]
    reach: list[list[int]]
    weight: list[int]
    total: int
    features: dict[int, int] = field(default_factory=dict)

    @property
    def bits(self) -> float:
        """What the unit says, in bits."""
        return self.total / UNIT


def trees(module: Module, own: Set[str] | None = None) -> list[CodeTree]:
    """Every unit of a module that says anything. ``own``: the attributes that are an author's own in the
    sources compared (those of this module alone, if not given)."""
    hidden = frozenset(module.attributes) if own is None else own
    shaper = Shaper(module, hidden)
    found = [_tree(module, unit, shaper.shape(unit)) for unit in module.units]
    return [t for t in found if t.total > 0]


def own_attributes(modules: Iterable[Module]) -> frozenset[str]:
    """Attributes that any of the modules stores or defines."""
    return frozenset(name for module in modules for name in module.attributes)


def _tree(module: Module, unit: Unit, bare: Shape) -> CodeTree:
    labels = bare.labels()
    full = bare.full(labels)
    parent = [-1] * len(bare.ops)
    for i, children in enumerate(bare.kids):
        for k in children:
            if k >= 0:
                parent[k] = i
    weight = _weights(bare, labels, full)
    written, flowing = _levels(labels, bare.kids), _levels(labels, bare.flow)
    tree = CodeTree(
        module.path, unit, bare, parent, full, written, flowing, _reach(bare.flow), weight, sum(weight)
    )
    tree.features = _features(tree)
    return tree


def _levels(labels: list[int], operands: list[tuple[int, ...]]) -> list[list[int]]:
    """Labels of depth 0 to 3. They are compared within one run only."""
    levels = [labels]
    for _ in range(LEVELS):
        last = levels[-1]
        levels.append(
            [
                hash((label, *[last[k] if k >= 0 else 0 for k in o]))
                for label, o in zip(labels, operands, strict=True)
            ]
        )
    return levels


def _reach(operands: list[tuple[int, ...]]) -> list[list[int]]:
    """How many operations a label of each depth takes in."""
    counts = [[1] * len(operands)]
    for _ in range(LEVELS):
        last = counts[-1]
        counts.append([1 + sum(last[k] for k in o if k >= 0) for o in operands])
    return counts


def _weights(bare: Shape, labels: list[int], full: list[int]) -> list[int]:
    """The bits of the tree, shared out among its nodes (1/16 bit)."""
    ops, kids, size = bare.ops, bare.kids, bare.size
    own: list[int] = []
    cost: list[int] = []
    share: list[float] = []
    book = code_book()
    for i, op in enumerate(ops):
        mine = 0 if op in FREE else book.leaf(leaf_key(labels[i]))
        composed = mine + sum(cost[k] for k in kids[i] if k >= 0)
        known = book.subtree(full[i]) if size[i] > 1 else None
        own.append(mine)
        cost.append(composed if known is None else min(composed, known))
        share.append(cost[i] / composed if composed else 1.0)
    scale = [1.0] * len(ops)
    for i in range(len(ops) - 1, -1, -1):
        scale[i] *= share[i]
        for k in kids[i]:
            if k >= 0:
                scale[k] = scale[i]
    return [round(o * s) for o, s in zip(own, scale, strict=True)]


def _features(tree: CodeTree) -> dict[int, int]:
    """Labels by which similar units are looked up, with the weight of the node that bears each."""
    features: dict[int, int] = {}
    two = tree.reach[2]
    for labels in (tree.flowing[2], tree.written[2]):
        for label, reach, weight in zip(labels, two, tree.weight, strict=True):
            if reach >= SMALL and weight:
                features[label] = max(weight, features.get(label, 0))
    features[tree.full[-1]] = tree.total  # equal units are found whatever their size
    return features


def total_bits(units: Iterable[CodeTree]) -> float:
    """What several units say, in bits."""
    return sum(t.total for t in units) / UNIT
