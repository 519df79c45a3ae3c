"""All answers of all models to one set of items, as arrays: what every statistic is computed from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from apograph.behaviour.actions import same_action
from apograph.behaviour.canonical import Kind

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, slots=True)
class Column:
    """The answers of one model. ``codes`` (n,) int32: an index into ``Sheet.texts``, or MISSING, EMPTY,
    REFUSED, FAILED. ``margins`` (n,) in nats, NaN where unknown. ``repeats`` holds further samples of an item
    (row to codes). ``sigma``: the noise that was added to the weights, relative, where the file says it."""

    name: str
    path: str
    sha256: str
    codes: NDArray[Any]
    margins: NDArray[Any] | None = None
    repeats: Mapping[int, tuple[int, ...]] = field(default_factory=dict)
    sigma: float | None = None
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Sheet:
    """``columns`` × items. ``keys`` (n,) int32: the right answer's code or MISSING. ``options`` (n,) int16:
    choices offered, 0 when open. ``texts``: every distinct answer in its comparable form. ``items`` are
    identities, ``names`` what the files call the items (for the eye only)."""

    kind: Kind
    items: tuple[str, ...]
    columns: tuple[Column, ...]
    keys: NDArray[Any]
    options: NDArray[Any]
    texts: tuple[str, ...]
    names: tuple[str, ...] = ()

    @property
    def keyed(self) -> bool:
        """Whether right and wrong can be told for at least one item."""
        return bool((self.keys >= 0).any())

    def valid(self, j: int) -> NDArray[Any]:
        """(n,) whether model ``j`` gave an answer that can be compared (to a key, if there are keys)."""
        answered: NDArray[Any] = self.columns[j].codes >= 0
        return answered & (self.keys >= 0) if self.keyed else answered

    def right(self, j: int) -> NDArray[Any]:
        """(n,) whether model ``j`` gave the right answer."""
        return self._equal(self.columns[j].codes, self.keys)

    def same(self, i: int, j: int) -> NDArray[Any]:
        """(n,) whether models ``i`` and ``j`` gave the same answer; two refusals, two empty answers and two
        parse failures are not the same. Actions count as the same when every box is near (IoU ≥ 0.5)."""
        return self._equal(self.columns[i].codes, self.columns[j].codes)

    def identical(self, i: int, j: int) -> NDArray[Any]:
        """(n,) whether the two answers are equal to the last character of their comparable form."""
        a, b = self.columns[i].codes, self.columns[j].codes
        equal: NDArray[Any] = (a == b) & (a >= 0)
        return equal

    def _equal(self, a: NDArray[Any], b: NDArray[Any]) -> NDArray[Any]:
        equal: NDArray[Any] = (a == b) & (a >= 0)
        if self.kind == "action":
            return self.judged(a, b, same_action).astype(bool)
        return equal

    def judged(self, a: NDArray[Any], b: NDArray[Any], judge: Callable[[str, str], float]) -> NDArray[Any]:
        """(n,) ``judge`` of the two texts of every row (once per distinct pair), 0 where one is no answer."""
        both = (a >= 0) & (b >= 0)
        values = np.zeros(len(a))
        if both.any():
            pairs, back = np.unique(a[both].astype(np.int64) * len(self.texts) + b[both], return_inverse=True)
            judged = [
                judge(self.texts[pair // len(self.texts)], self.texts[pair % len(self.texts)])
                for pair in pairs.tolist()
            ]
            values[both] = np.asarray(judged, dtype=float)[back]
        return values

    def name(self, row: int) -> str:
        """What item ``row`` is called, else the start of its identity."""
        named = self.names[row] if row < len(self.names) else ""
        return named or self.items[row][2:14]

    def count(self, j: int, code: int) -> int:
        """How many answers of model ``j`` are MISSING, EMPTY, REFUSED or FAILED."""
        return int((self.columns[j].codes == code).sum())
