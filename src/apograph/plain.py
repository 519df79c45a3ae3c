"""Our dataclasses as plain JSON values and back: the wire format of the workers and of saved reports.

Strict in both directions: an unknown or missing field, or a value of the wrong type, raises ValueError.
Text may hold lone surrogates (names of files are bytes); ``json.dumps`` with ``ensure_ascii`` keeps them.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
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
    try:
        return cast(T, _reader(cast(Any, kind))(value))
    except _Misfit as misfit:
        raise ValueError(f"{kind.__name__}{misfit.where}: a value of the wrong type") from None


class _Misfit(Exception):  # noqa: N818 - handled here
    """A value that does not fit; ``where`` is built on the way out."""

    where = ""


_Reader = Callable[[Any], Any]
_SCALARS: dict[Any, tuple[type, ...]] = {
    bool: (bool,),
    int: (int,),
    str: (str,),
    float: (float, int),  # JSON does not tell 1 from 1.0; keeping the int keeps the bytes of a saved report
    type(None): (type(None),),
}


@cache
def _reader(kind: Any) -> _Reader:
    """What reads values of one type, built once: a history holds hundreds of thousands of them."""
    if kind in _ANYTHING:
        return lambda value: value
    if kind in _SCALARS:
        allowed = _SCALARS[kind]
        return lambda value: _fitting(value, type(value) in allowed)
    origin, inner = get_origin(kind), get_args(kind)
    if origin in (Union, types.UnionType):
        return _union_reader(inner)
    if origin is Literal:
        return lambda value: _fitting(value, not isinstance(value, list | dict) and value in inner)
    if origin is tuple:
        return _tuple_reader(inner)
    if isinstance(origin, type) and issubclass(origin, Mapping):
        return _mapping_reader(_reader(inner[1]))
    if is_dataclass(kind):
        return _dataclass_reader(cast(type, kind))
    if isinstance(kind, type) and issubclass(kind, Enum):
        return _enum_reader(kind)
    return lambda value: _fitting(value, type(value) is kind)


def _fitting(value: T, fits: bool) -> T:
    if not fits:
        raise _Misfit
    return value


def _within(step: str, read: _Reader, value: Any) -> Any:
    try:
        return read(value)
    except _Misfit as misfit:
        misfit.where = step + misfit.where
        raise


def _enum_reader(kind: type[Enum]) -> _Reader:
    members = {member.value: member for member in kind}
    return lambda value: members[_fitting(value, not isinstance(value, list | dict) and value in members)]


def _union_reader(kinds: tuple[Any, ...]) -> _Reader:
    plain = {allowed for kind in kinds for allowed in _SCALARS.get(kind, ())}
    others = [_reader(kind) for kind in kinds if kind not in _SCALARS]

    def read(value: Any) -> Any:
        for other in others:
            try:
                return other(value)
            except _Misfit:
                continue
        return _fitting(value, type(value) in plain)

    return read if others else lambda value: _fitting(value, type(value) in plain)


def _tuple_reader(kinds: tuple[Any, ...]) -> _Reader:
    readers = [_reader(kind) for kind in kinds if kind is not ...]

    def read(value: Any) -> tuple[Any, ...]:
        entries = _fitting(value, isinstance(value, list))
        if kinds[1:] == (...,):
            return tuple(_within(f"[{n}]", readers[0], entry) for n, entry in enumerate(entries))
        _fitting(value, len(entries) == len(readers))
        pairs = zip(readers, entries, strict=True)
        return tuple(_within(f"[{n}]", reader, entry) for n, (reader, entry) in enumerate(pairs))

    return read


def _mapping_reader(item: _Reader) -> _Reader:
    def read(value: Any) -> dict[str, Any]:
        entries = _fitting(value, isinstance(value, dict))
        return {key: _within(f".{key}", item, entry) for key, entry in entries.items()}

    return read


def _dataclass_reader(kind: type) -> _Reader:
    # Read on first use, not now: a type may refer to itself.
    readers: dict[str, _Reader] = {}

    def read(value: Any) -> Any:
        if not readers:
            readers.update({name: _reader(hint) for name, hint in get_type_hints(kind).items()})
        _fitting(value, isinstance(value, dict) and value.keys() == readers.keys())
        at = ""
        try:
            made = {}
            for name, reader in readers.items():
                at = name
                made[name] = reader(value[name])
            return kind(**made)
        except _Misfit as misfit:
            misfit.where = f".{at}{misfit.where}"
            raise

    return read
