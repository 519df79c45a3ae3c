"""A pickle read as data: its opcodes are walked, no object of it is ever made.

Only what saved tensors need has a meaning here: containers, numbers, strings, torch's storages and the
functions that lay a tensor over one. Any other global is foreign: it is listed, and what depends on it is
nothing. This is an allow-list (picklescan's and modelscan's block-lists are known to miss gadgets).
"""

from __future__ import annotations

import pickletools
from dataclasses import dataclass, field
from typing import Any, BinaryIO

from apograph.findings import Refusal
from apograph.release.refuse import refuse

MAX_OPCODES = 1_000_000
MAX_STACK = 10_000
MAX_MEMO = 100_000
MAX_DIMS = 64

_STORAGES = {
    "FloatStorage": "F32", "DoubleStorage": "F64", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "CharStorage": "I8", "ByteStorage": "U8", "ShortStorage": "I16", "IntStorage": "I32",
    "LongStorage": "I64", "BoolStorage": "BOOL", "ComplexFloatStorage": "C64", "UntypedStorage": "",
}  # fmt: skip
_DTYPES = {
    "float32": "F32", "float64": "F64", "float16": "F16", "bfloat16": "BF16", "int8": "I8", "uint8": "U8",
    "int16": "I16", "uint16": "U16", "int32": "I32", "uint32": "U32", "int64": "I64", "uint64": "U64",
    "bool": "BOOL", "complex64": "C64", "float8_e4m3fn": "F8_E4M3", "float8_e5m2": "F8_E5M2",
    "float8_e4m3fnuz": "F8_E4M3FNUZ", "float8_e5m2fnuz": "F8_E5M2FNUZ", "float8_e8m0fnu": "F8_E8M0",
}  # fmt: skip
_REBUILD = {"_rebuild_tensor", "_rebuild_tensor_v2", "_rebuild_tensor_v3", "_rebuild_parameter"}


@dataclass(frozen=True, slots=True)
class Foreign:
    """A global that no saved tensor needs, or an opcode that brings one in, at a byte offset."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class StorageRef:
    """A storage of ``numel`` elements of ``dtype`` (bytes where ``dtype`` is "")."""

    dtype: str
    key: str
    numel: int


@dataclass(frozen=True, slots=True)
class TensorRef:
    """A tensor laid over a storage: offset and strides in elements. ``at`` is where the pickle says so."""

    storage: StorageRef
    dtype: str
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]
    at: int


@dataclass(slots=True)
class Walk:
    """What a pickle holds: ``value`` (None where it did not end), foreign globals, and its ``end``."""

    value: Any = None
    foreign: list[Foreign] = field(default_factory=list)
    end: int = 0
    complete: bool = False


@dataclass(frozen=True, slots=True)
class _Global:
    module: str
    name: str


_MARK = object()


def walk(stream: BinaryIO, path: str = "") -> Walk:
    """Walk the one pickle at whose start ``stream`` stands; dicts keep their string keys only.

    Raises Refusal 5 beyond a million opcodes, 10,000 values on the stack or 100,000 in the memo. A pickle
    that breaks off gives what was found before (``complete`` is False).
    """
    machine = _Machine(path)
    found = machine.found
    try:
        for count, (opcode, argument, position) in enumerate(pickletools.genops(stream)):
            if count == MAX_OPCODES:
                raise refuse("pickle.limit", path, position, code=5, what="opcodes", limit=MAX_OPCODES)
            machine.step(opcode.name, argument, position or 0)
    except (ValueError, IndexError, KeyError, TypeError, AttributeError, UnicodeError, OverflowError):
        # The standard library's opcode reader and the stack machine raise these on malformed bytes.
        return found
    found.end = stream.tell()
    found.complete = True
    return found


class _Machine:
    """The stack machine of a pickle over plain values; foreign things are None."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}
        self.found = Walk()

    def step(self, name: str, argument: Any, position: int) -> None:
        """Carry out one opcode."""
        method = getattr(self, f"_{name.lower()}", None)
        if name in _CONSTANTS:
            self._stack.append(_CONSTANTS[name])
        elif name in _LITERALS:
            self._stack.append(argument)
        elif method is not None:
            method(argument, position)
        elif name in _FOREIGN:
            self._foreign(name, position)
            if name != "READONLY_BUFFER":  # which changes the top of the stack, the others push
                self._stack.append(None)
        elif name not in _IGNORED:
            raise ValueError(name)
        if len(self._stack) > MAX_STACK:
            raise self._limit("stack", MAX_STACK, position)
        if len(self._memo) > MAX_MEMO:
            raise self._limit("memo", MAX_MEMO, position)

    def _limit(self, what: str, limit: int, position: int) -> Refusal:
        return refuse("pickle.limit", self._path, position, code=5, what=what, limit=limit)

    def _foreign(self, name: str, position: int) -> None:
        self.found.foreign.append(Foreign(name, position))

    def _marked(self) -> list[Any]:
        at = len(self._stack) - 1
        while self._stack[at] is not _MARK:
            at -= 1  # an IndexError below the bottom ends the walk
        items = self._stack[at + 1 :]
        del self._stack[at:]
        return items

    def _mark(self, argument: Any, position: int) -> None:
        self._stack.append(_MARK)

    def _pop(self, argument: Any, position: int) -> None:
        self._stack.pop()

    def _pop_mark(self, argument: Any, position: int) -> None:
        self._marked()

    def _dup(self, argument: Any, position: int) -> None:
        self._stack.append(self._stack[-1])

    def _stop(self, argument: Any, position: int) -> None:
        self.found.value = self._stack.pop()

    def _empty_list(self, argument: Any, position: int) -> None:
        self._stack.append([])

    def _empty_set(self, argument: Any, position: int) -> None:
        self._stack.append([])

    def _empty_dict(self, argument: Any, position: int) -> None:
        self._stack.append({})

    def _tuple(self, argument: Any, position: int) -> None:
        self._stack.append(tuple(self._marked()))

    def _list(self, argument: Any, position: int) -> None:
        self._stack.append(self._marked())

    _frozenset = _list

    def _dict(self, argument: Any, position: int) -> None:
        items = self._marked()
        self._stack.append({})
        self._set(items)

    def _tuple1(self, argument: Any, position: int) -> None:
        self._stack[-1:] = [(self._stack[-1],)]

    def _tuple2(self, argument: Any, position: int) -> None:
        self._stack[-2:] = [(self._stack[-2], self._stack[-1])]

    def _tuple3(self, argument: Any, position: int) -> None:
        self._stack[-3:] = [tuple(self._stack[-3:])]

    def _append(self, argument: Any, position: int) -> None:
        item = self._stack.pop()
        if isinstance(self._stack[-1], list):
            self._stack[-1].append(item)

    def _appends(self, argument: Any, position: int) -> None:
        items = self._marked()
        if isinstance(self._stack[-1], list):
            self._stack[-1].extend(items)

    _additems = _appends

    def _setitem(self, argument: Any, position: int) -> None:
        value, key = self._stack.pop(), self._stack.pop()
        self._set([key, value])

    def _setitems(self, argument: Any, position: int) -> None:
        self._set(self._marked())

    def _set(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if isinstance(target, dict):
            pairs = zip(items[::2], items[1::2], strict=True)
            target.update({key: value for key, value in pairs if isinstance(key, str)})

    def _memoize(self, argument: Any, position: int) -> None:
        self._memo[len(self._memo)] = self._stack[-1]

    def _put(self, argument: Any, position: int) -> None:
        self._memo[argument] = self._stack[-1]

    _binput = _long_binput = _put

    def _get(self, argument: Any, position: int) -> None:
        self._stack.append(self._memo[argument])

    _binget = _long_binget = _get

    def _global(self, argument: str, position: int) -> None:
        module, _, name = argument.partition(" ")
        self._named(module, name, position)

    def _stack_global(self, argument: Any, position: int) -> None:
        name, module = self._stack.pop(), self._stack.pop()
        self._named(str(module), str(name), position)

    def _named(self, module: str, name: str, position: int) -> None:
        known = (
            (module, name) in (("collections", "OrderedDict"), ("torch", "Size"))
            or (module == "torch._utils" and name in _REBUILD)
            or (module in ("torch", "torch.storage") and name in _STORAGES)
            or (module == "torch" and name in _DTYPES)
        )
        if not known:
            self._foreign(f"{module}.{name}", position)
        self._stack.append(_Global(module, name) if known else None)

    def _inst(self, argument: str, position: int) -> None:
        self._marked()
        self._foreign(argument.replace(" ", "."), position)
        self._stack.append(None)

    def _obj(self, argument: Any, position: int) -> None:
        self._marked()
        self._stack.append(None)

    def _newobj(self, argument: Any, position: int) -> None:
        self._stack[-2:] = [None]

    def _newobj_ex(self, argument: Any, position: int) -> None:
        self._stack[-3:] = [None]

    def _build(self, argument: Any, position: int) -> None:
        self._stack.pop()  # attributes of an object, such as the metadata of a state dict

    def _binpersid(self, argument: Any, position: int) -> None:
        """torch's reference to a storage: ("storage", type, key, device, number of elements[, view])."""
        pid = self._stack.pop()
        storage = _storage(pid) if isinstance(pid, tuple) else None
        if storage is None:
            self._foreign("BINPERSID", position)
        self._stack.append(storage)

    def _reduce(self, argument: Any, position: int) -> None:
        arguments, function = self._stack.pop(), self._stack.pop()
        made = None
        if isinstance(function, _Global) and isinstance(arguments, tuple):
            made = _made(function, arguments, position)
        self._stack.append(made)


def _storage(pid: tuple[Any, ...]) -> StorageRef | None:
    if len(pid) not in (5, 6) or pid[0] != "storage" or pid[5:] not in ((), (None,)):
        return None
    kind, key, numel = pid[1], pid[2], pid[4]
    if not isinstance(kind, _Global) or kind.name not in _STORAGES:
        return None
    if not isinstance(key, str) or type(numel) is not int or numel < 0:
        return None
    return StorageRef(_STORAGES[kind.name], key, numel)


def _made(function: _Global, arguments: tuple[Any, ...], position: int) -> Any:
    """What a known function makes of its arguments; None when they do not fit."""
    if function.name == "OrderedDict":
        # Python 3 makes it empty and sets its items then; a list of pairs could be copied without end.
        return None if arguments else {}
    if function.name == "Size":
        return arguments[0] if arguments else ()
    if function.name == "_rebuild_parameter":
        return arguments[0] if arguments else None
    if function.name not in _REBUILD or len(arguments) < 4:
        return None
    storage, offset, shape, stride = arguments[:4]
    if not isinstance(storage, StorageRef) or not _naturals((offset,)):
        return None
    if not _naturals(shape) or not _naturals(stride) or len(shape) != len(stride):
        return None
    dtype = storage.dtype
    if function.name == "_rebuild_tensor_v3":
        given = arguments[6] if len(arguments) > 6 else None
        dtype = _DTYPES.get(given.name, "") if isinstance(given, _Global) else ""
    return TensorRef(storage, dtype, offset, tuple(shape), tuple(stride), position)


def _naturals(values: Any) -> bool:
    if not isinstance(values, (tuple, list)) or len(values) > MAX_DIMS:
        return False
    return all(type(n) is int and 0 <= n < 1 << 63 for n in values)


_CONSTANTS: dict[str, Any] = {"EMPTY_TUPLE": (), "NONE": None, "NEWTRUE": True, "NEWFALSE": False}
_LITERALS = {
    "INT", "BININT", "BININT1", "BININT2", "LONG", "LONG1", "LONG4", "FLOAT", "BINFLOAT", "STRING",
    "BINSTRING", "SHORT_BINSTRING", "UNICODE", "BINUNICODE", "SHORT_BINUNICODE", "BINUNICODE8", "BINBYTES",
    "SHORT_BINBYTES", "BINBYTES8", "BYTEARRAY8",
}  # fmt: skip
_FOREIGN = {"EXT1", "EXT2", "EXT4", "PERSID", "NEXT_BUFFER", "READONLY_BUFFER"}
_IGNORED = {"PROTO", "FRAME"}
