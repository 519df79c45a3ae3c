"""The gauge: in what order, signs, scale and basis a candidate stores what the reference stores."""

from apograph.align.gauge.recover import recover
from apograph.align.gauge.store import AlignedStore
from apograph.align.gauge.types import Gauge, ModuleMap, Piece, StreamMap

__all__ = ["AlignedStore", "Gauge", "ModuleMap", "Piece", "StreamMap", "recover"]
