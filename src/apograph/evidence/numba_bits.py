"""Stored elements inside compiled code: one, or a line of them side by side, widened in registers.

The compiler is not left to find the lines by itself: it takes half of the widest registers there are, and
gives up keeping many sums in them.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import llvmlite.binding as llvm  # type: ignore[import-untyped, unused-ignore]
from llvmlite import ir  # type: ignore[import-untyped, unused-ignore]
from numba import njit, types
from numba.extending import intrinsic, lower_builtin, models, register_model, type_callable

WIDE = 32 if llvm.get_host_cpu_features().get("avx512bw") else 8
"""Elements of a line."""
_INTEGER = ir.IntType(32)


def compiled(function: Any) -> Any:
    """The function in machine code, kept beside its file; other threads run meanwhile."""
    return njit(nogil=True, cache=True, error_model="numpy")(function)


class Line(types.Type):  # type: ignore[misc, unused-ignore]
    """``WIDE`` elements: float32, or the bits of one side's storage."""

    def __init__(self, element: Any) -> None:
        self.element = element
        super().__init__(name=f"Line({element}, {WIDE})")


@register_model(Line)
class _Model(models.PrimitiveModel):  # type: ignore[misc, unused-ignore]
    def __init__(self, manager: Any, line: Line) -> None:
        floats = {types.float32: ir.FloatType(), types.float64: ir.DoubleType()}
        element = floats.get(line.element) or ir.IntType(line.element.bitwidth)
        super().__init__(manager, line, ir.VectorType(element, WIDE))


def _float(builder: Any, bits: Any, width: int, shape: Callable[[Any], Any]) -> Any:
    if width == 16:
        bits = builder.zext(bits, shape(_INTEGER))
        shift = ir.Constant(_INTEGER, 16)
        many = isinstance(shape(_INTEGER), ir.VectorType)
        bits = builder.shl(bits, ir.Constant(shape(_INTEGER), [16] * WIDE) if many else shift)
    return builder.bitcast(bits, shape(ir.FloatType()))


def _vector(element: Any) -> Any:
    return ir.VectorType(element, WIDE)


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def value(context: Any, bits: Any) -> Any:
    """The float32 of the bits of a bfloat16 (uint16) or of a float32 (uint32)."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _float(builder, arguments[0], bits.bitwidth, lambda element: element)

    return (types.float32(bits), generate) if bits in (types.uint16, types.uint32) else None


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def values(context: Any, bits: Any) -> Any:
    """``value`` of every element of a line."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return _float(builder, arguments[0], bits.element.bitwidth, _vector)

    return Line(types.float32)(bits), generate


def _at(context: Any, builder: Any, kind: Any, array: Any, place: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    line = context.get_value_type(Line(kind.dtype))
    return builder.bitcast(builder.gep(data, [place]), ir.PointerType(line))


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def line(context: Any, array: Any, place: Any) -> Any:
    """The line of a C-ordered array that begins at the flat ``place``. Nothing checks the end."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_at(context, builder, array, *arguments), align=1)

    return Line(array.dtype)(array, types.intp), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def nothing(context: Any) -> Any:
    """A line of float32 zeros."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return ir.Constant(_vector(ir.FloatType()), [0.0] * WIDE)

    return Line(types.float32)(), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def put(context: Any, array: Any, place: Any, what: Any) -> Any:
    """Store a line where ``line`` reads it."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _at(context, builder, array, *arguments[:2]), align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, what), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def wide(context: Any, floats: Any) -> Any:
    """A line of float32 in float64."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fpext(arguments[0], _vector(ir.DoubleType()))

    return Line(types.float64)(floats), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def folded(context: Any, doubles: Any) -> Any:
    """The sum of a line: its second half is added to the first, and again."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        sums = arguments[0]
        while (half := sums.type.count // 2) > 0:
            first, second = (
                builder.shuffle_vector(sums, sums, ir.Constant(ir.VectorType(_INTEGER, half), list(places)))
                for places in (range(half), range(half, 2 * half))
            )
            sums = builder.fadd(first, second)
        return builder.extract_element(sums, ir.Constant(_INTEGER, 0))

    return types.float64(doubles), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def add_wide(context: Any, array: Any, place: Any, floats: Any) -> Any:
    """Add a line of float32 to the float64 of an array from ``place`` on."""

    def generate(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        to = _at(context, builder, array, *arguments[:2])
        wide = builder.fpext(arguments[2], _vector(ir.DoubleType()))
        builder.store(builder.fadd(builder.load(to, align=1), wide), to, align=1)
        return context.get_dummy_value()

    return types.void(array, types.intp, floats), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def larger(context: Any, x: Any, y: Any) -> Any:
    """The larger of two floats each; y where x is NaN."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return x(x, x), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def same(context: Any, x: Any, y: Any) -> Any:
    """1 where two lines of bits are equal, else 0."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.zext(builder.icmp_unsigned("==", *arguments), arguments[0].type)

    return x(x, x), generate


@intrinsic  # type: ignore[untyped-decorator, unused-ignore]
def zero(context: Any, bits: Any) -> Any:
    """1 where the bits are a zero of either sign, else 0."""

    def generate(_: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = arguments[0].type
        unsigned = builder.shl(arguments[0], ir.Constant(kind, [1] * WIDE))
        return builder.zext(builder.icmp_unsigned("==", unsigned, ir.Constant(kind, [0] * WIDE)), kind)

    return bits(bits), generate


def _operation(function: Callable[..., Any], name: str) -> None:
    """Two lines joined element by element."""

    @type_callable(function)  # type: ignore[untyped-decorator, unused-ignore]
    def _(context: Any) -> Any:
        return lambda x, y: x if isinstance(x, Line) and x == y else None

    @lower_builtin(function, Line, Line)  # type: ignore[untyped-decorator, unused-ignore]
    def _(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        floats = signature.args[0].element in (types.float32, types.float64)
        return getattr(builder, f"f{name}" if floats else name)(*arguments)


for _function, _name in (
    *((operator.add, "add"), (operator.iadd, "add"), (operator.sub, "sub"), (operator.mul, "mul")),
    *((operator.or_, "or_"), (operator.ior, "or_")),
):
    _operation(_function, _name)
