"""Our dataclasses as plain JSON values and back: the wire format of the workers and of saved reports.

Strict in both directions: an unknown or missing field, or a value of the wrong type, raises ValueError.
Text may hold lone surrogates (names of files are bytes); ``json.dumps`` with ``ensure_ascii`` keeps them.
"""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache
from typing import Any, Literal, TypeVar, Union, cast, get_args, get_origin, get_type_hints

from apograph.findings import Json

T = TypeVar("T")
_ANYTHING = (Json, Any)


def dump(value: object) -> Json:
    """A value of dataclasses, enums, mappings, sequences and scalars as plain JSON values.

    Raises ValueError for anything else and for numbers that JSON lacks (NaN, infinities).
    """
    if isinstance(value, Enum):
        return cast(Json, value.value)
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if value - value != 0:
            raise ValueError(f"{value} has no JSON form")
        return value
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: dump(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise ValueError("a mapping's keys must be text")
        return {key: dump(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [dump(item) for item in value]
    raise ValueError(f"{type(value).__name__} has no JSON form")


def load(kind: type[T], value: Json) -> T:
    """The value of type ``kind`` that ``dump`` made. Raises ValueError when it does not fit."""
    return cast(T, _load(kind, value, kind.__name__))


def _load(kind: Any, value: Any, where: str) -> Any:
    if kind in _ANYTHING:
        return value
    origin = get_origin(kind)
    if origin in (Union, types.UnionType):
        return _load_union(get_args(kind), value, where)
    if origin is Literal:
        return _checked(value, value in get_args(kind), where)
    if origin is tuple:
        return _load_tuple(get_args(kind), _checked(value, isinstance(value, list), where), where)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        item = get_args(kind)[1]
        _checked(value, isinstance(value, dict), where)
        return {key: _load(item, entry, f"{where}.{key}") for key, entry in value.items()}
    if is_dataclass(kind):
        return _load_dataclass(cast(type, kind), value, where)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _checked(kind, value in {member.value for member in kind}, where)(value)
    if kind is float and type(value) is int:
        return value  # JSON does not tell 1 from 1.0; keeping the int keeps the bytes of a saved report
    return _checked(value, type(value) is kind, where)


def _load_union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None:
        return _checked(None, type(None) in kinds, where)
    for kind in kinds:
        try:
            return _load(kind, value, where)
        except ValueError:
            continue
    raise ValueError(f"{where}: a value of the wrong type")


def _load_tuple(kinds: tuple[Any, ...], value: list[Any], where: str) -> tuple[Any, ...]:
    if len(kinds) == 2 and kinds[1] is ...:
        return tuple(_load(kinds[0], entry, f"{where}[{n}]") for n, entry in enumerate(value))
    _checked(value, len(value) == len(kinds), where)
    return tuple(
        _load(kind, entry, f"{where}[{n}]") for n, (kind, entry) in enumerate(zip(kinds, value, strict=True))
    )


@cache
def _hints(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _load_dataclass(kind: type, value: Any, where: str) -> Any:
    hints = _hints(kind)
    _checked(value, isinstance(value, dict) and value.keys() == hints.keys(), where)
    return kind(**{name: _load(hint, value[name], f"{where}.{name}") for name, hint in hints.items()})


def _checked(value: T, fits: bool, where: str) -> T:
    if not fits:
        raise ValueError(f"{where}: a value of the wrong type")
    return value
