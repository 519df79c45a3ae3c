"""Whether the coins of unrelated models are fair: p-values, randomised p-values, and their own null.

The pairs of a set share models, so their p-values are independent two by two only. The law of any statistic
of all of them follows from the null hypothesis itself: flip every unit of every model at random, count again.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from apograph.align.roles import Attention, Tower
from apograph.lab.layout import read, tower_of
from apograph.lab.model import Model

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Module:
    """``coins`` [pairs, units] of one layer and family: +1, -1, or 0 where the product is exactly 0.
    ``models`` [pairs, 2] are the numbers of the models."""

    name: str
    family: str
    coins: NDArray[np.int8]
    models: NDArray[np.int64]

    @property
    def heads(self) -> NDArray[np.int64]:
        """[pairs]"""
        return np.asarray((self.coins > 0).sum(axis=1))

    @property
    def thrown(self) -> NDArray[np.int64]:
        """[pairs]"""
        return np.asarray((self.coins != 0).sum(axis=1))


@dataclass(frozen=True, slots=True)
class Fairness:
    """``p`` and ``randomised`` [modules x pairs] by family; ``ks`` the distance of the randomised ones from
    uniform, ``ks_p`` its rank among re-signed sets; ``variance`` of z and its range (95 %) among those;
    ``below`` shares of p at most 0.05, 0.01, 0.001."""

    p: Mapping[str, Floats]
    randomised: Mapping[str, Floats]
    ks: float
    ks_p: float
    variance: float
    variance_range: tuple[float, float]
    below: Mapping[float, float]


def coins(models: Sequence[Model]) -> list[Module]:
    """The coins of every pair in every module, by the true roles and units paired as they stand."""
    towers = [tower_of(m) for m in models]
    units = [_units(m, t) for m, t in zip(models, towers, strict=True)]
    pairs = np.array(list(combinations(range(len(models)), 2)))
    found = []
    for name, family in units[0]:
        stacked = np.stack([u[name, family] for u in units])
        dots = [np.einsum("ij,ij->i", stacked[a], stacked[b]) for a, b in pairs]
        found.append(Module(name, family, np.sign(dots).astype(np.int8), pairs))
    return found


def _units(model: Model, tower: Tower) -> dict[tuple[str, str], Floats]:
    """Everything that a flip of each unit changes the sign of, [units, numbers], by layer and family."""
    found: dict[tuple[str, str], Floats] = {}
    for n, block in enumerate(tower.blocks):
        mlp, a = block.mlps[0], block.attention
        if mlp.gate is not None:
            up, down = (read(model.weights, v).astype(float) for v in (mlp.up, mlp.down))
            found[str(n), "mlp"] = np.concatenate([up, down.T], axis=1)
        if a is not None:
            found[str(n), "vo"] = _values(model, a)
            if a.rotary == "half":
                found[str(n), "qk"] = _fours(model, a)
    return found


def _values(model: Model, a: Attention) -> Floats:
    v, o = (read(model.weights, view).astype(float) for view in (a.v, a.o))
    share = a.heads // a.groups
    heads = o.T.reshape(a.groups, share, a.size, -1).transpose(0, 2, 1, 3)
    return np.concatenate([v, heads.reshape(a.groups * a.size, -1)], axis=1)


def _fours(model: Model, a: Attention) -> Floats:
    """Rows 2i, 2i + 1, 2i + d/2, 2i + 1 + d/2 of k and of every query head of its group: two rotated planes,
    whichever of the two conventions holds, since weights alone do not tell it. [groups x size/4, numbers]"""
    k, q = (read(model.weights, view).astype(float) for view in (a.k, a.q))
    shape = (a.groups, -1, 2, a.size // 4, 2, k.shape[1])
    both = np.concatenate([k.reshape(shape), q.reshape(shape)], axis=1).transpose(0, 3, 1, 2, 4, 5)
    return both.reshape(a.groups * (a.size // 4), -1)


def fairness(modules: Sequence[Module], times: int = 999) -> Fairness:
    """All p-values, and what re-signing every model ``times`` times says of them."""
    random = np.random.default_rng(20261122)
    tables = {n: tails(n) for m in modules for n in np.unique(m.thrown)}

    def told(counts: Sequence[NDArray[np.int64]]) -> tuple[list[Floats], list[Floats], float]:
        plain, mixed, squares = [], [], []
        for m, heads in zip(modules, counts, strict=True):
            thrown = m.thrown
            most = np.maximum(heads, thrown - heads)
            at = np.array([tables[n][k] for n, k in zip(thrown, most, strict=True)])
            over = np.array([tables[n][k + 1] for n, k in zip(thrown, most, strict=True)])
            plain.append(at)
            mixed.append(over + random.random(len(at)) * (at - over))
            squares.append((2 * heads - thrown) ** 2 / thrown)
        return plain, mixed, float(np.concatenate(squares).mean())

    plain, mixed, variance = told([m.heads for m in modules])
    ks = distance(np.concatenate(mixed))
    drawn = []
    for _ in range(times):
        _, again, spread = told(resigned(modules, random))
        drawn.append((distance(np.concatenate(again)), spread))
    distances, spreads = (np.array(x) for x in zip(*drawn, strict=True))
    families = list(dict.fromkeys(m.family for m in modules))
    pooled = np.concatenate(plain)

    def of(values: list[Floats], family: str) -> Floats:
        return np.concatenate([v for v, m in zip(values, modules, strict=True) if m.family == family])

    return Fairness(
        {f: of(plain, f) for f in families},
        {f: of(mixed, f) for f in families},
        ks,
        float((1 + (distances >= ks).sum()) / (times + 1)),
        variance,
        (float(np.quantile(spreads, 0.025)), float(np.quantile(spreads, 0.975))),
        {x: float((pooled <= x).mean()) for x in (0.05, 0.01, 0.001)},
    )


def resigned(modules: Sequence[Module], random: np.random.Generator) -> list[NDArray[np.int64]]:
    """Heads [pairs] of every module after each model's units were flipped at random."""
    counts = []
    for m in modules:
        signs = random.integers(0, 2, (int(m.models.max()) + 1, m.coins.shape[1]), np.int8) * 2 - 1
        turned = m.coins * signs[m.models[:, 0]] * signs[m.models[:, 1]]
        counts.append((turned > 0).sum(axis=1))
    return counts


def tails(n: int) -> Floats:
    """[n + 2]: for k at least n/2, min(1, P(max(X, n - X) >= k)) for X ~ Binomial(n, 1/2); the last is 0."""
    from scipy.stats import binom

    k = np.arange(n + 2)
    return np.asarray(np.where(2 * k <= n, 1.0, np.minimum(1.0, 2 * binom.sf(k - 1, n, 0.5))))


def distance(p: Floats) -> float:
    """Kolmogorov's distance of the values ``p`` [n] from the uniform law on [0, 1]."""
    ordered, n = np.sort(p), len(p)
    steps = np.arange(n)
    return float(max((ordered - steps / n).max(), ((steps + 1) / n - ordered).max()))


def agreement(modules: Sequence[Module], rows: Sequence[Mapping[str, Any]]) -> tuple[int, int]:
    """Modules in which the examiner threw as many heads of as many coins as are counted here, and all of the
    ``rows`` (in the order of the pairs) in which it compared every matrix with that of the same name."""
    same = every = 0
    known = {(m.name, m.family): m for m in modules}
    for n, row in enumerate(rows):
        if not as_named(row):
            continue
        for label, family, _, heads, thrown, *_ in row["coins"]:
            layer = next(part for part in label.split(".") if part.isdigit())
            module = known[layer, family]
            every += 1
            same += (int(module.heads[n]), int(module.thrown[n])) == (heads, thrown)
    return same, every


def as_named(row: Mapping[str, Any]) -> bool:
    """Whether all matrices were compared, under their names. Sometimes strangers' matrices are a little alike
    by chance, in absolute values; layers are then paired crosswise, and what no matrix pairs is thrown by
    the order of layers, gains of norms multiplied in."""
    left = row["measures"].get("weights.transformation weights_left_reference", 0)
    return left == 0 and all(a == b for a, b, _ in row["compared"])
