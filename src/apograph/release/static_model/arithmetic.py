"""Arithmetic, comparison and the few pure functions that constructors use, on values that may be unknown.

Every result is bounded: numbers below 2**64, texts and lists up to 100 000 items.
"""

from __future__ import annotations

import ast
import math
import operator
from collections.abc import Callable
from typing import Any

from apograph.release.static_model.values import UNKNOWN, Tensor, Value

LARGEST = 1 << 64
LONGEST = 100_000
_OPERATORS: dict[type[ast.AST], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add, ast.Sub: operator.sub, ast.Mult: operator.mul, ast.FloorDiv: operator.floordiv,
    ast.Div: operator.truediv, ast.Mod: operator.mod, ast.Pow: operator.pow, ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_, ast.LShift: operator.lshift, ast.RShift: operator.rshift,
}  # fmt: skip
_COMPARISONS: dict[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge, ast.Is: operator.is_, ast.IsNot: operator.is_not,
    ast.In: lambda a, b: a in b, ast.NotIn: lambda a, b: a not in b,
}  # fmt: skip
PURE: dict[str, Callable[..., Any]] = {
    "math.sqrt": math.sqrt, "math.ceil": math.ceil, "math.floor": math.floor, "math.log2": math.log2,
    "math.log": math.log, "math.prod": math.prod, "math.gcd": math.gcd, "numpy.prod": math.prod,
    "numpy.sqrt": math.sqrt, "int": int, "float": float, "bool": bool, "str": str, "len": len, "abs": abs,
    "max": max, "min": min, "sum": sum, "round": round, "tuple": tuple, "list": list, "dict": dict,
    "enumerate": lambda *a: list(enumerate(*a)), "zip": lambda *a: list(zip(*a)),  # noqa: B905
    "reversed": lambda a: list(reversed(a)), "sorted": sorted,
    "copy.deepcopy": lambda a: a, "copy.copy": lambda a: a,
}  # fmt: skip
"""Functions that are computed, by full name; only on plain values."""
_SHALLOW = frozenset(
    {"len", "tuple", "list", "dict", "enumerate", "zip", "reversed", "copy.deepcopy", "copy.copy"}
)
"""Those of them that never look into what a list holds."""
_PLAIN = (bool, int, float, str, list, tuple, dict, type(None))


def arithmetic(operation: ast.operator, left: Value, right: Value) -> Value:
    """The result of a binary operator; UNKNOWN when it cannot or must not be computed."""
    if isinstance(left, Tensor) or isinstance(right, Tensor):
        if isinstance(left, Tensor) and isinstance(right, int | float):
            return Tensor(left.shape)
        if isinstance(right, Tensor) and isinstance(left, int | float):
            return Tensor(right.shape)
        return Tensor()
    joined = (
        isinstance(operation, ast.Add) and isinstance(left, list | tuple) and isinstance(right, list | tuple)
    )
    if not (joined or _plain(left, right)) or type(operation) not in _OPERATORS:
        return UNKNOWN
    if isinstance(operation, ast.Pow) and not (_number(left) and _number(right) and abs(right) <= 64):
        return UNKNOWN
    if isinstance(operation, ast.LShift) and not (isinstance(right, int) and 0 <= right <= 64):
        return UNKNOWN
    if isinstance(operation, ast.Mult):
        for size, other in ((left, right), (right, left)):
            if isinstance(size, str | list | tuple) and not (
                isinstance(other, int) and len(size) * other <= LONGEST
            ):
                return UNKNOWN
    if isinstance(left, str) and isinstance(operation, ast.Mod):
        return UNKNOWN
    return _bounded(_OPERATORS[type(operation)], left, right)


def compare(operation: ast.cmpop, left: Value, right: Value) -> Value:
    """The truth of a comparison, or UNKNOWN."""
    if isinstance(operation, ast.Is | ast.IsNot) and (left is None or right is None):
        if left is UNKNOWN or right is UNKNOWN:
            return UNKNOWN
        return (left is right) == isinstance(operation, ast.Is)
    if not _plain(left, right):
        return UNKNOWN
    return _bounded(_COMPARISONS[type(operation)], left, right)


def pure(name: str, args: tuple[Value, ...], kwargs: dict[str, Value]) -> Value:
    """The result of one of ``PURE``, or UNKNOWN."""
    given = (*args, *kwargs.values())
    if UNKNOWN in given or not (name in _SHALLOW or _plain(*given)):
        return UNKNOWN
    return _bounded(PURE[name], *args, **kwargs)


def _bounded(function: Callable[..., Any], *args: Value, **kwargs: Value) -> Value:
    try:
        result = function(*args, **kwargs)
    except (TypeError, ValueError, ArithmeticError, LookupError, MemoryError, RecursionError):
        return UNKNOWN
    if isinstance(result, complex) or (isinstance(result, int) and abs(result) >= LARGEST):
        return UNKNOWN
    if isinstance(result, str | list | tuple | dict) and len(result) > LONGEST:
        return UNKNOWN
    return result


def _number(value: Value) -> bool:
    return isinstance(value, int | float) and abs(value) < LARGEST


def _plain(*values: Value) -> bool:
    """Whether values are Python's own and hold nothing unknown (one level is looked at, deeper cannot be
    compared into a crash: ``_bounded`` catches what Python raises)."""
    for value in values:
        if not isinstance(value, _PLAIN):
            return False
        inside = (
            value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple) else ()
        )
        if any(i is UNKNOWN or not isinstance(i, _PLAIN) for i in inside):
            return False
    return True
