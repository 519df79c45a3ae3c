"""How common pieces of Python are: the code book by which shared code is weighed.

``code_background.bin`` holds, for the commonest operations and subtrees of published libraries, how many bits
each takes (-log2 of its share of all nodes). It was counted by ``benchmarks/code_background.py``, which says
from which packages; it holds hashes and numbers, no code. What is not in the book is unusual: an unknown
operation costs ``UNKNOWN`` bits, an unknown subtree what its parts cost together.
"""

from __future__ import annotations

import struct
from functools import cache
from importlib.resources import files

UNIT = 16
"""Weights are whole sixteenths of a bit, so that sums are exact."""
UNKNOWN = 16 * UNIT
MAGIC = b"APCB\x01"
_ENTRY = struct.Struct("<QH")


class CodeBook:
    """Costs in 1/16 bit by key."""

    def __init__(self, costs: dict[int, int]) -> None:
        self._costs = costs

    def leaf(self, key: int) -> int:
        """The cost of one operation with a number of operands."""
        return self._costs.get(key, UNKNOWN)

    def subtree(self, key: int) -> int | None:
        """The cost of a whole subtree, None when it is not a common one."""
        return self._costs.get(key)


def leaf_key(label: int) -> int:
    """The key of a single operation, apart from those of subtrees."""
    return (label * 0xD6E8FEB86659FD93 + 1) & ((1 << 64) - 1)


def write(costs: dict[int, int]) -> bytes:
    """The file of a code book."""
    return MAGIC + b"".join(_ENTRY.pack(k, min(c, 0xFFFF)) for k, c in sorted(costs.items()))


@cache
def code_book() -> CodeBook:
    """The code book that comes with the program. Raises ValueError when the file is damaged."""
    data = (files(__package__) / "code_background.bin").read_bytes()
    if not data.startswith(MAGIC) or (len(data) - len(MAGIC)) % _ENTRY.size:
        raise ValueError("code_background.bin is damaged")
    return CodeBook(dict(_ENTRY.iter_unpack(data[len(MAGIC) :])))
