"""The value of a stored element inside compiled code, widened in a register."""

from __future__ import annotations

from typing import Any

from numba import types
from numba.extending import intrinsic


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def value(context: Any, bits: Any) -> Any:
    """The float32 of the bits of a bfloat16 (uint16) or of a float32 (uint32)."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]

        wide = builder.zext(arguments[0], ir.IntType(32)) if bits.bitwidth == 16 else arguments[0]
        if bits.bitwidth == 16:
            wide = builder.shl(wide, ir.Constant(ir.IntType(32), 16))
        return builder.bitcast(wide, ir.FloatType())

    return (types.float32(bits), generate) if bits in (types.uint16, types.uint32) else None
