"""A LoRA adapter together with its base: the effective weight W + scale * B A, block by block.

The layout is PEFT's: ``base_model.model.<module>.lora_A.weight`` [r, inputs], ``lora_B.weight`` [outputs, r];
for embeddings ``lora_embedding_A`` [r, entries] and ``_B`` [width, r]; scale = lora_alpha / r, over sqrt(r)
with ``use_rslora``. Tensors of the adapter that are none of these replace the base's.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Json, Unexamined
from apograph.release.elements import Bytes, Values
from apograph.release.file_store import FileStore
from apograph.release.packed_store import whole
from apograph.release.refuse import refuse
from apograph.release.types import TensorInfo

if TYPE_CHECKING:
    from apograph.release.tensor_store import TensorStore

_PREFIX = "base_model.model."
_FACTOR = re.compile(r"(.+)\.lora_(embedding_)?([AB])(\.weight)?")
_PLAIN_NAME = re.compile(r"[\w.]+")
MAX_RANK = 4096
CONFIG = "adapter_config.json"
"""The file that describes an adapter."""


@dataclass(frozen=True, slots=True)
class _Delta:
    """``left`` [rows, r] times ``right`` [r, columns], scaled: what is added to a matrix."""

    left: Values
    right: Values


class LoraStore:
    """A ``TensorStore``: ``base`` with ``deltas`` added and ``replaced`` tensors (own name by base's name)
    taken from ``adapter``. ``unknown`` weights, which the adapter changes in a way not understood, are left
    out and named as not examined."""

    def __init__(
        self,
        base: TensorStore,
        adapter: FileStore,
        deltas: Mapping[str, _Delta],
        replaced: Mapping[str, str],
        unknown: Mapping[str, Unexamined],
    ) -> None:
        self._base, self._adapter = base, adapter
        self._deltas, self._replaced = deltas, replaced
        infos = {name: info for name, info in base.infos.items() if name not in unknown}
        for name, own in replaced.items():
            info = adapter.infos[own]
            infos[name] = TensorInfo(name, info.shape, info.dtype, info.file, info.start, info.stop)
        self._infos = infos
        self._unexamined = (*base.unexamined, *adapter.unexamined, *unknown.values())

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @property
    def unexamined(self) -> tuple[Unexamined, ...]:
        return self._unexamined

    def dtype(self, name: str) -> str:
        """How the base's tensor, or the one that replaces it, is stored."""
        return self._infos[name].dtype or ""

    def block(self, name: str, start: int, stop: int) -> Values:
        """Values of the flat elements [start, stop); see ``TensorStore``."""
        own = self._replaced.get(name)
        values = self._adapter.block(own, start, stop) if own else self._base.block(name, start, stop)
        delta = self._deltas.get(name)
        if delta is None or start == stop:
            return values
        columns = delta.right.shape[1]
        first, last = start // columns, -(-stop // columns)
        total = np.zeros((last - first, columns))
        # Term by term, so that a value does not depend on where its block begins, as in a matrix product.
        for k in range(delta.right.shape[0]):
            total += delta.left[first:last, k, None] * delta.right[k]
        added = total.reshape(-1)[start - first * columns : stop - first * columns]
        result: Values = (values + added).astype(values.dtype)
        return result

    def raw(
        self, name: str, start: int, stop: int, out: Bytes | None = None
    ) -> NDArray[np.unsignedinteger] | None:
        """Storage of a tensor that the adapter leaves or replaces; None for one that it changes."""
        if name in self._deltas:
            return None
        if name in self._replaced:
            return self._adapter.raw(self._replaced[name], start, stop, out)
        return self._base.raw(name, start, stop, out)

    def check(self) -> None:
        """Raise Refusal 2 when a file changed since it was opened."""
        self._base.check()
        self._adapter.check()

    def close(self) -> None:
        """Close the files of the adapter and of the base."""
        self._base.close()
        self._adapter.close()


def changed_by(names: Iterable[str]) -> frozenset[str]:
    """The base's weights that an adapter with tensors of these names changes; none of other checkpoints."""
    factors = (_FACTOR.fullmatch(_base_name(name)) for name in names)
    return frozenset(f"{factor[1]}.weight" for factor in factors if factor)


def _base_name(own: str) -> str:
    # PEFT stores an adapted embedding's own weight, too, as that of its base layer.
    return own.removeprefix(_PREFIX).replace(".base_layer.", ".")


def lora_store(adapter: FileStore, base: TensorStore, config: Mapping[str, Json]) -> LoraStore:
    """``base`` with the LoRA adapter applied; ``config`` is adapter_config.json.

    Raises Refusal 3 for another kind of adapter, 2 when the configuration makes no sense.
    """
    kind, file = config.get("peft_type"), CONFIG
    if kind not in ("LORA", None):
        raise refuse("store.adapter", file, code=3, kind=str(kind))
    deltas: dict[str, _Delta] = {}
    replaced: dict[str, str] = {}
    unknown: dict[str, Unexamined] = {}
    modules: dict[str, dict[str, str]] = {}
    for own in adapter.infos:
        name = _base_name(own)
        match = _FACTOR.fullmatch(name)
        if match:
            modules.setdefault(match[1], {})[f"{match[2] or ''}{match[3]}"] = own
        elif name in base.infos:
            replaced[name] = own
        else:
            # DoRA's magnitudes are among these: the weight of that module is then not known.
            target = f"{name.split('.lora_')[0]}.weight"
            unknown[target] = _gap("store.adapter-part", own, adapter)
    for module, factors in modules.items():
        target = f"{module}.weight"
        if target in unknown:
            continue
        delta = _delta(adapter, base, target, factors, _scale(config, module))
        if delta is None:
            unknown[target] = _gap("store.adapter-part", next(iter(factors.values())), adapter)
        else:
            deltas[target] = delta
    return LoraStore(base, adapter, deltas, replaced, unknown)


def _gap(key: str, name: str, adapter: FileStore) -> Unexamined:
    file = adapter.infos[name].file
    return Unexamined("weights", refuse(key, name=name).message, path=file, fault=True)


def _scale(config: Mapping[str, Json], module: str) -> float | None:
    """lora_alpha over r (or its root), for a module that a pattern may single out; None when not clear."""
    alpha, rank = config.get("lora_alpha", 8), config.get("r", 8)
    for key, name in (("alpha_pattern", "alpha"), ("rank_pattern", "rank")):
        patterns = config.get(key) or {}
        if not isinstance(patterns, dict):
            return None
        for pattern, value in patterns.items():
            if not _PLAIN_NAME.fullmatch(pattern):
                return None  # a regular expression of others' making is not run
            if module == pattern or module.endswith("." + pattern):
                alpha, rank = (value, rank) if name == "alpha" else (alpha, value)
                break
    if config.get("use_dora") or config.get("fan_in_fan_out"):
        return None
    if isinstance(alpha, bool) or not isinstance(alpha, (int, float)) or type(rank) is not int or rank < 1:
        return None
    return float(alpha) / (math.sqrt(rank) if config.get("use_rslora") else rank)


def _delta(
    adapter: FileStore, base: TensorStore, target: str, factors: Mapping[str, str], scale: float | None
) -> _Delta | None:
    """The scaled factors of ``target``; None when they do not fit it."""
    info = base.infos.get(target)
    if scale is None or info is None or info.shape is None or len(info.shape) != 2:
        return None
    if factors.keys() == {"A", "B"}:
        first, second = factors["B"], factors["A"]
    elif factors.keys() == {"embedding_A", "embedding_B"}:
        first, second = factors["embedding_A"], factors["embedding_B"]
    else:
        return None
    shapes = [adapter.infos[name].shape or () for name in (first, second)]
    if factors.keys() == {"embedding_A", "embedding_B"}:
        shapes = [shape[::-1] for shape in shapes]
    left, right = shapes
    if not (len(left) == len(right) == 2 and left[1] == right[0] <= MAX_RANK):
        return None
    if (left[0], right[1]) != info.shape:
        return None
    one, two = (whole(adapter, name).astype(np.float64) for name in (first, second))
    if factors.keys() == {"embedding_A", "embedding_B"}:
        one, two = one.T, two.T
    return _Delta(np.ascontiguousarray(one * scale), np.ascontiguousarray(two))
