"""Weights that were quantised before publication, dequantised as they are read.

A quantised weight is published as several tensors (codes, scales, zero points). Here they are taken together
and stand as one tensor under the weight's own name. Values are float32 and are not rounded to the type in
which the publisher's library computes.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from apograph.findings import Json, Refusal, Unexamined
from apograph.release.elements import Bytes, Values
from apograph.release.file_store import FileStore
from apograph.release.refuse import refuse
from apograph.release.safetensors_header import element_count
from apograph.release.types import TensorInfo

KEPT = 2


class Packed(Protocol):
    """One quantised weight. ``parts`` are the tensors that it replaces; ``load`` reads what every block needs
    (scales; codes where they lie transposed), ``values`` the flat elements [start, stop)."""

    @property
    def info(self) -> TensorInfo:
        """Name, shape and dtype of the weight as it is computed."""

    @property
    def parts(self) -> tuple[str, ...]:
        """Names of the tensors that it replaces."""

    def load(self, store: FileStore) -> Any:
        """What every block needs; handed to ``values``."""

    def values(self, store: FileStore, loaded: Any, start: int, stop: int) -> Values:
        """The flat elements [start, stop)."""


def part(store: FileStore, owner: str, name: str, *dtypes: str) -> tuple[TensorInfo, tuple[int, ...]]:
    """The info and shape of ``name``, a part of ``owner``; Refusal 2 when it is absent or of another type."""
    info = store.infos.get(name)
    if info is None or info.dtype not in dtypes:
        raise refuse("packed.part", store.infos[owner].file, name=owner, part=name)
    return info, info.shape or ()


def whole(store: FileStore, name: str) -> Values:
    """All values of a tensor, in its shape."""
    shape = store.infos[name].shape or ()
    return store.block(name, 0, element_count(shape) or 0).reshape(shape)


class PackedStore:
    """A ``TensorStore`` over ``base`` in which ``packed`` weights stand in place of their parts. What the
    last ``KEPT`` weights needed is kept."""

    def __init__(
        self, base: FileStore, packed: Mapping[str, Packed], unexamined: tuple[Unexamined, ...]
    ) -> None:
        self._base = base
        self._packed = packed
        hidden = {name for weight in packed.values() for name in weight.parts}
        # In the order of the file, each weight where the first of its parts stands.
        owner = {name: weight.info for weight in packed.values() for name in weight.parts}
        self._infos: dict[str, TensorInfo] = {}
        for name, info in base.infos.items():
            shown = owner.get(name, info)
            self._infos.setdefault(shown.name, shown)
        self._unexamined = (
            *(u for u in base.unexamined if u.reason.params.get("name") not in hidden),
            *unexamined,
        )
        self._lock = threading.Lock()
        self._loaded: OrderedDict[str, Any] = OrderedDict()

    @property
    def infos(self) -> Mapping[str, TensorInfo]:
        return self._infos

    @property
    def unexamined(self) -> tuple[Unexamined, ...]:
        return self._unexamined

    def dtype(self, name: str) -> str:
        """The storage type; for a quantised weight the scheme (NF4, GPTQ4 ...)."""
        return self._infos[name].dtype or ""

    def block(self, name: str, start: int, stop: int) -> Values:
        """Values of the flat elements [start, stop); see ``TensorStore``."""
        weight = self._packed.get(name)
        if weight is None:
            return self._base.block(name, start, stop)
        if not 0 <= start <= stop <= (element_count(weight.info.shape or ()) or 0):
            raise IndexError(f"elements {start} to {stop} of {name}")
        return weight.values(self._base, self._of(name, weight), start, stop)

    def raw(
        self, name: str, start: int, stop: int, out: Bytes | None = None
    ) -> NDArray[np.unsignedinteger] | None:
        """Storage of an ordinary tensor; None for a quantised weight; see ``TensorStore``."""
        return None if name in self._packed else self._base.raw(name, start, stop, out)

    def check(self) -> None:
        """Raise Refusal 2 when a file changed since it was opened."""
        self._base.check()

    def close(self) -> None:
        """Close all files."""
        self._base.close()

    def _of(self, name: str, weight: Packed) -> Any:
        with self._lock:
            if name in self._loaded:
                self._loaded.move_to_end(name)
                return self._loaded[name]
            loaded = self._loaded[name] = weight.load(self._base)
            if len(self._loaded) > KEPT:
                self._loaded.popitem(last=False)
            return loaded


def unpacked(store: FileStore, config: Mapping[str, Json]) -> FileStore | PackedStore:
    """``store`` with every quantised weight that is understood; the others stay in their parts, and are named
    as not examined. ``config`` is the release's config.json."""
    packed: dict[str, Packed] = {}
    unexamined: list[Unexamined] = []
    for build in _builders(store, config):
        try:
            weight = build()
        except Refusal as refusal:
            fault = Unexamined("weights", refusal.message, path=refusal.path, fault=True, code=refusal.code)
            unexamined.append(fault)
            continue
        packed[weight.info.name] = weight
    return PackedStore(store, packed, tuple(unexamined)) if packed or unexamined else store


def _builders(store: FileStore, config: Mapping[str, Json]) -> Iterator[Callable[[], Packed]]:
    """For every tensor whose name marks a quantised weight, what would build it."""
    from apograph.release import packed_bitsandbytes as bnb
    from apograph.release import packed_columns as columns
    from apograph.release import packed_compressed as compressed

    settings = config.get("quantization_config")
    settings = settings if isinstance(settings, dict) else {}
    for name in store.infos:
        stem, _, last = name.rpartition(".")
        if last in ("bitsandbytes__nf4", "bitsandbytes__fp4"):
            yield partial(bnb.four_bits, store, name)
        elif last == "SCB":
            yield partial(bnb.eight_bits, store, name)
        elif last == "qweight":
            yield partial(columns.columns, store, name, settings)
        elif last == "weight_packed":
            yield partial(compressed.packed_integers, store, name)
        elif last in ("weight_scale", "weight_scale_inv") and f"{stem}.weight" in store.infos:
            yield partial(compressed.scaled, store, name)
        elif last.endswith("_blocks") and name.removesuffix("_blocks") + "_scales" in store.infos:
            yield partial(_not_understood, store, name)


def _not_understood(store: FileStore, name: str) -> Packed:
    raise refuse("packed.scheme", store.infos[name].file, name=name)
